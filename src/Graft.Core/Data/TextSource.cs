using System.Text;

namespace Graft.Data;

/// <summary>A sentence, or a pair of sentences about which something is told.</summary>
/// <param name="First">The sentence, or the first of a pair.</param>
/// <param name="Second">The second of a pair; null: it is no pair.</param>
public readonly record struct TextItem(string First, string? Second = null)
{
    /// <summary>As one line, for people.</summary>
    public override string ToString() => Second is null ? First : $"{First} | {Second}";
}

/// <summary>Sentences, or pairs of them, in memory.</summary>
/// <param name="items">The sentences.</param>
/// <param name="names">What to call each: its file and line.</param>
public sealed class TextSource(IReadOnlyList<TextItem> items, IReadOnlyList<string> names) : ItemSource
{
    /// <summary>A sentence.</summary>
    public TextItem Text(int index) => items[index];

    /// <inheritdoc/>
    public override string Name(int index) => names[index];

    /// <summary>The sentence as UTF-8; a pair with U+001F between.</summary>
    public override byte[] Read(int index) =>
        Encoding.UTF8.GetBytes(items[index].Second is { } second ? $"{items[index].First}\u001f{second}" : items[index].First);
}
