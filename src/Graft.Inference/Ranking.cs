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

    /// <summary>Pearson's correlation; NaN where one of the two does not vary.</summary>
    public static double Pearson(double[] x, double[] y)
    {
        if (x.Length < 2) return double.NaN;
        var (mx, my) = (x.Average(), y.Average());
        var (xy, xx, yy) = (0.0, 0.0, 0.0);
        for (var k = 0; k < x.Length; k++)
        {
            xy += (x[k] - mx) * (y[k] - my);
            xx += (x[k] - mx) * (x[k] - mx);
            yy += (y[k] - my) * (y[k] - my);
        }
        return xx > 0 && yy > 0 ? xy / Math.Sqrt(xx * yy) : double.NaN;
    }

    /// <summary>Spearman's correlation (1904): Pearson's of the ranks, equal values having the mean of theirs.</summary>
    public static double Spearman(double[] x, double[] y) => Pearson(Ranks(x), Ranks(y));

    private static double[] Ranks(double[] values)
    {
        var order = Enumerable.Range(0, values.Length).ToArray();
        Array.Sort((double[])values.Clone(), order);
        var ranks = new double[values.Length];
        for (var from = 0; from < order.Length;)
        {
            var to = from;
            while (to + 1 < order.Length && values[order[to + 1]] == values[order[from]]) to++;
            for (var k = from; k <= to; k++) ranks[order[k]] = (from + to) / 2.0;
            from = to + 1;
        }
        return ranks;
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
