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
        "inner", "stem", "positions", "types", "embedding", "activation", "epsilon", "pad", "separator", "pooling", "patch",
    ];

    // What a person may write after a name: numbers, rows of numbers, words.
    private static readonly string[] s_numbers = ["side", "channels", "pools", "patch", "width", "layers", "heads"], s_rows = ["widths", "depths"],
        s_words = ["activation", "strided"];

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

    /// <summary>A name with options behind it as a person writes them: mlp widths=500-500 activation=relu.</summary>
    /// <exception cref="GraftException">An option that is none, or that says no number.</exception>
    internal static BackboneSpec Parse(string text)
    {
        var parts = text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var options = new Dictionary<string, string>();
        foreach (var part in parts.Skip(1))
        {
            var (key, value) = part.Split('=', 2) is [var first, var second] ? (first, second) : (part, "");
            if (!s_numbers.Concat(s_rows).Concat(s_words).Contains(key))
                throw UnknownName.Of("option of a network", key, [.. s_numbers, .. s_rows, .. s_words]);
            if (key == "channels" && value is not ("1" or "3")) throw Bounds.Refuse($"channels={value}: 1 for grey pictures, or 3");
            var good = s_words.Contains(key) ? value.Length > 0
                : (s_rows.Contains(key) ? value.Split('-') : [value]).All(number => int.TryParse(number, out var read) && read is > 0 and <= 65536);
            if (good)
            {
                options[key] = value;
                continue;
            }
            throw Bounds.Refuse($"{key}={value}: " + (s_words.Contains(key) ? "a word"
                : s_rows.Contains(key) ? "whole numbers above 0 with dashes between, such as 500-500" : "a whole number from 1 to 65536"));
        }
        return new BackboneSpec(parts.Length == 0 ? "" : parts[0], options);
    }

    /// <summary>The same with more options; what is said already stays.</summary>
    internal BackboneSpec Else(params ReadOnlySpan<(string Key, string Value)> usual)
    {
        var options = new Dictionary<string, string>(Options);
        foreach (var (key, value) in usual) options.TryAdd(key, value);
        return new BackboneSpec(Name, options);
    }

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
