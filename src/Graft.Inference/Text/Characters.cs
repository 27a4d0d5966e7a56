using System.Globalization;
using System.Text;

namespace Graft.Inference.Text;

/// <summary>What a character is to a tokenizer. Several may hold at once.</summary>
[Flags]
internal enum CharacterKinds : byte
{
    None = 0,

    /// <summary>A control or format sign, or for private use: BERT's cleaning drops it.</summary>
    Removed = 1,
    Space = 2,

    /// <summary>An accent and its like: Unicode's Mn.</summary>
    Nonspacing = 4,

    /// <summary>Any combining mark: Unicode's M.</summary>
    Mark = 8,
    Punctuation = 16,

    /// <summary>A Chinese character, which BERT sets apart.</summary>
    Chinese = 32,

    /// <summary>It has a canonical decomposition.</summary>
    Composed = 64,

    /// <summary>It has a small form.</summary>
    Upper = 128,
}

/// <summary>Unicode as Hugging Face's tokenizers see it, from a table of our own (characters.txt): the numbers of a text must not hang on which
/// Unicode the machine's .NET knows, and where .NET runs without ICU its own normalisation leaves a text as it is.</summary>
internal static class Characters
{
    private const int Syllables = 0xac00, SyllableCount = 11172, Leads = 0x1100, Vowels = 0x1161, Tails = 0x11a7, VowelCount = 21, TailCount = 28;

    private static readonly CharacterKinds[] s_kinds = new CharacterKinds[0x110000];
    private static readonly Dictionary<int, int[]> s_canonical = [];
    private static readonly Dictionary<int, int[]> s_compatible = [];
    private static readonly Dictionary<int, byte> s_classes = [];
    private static readonly Dictionary<(int, int), int> s_pairs = [];

    static Characters()
    {
        using var stream = typeof(Characters).Assembly.GetManifestResourceStream("text/characters.txt")!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.StartsWith('#')) continue;
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            var name = line[..colon];
            var rest = line.AsSpan(colon + 1);
            if (name is "canonical" or "compatible" or "pairs") ReadParts(name, rest);
            else if (name.StartsWith("class ", StringComparison.Ordinal))
                ForEach(rest, rune => s_classes[rune] = byte.Parse(name.AsSpan(6), CultureInfo.InvariantCulture));
            else
            {
                var kind = Enum.Parse<CharacterKinds>(name, ignoreCase: true);
                ForEach(rest, rune => s_kinds[rune] |= kind);
            }
        }
        for (var rune = Syllables; rune < Syllables + SyllableCount; rune++) s_kinds[rune] |= CharacterKinds.Composed;
        // Half a character of two halves: nothing that Unicode could carry.
        for (var half = 0xd800; half < 0xe000; half++) s_kinds[half] |= CharacterKinds.Removed;
        // No letter beyond the second plane has two sizes.
        for (var rune = 0; rune < 0x20000; rune++)
        {
            if (rune is < 0xd800 or >= 0xe000 && Lower(rune) != rune) s_kinds[rune] |= CharacterKinds.Upper;
        }
    }

    /// <summary>By the number of the character; each half of a pair (0xd800 to 0xdfff) is <see cref="CharacterKinds.Removed"/>.</summary>
    public static CharacterKinds[] Kinds => s_kinds;

    /// <summary>Its order among the marks behind a letter; 0: it is none.</summary>
    public static int Class(int rune) => s_classes.GetValueOrDefault(rune);

    /// <summary>The small form. That of U+0130 is two characters: i and U+0307, of which this is the first.</summary>
    public static int Lower(int rune) => rune == 0x130 ? 'i' : Rune.ToLowerInvariant(new Rune(rune)).Value;

    /// <summary>What a character comes apart into, in full, in <paramref name="parts"/>.</summary>
    /// <param name="rune">The character.</param>
    /// <param name="compatible">Whether those that only mean the same, as ﬁ and fi, come apart too.</param>
    /// <param name="parts">Room for 18, which none exceeds.</param>
    /// <returns>How many parts: 1 where it stays.</returns>
    public static int Decompose(int rune, bool compatible, Span<int> parts)
    {
        if (rune - Syllables is >= 0 and < SyllableCount)
        {
            var place = rune - Syllables;
            (parts[0], parts[1]) = (Leads + place / (VowelCount * TailCount), Vowels + place % (VowelCount * TailCount) / TailCount);
            var tail = place % TailCount;
            parts[2] = Tails + tail;
            return tail == 0 ? 2 : 3;
        }
        if ((compatible && s_compatible.TryGetValue(rune, out var found)) || s_canonical.TryGetValue(rune, out found))
        {
            found.CopyTo(parts);
            return found.Length;
        }
        parts[0] = rune;
        return 1;
    }

    /// <summary>What two characters make together; −1: nothing.</summary>
    public static int Compose(int first, int second)
    {
        if (first is >= Leads and < Leads + 19 && second is >= Vowels and < Vowels + VowelCount)
            return Syllables + ((first - Leads) * VowelCount + second - Vowels) * TailCount;
        if (first - Syllables is >= 0 and < SyllableCount && (first - Syllables) % TailCount == 0 && second is > Tails and < Tails + TailCount)
            return first + second - Tails;
        return s_pairs.GetValueOrDefault((first, second), -1);
    }

    private static void ReadParts(string name, ReadOnlySpan<char> entries)
    {
        foreach (var range in entries.Split(';'))
        {
            var entry = entries[range].ToString();
            var equals = entry.IndexOf('=', StringComparison.Ordinal);
            var rune = Hex(entry.AsSpan(0, equals));
            int[] parts = [.. entry[(equals + 1)..].Split(' ').Select(part => Hex(part))];
            if (name == "pairs") s_pairs[(parts[0], parts[1])] = rune;
            else (name == "canonical" ? s_canonical : s_compatible)[rune] = parts;
            if (name == "canonical") s_kinds[rune] |= CharacterKinds.Composed;
        }
    }

    private static void ForEach(ReadOnlySpan<char> ranges, Action<int> act)
    {
        foreach (var range in ranges.Split(' '))
        {
            var piece = ranges[range];
            var dash = piece.IndexOf('-');
            var (from, to) = dash < 0 ? (Hex(piece), Hex(piece)) : (Hex(piece[..dash]), Hex(piece[(dash + 1)..]));
            for (var rune = from; rune <= to; rune++) act(rune);
        }
    }

    private static int Hex(ReadOnlySpan<char> digits) => int.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
