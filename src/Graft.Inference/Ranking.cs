using Graft.Data;

namespace Graft.Inference;

/// <summary>How well scores rank what has a label above what has not.</summary>
internal static class Ranking
{
    /// <summary>
    /// Average precision: Σ (recallₖ − recallₖ₋₁)·precisionₖ over the distinct scores from high to low, as scikit-learn's average_precision_score.
    /// NaN where nothing has the label.
    /// </summary>
    public static double AveragePrecision(IReadOnlyList<float> scores, IReadOnlyList<bool> has)
    {
        var positives = has.Count(one => one);
        if (positives == 0) return double.NaN;
        int[] order = [.. Enumerable.Range(0, scores.Count).OrderByDescending(k => scores[k])];
        var (sum, found, before) = (0.0, 0, 0);
        for (var i = 0; i < order.Length; i++)
        {
            if (has[order[i]]) found++;
            if (i + 1 < order.Length && scores[order[i + 1]] == scores[order[i]]) continue;
            sum += (double)(found - before) / positives * found / (i + 1);
            before = found;
        }
        return sum;
    }

    /// <summary>Mean average precision over the labels that something has; NaN where there are none.</summary>
    /// <param name="answers">N×labels, row after row.</param>
    /// <param name="targets">N.</param>
    public static double Mean(float[] answers, LabelTargets targets)
    {
        var labels = targets.Names.Count;
        double Of(int label) =>
            AveragePrecision([.. Enumerable.Range(0, targets.Count).Select(k => answers[k * labels + label])],
                [.. targets.Sets.Select(set => set.Contains(label))]);
        double[] each = [.. Enumerable.Range(0, labels).Select(Of).Where(double.IsFinite)];
        return each.Length == 0 ? double.NaN : each.Average();
    }
}
