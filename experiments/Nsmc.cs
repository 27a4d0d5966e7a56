using Graft.Models.Hub;
using Graft.Pretraining;

namespace Graft.Experiments;

/// <summary>
/// Naver's Korean film reviews (NSMC), good or bad: a small BERT that is pretrained here, on 60,000 reviews without labels, against the same from
/// scratch and against an English sentence encoder, by the number of labels.
/// </summary>
public sealed class Nsmc : Experiment
{
    private const string Foreign = "all-minilm-l6-v2", Here = "pretrained here";

    /// <inheritdoc/>
    public override string Name => "nsmc";

    /// <inheritdoc/>
    public override string Summary => "Korean film reviews: a small BERT pretrained here, from scratch, and an English encoder, by labels (NSMC)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var study = new TextStudy(options, Name);
        var run = study.Pretrained("mlm", new PretrainOptions
        {
            Data = options.Need("nsmc", "unlabelled.txt"), Method = "mlm", Backbone = options.Short ? "bert-tiny" : "bert-mini",
            Epochs = options.Short ? 1 : 20, LookEvery = 100, Text = new TextStartOptions { Vocabulary = 8000 },
        });
        var foreign = options.Short ? null : new ModelHub(new Downloader()).Pull(Foreign, options.Cancel).GetAwaiter().GetResult();
        var rows = new List<string[]>();
        foreach (var labels in options.Short ? [1000] : (int[])[1000, 5000, 40_000])
        {
            var data = study.Labelled("nsmc", labels, 0, options.Short ? 1000 : null);
            foreach (var begun in new[] { Here, "from scratch", $"{Foreign}, frozen" })
            {
                var part = $"{begun}, {labels} labels";
                if (begun.StartsWith(Foreign, StringComparison.Ordinal) && foreign is null) continue;
                var found = begun.StartsWith(Foreign, StringComparison.Ordinal) ? study.Frozen(part, data, foreign!, 0)
                    : study.Whole(part, data, run, begun != Here, labels, 0, options.Short ? 4 : null);
                rows.Add([$"{labels}", begun,
                    labels == 40_000 && begun == Here ? "89.6 to 90.1 (KoBERT), 89.4 (KoELECTRA-small), of 150,000 labels" : "",
                    FormattableString.Invariant($"{100 * found.Accuracy:0.0}"),
                    FormattableString.Invariant($"{100 * found.Low:0.0} to {100 * found.High:0.0}"),
                    FormattableString.Invariant($"{found.Seconds:0}")]);
            }
        }
        return new ExperimentResult(Name, ["labels", "begun with", "published, %", "right of the test part, %", "95% interval", "seconds"], rows,
            ["The published encoders were pretrained on gigabytes of Korean. Wanted: pretrained here ahead of from scratch by more than "
                + "the interval, and 84 or more of 40,000 labels."]);
    }
}
