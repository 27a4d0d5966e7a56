using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Heads;
using Graft.Models;
using Graft.Reports;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// How many pictures of each class a frozen backbone needs: accuracy by shots for every head, on CIFAR-10 and on ants and bees,
/// with MobileNetV2 from ImageNet. The comparison of SimpleShot (Wang et al. 2019) and of Tian et al. 2020, on other data.
/// </summary>
public sealed class Shots : Experiment
{
    private const int Query = 10;

    /// <inheritdoc/>
    public override string Name => "shots";

    /// <inheritdoc/>
    public override string Summary => "Accuracy by shots (1, 2, 5, 10, 20) for every head on frozen features: CIFAR-10, ants and bees";

    /// <summary>A head of Graft's as a rule: fitted on the support alone, with a fixed penalty.</summary>
    private sealed class HeadRule(HeadKind kind, string name) : IFeatureRule
    {
        public string Name => name;

        public bool Transductive => false;

        public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries)
        {
            using var head = HeadFitter.Fit(support, [.. labels.ToArray<long>().Select(label => (int)label)], way,
                new HeadOptions { Kind = kind, C = 1, Folds = 1, Tolerance = 1e-3 }).Head;
            return head.Forward(queries);
        }
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var weights = options.Need("weights", "mobilenet_v2_imagenet.safetensors");
        int[] shots = options.Short ? [1, 5] : [1, 2, 5, 10, 20];
        var episodes = EpisodeEvaluator.LeastEpisodes;
        var rows = new List<string[]>();
        var files = new List<string>();
        using var encoder = PictureEncoder.Of(ModelOpener.Load(weights).Backbone, options.Short ? null : FeatureCache.Default());
        var cifar = DatasetReader.Open(options.Need("cifar10", "cifar10.zip")).Test!;
        // A tenth of the test set is enough for episodes, and takes a tenth of the time.
        var sets = new List<(string Name, Dataset Data)> { ("ants and bees", DatasetReader.Open(options.Need("hymenoptera")).Train) };
        if (!options.Short) sets.Add(("CIFAR-10", cifar.Subset(new Rng(5).Permutation(cifar.Count).Take(1000))));
        foreach (var (name, data) in sets)
        {
            var (features, indices, _) = encoder.Encode(data);
            using var matrix = Tensor.From(features, indices.Length, features.Length / Math.Max(1, indices.Length));
            int[] labels = [.. indices.Select(k => data.Labels[k])];
            List<IFeatureRule> rules = [.. FeatureRules.All(), new HeadRule(HeadKind.Svm, "linear SVM"),
                new HeadRule(HeadKind.Softmax, "softmax head")];
            var lines = rules.ToDictionary(rule => rule.Name, _ => new List<(double, double)>());
            foreach (var shot in shots)
            {
                var found = FrozenEvaluation.Run(matrix, labels, data.Classes, rules,
                    new EpisodeOptions { Way = data.Classes.Count, Shot = shot, Query = Query, Seed = 3 }, episodes, cancel: options.Cancel);
                for (var r = 0; r < rules.Count; r++)
                {
                    lines[rules[r].Name].Add((shot, found[r].Accuracy.Accuracy));
                    rows.Add([name, $"{shot}", found[r].Rule, $"{found[r].Accuracy}", $"{1000 * found[r].Accuracy.Seconds / episodes:0.0}"]);
                }
                options.Log($"{name}, {shot} of each class: {string.Join(", ", found.Select(rule => $"{rule.Rule} {rule.Accuracy}"))}");
            }
            var chart = new LineChart($"{name}: MobileNetV2 frozen, {data.Classes.Count}-way, {episodes} episodes", "pictures of each class",
                [.. lines.Select(line => new ChartLine(line.Key, line.Value))]) { Ordinal = true };
            var file = Path.Combine(options.Output, $"shots-{name.Replace(' ', '-').ToLowerInvariant()}.svg");
            Directory.CreateDirectory(options.Output);
            AtomicFile.WriteText(file, chart.ToSvg());
            files.Add(file);
        }
        return new ExperimentResult(Name, ["data", "pictures of each class", "rule", "accuracy", "ms an episode"], rows,
            [$"{episodes} episodes each, {Query} queries of each class, 95% interval. Charts: {string.Join(", ", files)}"]);
    }
}
