using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;

namespace Graft.Transfer;

/// <summary>A strategy's results over the seeds. Of several labels its accuracy is the mean average precision, of numbers R².</summary>
/// <param name="Accuracy">Mean.</param>
/// <param name="Low">Lower end of the 95% interval: Student's over seeds where there are several; otherwise Wilson's, and of other measures than
/// accuracy that of pictures drawn with replacement.</param>
/// <param name="High">Upper end.</param>
/// <param name="Seconds">Mean.</param>
/// <param name="PValue">McNemar's exact test against the best strategy, over all seeds' pictures, and of other measures the paired bootstrap; 1 for
/// the best itself.</param>
internal sealed record ComparedStrategy(string Strategy, double Accuracy, double Low, double High, double Seconds, long TrainableParameters,
    double PValue, IReadOnlyList<double> Accuracies);

/// <summary>All strategies on the same split and seeds, and whether the advice was right.</summary>
internal sealed record ComparisonResult(IReadOnlyList<ComparedStrategy> Table, Advice Advice, bool AdviceWasRight, string Verdict)
{
    /// <summary>What is told of the pictures.</summary>
    public TargetKind Task { get; init; }

    /// <summary>What was noticed when the data was read, broken pictures among it.</summary>
    public DatasetNotes DataNotes { get; init; } = DatasetNotes.None;
}

/// <summary>Runs strategies side by side.</summary>
internal static class Comparison
{
    private const double Level = 0.05;

    /// <summary>Compares on the dataset's own validation pictures, or one split that all share.</summary>
    public static ComparisonResult Run(TrainOptions options,
        IReadOnlyList<string> strategies, int seeds, Func<TrainOptions, TransferTask> task, Action<string>? log = null)
    {
        options.Validate();
        Bounds.Whole("--seeds", seeds, 1, 1000);
        var root = options.Out ?? RunFolder.New("compare-");
        var (train, validation, splits) = TransferTask.OpenData(options);
        var (upstream, _) = TransferTask.OpenBackbone(options, train);
        using var owned = upstream;
        TransferTask.RequireMatch(upstream, train, options);
        var broken = new HashSet<BrokenPicture>();
        var advice = task(options).MakePlan(upstream, train).Advice!;
        string[] all = [.. strategies.Append(advice.Strategy).Distinct()];
        // All that could be refused is refused before the first run.
        var solved = all.Where(strategy => strategy != "auto"
            && Strategies.ByName(strategy, upstream, train.Count, options.Head ?? HeadKinds.Usual(train.Targets.Kind))
            .Phases.All(phase => phase.Solve)).ToHashSet();
        string Folder(string strategy, long seed) => Path.Combine(root, $"{strategy.Replace(':', '-')}-{seed}");
        foreach (var strategy in all)
        {
            for (var k = 0; k < seeds; k++) RunFolder.Check(Folder(strategy, options.Seed + k), options.Overwrite, options.Data, options.Validation,
                options.Weights);
        }
        var right = new Dictionary<string, List<bool>>();
        var heard = new Dictionary<string, List<(float[] Answers, Targets Truth)>>();
        var rows = new List<(string Name, List<double> Accuracies, double Seconds, long Parameters)>();
        foreach (var strategy in all)
        {
            var accuracies = new List<double>();
            var (seconds, parameters) = (0.0, 0L);
            (right[strategy], heard[strategy]) = ([], []);
            for (var k = 0; k < seeds; k++)
            {
                log?.Invoke($"{strategy}, seed {options.Seed + k}");
                // The split stays: only starting values, orders and augmentations follow the seed.
                var run = options with { Strategy = strategy, Seed = options.Seed + k, SplitSeed = options.SplitSeed ?? options.Seed,
                    Epochs = solved.Contains(strategy) ? null : options.Epochs, Out = Folder(strategy, options.Seed + k), NoReport = k > 0 };
                var result = task(run).Run();
                broken.UnionWith(result.Broken);
                var (probabilities, indices) = (result.Answers, result.Indices);
                heard[strategy].Add((probabilities, validation.Targets.Subset(indices)));
                for (var i = 0; validation.Targets is ClassTargets && i < indices.Length; i++)
                {
                    var row = probabilities.AsSpan(i * train.Classes.Count, train.Classes.Count);
                    var said = 0;
                    for (var c = 1; c < row.Length; c++) if (row[c] > row[said]) said = c;
                    right[strategy].Add(said == validation.Labels[indices[i]]);
                }
                accuracies.Add(result.Accuracy);
                seconds += result.Seconds / seeds;
                parameters = result.TrainableParameters;
            }
            rows.Add((strategy, accuracies, seconds, parameters));
        }
        var winner = rows.MaxBy(row => row.Accuracies.Average()).Name;
        var table = rows.Select(row =>
        {
            var (low, high) = train.Targets is ClassTargets || seeds > 1 ? Interval(row.Accuracies, validation.Count)
                : Interval(TaskMetrics.Of(heard[row.Name][0].Answers, heard[row.Name][0].Truth));
            return new ComparedStrategy(row.Name, row.Accuracies.Average(), low, high, row.Seconds, row.Parameters,
                row.Name == winner ? 1 : train.Targets is ClassTargets ? McNemar(right[row.Name], right[winner])
                : Paired(heard[row.Name], heard[winner]), row.Accuracies);
        }).ToArray();
        string Said(ComparedStrategy row) => train.Targets is ClassTargets ? $"{row.Accuracy:P1}"
            : FormattableString.Invariant($"{TransferTask.Measure(train.Targets.Kind)} {row.Accuracy:0.000}");
        var advised = table.First(row => row.Strategy == advice.Strategy);
        var best = table.First(row => row.Strategy == winner);
        var correct = advised.PValue >= Level;
        var verdict = advised == best ? $"The advice was right: {advice.Strategy} is the best, with {Said(best)}."
            : correct ? $"The advice was right: {advice.Strategy} ({Said(advised)}, {advised.Seconds:0.0} s) is not distinguishable from the best, {winner} ({Said(best)}, {best.Seconds:0.0} s; p = {advised.PValue:0.00})."
            : $"The advice was wrong: {winner} ({Said(best)}) beats {advice.Strategy} ({Said(advised)}; p = {advised.PValue:0.000}).";
        return new ComparisonResult([.. table.OrderByDescending(row => row.Accuracy)], advice, correct, verdict) { Task = train.Targets.Kind,
            DataNotes = splits.Notes.With(broken.Select(LeftOut.Of)) };
    }

    /// <summary>Student's interval of the mean over seeds; with one seed, Wilson's of the share of pictures.</summary>
    public static (double Low, double High) Interval(IReadOnlyList<double> values, int pictures)
    {
        if (values.Count < 2) return Metrics.Wilson((int)Math.Round(values[0] * pictures), pictures);
        double[] t = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
            2.093];
        var mean = values.Average();
        var deviation = Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / (values.Count - 1));
        var half = (values.Count - 2 < t.Length ? t[values.Count - 2] : 1.96) * deviation / Math.Sqrt(values.Count);
        return (mean - half, mean + half);
    }

    private static (double Low, double High) Interval(TaskMetrics metrics) => metrics switch
    {
        LabelMetrics labels => (labels.Interval[0], labels.Interval[1]),
        NumberMetrics { OfPairs: true } pairs => (pairs.PerColumn[0].SpearmanInterval[0], pairs.PerColumn[0].SpearmanInterval[1]),
        NumberMetrics numbers => (numbers.PerColumn.Average(column => column.RSquaredInterval[0]),
            numbers.PerColumn.Average(column => column.RSquaredInterval[1])),
        _ => (double.NaN, double.NaN),
    };

    /// <summary>
    /// The paired bootstrap, two-sided: twice the share of resampled sets of pictures, the same for both and for every seed, on which the
    /// difference of the measures has not the sign that it has on average.
    /// </summary>
    private static double Paired(List<(float[] Answers, Targets Truth)> a, List<(float[] Answers, Targets Truth)> b)
    {
        const int Draws = 1000;
        var (pictures, outputs) = (a[0].Truth.Count, a[0].Truth.Names.Count);
        if (pictures == 0 || a.Concat(b).Any(one => one.Truth.Count != pictures)) return double.NaN;
        double Measure((float[] Answers, Targets Truth) one, int[] drawn) =>
            TaskMetrics.Of([.. drawn.SelectMany(k => one.Answers[(k * outputs)..((k + 1) * outputs)])], one.Truth.Subset(drawn), resamples: 0)
                .Score.Value;
        var rng = new Rng(0, 13);
        var (above, below) = (0, 0);
        for (var draw = 0; draw < Draws; draw++)
        {
            int[] drawn = [.. Enumerable.Range(0, pictures).Select(_ => rng.Below(pictures))];
            var difference = a.Average(one => Measure(one, drawn)) - b.Average(one => Measure(one, drawn));
            if (difference >= 0) above++;
            if (difference <= 0) below++;
        }
        return Math.Min(1, 2.0 * Math.Min(above, below) / Draws);
    }

    /// <summary>McNemar 1947, exact and two-sided: the chance that two equal classifiers disagree this unevenly.</summary>
    public static double McNemar(IReadOnlyList<bool> a, IReadOnlyList<bool> b)
    {
        int onlyA = 0, onlyB = 0;
        for (var k = 0; k < Math.Min(a.Count, b.Count); k++)
        {
            if (a[k] && !b[k]) onlyA++;
            if (b[k] && !a[k]) onlyB++;
        }
        var n = onlyA + onlyB;
        if (n == 0) return 1;
        var (term, sum) = (n * Math.Log(0.5), 0.0);
        for (var k = 0; k <= Math.Min(onlyA, onlyB); k++)
        {
            sum += Math.Exp(term);
            term += Math.Log((n - k) / (k + 1.0));
        }
        return Math.Min(1, 2 * sum);
    }
}
