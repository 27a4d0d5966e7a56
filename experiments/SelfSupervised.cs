using Graft.Classification;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>What the experiments on pretraining have in common: CIFAR-10 cut to a budget, written as folders; features judged by neighbours and by a
/// linear head.</summary>
internal static class SelfSupervised
{
    /// <summary>So many training pictures of each class and so many test pictures, as train/ and test/ with class folders.</summary>
    /// <param name="options">Where CIFAR-10 is, and where the folder goes.</param>
    /// <param name="train">Of each class.</param>
    /// <param name="test">Of each class.</param>
    public static string Cifar(ExperimentOptions options, int train, int test)
    {
        var folder = Path.Combine(Path.GetFullPath(options.Output), $"cifar10-{train}-{test}");
        if (File.Exists(Path.Combine(folder, "complete"))) return folder;
        var splits = DatasetReader.Open(options.Need("cifar10", "cifar10.zip"));
        foreach (var (part, data, most) in new[] { ("train", splits.Train, train), ("test", splits.Test!, test) })
        {
            var counts = new int[data.Classes.Count];
            foreach (var k in new Rng(11).Permutation(data.Count))
            {
                var label = data.Labels[k];
                if (counts[label] >= most) continue;
                var place = Directory.CreateDirectory(Path.Combine(folder, part, data.Classes[label])).FullName;
                File.WriteAllBytes(Path.Combine(place, $"{counts[label]++:0000}.jpg"), data.Read(k));
            }
        }
        File.WriteAllText(Path.Combine(folder, "complete"), "");
        return folder;
    }

    /// <summary>Shares of the test part that are right, by neighbours and by a linear head, on frozen features.</summary>
    public static (double Neighbours, double Linear) Judge(Backbone backbone, Dataset train, Dataset test)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        (Tensor Rows, int[] Labels) Of(Dataset data)
        {
            var found = new FeatureExtractor(backbone, null).Pooled(data, backbone.Preprocessing);
            return (found.Stage(backbone, backbone.Stages.Count - 1), [.. found.Indices.Select(k => data.Labels[k])]);
        }
        var ((known, labels), (asked, truth)) = (Of(train), Of(test));
        return (Pretraining.Monitor.Neighbours(known, labels, train.Classes.Count, asked, truth), Pretraining.Monitor.Linear(known, labels, train.Classes.Count, asked, truth));
    }

    /// <summary>The same of weights that nothing has trained.</summary>
    public static (double Neighbours, double Linear) Untrained(BackboneSpec spec, Preprocessing preprocessing, long seed, Dataset train, Dataset test)
    {
        TorchRuntime.ManualSeed(seed);
        using var backbone = BackboneCatalogue.Create(spec);
        backbone.Preprocessing = preprocessing;
        return Judge(backbone, train, test);
    }

    /// <summary>A pretraining within an experiment: once it has finished it is not done again, and one that was stopped goes on.</summary>
    public static string Pretrain(ExperimentOptions options, string name, PretrainOptions how)
    {
        var run = Path.Combine(Path.GetFullPath(options.Output), name);
        if (File.Exists(Path.Combine(run, "model.safetensors"))) return run;
        var state = File.Exists(Path.Combine(run, "state.safetensors"));
        new PretrainTask(state ? PretrainTask.OptionsOf(run) : how with { Out = run, Overwrite = true, NoReport = options.Short })
            { Log = options.Log, Cancel = options.Cancel }.Run(resume: state);
        return run;
    }

    public static string Percent(double share) => FormattableString.Invariant($"{100 * share:0.0}");

    public static string Spread(IReadOnlyList<double> shares)
    {
        if (shares.Count < 2) return Percent(shares[0]);
        var (low, high) = Comparison.Interval(shares, 0);
        return FormattableString.Invariant($"{100 * shares.Average():0.0} ± {50 * (high - low):0.0}");
    }
}

/// <summary>
/// Eight methods of self-supervision on CIFAR-10 at one budget that fits two cores: a part of the pictures and a small ConvNet, judged by neighbours and
/// by a linear head on frozen features, beside random features and beside the same network trained with every label. With --full, ResNet-18 with a 3×3
/// stem and all pictures for 200 epochs: for a GPU.
/// </summary>
public sealed class SslCifar10 : Experiment
{
    private static readonly string[] s_methods = ["simclr", "moco", "byol", "simsiam", "barlow", "vicreg", "swav", "dino"];

    /// <inheritdoc/>
    public override string Name => "ssl-cifar10";

    /// <inheritdoc/>
    public override string Summary => "Eight methods of self-supervision on CIFAR-10 at one small budget, against random features and labels";

    /// <inheritdoc/>
    public override bool HasFull => true;

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var (perClass, tested, epochs, batch) = options.Full ? (5000, 1000, 200, 512) : options.Short ? (100, 50, 3, 50) : (500, 200, 30, 128);
        var data = SelfSupervised.Cifar(options, perClass, tested);
        // The test part is looked at once, at the end: what is watched on the way is held out of the training part.
        var splits = DatasetReader.Open(data);
        var (train, test) = (splits.Train, splits.Test!);
        var rows = new List<string[]>();
        var seeds = options.Seeds ?? 1;
        Backbone? like = null;
        try
        {
            var results = new List<(string Method, double[] Neighbours, double[] Linear, double[] Seconds)>();
            foreach (var method in options.Short ? s_methods[..1] : s_methods)
            {
                if (!options.Wants(method)) continue;
                var found = Enumerable.Range(0, seeds).Select(seed =>
                {
                    var run = SelfSupervised.Pretrain(options, $"ssl-{method}-{perClass}-{seed}", new PretrainOptions
                    {
                        Data = Path.Combine(data, "train"), Method = method, Epochs = epochs, BatchSize = batch, Seed = seed, LookEvery = 5,
                        Backbone = options.Full ? "resnet18" : "convnet", Input = new InputOptions { Size = 32 },
                    });
                    like?.Dispose();
                    like = ModelOpener.Load(run).Backbone;
                    var (knn, linear) = SelfSupervised.Judge(like, train, test);
                    options.Log($"{method}, seed {seed}: neighbours {knn:P1}, linear {linear:P1}");
                    return (knn, linear);
                }).ToArray();
                rows.Add([method, SelfSupervised.Spread([.. found.Select(one => one.knn)]), SelfSupervised.Spread([.. found.Select(one => one.linear)])]);
            }
            if (like is null) throw new GraftException("--only names none of the methods");
            var random = Enumerable.Range(0, Math.Max(1, seeds)).Select(seed => SelfSupervised.Untrained(like.Spec, like.Preprocessing, seed, train, test)).ToArray();
            rows.Insert(0, ["random features", SelfSupervised.Spread([.. random.Select(one => one.Neighbours)]), SelfSupervised.Spread([.. random.Select(one => one.Linear)])]);
            if (!options.Short && options.Wants("supervised")) rows.Add(Supervised(options, data, like, epochs));
        }
        finally
        {
            like?.Dispose();
        }
        return new ExperimentResult(Name, ["method", "20 nearest neighbours, % right", "linear head, % right"], rows,
            [$"{10 * perClass} pictures without labels, {epochs} epochs in batches of {batch}; judged on {10 * tested} test pictures, the labels of the training pictures for neighbours and head. "
                + "Published with ResNet-18, all pictures and 200 epochs (lightly): 84 to 87 by neighbours."]);
    }

    private static string[] Supervised(ExperimentOptions options, string data, Backbone like, int epochs)
    {
        TorchRuntime.ManualSeed(0);
        using var fresh = BackboneCatalogue.Create(like.Spec);
        fresh.Preprocessing = like.Preprocessing;
        var start = Path.Combine(Path.GetFullPath(options.Output), "ssl-start.safetensors");
        Exports.Exporter.Save(fresh, start);
        var run = Path.Combine(Path.GetFullPath(options.Output), "ssl-supervised");
        new TransferTask(new TrainOptions { Data = Path.Combine(data, "train"), Weights = start, Strategy = "scratch", Epochs = epochs, NoReport = true, Overwrite = true, Out = run })
            { Cancel = options.Cancel }.Run();
        using var model = Classifier.Load(run);
        return ["all labels, trained whole", "", SelfSupervised.Percent(model.Judge(DatasetReader.Open(data).Test!).Metrics.Accuracy)];
    }
}

/// <summary>
/// RotNet (Gidaris et al. 2018) on CIFAR-10: pretrained by turned pictures on the training part without labels, then a head, or everything, on a tenth of
/// the labels, against the same from random weights.
/// </summary>
public sealed class RotationCifar10 : Experiment
{
    /// <inheritdoc/>
    public override string Name => "rotation-cifar10";

    /// <inheritdoc/>
    public override string Summary => "Pretrained by turned pictures, then a tenth of the labels (RotNet, CIFAR-10)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var (perClass, tested, epochs) = options.Short ? (100, 50, 4) : (1000, 200, 30);
        var data = SelfSupervised.Cifar(options, perClass, tested);
        var labelled = Tenth(options, data, perClass);
        var rows = new List<string[]>();
        var seeds = options.Seeds ?? (options.Short ? 1 : 3);
        var found = new Dictionary<string, List<double>>();
        void Note(string what, double share)
        {
            if (!found.TryGetValue(what, out var list)) found[what] = list = [];
            list.Add(share);
            options.Log($"{what}: {share:P1}");
        }
        for (var seed = 0; seed < seeds; seed++)
        {
            var run = SelfSupervised.Pretrain(options, $"rotation-{perClass}-{seed}", new PretrainOptions
            {
                Data = Path.Combine(data, "train"), Method = "rotation", Epochs = epochs, Seed = seed, LookEvery = 5, Backbone = "convnet", Input = new InputOptions { Size = 32 },
            });
            using var pretrained = ModelOpener.Load(run).Backbone;
            var random = Path.Combine(Path.GetFullPath(options.Output), $"rotation-random-{seed}.safetensors");
            TorchRuntime.ManualSeed(seed);
            using (var fresh = BackboneCatalogue.Create(pretrained.Spec))
            {
                fresh.Preprocessing = pretrained.Preprocessing;
                Exports.Exporter.Save(fresh, random);
            }
            double Train(string weights, string strategy)
            {
                var trained = Path.Combine(Path.GetFullPath(options.Output), "rotation-trained");
                new TransferTask(new TrainOptions
                {
                    Data = labelled, Weights = weights, Strategy = strategy, Seed = seed, NoReport = true, NoCache = true, Overwrite = true, Out = trained,
                    Epochs = strategy.StartsWith("feature", StringComparison.Ordinal) ? null : options.Short ? 4 : 30,
                }) { Cancel = options.Cancel }.Run();
                using var model = Classifier.Load(trained);
                return model.Judge(DatasetReader.Open(data).Test!).Metrics.Accuracy;
            }
            Note("head on frozen features (s2), random", Train(random, "feature:s2"));
            Note("head on frozen features (s2), rotation", Train(run, "feature:s2"));
            if (options.Short) continue;
            Note("everything, from random weights", Train(random, "scratch"));
            Note("everything, from rotation", Train(run, "full"));
        }
        foreach (var (what, shares) in found) rows.Add([what, what.EndsWith("random", StringComparison.Ordinal) || what.EndsWith("weights", StringComparison.Ordinal) ? "57.4" : "73.1", SelfSupervised.Spread(shares)]);
        return new ExperimentResult(Name, ["what learns from a tenth of the labels", "published, %", "right, %"], rows,
            [$"{10 * perClass} pictures without labels for {epochs} epochs; {perClass} labelled ones; {10 * tested} test pictures, by which nothing is chosen. Published: from random weights and after rotation, on all 50,000 pictures."]);
    }

    /// <summary>A tenth of the labelled pictures, in class folders.</summary>
    private static string Tenth(ExperimentOptions options, string data, int perClass)
    {
        var folder = Path.Combine(Path.GetFullPath(options.Output), $"cifar10-tenth-{perClass}");
        foreach (var from in Directory.GetDirectories(Path.Combine(data, "train")))
        {
            var to = Directory.CreateDirectory(Path.Combine(folder, Path.GetFileName(from))).FullName;
            foreach (var file in Directory.GetFiles(from).Order(StringComparer.Ordinal).Take(perClass / 10)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
        }
        return folder;
    }
}

/// <summary>
/// The same person in two pictures: the faces of AT&amp;T Laboratories Cambridge (ORL), 40 people in ten pictures each. Pretrained on pairs of 30 people,
/// then the other ten are recognised from one, two and five pictures of each, by the nearest class mean of frozen features; beside random weights.
/// </summary>
public sealed class FacesSameDifferent : Experiment
{
    private const int People = 40, Known = 30, Side = 64, Draws = 20;

    /// <inheritdoc/>
    public override string Name => "faces-same-different";

    /// <inheritdoc/>
    public override string Summary => "Faces: is it the same person in two pictures? Then ten others from 1, 2 and 5 pictures of each";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var zip = options.Need("faces", "orl.zip");
        var seeds = options.Seeds ?? (options.Short ? 1 : 3);
        int[] shots = [1, 2, 5];
        var all = DatasetReader.Open(zip).Train;
        var found = new Dictionary<(string What, int Shot), List<double>>();
        for (var seed = 0; seed < seeds; seed++)
        {
            var order = new Rng(seed, 40).Permutation(People);
            var folder = Path.Combine(Path.GetFullPath(options.Output), $"faces-{seed}");
            for (var k = 0; k < all.Count; k++)
            {
                if (Array.IndexOf(order, all.Labels[k]) >= Known) continue;
                var place = Directory.CreateDirectory(Path.Combine(folder, all.Classes[all.Labels[k]])).FullName;
                File.WriteAllBytes(Path.Combine(place, Path.GetFileName(all.Name(k))), all.Read(k));
            }
            var run = SelfSupervised.Pretrain(options, $"faces-run-{seed}{(options.Short ? "-short" : "")}", new PretrainOptions
            {
                Data = folder, Method = "same-or-different", Epochs = options.Short ? 10 : 150, BatchSize = 30, Seed = seed, LookEvery = 10,
                Backbone = "convnet", Input = new InputOptions { Size = Side },
            });
            using var pretrained = ModelOpener.Load(run).Backbone;
            TorchRuntime.ManualSeed(seed);
            using var random = BackboneCatalogue.Create(pretrained.Spec);
            random.Preprocessing = pretrained.Preprocessing;
            var others = all.Subset(Enumerable.Range(0, all.Count).Where(k => Array.IndexOf(order, all.Labels[k]) >= Known));
            foreach (var (what, backbone) in new[] { ("random weights", random), ("same or different", pretrained) })
            {
                foreach (var shot in shots)
                {
                    if (!found.TryGetValue((what, shot), out var list)) found[(what, shot)] = list = [];
                    list.Add(NearestMean(backbone, others, shot, seed));
                    options.Log($"{what}, {shot} of each: {list[^1]:P1}");
                }
            }
        }
        string[] Row(string what) => [what, .. shots.Select(shot => SelfSupervised.Spread(found[(what, shot)]))];
        return new ExperimentResult(Name, ["features", .. shots.Select(shot => $"{shot} of each, % right")], [Row("random weights"), Row("same or different")],
            [$"Ten people whom it never saw, {Draws} draws of their known pictures for each of {seeds} splits of the people; pretrained on pairs of the other thirty."]);
    }

    private static double NearestMean(Backbone backbone, Dataset data, int shot, int seed)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var extraction = new FeatureExtractor(backbone, null).Pooled(data, backbone.Preprocessing);
        var rows = Contrast.Unit(extraction.Stage(backbone, backbone.Stages.Count - 1) is var features ? features - features.Mean([0L]) : throw new InvalidOperationException());
        var (n, d) = ((int)rows.Shape[0], (int)rows.Shape[1]);
        var values = rows.ToArray<float>();
        int[] labels = [.. extraction.Indices.Select(k => data.Labels[k])];
        var (right, asked) = (0, 0);
        for (var draw = 0; draw < Draws; draw++)
        {
            var order = new Rng(seed, 41, draw).Permutation(n);
            var known = order.GroupBy(k => labels[k]).ToDictionary(group => group.Key, group => group.Take(shot).ToArray());
            var means = known.ToDictionary(pair => pair.Key, pair => Enumerable.Range(0, d).Select(c => pair.Value.Average(k => values[k * d + c])).ToArray());
            foreach (var k in order.Where(k => !known[labels[k]].Contains(k)))
            {
                var best = means.MinBy(pair => Enumerable.Range(0, d).Sum(c => (pair.Value[c] - values[k * d + c]) * (pair.Value[c] - values[k * d + c]))).Key;
                (right, asked) = (right + (best == labels[k] ? 1 : 0), asked + 1);
            }
        }
        return (double)right / asked;
    }
}
