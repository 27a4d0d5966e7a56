using System.Globalization;
using System.Text;

namespace Graft.Inference.Text;

/// <summary>Words on their way to a model of pieces: a text, and where in it each word ends; the next one begins there.</summary>
internal sealed class Words
{
    public AlignedText Text { get; } = new();

    public List<int> Ends { get; } = [];

    public void Clear()
    {
        Text.Clear();
        Ends.Clear();
    }

    /// <summary>What was appended since the last end is a word, unless it is nothing.</summary>
    public void End()
    {
        if (Text.Count > (Ends.Count == 0 ? 0 : Ends[^1])) Ends.Add(Text.Count);
    }
}

/// <summary>One step that cuts words out of a text, or words out of words. The kinds are those of Hugging Face's tokenizers.</summary>
internal abstract class PreTokenizer
{
    /// <param name="from">The text.</param>
    /// <param name="start">Where in it the word begins that is cut further.</param>
    /// <param name="end">Where it ends.</param>
    /// <param name="to">Takes the words.</param>
    public abstract void Split(AlignedText from, int start, int end, Words to);
}

/// <summary>At spaces, which go; and, where asked for, around every sign of punctuation, as BERT does it.</summary>
internal sealed class SpacePreTokenizer(bool punctuation) : PreTokenizer
{
    public bool CutsPunctuation => punctuation;

    public override void Split(AlignedText from, int start, int end, Words to)
    {
        var kinds = Characters.Kinds;
        var chars = from.Chars;
        var word = start;
        for (var k = start; k < end;)
        {
            var c = chars[k];
            var (kind, length) = (kinds[c], 1);
            if ((kind & CharacterKinds.Removed) != 0 && char.IsSurrogate(c)) kind = kinds[from.RuneAt(k, out length)];
            var cuts = punctuation && (kind & CharacterKinds.Punctuation) != 0;
            if (cuts || (kind & CharacterKinds.Space) != 0)
            {
                to.Text.AppendFrom(from, word, k);
                to.End();
                if (cuts)
                {
                    to.Text.AppendFrom(from, k, k + length);
                    to.End();
                }
                word = k + length;
            }
            k += length;
        }
        to.Text.AppendFrom(from, word, end);
        to.End();
    }
}

/// <summary>Around every sign of punctuation, or every digit or run of digits; spaces stay.</summary>
internal sealed class SignPreTokenizer(bool digits, bool alone) : PreTokenizer
{
    public override void Split(AlignedText from, int start, int end, Words to)
    {
        var within = false;
        for (var k = start; k < end;)
        {
            var rune = from.RuneAt(k, out var length);
            var sign = digits ? Rune.IsValid(rune) && Rune.IsNumber(new Rune(rune)) : (Characters.Kinds[rune] & CharacterKinds.Punctuation) != 0;
            if (sign != within || (sign && alone)) to.End();
            within = sign;
            to.Text.AppendFrom(from, k, k + length);
            k += length;
        }
        to.End();
    }
}

/// <summary>SentencePiece's way: a space becomes ▁, and a word begins with it.</summary>
/// <param name="sign">▁.</param>
/// <param name="prefix">always, first or never: whether a text that begins without it is given one.</param>
/// <param name="split">Whether words are cut before it.</param>
internal sealed class MetaspacePreTokenizer(char sign, string prefix, bool split) : PreTokenizer
{
    public override void Split(AlignedText from, int start, int end, Words to)
    {
        var chars = from.Chars;
        if (start == end) return;
        if ((prefix == "always" || (prefix == "first" && from.Start(start) == 0)) && chars[start] != ' ' && chars[start] != sign)
            to.Text.Append(sign, from.Start(start), from.Start(start));
        for (var k = start; k < end; k++)
        {
            var c = chars[k] == ' ' ? sign : chars[k];
            if (split && c == sign) to.End();
            to.Text.Append(c, from.Start(k), from.End(k));
        }
        to.End();
    }
}

/// <summary>GPT-2's way (Radford et al. 2019): words with the space before them, letter for letter of their UTF-8, each byte as a sign that can be
/// seen.</summary>
/// <param name="prefix">Whether a text that begins without a space is given one.</param>
/// <param name="split">Whether it is cut into words at all.</param>
internal sealed class BytePreTokenizer(bool prefix, bool split) : PreTokenizer
{
    private static readonly char[] s_signs = Signs();

    private enum Class { Space, Letter, Number, Other }

    public override void Split(AlignedText from, int start, int end, Words to)
    {
        if (start == end) return;
        if (prefix && from.Chars[start] != ' ')
        {
            var spaced = new AlignedText();
            spaced.Append(' ', from.Start(start), from.Start(start));
            spaced.AppendFrom(from, start, end);
            (from, start, end) = (spaced, 0, spaced.Count);
        }
        for (var k = start; k < end;)
        {
            var stop = split ? Word(from, k, end) : end;
            Append(from, k, stop, to.Text);
            to.End();
            k = stop;
        }
    }

    /// <summary>Where the word ends that begins here: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+, the first that
    /// fits.</summary>
    private static int Word(AlignedText text, int start, int end)
    {
        var chars = text.Chars[..end];
        if (chars[start] == '\'')
        {
            var rest = chars[(start + 1)..];
            if (rest.StartsWith("re") || rest.StartsWith("ve") || rest.StartsWith("ll")) return start + 3;
            if (rest.Length > 0 && rest[0] is 's' or 't' or 'm' or 'd') return start + 2;
        }
        var first = start;
        if (chars[start] == ' ' && start + 1 < end && Of(text, start + 1, out _) != Class.Space) first++;
        var kind = Of(text, first, out var length);
        var stop = first + length;
        var before = first;
        while (stop < end && Of(text, stop, out length) == kind)
        {
            before = stop;
            stop += length;
        }
        // Spaces leave their last one to the word behind them.
        return kind == Class.Space && stop < end && before > first ? before : stop;
    }

    private static Class Of(AlignedText text, int index, out int length)
    {
        var rune = text.RuneAt(index, out length);
        if ((Characters.Kinds[rune] & CharacterKinds.Space) != 0) return Class.Space;
        return CharUnicodeInfo.GetUnicodeCategory(rune) switch
        {
            <= UnicodeCategory.OtherLetter => Class.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Class.Number,
            _ => Class.Other,
        };
    }

    private static void Append(AlignedText from, int start, int end, AlignedText to)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (var k = start; k < end;)
        {
            var rune = from.RuneAt(k, out var length);
            var count = new Rune(rune).EncodeToUtf8(bytes);
            foreach (var one in bytes[..count]) to.Append(s_signs[one], from.Start(k), from.End(k + length - 1));
            k += length;
        }
    }

    private static char[] Signs()
    {
        var signs = new char[256];
        var next = (char)256;
        for (var k = 0; k < 256; k++) signs[k] = k is >= 33 and <= 126 or >= 161 and <= 172 or >= 174 ? (char)k : next++;
        return signs;
    }
}
