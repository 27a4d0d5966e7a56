using System.Text.RegularExpressions;

namespace Graft.Inference.Text;

/// <summary>One step that makes texts alike before they are cut into words. The kinds and what they do are those of Hugging Face's
/// tokenizers.</summary>
internal abstract class Normalizer
{
    /// <summary>Whether it must see a text's beginning or end, so that a long text cannot be taken in parts.</summary>
    public virtual bool NeedsWhole => false;

    public abstract void Apply(AlignedText from, AlignedText to);
}

/// <summary>BERT's own (Devlin et al. 2019): control signs dropped, Chinese characters set apart by spaces, accents dropped, capitals made
/// small.</summary>
internal sealed class BertNormalizer(bool clean, bool chinese, bool stripAccents, bool lower) : Normalizer
{
    private readonly Normalizer[] _steps = stripAccents
        ? [new BertNormalizer(clean, chinese, false, false), new UnicodeNormalizer(false, false), new MarkNormalizer(CharacterKinds.Nonspacing),
            .. lower ? [new LowerNormalizer()] : (Normalizer[])[]]
        : [];

    /// <summary>Whether Chinese characters stand alone, so that a text may be parted before one.</summary>
    public bool SetsChineseApart => chinese;

    public bool Cleans => clean;

    public override void Apply(AlignedText from, AlignedText to)
    {
        var kinds = Characters.Kinds;
        var chars = from.Chars;
        Span<int> parts = stackalloc int[18];
        for (var k = 0; k < chars.Length;)
        {
            var c = chars[k];
            var kind = kinds[c];
            var (start, end) = (from.Start(k), from.End(k));
            if (kind is CharacterKinds.None or CharacterKinds.Punctuation)
            {
                to.Append(c, start, end);
                k++;
                continue;
            }
            var rune = from.RuneAt(k, out var length);
            kind = kinds[rune];
            end = from.End(k + length - 1);
            k += length;
            if (clean && (kind & CharacterKinds.Removed) != 0) continue;
            if (clean && (kind & CharacterKinds.Space) != 0)
            {
                to.Append(' ', start, end);
                continue;
            }
            var apart = chinese && (kind & CharacterKinds.Chinese) != 0;
            if (apart) to.Append(' ', start, start);
            var count = 1;
            parts[0] = rune;
            if (stripAccents && (kind & CharacterKinds.Composed) != 0) count = Characters.Decompose(rune, compatible: false, parts);
            foreach (var part in parts[..count])
            {
                var of = kinds[part];
                if (stripAccents && (of & CharacterKinds.Mark) != 0)
                {
                    if ((of & CharacterKinds.Nonspacing) != 0) continue;
                    // A mark that stays may have to change places with another: rare, and left to the steps in turn.
                    if (Characters.Class(part) != 0)
                    {
                        to.Clear();
                        NormalizerChain.Apply(_steps, from, to);
                        return;
                    }
                }
                if (lower && (of & CharacterKinds.Upper) != 0) LowerNormalizer.Append(part, start, end, to);
                else to.AppendRune(part, start, end);
            }
            if (apart) to.Append(' ', end, end);
        }
    }
}

/// <summary>Unicode's NFD, NFC, NFKD and NFKC.</summary>
internal sealed class UnicodeNormalizer(bool compatible, bool compose) : Normalizer
{
    private readonly record struct Sign(int Rune, int Start, int End, int Class);

    public override void Apply(AlignedText from, AlignedText to)
    {
        var signs = new List<Sign>(from.Count);
        Span<int> parts = stackalloc int[18];
        for (var k = 0; k < from.Count;)
        {
            var rune = from.RuneAt(k, out var length);
            var count = Characters.Decompose(rune, compatible, parts);
            foreach (var part in parts[..count])
            {
                // Marks stand in the order of their classes, those of one class as they came.
                var sign = new Sign(part, from.Start(k), from.End(k + length - 1), Characters.Class(part));
                var place = signs.Count;
                if (sign.Class != 0)
                {
                    while (place > 0 && signs[place - 1].Class > sign.Class) place--;
                }
                signs.Insert(place, sign);
            }
            k += length;
        }
        if (compose) Compose(signs);
        foreach (var sign in signs) to.AppendRune(sign.Rune, sign.Start, sign.End);
    }

    private static void Compose(List<Sign> signs)
    {
        var (kept, starter, last) = (0, -1, -1);
        foreach (var sign in signs.ToArray())
        {
            // A mark reaches its letter only past marks of lower classes.
            var reaches = starter >= 0 && (kept == starter + 1 || (last < sign.Class && last != 0));
            var together = reaches ? Characters.Compose(signs[starter].Rune, sign.Rune) : -1;
            if (together >= 0)
            {
                var first = signs[starter];
                signs[starter] = first with { Rune = together, Start = Math.Min(first.Start, sign.Start), End = Math.Max(first.End, sign.End) };
                continue;
            }
            if (sign.Class == 0) starter = kept;
            last = sign.Class;
            signs[kept++] = sign;
        }
        signs.RemoveRange(kept, signs.Count - kept);
    }
}

/// <summary>Drops marks: StripAccents of Hugging Face, which takes a text that has come apart.</summary>
internal sealed class MarkNormalizer(CharacterKinds marks) : Normalizer
{
    public override void Apply(AlignedText from, AlignedText to)
    {
        for (var k = 0; k < from.Count;)
        {
            var rune = from.RuneAt(k, out var length);
            if ((Characters.Kinds[rune] & marks) == 0) to.AppendRune(rune, from.Start(k), from.End(k + length - 1));
            k += length;
        }
    }
}

/// <summary>Capitals made small, letter by letter.</summary>
internal sealed class LowerNormalizer : Normalizer
{
    public override void Apply(AlignedText from, AlignedText to)
    {
        for (var k = 0; k < from.Count;)
        {
            var rune = from.RuneAt(k, out var length);
            Append(rune, from.Start(k), from.End(k + length - 1), to);
            k += length;
        }
    }

    public static void Append(int rune, int start, int end, AlignedText to)
    {
        to.AppendRune((Characters.Kinds[rune] & CharacterKinds.Upper) == 0 ? rune : Characters.Lower(rune), start, end);
        if (rune == 0x130) to.AppendRune(0x307, start, end);
    }
}

/// <summary>What fits a pattern becomes something else.</summary>
internal sealed class ReplaceNormalizer(Regex pattern, string with) : Normalizer
{
    public override void Apply(AlignedText from, AlignedText to)
    {
        var done = 0;
        foreach (var match in pattern.EnumerateMatches(from.Chars))
        {
            to.AppendFrom(from, done, match.Index);
            var (start, end) = match.Length > 0 ? (from.Start(match.Index), from.End(match.Index + match.Length - 1)) : (0, 0);
            to.Append(with, start, end);
            done = match.Index + match.Length;
        }
        to.AppendFrom(from, done, from.Count);
    }
}

/// <summary>Spaces at the ends dropped.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override bool NeedsWhole => left || right;

    public override void Apply(AlignedText from, AlignedText to)
    {
        var (start, end) = (0, from.Count);
        while (left && start < end && Space(from.Chars[start])) start++;
        while (right && end > start && Space(from.Chars[end - 1])) end--;
        to.AppendFrom(from, start, end);
    }

    private static bool Space(char c) => (Characters.Kinds[c] & CharacterKinds.Space) != 0;
}

/// <summary>Something set before a text that is not empty.</summary>
internal sealed class PrependNormalizer(string what) : Normalizer
{
    public override bool NeedsWhole => true;

    public override void Apply(AlignedText from, AlignedText to)
    {
        if (from.Count > 0) to.Append(what, from.Start(0), from.Start(0));
        to.AppendFrom(from, 0, from.Count);
    }
}

/// <summary>Steps in turn.</summary>
internal static class NormalizerChain
{
    public static void Apply(IReadOnlyList<Normalizer> steps, AlignedText from, AlignedText to)
    {
        var read = from;
        for (var k = 0; k < steps.Count; k++)
        {
            var write = k == steps.Count - 1 ? to : new AlignedText();
            steps[k].Apply(read, write);
            read = write;
        }
        if (steps.Count == 0) to.AppendFrom(from, 0, from.Count);
    }
}
