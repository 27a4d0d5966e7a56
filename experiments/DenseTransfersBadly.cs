using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// Géron, "Hands-On Machine Learning" (2nd edition), chapter 11: transfer "does not work very well with small dense networks", and best "with deep
/// convolutional neural networks". Model A learns eight classes, task B tells the other two apart from a hundred pictures, from random weights and from
/// A's; the same data, optimiser and epochs for small and deep, dense and convolutional networks.
/// </summary>
public sealed class DenseTransfersBadly : Experiment
{
    private const int Labelled = 50, FrozenEpochs = 10, Epochs = 30, Batch = 20;

    private const double Rate = 1e-3;

    private static readonly (string Name, string Architecture, (string Key, string Value)[] Options)[] s_networks =
    [
        ("dense, 2 layers", "mlp", [("widths", "300-100")]),
        ("dense, 5 layers", "mlp", [("widths", "300-100-50-50-50")]),
        ("ConvNet, 2 layers", "convnet", [("widths", "32-64")]),
        ("ConvNet, 8 layers", "convnet", [("widths", "32-64-96-128"), ("depths", "2-2-2-2")]),
    ];

    /// <inheritdoc/>
    public override string Name => "dense-transfers-badly";

    /// <inheritdoc/>
    public override string Summary => "What transfer wins by the kind and the depth of the network: dense and convolutional (Géron's claim)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var seeds = options.Seeds ?? (options.Short ? 1 : 5);
        (int, int)[] pairs = options.Short ? [(5, 6)] : [(5, 6), (0, 2), (3, 4)];
        var networks = options.Short ? [s_networks[1], s_networks[3]] : s_networks;
        var (perClass, epochsA) = options.Short ? (60, 4) : (200, 12);
        var rows = new List<string[]>();
        foreach (var (data, path) in new[] { ("Fashion-MNIST", "fashion-mnist"), ("CIFAR-10", "cifar10") })
        {
            if (options.Short && path == "cifar10") continue;
            var splits = DatasetReader.Open(path == "cifar10" ? options.Need(path, "cifar10.zip") : options.Need(path));
            foreach (var network in networks)
            {
                // Seed by seed, the mean over the pairs: pairs differ far more than seeds.
                var found = Enumerable.Range(0, seeds).Select(seed => pairs.Select(pair => options.Parts.Once($"{data} {network.Name} {pair} {seed}", () =>
                {
                    options.Cancel.ThrowIfCancellationRequested();
                    var trial = Trial(splits, network, pair, seed, perClass, epochsA, options.Short);
                    options.Log($"{data}, {network.Name}, classes {pair.Item1} and {pair.Item2}, seed {seed}: {trial.Scratch:P1} from random weights, {trial.Transferred:P1} transferred");
                    return trial;
                })).ToArray()).ToArray();
                double[] Mean(Func<(double Scratch, double Transferred), double> of) => [.. found.Select(own => own.Average(of))];
                rows.Add([data, network.Name, SelfSupervised.Spread(Mean(trial => trial.Scratch)), SelfSupervised.Spread(Mean(trial => trial.Transferred)),
                    SelfSupervised.Spread(Mean(trial => trial.Transferred - trial.Scratch))]);
            }
        }
        return new ExperimentResult(Name, ["data", "network", "from random weights, % right", "transferred, % right", "gain, points"], rows,
            [$"Mean and 95% interval over {seeds} seeds, each the mean of {pairs.Length} pairs of classes. A: the other eight classes, {perClass} pictures of each, {epochsA} epochs. "
                + $"B: {Labelled} pictures of each of two classes, {Epochs} epochs, of the transferred ones {FrozenEpochs} with A's layers frozen. AdamW at {Rate} throughout, the last weights, all test pictures of the two classes."]);
    }

    private static Backbone Create((string Name, string Architecture, (string Key, string Value)[] Options) network, int side)
    {
        var options = network.Options.ToDictionary(option => option.Key, option => option.Value);
        options["side"] = $"{side}";
        if (network.Architecture == "mlp") options["channels"] = "3";
        return BackboneCatalogue.Create(network.Architecture, null, options);
    }

    private static (double Scratch, double Transferred) Trial(DatasetSplits splits, (string, string, (string, string)[]) network, (int A, int B) pair, int seed, int perClass,
        int epochsA, bool isShort)
    {
        var side = splits.Train.Source is PictureSource && splits.Train.Name(0).Contains('#', StringComparison.Ordinal) ? 28 : 32;
        var all = splits.Train;
        var order = new Rng(seed, pair.A, pair.B).Permutation(all.Count);
        Dataset Some(Func<int, bool> wanted, int most)
        {
            var taken = new int[all.Classes.Count];
            return all.Subset(order.Where(k => wanted(all.Labels[k]) && taken[all.Labels[k]]++ < most).ToArray());
        }
        bool Of(int label) => label == pair.A || label == pair.B;
        int[] upstream = [.. Enumerable.Range(0, all.Classes.Count).Where(label => !Of(label))];
        var a = Some(label => !Of(label), perClass).Relabel(label => Array.IndexOf(upstream, label), [.. upstream.Select(label => all.Classes[label])]);
        string[] names = [all.Classes[pair.A], all.Classes[pair.B]];
        var b = Some(Of, Labelled).Relabel(label => label == pair.A ? 0 : 1, names);
        var held = splits.Test!;
        var test = held.Subset(Enumerable.Range(0, held.Count).Where(k => Of(held.Labels[k])).Take(isShort ? 400 : int.MaxValue)).Relabel(label => label == pair.A ? 0 : 1, names);

        TorchRuntime.ManualSeed(seed);
        using var modelA = Create(network, side);
        Train(modelA, a, seed, Everything(epochsA, 64));
        TorchRuntime.ManualSeed(1000 + seed);
        using var fresh = Create(network, side);
        var scratch = Train(fresh, b, seed, Everything(Epochs, Batch));
        using var transferred = modelA.Clone();
        var frozen = Everything(FrozenEpochs, Batch) with { Name = "head", TrainFrom = transferred.Stages.Count };
        var moved = Train(transferred, b, seed, frozen, Everything(Epochs - FrozenEpochs, Batch) with { FreezeStatistics = true });
        return (Right(fresh, scratch, test), Right(transferred, moved, test));
    }

    private static Phase Everything(int epochs, int batch) => new()
    {
        Name = "all", TrainFrom = 0, Epochs = epochs, BatchSize = batch, Optimizer = new AdamRule(Decoupled: true), HeadRate = Rate, FreezeStatistics = false, Views = 0,
    };

    /// <summary>The head that it ends with, on the backbone, which is changed.</summary>
    private static Head Train(Backbone backbone, Dataset data, int seed, params Phase[] phases)
    {
        var runner = new PlanRunner(backbone, new Plan { Strategy = "as given", Phases = phases }, data, data.Subset([]), new PlanOptions { Seed = seed });
        runner.Run();
        return runner.Head;
    }

    private static double Right(Backbone backbone, Head head, Dataset test)
    {
        using var owned = head;
        using var store = new PictureStore(test);
        using var mode = Autograd.NoGrad();
        backbone.Eval();
        var right = 0;
        using var feed = new PictureFeed(store, [.. Enumerable.Range(0, test.Count)], backbone.Preprocessing, 100, 0, shuffle: false);
        foreach (var batch in feed.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope()) right += (int)head.Forward(backbone.Forward(batch.Inputs)).Argmax(1).Eq(batch.Labels).Sum().Item();
        }
        return (double)right / test.Count;
    }
}
