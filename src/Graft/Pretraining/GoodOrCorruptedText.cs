using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// In half of the sentences a word is replaced by another of the corpus, drawn as often as it stands there; the pooled vector tells in which. After
/// Collobert and Weston 2008, section 5, who rank a window of text before the same with another word in its middle.
/// </summary>
internal sealed class GoodOrCorruptedText : TextMethod
{
    public override string Name => "good-or-corrupted";

    public override string Summary => "Whether a word of a sentence was replaced by another of the corpus (after Collobert and Weston 2008)";

    protected override bool Hides => false;

    protected override TextObjective Objective(PretrainMaterial material) => new Judgement(material);

    private sealed class Judgement : TextObjective
    {
        private readonly WordReplacement _replacement;
        private readonly Linear _head;

        public Judgement(PretrainMaterial material) : base(material)
        {
            _replacement = new WordReplacement(Vocabulary, [.. material.Sentences.Select(sentence => sentence.Ids)], Encoder.MostTokens);
            _head = Child("head", new Linear(Encoder.FeatureSize, 2));
        }

        protected override Tensor Loss(Batch batch, Step step)
        {
            var rows = Rows(batch);
            var labels = new long[rows.Length];
            for (var k = 0; k < rows.Length; k++)
            {
                if (step.Rng.Next() < 0.5 && _replacement.Corrupt(rows[k], ref step.Rng) is { } corrupted) (rows[k], labels[k]) = (corrupted, 1);
            }
            var scores = _head.Forward(Encoder.Forward(Here(Encoder.Batch(rows))));
            var truth = Here(Tensor.From(labels));
            step.Count("right", scores.Detach().Argmax(1).Eq(truth).Sum().Item(), labels.Length);
            return Losses.CrossEntropy(scores, truth);
        }
    }
}

/// <summary>Sentences of which one word is another's.</summary>
/// <param name="vocabulary">What the pieces are.</param>
/// <param name="corpus">From which the other words come.</param>
/// <param name="most">Pieces that the encoder reads.</param>
internal sealed class WordReplacement(Vocabulary vocabulary, int[][] corpus, int most)
{
    // A corpus of few words may draw the same one again and again.
    private const int Tries = 16;

    private readonly (int Sentence, int Start, int Length)[] _words =
        [.. corpus.SelectMany((ids, k) => vocabulary.Words<int>(ids).Select(word => (k, word.Start, word.Length)))];

    /// <summary>The sentence with one word replaced; null: it has none, or no other was found that fits.</summary>
    public int[]? Corrupt(int[] sentence, ref Rng rng)
    {
        var own = vocabulary.Words<int>(sentence);
        if (own.Count == 0) return null;
        var (start, length) = own[rng.Below(own.Count)];
        for (var k = 0; k < Tries; k++)
        {
            var (from, at, pieces) = _words[rng.Below(_words.Length)];
            var other = corpus[from].AsSpan(at, pieces);
            if (other.SequenceEqual(sentence.AsSpan(start, length)) || sentence.Length - length + pieces > most) continue;
            return [.. sentence.AsSpan(0, start), .. other, .. sentence.AsSpan(start + length)];
        }
        return null;
    }
}
