using Graft.Data;
using Graft.Learning;
using Graft.Reports;

namespace Graft.Transfer;

/// <summary>What an upstream came to with so many labels.</summary>
/// <param name="PerClass">Labels of each class; null: all.</param>
/// <param name="Upstream">As it was named.</param>
/// <param name="Strategy">With which it was used.</param>
/// <param name="Accuracy">Mean over the seeds.</param>
/// <param name="Low">Lower end of the 95% interval: Student's over seeds; of one seed, Wilson's.</param>
/// <param name="High">Upper end.</param>
/// <param name="Accuracies">Seed by seed.</param>
internal sealed record ComparedUpstream(int? PerClass, string Upstream, string Strategy, double Accuracy, double Low, double High, IReadOnlyList<double> Accuracies);

/// <summary>Upstreams on the same labelled data, by the number of labels.</summary>
/// <param name="Table">Row by row.</param>
/// <param name="Verdict">In words, for each number of labels.</param>
/// <param name="Chart">An SVG; null: there is but one number of labels.</param>
internal sealed record UpstreamComparisonResult(IReadOnlyList<ComparedUpstream> Table, IReadOnlyList<string> Verdict, string? Chart);

/// <summary>Was a pretraining worth it? The same labelled data and the same held-out items from several upstreams: one's own, a published one, none.</summary>
internal static class UpstreamComparison
{
    /// <summary>An upstream that is none: the architecture of the first one from random weights, trained whole.</summary>
    public const string Scratch = "scratch";

    /// <summary>Trains every upstream with every number of labels and every seed; each seed draws other labels, the same for all upstreams.</summary>
    /// <exception cref="GraftException">What cannot be compared.</exception>
    public static UpstreamComparisonResult Run(TrainOptions options, IReadOnlyList<string> upstreams, IReadOnlyList<string> strategies, IReadOnlyList<int?> perClass,
        int seeds, Func<TrainOptions, TransferTask> task, Action<string>? log)
    {
        Bounds.Whole("--seeds", seeds, 1, 1000);
        if (upstreams.All(name => name == Scratch)) throw Bounds.Refuse("--weights scratch alone compares nothing: name a network beside it");
        if (strategies.Contains(Scratch)) throw Bounds.Refuse("--strategies scratch: name it among the --weights, where it stands for random weights");
        if (upstreams.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice) throw Bounds.Refuse($"--weights names {twice.Key} twice");
        options = options with { SplitSeed = options.SplitSeed ?? options.Seed };
        options.Validate();
        // All that could be refused is refused before the first run.
        foreach (var name in upstreams.Where(name => name != Scratch))
        {
            var (train, _, _) = TransferTask.OpenData(options);
            if (train.Targets is not ClassTargets) throw Bounds.Refuse($"upstreams are compared on classes, and {options.Data} tells none");
            using var backbone = TransferTask.OpenBackbone(options with { Weights = name }, train).Backbone;
            TransferTask.RequireMatch(backbone, train, options);
            foreach (var strategy in strategies.Where(strategy => strategy != "auto")) _ = Strategies.ByName(strategy, backbone, train.Count);
        }
        var root = options.Out ?? RunFolder.New("compare-");
        var first = upstreams.First(name => name != Scratch);
        var rows = new List<ComparedUpstream>();
        foreach (var most in perClass)
        {
            foreach (var upstream in upstreams)
            {
                foreach (var strategy in upstream == Scratch ? [Scratch] : strategies)
                {
                    var held = 0;
                    var accuracies = Enumerable.Range(0, seeds).Select(k =>
                    {
                        log?.Invoke($"{Short(upstream)}, {strategy}, {(most is { } n ? $"{n} labels of each class" : "all labels")}, seed {options.Seed + k}");
                        var run = options with
                        {
                            Weights = upstream == Scratch ? first : upstream, Strategy = strategy, PerClass = most, Seed = options.Seed + k, NoReport = true,
                            Epochs = strategy.StartsWith("feature", StringComparison.Ordinal) || strategy == "auto" ? null : options.Epochs,
                            Out = Path.Combine(root, $"{Place(upstream)}-{strategy.Replace(':', '-')}-{(most is { } many ? $"{many}" : "all")}-{options.Seed + k}"),
                        };
                        var result = task(run).Run();
                        held = result.ValImages;
                        return result.Accuracy;
                    }).ToArray();
                    var (low, high) = Comparison.Interval(accuracies, held);
                    rows.Add(new ComparedUpstream(most, upstream, strategy, accuracies.Average(), low, high, accuracies));
                }
            }
        }
        return new UpstreamComparisonResult(rows, [.. rows.GroupBy(row => row.PerClass).Select(Said)], Chart(rows, root));
    }

    private static string Short(string upstream) => Path.GetFileName(Path.TrimEndingDirectorySeparator(upstream));

    // Two runs of one name in different folders stay apart.
    private static string Place(string upstream) => upstream.Replace(Path.DirectorySeparatorChar, '_').Replace(':', '_').Trim('_', '.');

    private static string Said(IGrouping<int?, ComparedUpstream> rows)
    {
        var best = rows.MaxBy(row => row.Accuracy)!;
        var near = rows.Where(row => row != best && row.High >= best.Low).Select(row => Short(row.Upstream)).Distinct().ToArray();
        return $"{(rows.Key is { } n ? $"{n} labels of each class" : "All labels")}: {Short(best.Upstream)} is the best with {best.Accuracy:P1}{(near.Length > 0 ? $"; its interval overlaps with that of {string.Join(", ", near)}" : "")}";
    }

    private static string? Chart(List<ComparedUpstream> rows, string root)
    {
        if (rows.Select(row => row.PerClass).Distinct().Count() < 2) return null;
        var lines = rows.GroupBy(row => (row.Upstream, row.Strategy))
            .Select(line => new ChartLine($"{Short(line.Key.Upstream)}, {line.Key.Strategy}", [.. line.Where(row => row.PerClass is not null).Select(row => ((double)row.PerClass!.Value, row.Accuracy))]));
        var path = Path.Combine(Directory.CreateDirectory(root).FullName, "upstreams.svg");
        AtomicFile.WriteText(path, new LineChart("What an upstream is worth", "labels of each class", [.. lines]) { Ordinal = true }.ToSvg());
        return path;
    }
}
