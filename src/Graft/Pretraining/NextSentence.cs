using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// Devlin et al. 2019, section 3.1, both tasks: hidden pieces, and whether the second part of what is read follows the first. Lines need not be in
/// order: the parts are the two halves of a sentence, or the two of a pair; in half of them the second is that of another sentence of the batch.
/// </summary>
internal sealed class NextSentence : TextMethod
{
    public override string Name => "next-sentence";

    public override string Summary => "Hidden word pieces, and whether a second half follows the first (BERT's two tasks, Devlin et al. 2019)";

    protected override TextObjective Objective(PretrainMaterial material) => new Both(material);

    /// <summary>A sentence's two halves, parted between words near its middle; a pair's two sentences; null: it is one word.</summary>
    /// <param name="vocabulary">What the pieces are.</param>
    /// <param name="ids">With the network's signs.</param>
    /// <param name="separator">Stands behind each sentence.</param>
    internal static (int[] First, int[] Second)? Halves(Vocabulary vocabulary, int[] ids, int separator)
    {
        var end = Array.IndexOf(ids, separator);
        if (end >= 0 && ids[(end + 1)..].Where(id => id != separator).ToArray() is { Length: > 0 } second) return (ids[1..end], second);
        var words = vocabulary.Words<int>(ids);
        if (words.Count < 2) return null;
        var cut = words.Skip(1).MinBy(word => Math.Abs(2 * word.Start - ids.Length)).Start;
        return (ids[1..cut], ids[cut..^1]);
    }

    private sealed class Both : TextObjective
    {
        private readonly TokenMasking _masking;
        private readonly HiddenWordHead _words;
        private readonly Linear _follows;

        public Both(PretrainMaterial material) : base(material)
        {
            _masking = new TokenMasking(Vocabulary);
            _words = Child("words", new HiddenWordHead(Encoder.FeatureSize, Words, Encoder.Shape.Epsilon));
            _follows = Child("follows", new Linear(Encoder.FeatureSize, 2));
        }

        protected override Tensor Loss(Batch batch, Step step)
        {
            var rows = Rows(batch);
            var halves = rows.Select(row => Halves(Vocabulary, row, Encoder.Shape.Separator)).ToArray();
            int[] parted = [.. Enumerable.Range(0, rows.Length).Where(k => halves[k] is not null)];
            var labels = new long[parted.Length];
            for (var k = 0; k < parted.Length; k++)
            {
                var other = k;
                if (parted.Length > 1 && step.Rng.Next() < 0.5) (other, labels[k]) = ((k + 1 + step.Rng.Below(parted.Length - 1)) % parted.Length, 1);
                rows[parted[k]] = Join(rows[parted[k]][0], halves[parted[k]]!.Value.First, halves[parted[other]]!.Value.Second);
            }
            using var joined = Encoder.Batch(rows);
            var hidden = _masking.Hide(joined.ToArray<long>(), rows.Length, ref step.Rng);
            var read = Tokens(Tensor.From(hidden.Inputs, joined.Shape));
            var loss = _words.Loss(read.X, hidden, step);
            if (parted.Length == 0) return loss;
            var scores = _follows.Forward(Encoder.Pool(read).IndexSelect(0, Here(Tensor.From(Array.ConvertAll(parted, k => (long)k)))));
            var truth = Here(Tensor.From(labels));
            step.Count("follows", scores.Detach().Argmax(1).Eq(truth).Sum().Item(), labels.Length);
            return loss + Losses.CrossEntropy(scores, truth);
        }

        private int[] Join(int sign, ReadOnlySpan<int> first, ReadOnlySpan<int> second)
        {
            // Piece by piece from the longer one's end, as BERT does it.
            while (first.Length + second.Length + 3 > Encoder.MostTokens)
            {
                if (first.Length > second.Length) first = first[..^1];
                else second = second[..^1];
            }
            return [sign, .. first, Encoder.Shape.Separator, .. second, Encoder.Shape.Separator];
        }
    }
}
