using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Models;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// The CIFAR-10 ResNets of He et al. 2015 from their public checkpoints, with no training, on the test set's JPEG copy (a real
/// domain shift: decoded by libjpeg, ResNet-20 gives 81.0% and ResNet-56 83.2%).
/// </summary>
public sealed class CifarResNets : Experiment
{
    private static readonly (int Depth, string File, string Original, string Jpeg)[] s_models =
    [
        (20, "cifar10_resnet20-12fca82f.th", "91.73%", "81.0%"), (32, "cifar10_resnet32-d509ac18.th", "92.63%", ""), (44, "cifar10_resnet44-014dd654.th", "93.10%", ""), (56, "cifar10_resnet56-4bfd9763.th", "93.39%", "83.2%"),
    ];

    // The checkpoints' order of outputs is CIFAR-10's own, which is alphabetical, as the folders are.
    /// <inheritdoc/>
    public override string Name => "cifar10-resnets";

    /// <inheritdoc/>
    public override string Summary => "ResNet-20 to 56 on CIFAR-10's test set, from their public checkpoints (He et al. 2015)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var test = DatasetReader.Open(options.Need("cifar10", "cifar10.zip")).Test!;
        if (options.Short) test = test.Subset(new Rng(1).Permutation(test.Count).Take(1000));
        var rows = new List<string[]>();
        foreach (var (depth, file, original, jpeg) in s_models.Where(model => !options.Short || model.Depth is 20 or 56))
        {
            var path = options.Need("weights", file);
            using var backbone = ModelOpener.Load(path).Backbone;
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            var features = new FeatureExtractor(backbone, null).Pooled(test, backbone.Preprocessing, cancel: options.Cancel);
            var said = backbone.UpstreamHead!.Forward(features.Stage(backbone, backbone.Stages.Count - 1)).Argmax(1).ToArray<long>();
            var right = said.Zip(features.Indices, (label, k) => label == test.Labels[k]).Count(correct => correct);
            var (low, high) = Metrics.Wilson(right, said.Length);
            rows.Add([$"ResNet-{depth}", original, jpeg, $"{100.0 * right / said.Length:0.00}%", $"{100 * low:0.0}% to {100 * high:0.0}%", $"{features.Seconds:0.0}"]);
            options.Log($"ResNet-{depth}: {100.0 * right / said.Length:0.00}%");
            features.Rows.Dispose();
        }
        return new ExperimentResult(Name, ["network", "original pictures (published)", "JPEG copy (reference)", "JPEG copy (Graft)", "95% interval", "seconds"], rows, [$"{test.Count} test pictures, no training."]);
    }
}
