using Graft.Data;
using Graft.Features;
using Graft.Inference.Text;
using Graft.Models.Hub;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// The Stanford Sentiment Treebank (Socher et al. 2013), sentences, positive or negative, on its own parts: a sentence encoder frozen with a solved
/// head, and fine-tuned. Everything is chosen on the dev part, and the figure is of the test part.
/// </summary>
public sealed class Sst2 : Experiment
{
    private const string Encoder = "all-minilm-l6-v2";

    /// <inheritdoc/>
    public override string Name => "sst2";

    /// <inheritdoc/>
    public override string Summary => "Film reviews, good or bad: a sentence encoder frozen and fine-tuned (SST-2)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var data = options.Need("sst2");
        var weights = new ModelHub(new Downloader()).Pull(Encoder, options.Cancel).GetAwaiter().GetResult();
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetFullPath(options.Output), Name)).FullName;
        var rows = new List<string[]>();
        foreach (var strategy in options.Short ? ["feature"] : (string[])["feature", "head-then-full", "full"])
        {
            options.Log(strategy);
            var how = new TrainOptions { Data = data, Weights = weights, Strategy = strategy, Out = Path.Combine(folder, strategy), Overwrite = true,
                NoReport = true };
            var result = new TransferTask(how) { Cache = FeatureCache.Default(), Cancel = options.Cancel }.Run();
            using var model = TextModel.Open(result.Run);
            var judged = model.Judge(DatasetReader.OpenWithClasses(data, model.Card.Names, "test"), cancel: options.Cancel).Metrics;
            rows.Add([$"{Encoder}, {strategy}", strategy == "feature" ? "" : "91.5 (MiniLM-L6, dev part)",
                FormattableString.Invariant($"{100 * judged.Accuracy:0.0}"),
                FormattableString.Invariant($"{100 * judged.Low:0.0} to {100 * judged.High:0.0}"),
                    FormattableString.Invariant($"{100 * result.Accuracy:0.0}"),
                FormattableString.Invariant($"{result.Seconds:0}")]);
        }
        return new ExperimentResult(Name, ["what", "published, %", "right of the test part, %", "95% interval", "of the dev part, %", "seconds"],
            rows,
            ["Published without pretraining: Naive Bayes 81.8, a convolutional network 88.1 (Socher et al. 2013; Kim 2014). MiniLM-L6's figure is of another distilled checkpoint."]);
    }
}
