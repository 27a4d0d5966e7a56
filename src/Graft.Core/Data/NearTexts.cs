using System.Globalization;
using System.Numerics;
using System.Text;

namespace Graft.Data;

/// <summary>
/// Texts that are nearly the same: their character 5-grams, case and punctuation aside, overlap by four fifths (Jaccard). Candidates by MinHash with
/// bands (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4), each of which is then compared in full. At a similarity of 0.8 a pair is
/// missed by one in 500. Memory: 64 bytes a text and the texts themselves.
/// </summary>
internal static class NearTexts
{
    /// <summary>So many texts are compared at most.</summary>
    public const int Limit = 250_000;

    private const int Gram = 5, Bands = 16, Rows = 5, Hashes = Bands * Rows;
    private const double Enough = 0.8;

    // Below so many 5-grams one other letter is another text: only what is equal but for case and punctuation counts.
    private const int FewGrams = 8;

    // In a bucket of very many each is compared with so many of its neighbours.
    private const int Neighbours = 24;

    private static readonly (uint[] Times, uint[] Plus) s_hashes = Hashing();

    /// <summary>Groups of indices of texts that are alike.</summary>
    public static List<int[]> Groups(IReadOnlyList<string> texts, CancellationToken cancel)
    {
        var plain = new string[texts.Count];
        var keys = new uint[Bands][];
        for (var band = 0; band < Bands; band++) keys[band] = new uint[texts.Count];
        Parallel.For(0, texts.Count, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Cores.Count }, k =>
        {
            plain[k] = Plain(texts[k]);
            if (plain[k].Length < FewGrams + Gram - 1)
            {
                // All of its bands are its own: it meets its equals only.
                var own = (uint)Hash(plain[k]);
                for (var band = 0; band < Bands; band++) keys[band][k] = own;
                return;
            }
            Span<uint> least = stackalloc uint[Hashes];
            Sign(plain[k], least);
            for (var band = 0; band < Bands; band++)
            {
                var key = 2166136261u;
                foreach (var value in least.Slice(band * Rows, Rows)) key = (key ^ value) * 16777619u + (value >> 15);
                keys[band][k] = key;
            }
        });
        var parent = Enumerable.Range(0, texts.Count).ToArray();
        int Root(int k)
        {
            while (parent[k] != k) k = parent[k] = parent[parent[k]];
            return k;
        }
        var order = new int[texts.Count];
        for (var band = 0; band < Bands; band++)
        {
            cancel.ThrowIfCancellationRequested();
            for (var k = 0; k < order.Length; k++) order[k] = k;
            var sorted = (uint[])keys[band].Clone();
            Array.Sort(sorted, order);
            for (var at = 1; at < order.Length; at++)
            {
                for (var back = 1; back <= Neighbours && at - back >= 0 && sorted[at - back] == sorted[at]; back++)
                {
                    var (a, b) = (Root(order[at]), Root(order[at - back]));
                    if (a != b && AreAlike(plain[order[at]], plain[order[at - back]])) parent[Math.Max(a, b)] = Math.Min(a, b);
                }
            }
        }
        return [.. Enumerable.Range(0, texts.Count).Where(k => plain[k].Length > 0).GroupBy(Root).Where(group => group.Count() > 1).Select(group => group.ToArray())];
    }

    /// <summary>Letters and digits in lower case, one space between words; signs stay where there is nothing else.</summary>
    private static string Plain(string text)
    {
        var plain = new StringBuilder(text.Length);
        var space = false;
        foreach (var letter in text)
        {
            if (char.IsLetterOrDigit(letter) || char.GetUnicodeCategory(letter) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.Surrogate)
            {
                if (space && plain.Length > 0) plain.Append(' ');
                space = false;
                plain.Append(char.ToLowerInvariant(letter));
            }
            else if (letter is not ('\'' or '’'))
            {
                space = true;
            }
        }
        return plain.Length > 0 ? plain.ToString() : text.Trim();
    }

    private static bool AreAlike(string a, string b)
    {
        if (a == b) return true;
        if (Math.Min(a.Length, b.Length) < FewGrams + Gram - 1) return false;
        if (Math.Min(a.Length, b.Length) < Enough * Enough * Math.Max(a.Length, b.Length) && Math.Max(a.Length, b.Length) < 200) return false;
        var (one, two) = (Grams(a), Grams(b));
        var shared = one.Count(two.Contains);
        return shared >= Enough * (one.Count + two.Count - shared);
    }

    private static HashSet<ulong> Grams(string text)
    {
        var grams = new HashSet<ulong>(text.Length);
        for (var k = 0; k + Gram <= text.Length; k++) grams.Add(Hash(text.AsSpan(k, Gram)));
        return grams;
    }

    private static void Sign(string text, Span<uint> least)
    {
        least.Fill(uint.MaxValue);
        var (times, plus) = s_hashes;
        for (var k = 0; k + Gram <= text.Length; k++)
        {
            var hash = new Vector<uint>((uint)(Hash(text.AsSpan(k, Gram)) >> 32));
            var at = 0;
            for (; at + Vector<uint>.Count <= Hashes; at += Vector<uint>.Count)
            {
                var values = hash * new Vector<uint>(times, at) + new Vector<uint>(plus, at);
                Vector.Min(values, new Vector<uint>(least[at..])).CopyTo(least[at..]);
            }
            for (; at < Hashes; at++) least[at] = Math.Min(least[at], hash[0] * times[at] + plus[at]);
        }
    }

    // FNV-1a with a last mix, so that the upper bits are as good as the lower ones.
    private static ulong Hash(ReadOnlySpan<char> text)
    {
        var hash = 14695981039346656037UL;
        foreach (var letter in text) hash = (hash ^ letter) * 1099511628211UL;
        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdUL;
        return hash ^ (hash >> 33);
    }

    private static (uint[], uint[]) Hashing()
    {
        var rng = new Rng(5);
        uint Draw() => (uint)(rng.NextBits() >> 32);
        return ([.. Enumerable.Range(0, Hashes).Select(_ => Draw() | 1)], [.. Enumerable.Range(0, Hashes).Select(_ => Draw())]);
    }
}
