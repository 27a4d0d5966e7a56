using System.Diagnostics;
using Graft.Data;
using Graft.Inference;
using Graft.Torch;

namespace Graft.Heads;

/// <summary>The line of a <see cref="CosineHead"/>: least squares of the scores on the cosines. It leaves the order of the pairs as it is.</summary>
internal static class CosineFitter
{
    /// <param name="features">N×2C, the two vectors of each pair one behind the other.</param>
    /// <param name="targets">A score for each.</param>
    /// <param name="options">Folds, and the seed of them.</param>
    public static FittedHead Fit(Tensor features, NumberTargets targets, HeadOptions options)
    {
        options.Validate();
        var clock = Stopwatch.StartNew();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        HeadFitter.RequireFinite(features);
        var cosines = CosineHead.Cosines(features.To(DType.Float64)).ToArray<double>();
        double[] scores = [.. targets.Rows.Select(row => (double)row[0])];
        int[] all = [.. Enumerable.Range(0, scores.Length)];
        var line = Line(cosines, scores, all);
        float[]? heldOut = null;
        var folds = Math.Min(options.Folds, scores.Length);
        if (folds >= 2)
        {
            heldOut = new float[scores.Length];
            var fold = targets.Folds(folds, options.Seed);
            for (var f = 0; f < folds; f++)
            {
                var (scale, offset) = Line(cosines, scores, [.. all.Where(k => fold[k] != f)]);
                foreach (var k in all.Where(k => fold[k] == f)) heldOut[k] = (float)(scale * cosines[k] + offset);
            }
        }
        var notes = new List<string>();
        if (scores.All(score => score == scores[0]))
            notes.Add($"every {targets.Names[0]} that was trained on is {scores[0]}: there is nothing to learn of it");
        else if (line.Scale <= 0)
            notes.Add($"the {targets.Names[0]} falls where the cosine rises: the vectors do not tell how alike the texts are, or the scores are distances");
        var head = new CosineHead((int)features.Shape[1] / 2) { Line = line };
        return new FittedHead(head, double.NaN, Ranking.Spearman(cosines, scores), [], clock.Elapsed.TotalSeconds) { HeldOut = heldOut,
            Notes = notes };
    }

    private static (double Scale, double Offset) Line(double[] x, double[] y, int[] rows)
    {
        if (rows.Length == 0) return (1, 0);
        var (mx, my) = (rows.Average(k => x[k]), rows.Average(k => y[k]));
        var (xy, xx) = (rows.Sum(k => (x[k] - mx) * (y[k] - my)), rows.Sum(k => (x[k] - mx) * (x[k] - mx)));
        // Of cosines that are all alike no slope can be known.
        var scale = xx > 1e-12 ? xy / xx : 1;
        return (scale, my - scale * mx);
    }
}
