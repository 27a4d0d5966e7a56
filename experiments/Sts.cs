using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models.Hub;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// The semantic textual similarity benchmark (Cer et al. 2017) on its own parts: how alike two sentences are, by the cosine of their vectors, of an
/// encoder as it is and of one tuned by CoSENT. Everything is chosen on the dev part, and the figures are of the test part.
/// </summary>
public sealed class Sts : Experiment
{
    private const string Encoder = "all-minilm-l6-v2";

    /// <inheritdoc/>
    public override string Name => "sts";

    /// <inheritdoc/>
    public override string Summary => "How alike two sentences are: a sentence encoder frozen and tuned (STS-B)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var data = options.Need("text", "stsb");
        var weights = new ModelHub(new Downloader()).Pull(Encoder, options.Cancel).GetAwaiter().GetResult();
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetFullPath(options.Output), Name)).FullName;
        var rows = new List<string[]>();
        foreach (var strategy in options.Short ? ["feature"] : (string[])["feature", "full"])
        {
            options.Log(strategy);
            var how = new TrainOptions { Data = data, Weights = weights, Strategy = strategy, Out = Path.Combine(folder, strategy), Overwrite = true,
                NoReport = true };
            var result = new TransferTask(how) { Cache = FeatureCache.Default(), Cancel = options.Cancel }.Run();
            using var model = TextModel.Open(result.Run);
            var test = DatasetReader.OpenWithClasses(data, model.Card.Names, "test", model.Card.Task);
            var judged = ((NumberMetrics)model.Judge(test, cancel: options.Cancel).Measured).PerColumn[0];
            rows.Add([$"{Encoder}, {strategy}", strategy == "feature" ? "82.0" : "",
                FormattableString.Invariant($"{100 * judged.Spearman:0.0}"),
                FormattableString.Invariant($"{100 * judged.SpearmanInterval[0]:0.0} to {100 * judged.SpearmanInterval[1]:0.0}"),
                FormattableString.Invariant($"{100 * judged.Pearson:0.0}"), FormattableString.Invariant($"{100 * result.Accuracy:0.0}"),
                FormattableString.Invariant($"{result.Seconds:0}")]);
        }
        return new ExperimentResult(Name,
            ["what", "published, test, Spearman ×100", "test, Spearman ×100", "95% interval", "test, Pearson ×100", "dev, Spearman ×100", "seconds"],
                rows,
            ["Published: MTEB's STSBenchmark of the same weights (Muennighoff et al. 2023)."]);
    }
}
