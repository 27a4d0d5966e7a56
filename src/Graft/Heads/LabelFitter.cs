using System.Diagnostics;
using Graft.Data;
using Graft.Inference;
using Graft.Torch;

namespace Graft.Heads;

/// <summary>
/// Several labels: a logistic regression for each, by <see cref="NewtonSolver"/>, with a penalty of its own; one assignment of pictures to
/// folds serves all labels. A softmax of two classes with the penalty ½‖W‖² has the solution w and −w, so that at C/2 their difference is
/// the logistic regression that minimises ½‖w‖² + C Σ loss.
/// </summary>
internal static class LabelFitter
{
    public static FittedHead Fit(Tensor features, LabelTargets targets, HeadOptions options)
    {
        options.Validate();
        var clock = Stopwatch.StartNew();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        HeadFitter.RequireFinite(features);
        var (n, labels) = (targets.Count, targets.Names.Count);
        var (centred, mean, scale) = HeadFitter.Standardised(features);
        using var problem = new LinearProblem(centred);
        var counts = targets.Counts();
        int[] learned = [.. Enumerable.Range(0, labels).Where(label => counts[label] > 0 && counts[label] < n)];
        string[] notes = [.. Enumerable.Range(0, labels).Except(learned).Select(label => counts[label] == 0
            ? $"no picture that was trained on has the label '{targets.Names[label]}': it is never said"
            : $"every picture that was trained on has the label '{targets.Names[label]}': it is always said")];

        long[][] has = [.. Enumerable.Range(0, labels).Select(_ => new long[n])];
        for (var k = 0; k < n; k++) foreach (var label in targets.Sets[k]) has[label][k] = 1;
        var weights = Ops.Zeros([labels, features.Shape[1]], dtype: DType.Float64);
        var biases = Ops.Zeros([labels], dtype: DType.Float64);
        var folds = Math.Min(options.Folds, n);
        double[] grid = options.C is { } only ? [only] : HeadFitter.Grid;
        var scores = folds >= 2 ? CrossValidate(problem, targets, has, learned, folds, grid, options) : null;
        var chosen = learned.ToDictionary(label => label, label =>
            scores is null ? Array.IndexOf(grid, options.C ?? 1.0) : HeadFitter.Simplest([.. scores.Select(own => Loss(own, has[label], label))]));
        foreach (var label in Enumerable.Range(0, labels).Except(learned))
            biases.Select(0, label).AddInPlace(Tensor.From([Constant(counts[label], n)])[0]);
        foreach (var label in learned)
        {
            var solution = NewtonSolver.Solve(problem, has[label], 2, LinearLoss.Softmax, grid[chosen[label]] / 2, options.Tolerance);
            weights.Select(0, label).CopyInPlace(solution.Weight[1] - solution.Weight[0]);
            biases.Select(0, label).CopyInPlace(solution.Bias[1] - solution.Bias[0]);
        }
        weights /= scale;
        biases -= weights.Mv(mean);
        var head = new LinearHead(HeadKind.Sigmoid, (int)features.Shape[1], labels);
        head.Set(weights.To(DType.Float32), biases.To(DType.Float32));
        double[] used = [.. learned.Select(label => grid[chosen[label]]).Order()];
        var c = used.Length == 0 ? 1 : used[used.Length / 2];
        if (scores is null) return new FittedHead(head, c, double.NaN, [], clock.Elapsed.TotalSeconds) { Notes = notes };

        float[] Probabilities(Func<int, int> at)
        {
            var all = new float[n * labels];
            for (var label = 0; label < labels; label++)
            {
                var own = scores[at(label)];
                for (var k = 0; k < n; k++) all[k * labels + label] = (float)(1 / (1 + Math.Exp(-own[k, label])));
            }
            return all;
        }
        var heldOut = Probabilities(label => chosen.GetValueOrDefault(label, 0));
        double MeanLoss(int g) => learned.Length == 0 ? 0 : learned.Average(label => Loss(scores[g], has[label], label));
        GridPoint[] points = [.. grid.Select((value, g) => new GridPoint(value, MeanLoss(g), Ranking.Mean(Probabilities(_ => g), targets)))];
        return new FittedHead(head, c, Ranking.Mean(heldOut, targets), points, clock.Elapsed.TotalSeconds) { HeldOut = heldOut, Notes = notes };
    }

    // The log-odds of a share, drawn in by half a picture on either side: never infinite.
    private static double Constant(int count, int n) => Math.Log((count + 0.5) / (n - count + 0.5));

    /// <summary>Scores of each picture from the fold that leaves it out, for each value of C.</summary>
    private static double[][,] CrossValidate(LinearProblem problem, LabelTargets targets, long[][] has, int[] learned,
        int folds, double[] grid, HeadOptions options)
    {
        var (n, labels) = (targets.Count, targets.Names.Count);
        var fold = targets.Folds(folds, options.Seed);
        double[][,] scores = [.. grid.Select(_ => new double[n, labels])];
        SmallWork.InParallel(folds, f =>
        {
            using var scope = new TensorScope();
            long[] train = [.. Enumerable.Range(0, n).Where(k => fold[k] != f).Select(k => (long)k)];
            int[] held = [.. Enumerable.Range(0, n).Where(k => fold[k] == f)];
            if (held.Length == 0) return;
            var inputs = problem.Inputs.IndexSelect(0, Tensor.From(Array.ConvertAll(held, k => (long)k)));
            for (var label = 0; label < labels; label++)
            {
                var positives = (int)train.Sum(k => has[label][k]);
                if (!learned.Contains(label) || positives == 0 || positives == train.Length)
                {
                    foreach (var own in scores) foreach (var k in held) own[k, label] = Constant(positives, train.Length);
                    continue;
                }
                Tensor? start = null;
                for (var g = 0; g < grid.Length; g++)
                {
                    // Choosing C needs no more precision than this.
                    var tolerance = Math.Max(1e-3, options.Tolerance);
                    start = NewtonSolver.SolveReduced(problem, has[label], 2, LinearLoss.Softmax, grid[g] / 2, tolerance, train, null, start)
                        .Solution;
                    var said = inputs.Mv(start.Select(1, 1) - start.Select(1, 0)).ToArray<double>();
                    for (var i = 0; i < held.Length; i++) scores[g][held[i], label] = said[i];
                }
            }
        });
        return scores;
    }

    private static double Loss(double[,] scores, long[] has, int label)
    {
        var sum = 0.0;
        for (var k = 0; k < has.Length; k++)
        {
            // log(1 + e^−m), of the margin m.
            var margin = has[k] == 1 ? scores[k, label] : -scores[k, label];
            sum += margin > 0 ? Math.Log(1 + Math.Exp(-margin)) : Math.Log(1 + Math.Exp(margin)) - margin;
        }
        return sum / has.Length;
    }
}
