using System.Diagnostics;
using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Heads;

/// <summary>
/// Numbers by a linear head on centred, scaled features and targets: minimises ½‖w‖² + C Σ loss for each column, the intercept free.
/// Ridge (½r²) in closed form, C by cross-validation. Huber (½r² within δ, δ|r| − ½δ² beyond) by iteratively reweighted least squares
/// (Holland and Welsch 1977), at ridge's C, with δ = 1.345 · 1.4826 · the median absolute residual of ridge's held-out folds: 95% as
/// efficient as least squares where errors are normal.
/// </summary>
internal static class NumberFitter
{
    /// <summary>Huber's δ in standard deviations of the errors, where they are normal.</summary>
    internal const double Efficient = 1.345;

    private const double NormalMad = 1.4826;

    public static FittedHead Fit(Tensor features, NumberTargets targets, HeadOptions options)
    {
        options.Validate();
        var clock = Stopwatch.StartNew();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        HeadFitter.RequireFinite(features);
        var (n, columns) = (targets.Count, targets.Names.Count);
        var units = UnitsOf(targets);
        var (centred, mean, scale) = HeadFitter.Standardised(features);
        using var problem = new LinearProblem(centred);
        var y = (targets.Batch([.. Enumerable.Range(0, n)]).To(DType.Float64) - Row(units.Mean)) / Row(units.Scale);
        double[] grid = options.C is { } only ? [only] : HeadFitter.Grid;
        var folds = Math.Min(options.Folds, n);
        var (c, points, heldOut) = (options.C ?? 1, new List<GridPoint>(), (Tensor?)null);
        var deltas = new double[columns];
        if (folds >= 2)
        {
            var fold = targets.Folds(folds, options.Seed);
            var said = CrossValidate(problem, y, fold, folds, grid.Length, (x, own) => Ridges(x, own, grid));
            double[] losses = [.. said.Select(one => (one - y).Square().Mean().Item())];
            points.AddRange(grid.Select((value, g) => new GridPoint(value, losses[g], RSquared(said[g], y))));
            var best = HeadFitter.Simplest(losses);
            (c, heldOut) = (grid[best], said[best]);
            if (options.Kind == HeadKind.Huber)
            {
                deltas = Deltas(heldOut - y);
                heldOut = CrossValidate(problem, y, fold, folds, 1, (x, own) => [Huber(x, own, c, deltas)])[0];
            }
        }
        else if (options.Kind == HeadKind.Huber)
        {
            deltas = Deltas(problem.Inputs.Matmul(Ridge(problem.Inputs, y, c)) - y);
        }
        var solution = options.Kind == HeadKind.Huber ? Huber(problem.Inputs, y, c, deltas) : Ridge(problem.Inputs, y, c);
        var inner = solution.Narrow(0, 0, solution.Shape[0] - 1);
        var weight = (problem.Basis is { } basis ? basis.Matmul(inner) : inner).T().Contiguous() / scale;
        var bias = solution.Select(0, solution.Shape[0] - 1) - weight.Mv(mean);
        var head = new LinearHead(options.Kind, (int)features.Shape[1], columns) { Units = units };
        head.Set(weight.To(DType.Float32), bias.To(DType.Float32));
        return new FittedHead(head, c, heldOut is null ? double.NaN : RSquared(heldOut, y), points, clock.Elapsed.TotalSeconds)
        {
            HeldOut = heldOut is null ? null : (heldOut * Row(units.Scale) + Row(units.Mean)).To(DType.Float32).ToArray<float>(),
            Notes = [.. Enumerable.Range(0, columns).Where(k => targets.Rows.All(row => row[k] == targets.Rows[0][k]))
                .Select(k => $"every {targets.Names[k]} that was trained on is {targets.Rows[0][k]}: there is nothing to learn of it")],
        };
    }

    /// <summary>Mean and standard deviation of each column; a scale of 1 where all values are equal.</summary>
    public static Units UnitsOf(NumberTargets targets)
    {
        var columns = Enumerable.Range(0, targets.Names.Count).Select(c => targets.Rows.Select(row => (double)row[c]).ToArray()).ToArray();
        double[] means = [.. columns.Select(values => values.Average())];
        double Deviation(double[] values, int c) => Math.Sqrt(values.Average(value => (value - means[c]) * (value - means[c])));
        return new Units(means, [.. columns.Select(Deviation).Select(scale => scale > 1e-12 ? scale : 1)]);
    }

    private static Tensor Row(double[] values) => Tensor.From(values, 1, values.Length);

    private static double RSquared(Tensor said, Tensor y) =>
        (1 - (said - y).Square().Sum([0L]) / (y - y.Mean([0L], true)).Square().Sum([0L]).Clamp(1e-30, null)).Mean().Item();

    private static double[] Deltas(Tensor residuals) =>
        [.. Enumerable.Range(0, (int)residuals.Shape[1])
            .Select(k => Math.Max(1e-6, Efficient * NormalMad * Median(residuals.Select(1, k).Abs().ToArray<double>())))];

    private static double Median(double[] values)
    {
        Array.Sort(values);
        return (values[(values.Length - 1) / 2] + values[values.Length / 2]) / 2;
    }

    /// <summary>What solutions on the other folds say of each picture: one N×columns for each solution.</summary>
    private static Tensor[] CrossValidate(LinearProblem problem, Tensor y, int[] fold, int folds, int solutions, Func<Tensor, Tensor, Tensor[]> solve)
    {
        var said = Enumerable.Range(0, solutions).Select(_ => y.ZerosLike()).ToArray();
        SmallWork.InParallel(folds, f =>
        {
            using var scope = new TensorScope();
            var train = Tensor.From([.. Enumerable.Range(0, fold.Length).Where(k => fold[k] != f).Select(k => (long)k)]);
            long[] left = [.. Enumerable.Range(0, fold.Length).Where(k => fold[k] == f).Select(k => (long)k)];
            if (left.Length == 0) return;
            var held = Tensor.From(left);
            var inputs = problem.Inputs.IndexSelect(0, held);
            var found = solve(problem.Inputs.IndexSelect(0, train), y.IndexSelect(0, train));
            for (var s = 0; s < solutions; s++) said[s].IndexCopyInPlace(0, held, inputs.Matmul(found[s]));
        });
        return said;
    }

    // One Gram matrix serves every penalty.
    private static Tensor[] Ridges(Tensor x, Tensor y, double[] grid)
    {
        var (gram, right, penalty) = (x.T().Matmul(x), x.T().Matmul(y), Penalty(x));
        return [.. grid.Select(c => (right * c).CholeskySolve((gram * c + penalty).LinalgCholesky()))];
    }

    // Of every weight but the intercept.
    private static Tensor Penalty(Tensor x)
    {
        var diagonal = Ops.Ones([x.Shape[1]], dtype: DType.Float64);
        diagonal.Narrow(0, x.Shape[1] - 1, 1).ZeroInPlace();
        return diagonal.DiagEmbed();
    }

    /// <summary>(r + 1)×columns; the last of x's columns is ones.</summary>
    internal static Tensor Ridge(Tensor x, Tensor y, double c, Tensor? sample = null)
    {
        var weighted = sample is null ? x : x * sample;
        var system = x.T().Matmul(weighted) * c + Penalty(x);
        return (weighted.T().Matmul(y) * c).CholeskySolve(system.LinalgCholesky());
    }

    /// <summary>The same for Huber's loss, δ for each column.</summary>
    internal static Tensor Huber(Tensor x, Tensor y, double c, double[] deltas)
    {
        using var scope = new TensorScope();
        var columns = new List<Tensor>();
        for (var k = 0; k < deltas.Length; k++)
        {
            var own = y.Narrow(1, k, 1);
            var w = Ridge(x, own, c);
            for (var iteration = 0; iteration < 200; iteration++)
            {
                var weights = (deltas[k] / (own - x.Matmul(w)).Abs().Clamp(1e-12, null)).Clamp(null, 1.0);
                var next = Ridge(x, own, c, weights);
                var moved = (next - w).Abs().Max().Item();
                w = next;
                if (moved <= 1e-8 * (1 + w.Abs().Max().Item())) break;
            }
            columns.Add(w);
        }
        return scope.Keep(Ops.Cat(columns, 1));
    }
}
