using System.Diagnostics;
using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Heads;

/// <summary>How a head is fitted on features.</summary>
internal sealed record HeadOptions
{
    /// <summary>Which head.</summary>
    [Option("Which head", Name = "head")]
    public HeadKind Kind { get; init; } = HeadKind.Softmax;

    /// <summary>Weight of the data against the L2 penalty on features of mean square length 1; null: by cross-validation.</summary>
    [Option("Weight of the data against the L2 penalty (default: by cross-validation)", Name = "C", Above = 0)]
    public double? C { get; init; }

    /// <summary>Folds of the cross-validation.</summary>
    [Option("Folds of the cross-validation", Name = "folds", Least = 1)]
    public int Folds { get; init; } = 5;

    /// <summary>Where the second-order method stops: the gradient's norm against its norm at zero.</summary>
    [Option("Where the second-order method stops", Name = "tolerance", Above = 0)]
    public double Tolerance { get; init; } = 1e-5;

    /// <summary>Whether rare classes weigh as much as frequent ones.</summary>
    [Option("Rare classes weigh as much as frequent ones", Name = "balanced")]
    public bool Balanced { get; init; }

    /// <summary>Epochs of an MLP head.</summary>
    [Option("Epochs of an MLP head", Name = "the head's epochs", Least = 1)]
    public int Epochs { get; init; } = 60;

    /// <summary>Of folds and starting values.</summary>
    [Option("Of folds and starting values", Name = "seed")]
    public long Seed { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that this head cannot follow.</exception>
    public void Validate()
    {
        OptionBounds.Check(this);
        CheckBalanced(Kind, Balanced);
    }

    /// <summary>Class means weigh every class alike, whatever is asked.</summary>
    internal static void CheckBalanced(HeadKind kind, bool balanced)
    {
        if (balanced && kind.Task() != TargetKind.Classes) throw Bounds.Refuse($"--balanced with the head {kind.ToString().ToLowerInvariant()}: it weighs classes, and {(kind == HeadKind.Sigmoid ? "each label has a threshold of its own instead" : "numbers have none")}. Leave it out");
        if (balanced && kind == HeadKind.Mean) throw Bounds.Refuse("--balanced with the head mean: class means weigh every class alike already. Leave it out");
    }
}

/// <summary>A value of C that was tried: loss and accuracy (of several labels mAP, of numbers R²) on the held-out folds.</summary>
internal sealed record GridPoint(double C, double Loss, double Accuracy);

/// <summary>A fitted head with the evidence for its regularisation.</summary>
/// <param name="Head">Scores from raw features.</param>
/// <param name="C">The regularisation that was chosen.</param>
/// <param name="CrossValidated">Accuracy on held-out folds, at that C; NaN where there were too few pictures.</param>
/// <param name="Grid">Each value that was tried.</param>
/// <param name="Seconds">Wall time.</param>
internal sealed record FittedHead(Head Head, double C, double CrossValidated, IReadOnlyList<GridPoint> Grid, double Seconds)
{
    /// <summary>Of several labels and numbers: what the head says of each picture when that is in the fold held out, N×outputs row after row; null:
    /// there were too few.</summary>
    public float[]? HeldOut { get; init; }

    /// <summary>What was noticed.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];
}

/// <summary>Fits heads on cached features: linear ones to a tolerance by a second-order method, the MLP by AdamW.</summary>
internal static class HeadFitter
{
    internal static readonly double[] Grid = [0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];

    /// <summary>Of losses at penalties from strong to weak, the place of the strongest within one per cent of the best: the simpler of
    /// equals.</summary>
    internal static int Simplest(double[] losses) => Array.FindIndex(losses, loss => loss <= losses.Min() * 1.01);

    /// <summary>Fits a head to targets of its kind.</summary>
    /// <exception cref="GraftException">Features are not finite, or the head is for other targets.</exception>
    public static FittedHead Fit(Tensor features, Targets targets, HeadOptions options)
    {
        HeadKinds.Check(options.Kind, targets.Kind);
        return targets switch
        {
            LabelTargets labels => LabelFitter.Fit(features, labels, options),
            NumberTargets numbers when options.Kind == HeadKind.Cosine => CosineFitter.Fit(features, numbers, options),
            NumberTargets numbers => NumberFitter.Fit(features, numbers, options),
            ClassTargets classes => Fit(features, classes.Labels, classes.Names.Count, options),
            _ => throw new NotSupportedException($"no head is for {targets.GetType().Name}"),
        };
    }

    /// <summary>Fits a head to classes.</summary>
    /// <param name="features">N×d; several views of a picture may stand one after another (row v·n + k is a view of picture k).</param>
    /// <param name="labels">n class numbers, the same for every view.</param>
    /// <param name="classes">How many classes.</param>
    /// <param name="options">How.</param>
    /// <exception cref="GraftException">Features are not finite.</exception>
    public static FittedHead Fit(Tensor features, int[] labels, int classes, HeadOptions options)
    {
        options.Validate();
        var clock = Stopwatch.StartNew();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        RequireFinite(features);
        var views = (int)(features.Shape[0] / labels.Length);
        long[] all = [.. Enumerable.Range(0, views).SelectMany(_ => labels).Select(label => (long)label)];
        if (options.Kind == HeadKind.Mlp) return FitMlp(features, all, labels, classes, options, clock);

        var (centred, mean, scale) = Standardised(features);
        Tensor weight, bias;
        var (c, accuracy, temperature) = (options.C ?? 1, double.NaN, 1.0);
        IReadOnlyList<GridPoint> grid = [];
        if (options.Kind == HeadKind.Mean)
        {
            var targets = Tensor.From(all).OneHot(classes).To(DType.Float64);
            weight = targets.T().Matmul(centred) / targets.Sum([0L]).ClampMinOne().Unsqueeze(1);
            bias = weight.Square().Sum([1L]) * -0.5;
            temperature = FitTemperature(centred.Matmul(weight.T()) + bias, Tensor.From(all));
        }
        else
        {
            var loss = options.Kind == HeadKind.Svm ? LinearLoss.SquaredHinge : LinearLoss.Softmax;
            var weights = options.Balanced ? BalancedWeights(all, classes) : null;
            using var problem = new LinearProblem(centred);
            var folds = Math.Min(options.Folds, CountsOf(labels, classes).Where(count => count > 0).Min());
            if (folds >= 2)
            {
                var tried = CrossValidate(problem, labels, views, classes, loss, weights, folds, options);
                (c, accuracy, temperature) = (tried.C, tried.Accuracy, tried.Temperature);
                grid = tried.Grid;
            }
            var solution = NewtonSolver.Solve(problem, all, classes, loss, c, options.Tolerance, weights: weights);
            (weight, bias) = (solution.Weight, solution.Bias);
        }
        // Back to raw features: W(x − m)/s + b = (W/s) x + (b − (W/s) m).
        weight /= scale;
        bias -= weight.Mv(mean);
        var head = new LinearHead(options.Kind, (int)features.Shape[1], classes) { Temperature = temperature };
        head.Set(weight.To(DType.Float32), bias.To(DType.Float32));
        return new FittedHead(head, c, accuracy, grid, clock.Elapsed.TotalSeconds);
    }

    internal static void RequireFinite(Tensor features)
    {
        if (!features.Isfinite().All().ToArray<bool>()[0]) throw new GraftException("the features are not finite: the checkpoint's weights are damaged, or not of this architecture");
    }

    /// <summary>Features moved to mean 0 and scaled to mean square length 1, so that one grid of C serves every backbone.</summary>
    internal static (Tensor Centred, Tensor Mean, double Scale) Standardised(Tensor features)
    {
        var x = features.To(DType.Float64);
        var mean = x.Mean([0L]);
        var centred = x - mean;
        var scale = Math.Sqrt(Math.Max(centred.Square().Sum([1L]).Mean().Item(), 1e-30));
        return (centred / scale, mean, scale);
    }

    private static Tensor ClampMinOne(this Tensor counts) => counts.Clamp(1L, null);

    private static int[] CountsOf(int[] labels, int classes)
    {
        var counts = new int[classes];
        foreach (var label in labels) counts[label]++;
        return counts;
    }

    internal static double[] BalancedWeights(long[] labels, int classes)
    {
        var weights = ClassWeights([.. labels.Select(label => (int)label)], classes);
        return [.. labels.Select(label => weights[label])];
    }

    /// <summary>Weights with which every class that is there counts as much as any other; their mean over the pictures is 1.</summary>
    internal static double[] ClassWeights(int[] labels, int classes)
    {
        var counts = CountsOf(labels, classes);
        var present = counts.Count(count => count > 0);
        return [.. counts.Select(count => count == 0 ? 0 : (double)labels.Length / (present * count))];
    }

    private sealed record Tried(double C, double Accuracy, double Temperature, IReadOnlyList<GridPoint> Grid);

    /// <summary>Views of one picture are always in the same fold. The grid is walked from strong to weak penalty, each solution starting the
    /// next.</summary>
    private static Tried CrossValidate(LinearProblem problem, int[] labels, int views, int classes, LinearLoss loss, double[]? weights, int folds,
        HeadOptions options)
    {
        var fold = Dataset.StratifiedFolds(labels, folds, options.Seed);
        long[] all = [.. Enumerable.Range(0, views).SelectMany(_ => labels).Select(label => (long)label)];
        double[] grid = options.C is { } only ? [only] : Grid;
        var scores = grid.Select(_ => Ops.Zeros([labels.Length, classes], dtype: DType.Float64)).ToArray();
        SmallWork.InParallel(folds, f =>
        {
            using var scope = new TensorScope();
            long[] train = [.. Enumerable.Range(0, all.Length).Where(k => fold[k % labels.Length] != f).Select(k => (long)k)];
            // Held-out pictures are judged by their first view.
            var held = Tensor.From([.. Enumerable.Range(0, labels.Length).Where(k => fold[k] == f).Select(k => (long)k)]);
            var inputs = problem.Inputs.IndexSelect(0, held);
            Tensor? start = null;
            for (var g = 0; g < grid.Length; g++)
            {
                // Choosing C needs no more precision than this.
                start = NewtonSolver.SolveReduced(problem, all, classes, loss, grid[g], Math.Max(1e-3, options.Tolerance), train, weights, start)
                    .Solution;
                scores[g].IndexCopyInPlace(0, held, inputs.Matmul(start));
            }
        });
        var y = Tensor.From([.. labels.Select(label => (long)label)]);
        var results = grid.Select((c, g) =>
        {
            var temperature = loss == LinearLoss.Softmax ? 1 : FitTemperature(scores[g], y);
            return (C: c, Loss: (scores[g] * temperature).CrossEntropyLoss(y).Item(), Accuracy: scores[g].Argmax(1).Eq(y).To(DType.Float64).Mean()
                .Item(), Temperature: temperature);
        }).ToArray();
        var best = results[Simplest([.. results.Select(result => result.Loss)])];
        return new Tried(best.C, best.Accuracy, best.Temperature,
            [.. results.Select(result => new GridPoint(result.C, result.Loss, result.Accuracy))]);
    }

    /// <summary>The factor on scores that makes their softmax most likely, by golden section over its logarithm.</summary>
    internal static double FitTemperature(Tensor scores, Tensor labels)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        double Loss(double log) => (scores * Math.Exp(log)).CrossEntropyLoss(labels).Item();
        var ratio = (Math.Sqrt(5) - 1) / 2;
        double low = Math.Log(0.02), high = Math.Log(200);
        for (var k = 0; k < 30; k++)
        {
            var (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
            if (Loss(a) < Loss(b)) high = b;
            else low = a;
        }
        return Math.Exp((low + high) / 2);
    }

    private static FittedHead FitMlp(Tensor features, long[] all, int[] labels, int classes, HeadOptions options, Stopwatch clock)
    {
        TorchRuntime.ManualSeed(options.Seed);
        var head = new MlpHead((int)features.Shape[1], classes);
        var weights = options.Balanced ? Tensor.From(Array.ConvertAll(ClassWeights(labels, classes), weight => (float)weight)) : null;
        var scale = 1 / Math.Max(features.Std().Item(), 1e-12);
        using (var objective = new FeatureObjective(head, features * scale, Tensor.From(all), weights))
        using (var feed = new IndexFeed(all.Length, 64, options.Seed))
            new Trainer<int[]>(objective, feed, null, new Optimisation { Rate = 1e-3, WeightDecay = 1e-2, Epochs = options.Epochs },
                new TrainingContext { Name = "head", Seed = options.Seed }).Run();
        // The features' scale goes into the first layer, so that the head takes them raw.
        head.NamedParameters().First(parameter => parameter.Name == "layers.0.weight").Tensor.MulInPlace((Scalar)scale);
        return new FittedHead(head, double.NaN, double.NaN, [], clock.Elapsed.TotalSeconds);
    }

    /// <summary>A head on features that lie in memory; the head stays the caller's.</summary>
    private sealed class FeatureObjective : Objective<int[]>
    {
        private readonly Head _head;
        private readonly Tensor _features, _labels;
        private readonly Tensor? _classWeights;

        public FeatureObjective(Head head, Tensor features, Tensor labels, Tensor? classWeights) =>
            (_head, _features, _labels, _classWeights) = (Child("head", head), features, labels, classWeights);

        protected override Tensor Loss(int[] batch, Step step)
        {
            var rows = Tensor.From(Array.ConvertAll(batch, k => (long)k));
            return Losses.CrossEntropy(_head.Forward(_features.IndexSelect(0, rows)), _labels.IndexSelect(0, rows), _classWeights, smoothing: 0.05);
        }

        protected override void Dispose(bool disposing) { }
    }
}
