using Graft.Pretraining;
using Graft.Reports;

namespace Graft.Experiments;

/// <summary>
/// How many labels a pretraining on sentences without labels is worth: a small BERT from scratch, after the hidden words of Devlin et al. 2019, and
/// after telling good sentences from corrupted ones, on film reviews in English (SST-2, pretrained on its own 6,920 training sentences) and in
/// Korean (NSMC, pretrained on 60,000 others).
/// </summary>
public sealed class MlmHelps : Experiment
{
    private const string Scratch = "from scratch";

    /// <inheritdoc/>
    public override string Name => "mlm-helps";

    /// <inheritdoc/>
    public override string Summary => "Accuracy by labels of a small BERT, from scratch and pretrained on sentences without labels (SST-2, NSMC)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var study = new TextStudy(options, Name);
        (string Set, string File)[] sets = options.Short ? [("sst2", "train.tsv")] : [("sst2", "train.tsv"), ("nsmc", "unlabelled.txt")];
        int[] labels = options.Short ? [300] : [100, 300, 1000, 3000];
        var seeds = options.Seeds ?? (options.Short ? 1 : 3);
        var (rows, charts) = (new List<string[]>(), new List<string>());
        foreach (var (set, file) in sets.Where(one => options.Wants(one.Set)))
        {
            string Pretrained(string method) => study.Pretrained($"{set}-{method}", new PretrainOptions
            {
                Data = options.Need(set, file), Method = method, Backbone = options.Short ? "bert-tiny" : "bert-mini",
                Epochs = options.Short ? 1 : set == "sst2" ? 40 : 10, LookEvery = 100,
                Text = new TextStartOptions { Vocabulary = options.Short ? 2000 : 8000 },
            });
            var (mlm, corrupted) = (Pretrained("mlm"), Pretrained("good-or-corrupted"));
            var lines = new List<ChartLine>();
            foreach (var (start, run) in new[] { (Scratch, mlm), ("mlm", mlm), ("good-or-corrupted", corrupted) })
            {
                var points = new List<(double, double)>();
                foreach (var count in labels)
                {
                    var found = Enumerable.Range(0, seeds).Select(seed => study.Whole($"{set}, {start}, {count} labels, seed {seed}",
                        study.Labelled(set, count, seed, options.Short ? 500 : null), run, start == Scratch, count, seed,
                        options.Short ? 10 : null)).ToArray();
                    var mean = found.Average(one => one.Accuracy);
                    var spread = seeds < 2 ? 0 : Math.Sqrt(found.Sum(one => Math.Pow(one.Accuracy - mean, 2)) / (seeds - 1));
                    points.Add((count, mean));
                    var deviation = seeds > 1 ? FormattableString.Invariant($" ± {100 * spread:0.0}") : "";
                    rows.Add([set, $"{count}", start, FormattableString.Invariant($"{100 * mean:0.0}{deviation}"),
                        FormattableString.Invariant($"{100 * found.Average(one => one.Low):0.0} to {100 * found.Average(one => one.High):0.0}"),
                        FormattableString.Invariant($"{found.Average(one => one.Seconds):0}")]);
                }
                lines.Add(new ChartLine(start, points));
            }
            var chart = Path.Combine(options.Output, $"mlm-helps-{set}.svg");
            var drawn = new LineChart($"{set}: a small BERT, right on the test part", "labelled sentences", lines) { Ordinal = true };
            AtomicFile.WriteText(chart, drawn.ToSvg());
            charts.Add(chart);
        }
        return new ExperimentResult(Name, ["data", "labels", "begun with", "right, %", "95% interval of one", "seconds"], rows,
            [.. options.Short
                ? ["The short form shows that it runs: one epoch of a tiny network teaches it too little to help."] : Array.Empty<string>(),
                $"{seeds} draws of labels each, the same for every start; ± is the deviation between them. Charts: {string.Join(", ", charts)}"]);
    }
}
