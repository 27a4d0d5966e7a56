using Graft.Data;

namespace Graft.Pretraining;

/// <summary>Sentences of which some pieces are hidden.</summary>
/// <param name="Inputs">N×T, what the network reads.</param>
/// <param name="Places">Of the hidden pieces among N·T, in order.</param>
/// <param name="Labels">What stood there.</param>
internal sealed record HiddenPieces(long[] Inputs, long[] Places, long[] Labels);

/// <summary>
/// Devlin et al. 2019, section 3.1: of each sentence 15% of the pieces (one at least) are to be told from the others; of these 80% are hidden, 10%
/// are replaced by any other, 10% stay.
/// </summary>
/// <param name="vocabulary">What the pieces are.</param>
/// <param name="wholeWords">The pieces of a word are chosen together (the authors' later models).</param>
/// <param name="hidden">Of the chosen pieces, the share that is hidden.</param>
/// <param name="replaced">The share that is replaced.</param>
internal sealed class TokenMasking(Vocabulary vocabulary, bool wholeWords = false, double hidden = 0.8, double replaced = 0.1)
{
    /// <summary>Of a sentence's pieces, the share that is chosen.</summary>
    public const double Share = 0.15;

    /// <summary>Draws anew.</summary>
    /// <param name="ids">N×T.</param>
    /// <param name="rows">N.</param>
    /// <param name="rng">Of the step.</param>
    public HiddenPieces Hide(long[] ids, int rows, ref Rng rng)
    {
        var (inputs, places) = ((long[])ids.Clone(), new List<long>());
        var length = ids.Length / rows;
        for (var row = 0; row < rows; row++)
        {
            foreach (var place in Choose(ids.AsSpan(row * length, length), ref rng)) places.Add(row * length + place);
        }
        foreach (var place in places)
        {
            var draw = rng.Next();
            if (draw < hidden) inputs[place] = vocabulary.Mask;
            else if (draw < hidden + replaced) inputs[place] = vocabulary.Ordinary[rng.Below(vocabulary.Ordinary.Length)];
        }
        return new HiddenPieces(inputs, [.. places], [.. places.Select(place => ids[place])]);
    }

    private IEnumerable<int> Choose(ReadOnlySpan<long> ids, ref Rng rng)
    {
        var words = vocabulary.Words(ids);
        if (!wholeWords) words = [.. words.SelectMany(word => Enumerable.Range(word.Start, word.Length).Select(place => (place, 1)))];
        var wanted = Math.Max(1, (int)Math.Round(Share * words.Sum(word => word.Length)));
        var chosen = new List<int>();
        foreach (var (start, length) in rng.Permutation(words.Count).Select(k => words[k]))
        {
            if (chosen.Count >= wanted) break;
            // A word that is too long for what is left is passed over, as the authors do; but not the only one.
            if (chosen.Count > 0 && chosen.Count + length > wanted) continue;
            chosen.AddRange(Enumerable.Range(start, length));
        }
        chosen.Sort();
        return chosen;
    }
}
