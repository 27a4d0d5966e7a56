namespace Graft.Pretraining;

/// <summary>Every method of pretraining, by name.</summary>
internal static class PretrainMethods
{
    /// <summary>In the order in which they are listed.</summary>
    public static IReadOnlyList<PretrainMethod> All { get; } =
    [
        new SimClr(), new MoCo(), new Byol(), new SimSiam(), new BarlowTwins(), new VicReg(), new SwAv(), new Dino(), new SupCon(),
        new RotationTask(), new Jigsaw(), new RelativePatches(), new GoodOrCorrupted(margin: false), new GoodOrCorrupted(margin: true), new SameOrDifferent(),
        new Dcgan(),
        new Rbm(), new Dbn(), new StackedDenoising(), new Autoencoder(), new Denoising(), new Mae(), new Colourise(),
        new Mlm(), new MlmWholeWord(), new Electra(), new GoodOrCorruptedText(), new NextSentence(),
    ];

    /// <summary>The usual one.</summary>
    public static PretrainMethod Usual(bool text) => Of(text ? "mlm" : "byol", text);

    /// <summary>By name: one, or where pictures and sentences each have one of that name, both.</summary>
    /// <exception cref="GraftException">There is none of that name.</exception>
    public static IReadOnlyList<PretrainMethod> Named(string name) =>
        All.Where(method => method.Name.Equals(name, StringComparison.OrdinalIgnoreCase)).ToArray() is { Length: > 0 } found ? found
            : throw UnknownName.Of("method of pretraining", name, All.Select(method => method.Name).Distinct(), NextCommand.Of("pretrain", "--methods"));

    /// <summary>Of a name, the one for pictures or for sentences.</summary>
    public static PretrainMethod Of(string name, bool text) => Named(name).First(method => method.IsForText == text);
}
