using System.Text.Json.Serialization;
using Graft.Data;

namespace Graft.Inference;

/// <summary>How well a model does on labelled pictures, whatever it tells of them.</summary>
/// <param name="Count">Pictures.</param>
public abstract record TaskMetrics(int Count)
{
    /// <summary>The figure that stands for all: accuracy, mean average precision, R².</summary>
    [JsonIgnore]
    public abstract Score Score { get; }

    /// <summary>From what a model said.</summary>
    /// <param name="answers">N×outputs, row after row.</param>
    /// <param name="targets">N.</param>
    /// <param name="thresholds">Of several labels; null: a half.</param>
    /// <param name="resamples">Of the intervals.</param>
    public static TaskMetrics Of(float[] answers, Targets targets, IReadOnlyList<double>? thresholds = null, int resamples = 1000) => targets switch
    {
        LabelTargets labels => LabelMetrics.Of(answers, labels, thresholds ?? [.. labels.Names.Select(_ => 0.5)], resamples),
        NumberTargets numbers => NumberMetrics.Of(answers, numbers, resamples),
        ClassTargets classes => Metrics.Of(answers, classes.Labels, classes.Names),
        _ => throw new NotSupportedException($"nothing measures {targets.GetType().Name}"),
    };

    /// <summary>The 95% interval of a measure over pictures drawn with replacement (Efron 1979), by percentiles.</summary>
    internal static double[] Bootstrap(int count, int resamples, Func<int[], double> measure)
    {
        if (count == 0 || resamples < 2) return [double.NaN, double.NaN];
        var rng = new Rng(0, 11);
        var drawn = new int[count];
        var found = new List<double>(resamples);
        for (var b = 0; b < resamples; b++)
        {
            for (var k = 0; k < count; k++) drawn[k] = rng.Below(count);
            if (measure(drawn) is var value && double.IsFinite(value)) found.Add(value);
        }
        found.Sort();
        return found.Count == 0 ? [double.NaN, double.NaN] : [Quantile(found, 0.025), Quantile(found, 0.975)];
    }

    /// <summary>Between sorted values, by the straight line.</summary>
    internal static double Quantile(IReadOnlyList<double> sorted, double share)
    {
        var at = share * (sorted.Count - 1);
        var low = (int)Math.Floor(at);
        return low + 1 >= sorted.Count ? sorted[^1] : sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
    }
}

/// <summary>How well one label is told.</summary>
/// <param name="Name">The label.</param>
/// <param name="Count">Pictures that have it.</param>
/// <param name="AveragePrecision">Whatever the threshold; NaN where no picture has the label.</param>
/// <param name="Precision">At the threshold.</param>
/// <param name="Recall">At the threshold.</param>
/// <param name="F1">At the threshold.</param>
/// <param name="Threshold">From which probability on it is said.</param>
public sealed record LabelMeasure(string Name, int Count, double AveragePrecision, double Precision, double Recall, double F1, double Threshold);

/// <summary>How well several labels are told.</summary>
/// <param name="Count">Pictures.</param>
/// <param name="MeanAveragePrecision">Over the labels that a picture has.</param>
/// <param name="Interval">Its 95% interval, from pictures drawn with replacement.</param>
/// <param name="MicroF1">Of all decisions together.</param>
/// <param name="MacroF1">Mean over the labels that a picture has.</param>
/// <param name="Exact">Share of pictures all of whose labels are right.</param>
/// <param name="PerLabel">Label by label.</param>
public sealed record LabelMetrics(int Count, double MeanAveragePrecision, double[] Interval, double MicroF1, double MacroF1, double Exact,
    IReadOnlyList<LabelMeasure> PerLabel) : TaskMetrics(Count)
{
    /// <inheritdoc/>
    [JsonIgnore]
    public override Score Score => new("mAP", MeanAveragePrecision, true);

    /// <summary>From probabilities.</summary>
    public static LabelMetrics Of(float[] answers, LabelTargets targets, IReadOnlyList<double> thresholds, int resamples = 1000)
    {
        var (n, labels) = (targets.Count, targets.Names.Count);
        var has = new bool[labels][];
        var scores = new float[labels][];
        for (var c = 0; c < labels; c++)
        {
            (has[c], scores[c]) = (new bool[n], new float[n]);
            for (var k = 0; k < n; k++) (has[c][k], scores[c][k]) = (targets.Sets[k].Contains(c), answers[k * labels + c]);
        }
        var (right, wrong, missed) = (0, 0, 0);
        var per = new LabelMeasure[labels];
        for (var c = 0; c < labels; c++)
        {
            int both = 0, said = 0, truly = 0;
            for (var k = 0; k < n; k++)
            {
                var says = scores[c][k] >= thresholds[c];
                if (says) said++;
                if (has[c][k]) truly++;
                if (says && has[c][k]) both++;
            }
            (right, wrong, missed) = (right + both, wrong + said - both, missed + truly - both);
            per[c] = new LabelMeasure(targets.Names[c], truly, Ranking.AveragePrecision(scores[c], has[c]),
                said == 0 ? 0 : (double)both / said, truly == 0 ? 0 : (double)both / truly,
                said + truly == 0 ? 0 : 2.0 * both / (said + truly), thresholds[c]);
        }
        var present = per.Where(one => one.Count > 0).ToArray();
        var exact = Enumerable.Range(0, n).Count(k => Enumerable.Range(0, labels).All(c => scores[c][k] >= thresholds[c] == has[c][k]));
        // So many draws as are made in a moment.
        var draws = (int)Math.Clamp(2e7 / Math.Max(1, (long)n * labels), Math.Min(100, resamples), resamples);
        var interval = Bootstrap(n, draws, drawn =>
        {
            double Drawn(int c) => Ranking.AveragePrecision([.. drawn.Select(k => scores[c][k])], [.. drawn.Select(k => has[c][k])]);
            double[] each = [.. Enumerable.Range(0, labels).Select(Drawn).Where(double.IsFinite)];
            return each.Length == 0 ? double.NaN : each.Average();
        });
        return new LabelMetrics(n, present.Length == 0 ? double.NaN : present.Average(one => one.AveragePrecision), interval,
            right + wrong + missed == 0 ? 0 : 2.0 * right / (2.0 * right + wrong + missed),
            present.Length == 0 ? 0 : present.Average(one => one.F1), n == 0 ? double.NaN : (double)exact / n, per);
    }

    /// <summary>The threshold of each label that has the largest F1, halfway between two neighbouring scores; of equals the one nearest a
    /// half.</summary>
    /// <param name="answers">N×labels, of pictures that the head was not fitted to.</param>
    /// <param name="targets">N.</param>
    public static double[] Thresholds(float[] answers, LabelTargets targets)
    {
        var labels = targets.Names.Count;
        return [.. Enumerable.Range(0, labels).Select(c =>
        {
            var rows = Enumerable.Range(0, targets.Count).Select(k => (Score: (double)answers[k * labels + c], Has: targets.Sets[k].Contains(c)))
                .OrderByDescending(row => row.Score).ToArray();
            var positives = rows.Count(row => row.Has);
            if (positives == 0 || positives == rows.Length) return 0.5;
            var (best, threshold, both) = (-1.0, 0.5, 0);
            for (var i = 0; i < rows.Length; i++)
            {
                if (rows[i].Has) both++;
                if (i + 1 < rows.Length && rows[i + 1].Score == rows[i].Score) continue;
                var f1 = 2.0 * both / (i + 1 + positives);
                var between = i + 1 < rows.Length ? (rows[i].Score + rows[i + 1].Score) / 2 : rows[i].Score / 2;
                if (f1 > best + 1e-12 || (f1 > best - 1e-12 && Math.Abs(between - 0.5) < Math.Abs(threshold - 0.5))) (best, threshold) =
                    (f1, between);
            }
            return threshold;
        })];
    }
}

/// <summary>How well one column of numbers is told, each figure with its 95% interval from pictures drawn with replacement.</summary>
/// <param name="Name">The column.</param>
/// <param name="Mae">Mean absolute error, in the column's own units.</param>
/// <param name="MaeInterval">Of it.</param>
/// <param name="Rmse">Root of the mean squared error.</param>
/// <param name="RmseInterval">Of it.</param>
/// <param name="RSquared">Share of the variance that is explained: 0 is what the mean would do.</param>
/// <param name="RSquaredInterval">Of it.</param>
/// <param name="MeanMae">Mean absolute error of the mean of these pictures.</param>
public sealed record NumberMeasure(string Name, double Mae, double[] MaeInterval, double Rmse, double[] RmseInterval, double RSquared,
    double[] RSquaredInterval, double MeanMae)
{
    /// <summary>Pearson's correlation of what is said with what is true.</summary>
    public double Pearson { get; init; } = double.NaN;

    /// <summary>Of it.</summary>
    public double[] PearsonInterval { get; init; } = [double.NaN, double.NaN];

    /// <summary>Spearman's: the same of the ranks.</summary>
    public double Spearman { get; init; } = double.NaN;

    /// <summary>Of it.</summary>
    public double[] SpearmanInterval { get; init; } = [double.NaN, double.NaN];
}

/// <summary>How well numbers are told.</summary>
/// <param name="Count">Pictures.</param>
/// <param name="Mae">Mean over the columns.</param>
/// <param name="Rmse">Mean over the columns.</param>
/// <param name="RSquared">Mean over the columns.</param>
/// <param name="PerColumn">Column by column.</param>
public sealed record NumberMetrics(int Count, double Mae, double Rmse, double RSquared, IReadOnlyList<NumberMeasure> PerColumn) : TaskMetrics(Count)
{
    /// <summary>Whether they are scores of how alike pairs are, of which the order is what counts.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool OfPairs { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public override Score Score => OfPairs ? new("Spearman", PerColumn[0].Spearman, true) : new("R²", RSquared, true);

    /// <summary>From numbers.</summary>
    public static NumberMetrics Of(float[] answers, NumberTargets targets, int resamples = 1000)
    {
        var (n, columns) = (targets.Count, targets.Names.Count);
        var per = new NumberMeasure[columns];
        for (var c = 0; c < columns; c++)
        {
            var (truth, said) = (new double[n], new double[n]);
            for (var k = 0; k < n; k++) (truth[k], said[k]) = (targets.Rows[k][c], answers[k * columns + c]);
            double Mae(int[] rows) => rows.Length == 0 ? double.NaN : rows.Average(k => Math.Abs(truth[k] - said[k]));
            double Rmse(int[] rows) => rows.Length == 0 ? double.NaN : Math.Sqrt(rows.Average(k => (truth[k] - said[k]) * (truth[k] - said[k])));
            double RSquared(int[] rows)
            {
                if (rows.Length < 2) return double.NaN;
                var mean = rows.Average(k => truth[k]);
                var (left, all) = (rows.Sum(k => (truth[k] - said[k]) * (truth[k] - said[k])), rows.Sum(k => (truth[k] - mean) * (truth[k] - mean)));
                return all > 0 ? 1 - left / all : left > 0 ? 0 : 1;
            }
            double Pearson(int[] rows) => Ranking.Pearson([.. rows.Select(k => said[k])], [.. rows.Select(k => truth[k])]);
            double Spearman(int[] rows) => Ranking.Spearman([.. rows.Select(k => said[k])], [.. rows.Select(k => truth[k])]);
            // Sorting takes long: so many draws as are made in a moment.
            var draws = (int)Math.Clamp(5e6 / Math.Max(1, n), Math.Min(100, resamples), resamples);
            int[] every = [.. Enumerable.Range(0, n)];
            var middle = n == 0 ? 0 : truth.Average();
            per[c] = new NumberMeasure(targets.Names[c], Mae(every), Bootstrap(n, resamples, Mae),
                Rmse(every), Bootstrap(n, resamples, Rmse), RSquared(every), Bootstrap(n, resamples, RSquared),
                n == 0 ? double.NaN : truth.Average(value => Math.Abs(value - middle)))
            {
                Pearson = Pearson(every), PearsonInterval = Bootstrap(n, resamples, Pearson),
                Spearman = Spearman(every), SpearmanInterval = Bootstrap(n, draws, Spearman),
            };
        }
        return new NumberMetrics(n, per.Average(one => one.Mae), per.Average(one => one.Rmse), per.Average(one => one.RSquared), per)
        {
            OfPairs = targets.Kind == TargetKind.Similarity,
        };
    }

    /// <summary>Between what residuals (truth less what is said) nine of ten lie, for each column: the 5% and the 95% quantile.</summary>
    /// <param name="answers">N×columns, of pictures that the head was not fitted to.</param>
    /// <param name="targets">N.</param>
    public static double[][] Residuals(float[] answers, NumberTargets targets)
    {
        var columns = targets.Names.Count;
        return [.. Enumerable.Range(0, columns).Select(c =>
        {
            double[] sorted = [.. targets.Rows.Select((row, k) => (double)row[c] - answers[k * columns + c]).Order()];
            return sorted.Length == 0 ? new double[] { double.NaN, double.NaN } : new[] { Quantile(sorted, 0.05), Quantile(sorted, 0.95) };
        })];
    }
}
