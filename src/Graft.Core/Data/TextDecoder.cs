using System.Text;

namespace Graft.Data;

/// <summary>
/// Bytes to text where nobody says in which encoding: by its mark (BOM), as UTF-8 where it is valid, else as what Korean, Japanese
/// and Western systems wrote before. A wrong guess would give wrong class names, so a guess is made only where one alone fits.
/// </summary>
internal static class TextDecoder
{
    /// <summary>Texts as one encoding reads them; whether they look like the language that it is for.</summary>
    public sealed record Reading(string Encoding, string[] Texts, bool Plausible);

    private sealed record Candidate(int CodePage, string Name, Func<Encoding, string, bool> Plausible);

    // Of what is not ASCII, so much must be what the language is written with.
    private const double Enough = 0.8;

    private static readonly UTF8Encoding s_utf8 = new(false, throwOnInvalidBytes: true);

    private static readonly Candidate[] s_candidates =
    [
        new(949, "cp949 (Korean)", (encoding, text) => Share(text, letter => IsCommonHangul(encoding, letter))),
        new(932, "cp932 (Japanese)", (encoding, text) => Share(text, letter => IsJapanese(encoding, letter))),
        new(1252, "cp1252 (Western European)", (_, text) => IsWestern(text)),
    ];

    /// <summary>All texts as UTF-8, or null where one is not.</summary>
    public static string[]? AsUtf8(IReadOnlyList<byte[]> pieces)
    {
        try
        {
            return [.. pieces.Select(s_utf8.GetString)];
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>A file's text by its mark; null: it has none.</summary>
    public static string? ByMark(byte[] bytes) => bytes switch
    {
        [0xef, 0xbb, 0xbf, ..] => Encoding.UTF8.GetString(bytes.AsSpan(3)),
        [0xff, 0xfe, 0, 0, ..] => Encoding.UTF32.GetString(bytes.AsSpan(4)),
        [0xff, 0xfe, ..] => Encoding.Unicode.GetString(bytes.AsSpan(2)),
        [0xfe, 0xff, ..] => Encoding.BigEndianUnicode.GetString(bytes.AsSpan(2)),
        _ => null,
    };

    /// <summary>All older encodings in which the texts are valid.</summary>
    public static IReadOnlyList<Reading> Readings(IReadOnlyList<byte[]> pieces)
    {
        var found = new List<Reading>();
        foreach (var candidate in s_candidates)
        {
            var encoding = CodePagesEncodingProvider.Instance.GetEncoding(candidate.CodePage, EncoderFallback.ExceptionFallback,
                DecoderFallback.ExceptionFallback)!;
            try
            {
                string[] texts = [.. pieces.Select(encoding.GetString)];
                found.Add(new Reading(candidate.Name, texts, candidate.Plausible(encoding, string.Join('\n', texts))));
            }
            catch (DecoderFallbackException)
            {
                // not this one
            }
        }
        return found;
    }

    /// <summary>The lines of a small text file, such as class names.</summary>
    /// <exception cref="GraftException">Nobody can tell in which encoding it is.</exception>
    public static string[] ReadLines(string path)
    {
        var bytes = File.ReadAllBytes(path);
        var text = ByMark(bytes) ?? AsUtf8([bytes])?[0]
            ?? (Readings([bytes]).Where(found => found.Plausible).ToArray() is [var only] ? only.Texts[0]
            : throw new GraftException($"{path} is no UTF-8: save it as UTF-8"));
        return text.Split('\n');
    }

    /// <summary>A text file, and what is to be said of its encoding.</summary>
    /// <exception cref="GraftException">Nobody can tell in which encoding it is, or it is no text.</exception>
    public static (string Text, string? Remark) ReadText(string path) => Text(path, Path.GetFileName(path), File.ReadAllBytes(path));

    /// <summary>The same of bytes that were read.</summary>
    /// <param name="path">Where from, for errors.</param>
    /// <param name="name">The same, shorter, for remarks.</param>
    /// <param name="bytes">Of the file.</param>
    public static (string Text, string? Remark) Text(string path, string name, byte[] bytes)
    {
        string? remark = null;
        if (ByMark(bytes) is { } marked)
        {
            if (bytes[0] != 0xef) remark = $"{name} is read as {(bytes is [0xff, 0xfe, 0, 0, ..] ? "UTF-32" : "UTF-16")}, which its first bytes say";
            return (NoZero(path, marked), remark);
        }
        // UTF-16 without its mark: every other byte of what is ASCII is zero.
        if (bytes.AsSpan().Contains((byte)0))
            throw new GraftException($"{path}, line {1 + bytes.AsSpan(0, Array.IndexOf(bytes, (byte)0)).Count((byte)'\n')}: there is a zero byte, "
                + "which no text has: it is UTF-16 without its mark, or no text file. Save it as UTF-8");
        if (AsUtf8([bytes]) is [var text]) return (text, null);
        var (bad, mostly) = Faults(bytes);
        if (!mostly && Readings([bytes]).Where(found => found.Plausible).ToArray() is [var only])
            return (only.Texts[0], $"{name} is read as {only.Encoding}");
        throw new GraftException($"{path}, line {1 + bytes.AsSpan(0, bad).Count((byte)'\n')}: the byte 0x{bytes[bad]:x2} is no UTF-8, "
            + (mostly ? "and the rest of the file is. Mend that line" : "and nobody can tell in which encoding the file is. Save it as UTF-8 (in Excel: CSV UTF-8)"));
    }

    private static string NoZero(string path, string text) => !text.Contains('\0') ? text
        : throw new GraftException($"{path}, line {1 + text.AsSpan(0, text.IndexOf('\0')).Count('\n')}: there is a zero letter, which no text has. Save it as UTF-8");

    // The first byte that is no UTF-8, and whether more of what is not ASCII is UTF-8 than is not: then one line is damaged, not another encoding chosen.
    private static (int First, bool Mostly) Faults(byte[] bytes)
    {
        var (first, good, bad) = (-1, 0, 0);
        for (var at = 0; at < bytes.Length;)
        {
            var fits = Rune.DecodeFromUtf8(bytes.AsSpan(at), out _, out var read) == System.Buffers.OperationStatus.Done;
            if (!fits && first < 0) first = at;
            if (fits && read > 1) good += read;
            if (!fits) bad += read;
            at += read;
        }
        return (first, good > bad);
    }

    private static bool Share(string text, Func<char, bool> good)
    {
        var strange = text.Where(letter => letter > 0x7f).ToArray();
        return strange.Length > 0 && strange.Count(good) >= Enough * strange.Length;
    }

    // KS X 1001's 2,350 syllables, which nearly all Korean words are made of. In other languages' bytes the rare ones turn up.
    private static bool IsCommonHangul(Encoding encoding, char letter) =>
        letter is >= '가' and <= '힣' && encoding.GetBytes([letter]) is [>= 0xb0 and <= 0xc8, >= 0xa1];

    // Kana, the kanji of JIS level 1, full-width signs. Half-width kana are what other languages' bytes turn into.
    private static bool IsJapanese(Encoding encoding, char letter) => letter is (>= 'ぁ' and <= 'ヿ') or (>= '\u3000' and <= '〜') or (>= '！' and <= '～')
        || (letter is >= '一' and <= '鿿' && encoding.GetBytes([letter]) is [>= 0x88 and <= 0x97, _] or [0x98, <= 0x72]);

    // Letters with marks, a few at a time, within words of plain letters. Signs such as ° or ’ say nothing.
    private static bool IsWestern(string text)
    {
        int runs = 0, good = 0;
        for (var k = 0; k < text.Length; k++)
        {
            if (!IsMarked(text[k])) continue;
            var start = k;
            while (k + 1 < text.Length && IsMarked(text[k + 1])) k++;
            runs++;
            var touches = (start > 0 && char.IsAsciiLetter(text[start - 1])) || (k + 1 < text.Length && char.IsAsciiLetter(text[k + 1]));
            if (touches && k - start < 3 && text[start..(k + 1)].All(letter => letter >= 'À' && letter is not ('×' or '÷'))) good++;
        }
        return good >= Enough * runs;
    }

    private static bool IsMarked(char letter) =>
        letter > 0x7f && letter is not ('°' or '€' or '£' or '\u00a0' or '\u2013' or '\u2014' or '\u2018' or '\u2019' or '\u201c' or '\u201d');
}
