using Graft.Data;
using Graft.Heads;
using Graft.Inference.Text;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Reports;

/// <summary>
/// Which words speak for a score: integrated gradients (Sundararajan et al. 2017, eq. 1 and 3) from the sentence with every piece hidden to the sentence
/// as it is, summed over a piece's numbers.
/// </summary>
internal static class WordEvidence
{
    private const int Steps = 16;

    /// <summary>A stretch of the sentence, and how much it adds to the score.</summary>
    public readonly record struct Piece(string Text, double Weight);

    /// <summary>The pieces of a sentence, those between them included.</summary>
    /// <param name="encoder">In inference mode.</param>
    /// <param name="head">On the stage's pooled output.</param>
    /// <param name="stage">That it stands on.</param>
    /// <param name="text">The sentence, or the pair.</param>
    /// <param name="output">Whose score.</param>
    public static IReadOnlyList<Piece> Of(TextEncoder encoder, Head head, int stage, TextItem text, int output)
    {
        var tokens = encoder.Tokenizer.Encode(text, Math.Min(128, encoder.MostTokens), spans: true);
        using var scope = new TensorScope();
        Tensor path, difference;
        using (Autograd.NoGrad())
        {
            var hidden = encoder.Tokenizer.Mask ?? encoder.Tokenizer.Pad;
            Tensor Embedded(IEnumerable<long> ids) => encoder.Stages[0].Run(Tensor.From([.. ids], 1, tokens.Ids.Length)).X;
            bool Own(int id) => id == encoder.Tokenizer.First || id == encoder.Tokenizer.Separator;
            var (x, from) = (Embedded(tokens.Ids.Select(id => (long)id)), Embedded(tokens.Ids.Select(id => (long)(Own(id) ? id : hidden))));
            difference = x - from;
            // The middle of each of the equal parts of the way.
            var shares = Tensor.From([.. Enumerable.Range(0, Steps).Select(k => (k + 0.5f) / Steps)], Steps, 1, 1);
            path = (from + difference * shares).Detach();
        }
        path.RequiresGrad = true;
        double[] weights;
        using (Autograd.EnableGrad())
        {
            var score = head.Forward(encoder.Pool(encoder.Forward(path, 1, stage + 1))).Select(1, output).Sum();
            var gradient = Autograd.Grad([score], [path])[0]!;
            using var mode = Autograd.NoGrad();
            weights = [.. (gradient.Mean([0L]) * difference.Select(0, 0)).Sum([1L]).Contiguous().ToArray<float>().Select(value => (double)value)];
        }
        return Joined(encoder.Tokenizer, tokens, text, weights);
    }

    private static List<Piece> Joined(Tokenizer tokenizer, Tokens tokens, TextItem text, double[] weights)
    {
        var pieces = new List<Piece>();
        if (tokens.Spans is not { } spans)
        {
            for (var k = 0; k < tokens.Ids.Length; k++)
            {
                var piece = tokenizer.Piece(tokens.Ids[k]);
                pieces.Add(new Piece(piece.StartsWith("##", StringComparison.Ordinal) ? piece[2..] : " " + piece, weights[k]));
            }
            return pieces;
        }
        var (part, at) = (0, 0);
        string Whole(int which) => which == 0 ? text.First : text.Second ?? "";
        void Until(int end)
        {
            if (end > at) pieces.Add(new Piece(Whole(part)[at..end], 0));
            at = Math.Max(at, end);
        }
        for (var k = 0; k < spans.Length; k++)
        {
            if (spans[k].Part < 0 || spans[k].Length == 0) continue;
            if (spans[k].Part != part)
            {
                Until(Whole(part).Length);
                pieces.Add(new Piece(" | ", 0));
                (part, at) = (spans[k].Part, 0);
            }
            Until(spans[k].Start);
            if (spans[k].Start < at) continue;
            pieces.Add(new Piece(Whole(part).Substring(spans[k].Start, spans[k].Length), weights[k]));
            at = spans[k].Start + spans[k].Length;
        }
        Until(Math.Min(Whole(part).Length, at + 200));
        return pieces;
    }
}
