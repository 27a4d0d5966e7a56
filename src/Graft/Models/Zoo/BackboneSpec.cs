namespace Graft.Models.Zoo;

/// <summary>What makes a network of the same shape again. Two are equal where their names and options are, in whatever order.</summary>
/// <param name="Name">The architecture's, as on its card, or graph.</param>
/// <param name="Options">By name; what is usual may be left out.</param>
public sealed record BackboneSpec(string Name, IReadOnlyDictionary<string, string> Options)
{
    // What a graph's file holds is no part of its name: its digest stands for it.
    private static readonly string[] s_texts = ["graph", "ends"];

    private static readonly string[] s_keys =
    [
        "widths", "side", "channels", "pools", "strided", "depths", "padding", "name", "digest", .. s_texts, "vocabulary", "width", "layers", "heads",
        "inner", "stem", "positions", "types", "embedding", "activation", "epsilon", "pad", "separator", "pooling",
    ];

    /// <summary>Of options that are written down one after another.</summary>
    public BackboneSpec(string name, params ReadOnlySpan<(string Key, string Value)> options) : this(name, Map(options)) { }

    /// <summary>An option's value; null where it is not said.</summary>
    public string? this[string key] => Options.GetValueOrDefault(key);

    /// <summary>An option that is a whole number.</summary>
    internal int Number(string key, int usual) => int.TryParse(this[key], out var value) ? value : usual;

    /// <summary>An option that is whole numbers with dashes between; null where it is not said.</summary>
    internal int[]? Numbers(string key) => this[key] is { } text ? [.. text.Split('-').Select(int.Parse)] : null;

    /// <summary>What a file's metadata say of its network.</summary>
    internal static BackboneSpec Of(string name, IReadOnlyDictionary<string, string> card) =>
        new(name, s_keys.Where(card.ContainsKey).ToDictionary(key => key, key => card[key]));

    /// <summary>The name and the options that change the function, as text: mobilenet_v2 padding=torch.</summary>
    public override string ToString() =>
        string.Join(' ', Options.Where(option => !s_texts.Contains(option.Key)).Select(option => $"{option.Key}={option.Value}").Prepend(Name));

    /// <inheritdoc/>
    public bool Equals(BackboneSpec? other) => other is not null && Name == other.Name && Options.Count == other.Options.Count
        && Options.All(option => other[option.Key] == option.Value);

    /// <inheritdoc/>
    public override int GetHashCode() => Options.Aggregate(Name.GetHashCode(), (sum, option) => sum + HashCode.Combine(option.Key, option.Value));

    private static Dictionary<string, string> Map(ReadOnlySpan<(string Key, string Value)> options)
    {
        var map = new Dictionary<string, string>();
        foreach (var (key, value) in options) map[key] = value;
        return map;
    }
}
