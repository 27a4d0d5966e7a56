namespace Graft.Pretraining;

/// <summary>Every method of pretraining, by name.</summary>
internal static class PretrainMethods
{
    /// <summary>In the order in which they are listed.</summary>
    public static IReadOnlyList<PretrainMethod> All { get; } =
    [
        new SimClr(),
        new Mlm(), new MlmWholeWord(), new Electra(), new GoodOrCorrupted(), new NextSentence(),
    ];

    /// <summary>The usual one.</summary>
    public static PretrainMethod Usual(bool text) => All.FirstOrDefault(method => method.Name == (text ? "mlm" : "byol")) ?? All.First(method => method.IsForText == text);

    /// <summary>By name.</summary>
    /// <exception cref="GraftException">There is none of that name.</exception>
    public static PretrainMethod ByName(string name) => All.FirstOrDefault(method => method.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
        ?? throw UnknownName.Of("method of pretraining", name, All.Select(method => method.Name), NextCommand.Of("pretrain", "--methods"));
}
