using Graft.Data;
using Graft.Inference;
using Graft.Learning;
using Graft.MultiTask;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// Two digits in one picture (Sabour et al. 2017, as Sener and Koltun 2018 made it): one at the upper left and one at the lower right of 36×36, the
/// brighter level of each pixel, resized to 28×28. Two tasks, which digit is where, on the paper's LeNet: each alone, and together under every
/// weighting.
/// </summary>
public sealed class MultiMnist : Experiment
{
    private const int Canvas = 36, Side = 28, Batch = 256;

    private static readonly (string Weighting, string Left, string Right)[] s_together =
    [
        ("fixed", "96.5", "95.0"), ("uncertainty", "", ""), ("gradnorm", "", ""), ("mgda-ub", "97.3", "95.9"), ("pcgrad", "", ""),
            ("cagrad", "", ""), ("famo", "", ""),
        ("dwa", "", ""), ("random", "", ""),
    ];

    // Of the short form.
    private static readonly string[] s_few = ["fixed", "uncertainty", "mgda-ub", "pcgrad", "famo"];

    /// <inheritdoc/>
    public override string Name => "multi-mnist";

    /// <inheritdoc/>
    public override string Summary =>
        "Two digits in one picture as two tasks: each alone, and together under every weighting (Sener and Koltun 2018)";

    /// <summary>The paper's shared layers but the last: two convolutions of 5×5, each with pooling and ReLU.</summary>
    private sealed class LeNet : Module
    {
        private readonly Conv2d _first, _second;

        public LeNet() => (_first, _second) = (Child("conv1", new Conv2d(1, 10, 5)), Child("conv2", new Conv2d(10, 20, 5)));

        public override Tensor Forward(Tensor x) => _second.Forward(_first.Forward(x).MaxPool2d([2, 2]).Relu()).MaxPool2d([2, 2]).Relu().Flatten(1);
    }

    /// <summary>Pictures N×1×28×28 and the two digits of each, in memory.</summary>
    private sealed class Pairs(Tensor pictures, float[] digits, long seed, bool shuffle) : Feed<Learning.Batch>
    {
        private int Count => (int)pictures.Shape[0];

        public override int Batches => (Count + Batch - 1) / Batch;

        public override int Size(Learning.Batch batch) => batch.Indices.Length;

        public override string Unit => "pictures";

        public override IEnumerable<Learning.Batch> Epoch(int epoch, int skip)
        {
            int[] order = shuffle ? new Rng(seed, 1, epoch).Permutation(Count) : [.. Enumerable.Range(0, Count)];
            foreach (var items in order.Chunk(Batch).Skip(skip))
            {
                using var scope = new TensorScope();
                yield return new Learning.Batch(TensorScope.Detach(pictures.IndexSelect(0, Tensor.From([.. items.Select(k => (long)k)]))),
                    TensorScope.Detach(Tensor.From([.. items.SelectMany(k => digits[(2 * k)..(2 * k + 2)])], items.Length, 2)), items);
            }
        }

        protected override void Dispose(bool disposing) => pictures.Dispose();
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var splits = DatasetReader.Open(options.Need("mnist"));
        var (seeds, epochs) = (options.Seeds ?? 1, options.Short ? 4 : 8);
        string[] names = [.. Enumerable.Range(0, 10).Select(k => $"{k}")];
        TaskColumn[] tasks = [new("left", TargetKind.Classes, names), new("right", TargetKind.Classes, names)];
        var found = new Dictionary<string, List<double[]>>();
        var cosines = new Dictionary<string, double>();
        for (var seed = 0; seed < seeds; seed++)
        {
            using var train = Compose(splits.Train, options.Short ? 8_000 : splits.Train.Count, seed, shuffle: true);
            using var test = Compose(splits.Test!, options.Short ? 2_000 : splits.Test!.Count, 1000 + seed, shuffle: false);
            void Part(string name, int[] own, string weighting)
            {
                if (!options.Wants(name)) return;
                TorchRuntime.ManualSeed(seed);
                using var body = new LeNet();
                using var network = new TaskNetwork(320, [.. own.Select(t => tasks[t])], Sharings.Of(Sharings.Hard), 50, tower: 50);
                using var objective = new MultiTaskObjective(body, network, Weightings.Of(weighting)
                    .Create(new WeightingSetup([.. own.Select(_ => TargetKind.Classes)])), own, 2);
                _ = options.Train($"{name}, seed {seed}", objective, train, new Optimisation { Optimizer = new AdamRule(), Rate = 2e-3,
                    Epochs = epochs }, seed: seed);
                options.Cancel.ThrowIfCancellationRequested();
                objective.PrepareInference();
                double[] right = [.. objective.Judge(test, 0, options.Cancel).Select(one => 100 * ((Metrics)one.Metrics!).Accuracy)];
                if (!found.TryGetValue(name, out var all)) found[name] = all = [];
                all.Add(right);
                if (own.Length == 2) cosines[name] = objective.Cosines[0, 1];
                options.Log($"{name}, seed {seed}: {string.Join(", ", right.Select(value => $"{value:0.00}%"))}");
            }
            Part("left alone", [0], Weightings.Equal);
            Part("right alone", [1], Weightings.Equal);
            foreach (var (weighting, _, _) in s_together.Where(row => !options.Short || s_few.Contains(row.Weighting))) Part(Label(weighting),
                [0, 1], weighting);
        }
        double? Mean(string name, int task) => found.TryGetValue(name, out var all) ? all.Average(one => one[task]) : null;
        var (left, right) = (Mean("left alone", 0), Mean("right alone", 0));
        static string Said(double? value) => value is { } number ? FormattableString.Invariant($"{number:0.00}%") : "";
        static string Against(double? value, double? alone) => value - alone is { } points
            ? FormattableString.Invariant($"{points:+0.00;-0.00;0.00}") : "";
        var rows = new List<string[]>();
        if (left is not null || right is not null) rows.Add(["each alone", "97.2", "95.9", Said(left), Said(right), "", "", ""]);
        foreach (var (weighting, l, r) in s_together.Where(row => found.ContainsKey(Label(row.Weighting))))
        {
            var name = Label(weighting);
            rows.Add([name, l, r, Said(Mean(name, 0)), Said(Mean(name, 1)), Against(Mean(name, 0), left), Against(Mean(name, 1), right),
                FormattableString.Invariant($"{cosines[name]:0.00}")]);
        }
        return new ExperimentResult(Name, ["weighting", "left (paper)", "right (paper)", "left", "right", "left against alone",
            "right against alone", "mean cosine"], rows,
            [$"{(options.Short ? "8,000" : "60,000")} pictures to learn from, {epochs} epochs of batches of {Batch}, Adam at 0.002 falling to 0; "
                + $"{(options.Short ? "2,000" : "10,000")} to test on; {seeds} seed{(seeds > 1 ? "s" : "")}. The paper trains for 100 epochs, with "
                + $"dropout. 95% intervals are about ± {(options.Short ? "1.4" : "0.4")} points."]);
    }

    private static string Label(string weighting) => weighting == Weightings.Equal ? "equal weights" : weighting;

    private static Pairs Compose(Dataset digits, int count, long seed, bool shuffle)
    {
        var rng = new Rng(seed, 21);
        var (first, second) = (rng.Permutation(digits.Count), rng.Permutation(digits.Count));
        var (levels, labels) = (new float[(long)count * Canvas * Canvas], new float[2 * count]);
        for (var k = 0; k < count; k++)
        {
            foreach (var (item, at, task) in new[] { (first[k], 0, 0), (second[k], Canvas - Side, 1) })
            {
                labels[2 * k + task] = digits.Labels[item];
                var bytes = digits.Read(item);
                for (var y = 0; y < Side; y++)
                {
                    for (var x = 0; x < Side; x++)
                    {
                        ref var level = ref levels[(k * Canvas + y + at) * Canvas + x + at];
                        level = Math.Max(level, bytes[y * Side + x] / 255f);
                    }
                }
            }
        }
        using var scope = new TensorScope();
        // MNIST's own mean and deviation, as the paper's program takes them.
        var pictures = (Resized(Tensor.From(levels, count, Canvas, Canvas)) - 0.1307) / 0.3081;
        return new Pairs(TensorScope.Detach(pictures.View([count, 1, Side, Side])), labels, seed, shuffle);
    }

    // A triangle as wide as the reduction, as PIL resizes: a matrix from either side.
    private static Tensor Resized(Tensor x)
    {
        var (scale, weights) = ((double)Canvas / Side, new float[Side * Canvas]);
        for (var k = 0; k < Side; k++)
        {
            double[] own = [.. Enumerable.Range(0, Canvas).Select(at => Math.Max(0, 1 - Math.Abs((at + 0.5 - (k + 0.5) * scale) / scale)))];
            for (var at = 0; at < Canvas; at++) weights[k * Canvas + at] = (float)(own[at] / own.Sum());
        }
        var filter = Tensor.From(weights, Side, Canvas);
        return filter.Matmul(x.Matmul(filter.T())).Contiguous();
    }
}
