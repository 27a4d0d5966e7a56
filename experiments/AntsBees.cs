using Graft.Features;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// The PyTorch transfer-learning tutorial's ants and bees (Chilamkurthy): there ResNet-18 reaches about 94% fine-tuned and
/// about 96% as a fixed feature extractor. Here MobileNetV2 from ImageNet, several strategies, over seeds.
/// </summary>
public sealed class AntsBees : Experiment
{
    /// <inheritdoc/>
    public override string Name => "ants-bees";

    /// <inheritdoc/>
    public override string Summary => "Ants and bees from 245 photographs, strategy by strategy (the PyTorch tutorial)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var data = options.Need("hymenoptera");
        var weights = options.Need("weights", "mobilenet_v2_imagenet.safetensors");
        var seeds = options.Seeds ?? (options.Short ? 1 : 5);
        var cache = Directory.CreateTempSubdirectory("graft-ants-").FullName;
        var rows = new List<string[]> { new[] { "ResNet-18, fixed features (tutorial)", "about 96%", "", "", "" }, new[] { "ResNet-18, fine-tuned (tutorial)", "about 94%", "", "", "" } };
        try
        {
            string[] strategies = options.Short ? ["feature", "auto"] : ["feature", "auto", "partial:2", "head-then-full", "gradual", "full"];
            foreach (var (strategy, head) in strategies.Select(name => (name, Heads.HeadKind.Softmax)).Append(("feature", Heads.HeadKind.Svm)))
            {
                var accuracies = new List<double>();
                var seconds = new List<double>();
                for (var seed = 0; seed < seeds; seed++)
                {
                    var task = new TransferTask(new TrainOptions { Data = data, Weights = weights, Strategy = strategy, Head = head, Seed = seed, NoReport = true, Out = Path.Combine(cache, $"{strategy.Replace(':', '-')}-{head}-{seed}") })
                    {
                        Cache = new FeatureCache(Path.Combine(cache, "cache", "features")), Cancel = options.Cancel,
                    };
                    var result = task.Run();
                    accuracies.Add(result.Accuracy);
                    seconds.Add(result.Seconds);
                }
                var (low, high) = Comparison.Interval(accuracies, 153);
                rows.Add([$"MobileNetV2, {strategy}{(head == Heads.HeadKind.Svm ? ", SVM" : "")}", $"{100 * accuracies.Average():0.00}%", $"{100 * low:0.0}% to {100 * high:0.0}%", $"{100 * accuracies.Min():0.0}% to {100 * accuracies.Max():0.0}%", $"{seconds.Order().ElementAt(seconds.Count / 2):0.0}"]);
                options.Log($"{strategy} {head}: {100 * accuracies.Average():0.00}%");
            }
        }
        finally
        {
            Directory.Delete(cache, recursive: true);
        }
        return new ExperimentResult(Name, ["network and strategy", "accuracy", "95% interval", "range", "median seconds"], rows, [$"{seeds} seed(s); 153 validation photographs, on which fine-tuning also chooses its best epoch."]);
    }
}
