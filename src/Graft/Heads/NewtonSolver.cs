using Graft.Torch;

namespace Graft.Heads;

/// <summary>The loss of a linear head.</summary>
internal enum LinearLoss
{
    /// <summary>Softmax cross-entropy; the intercept is not penalised.</summary>
    Softmax,

    /// <summary>One against the rest, squared hinge; the intercept is penalised as a weight on a feature of ones, as LIBLINEAR does.</summary>
    SquaredHinge,
}

/// <summary>A solution: weights k×d, intercepts k, the objective's value, and whether the tolerance was met.</summary>
internal sealed record LinearSolution(Tensor Weight, Tensor Bias, double Objective, int Iterations, bool Converged);

/// <summary>
/// Features prepared for the solver. With fewer pictures than features, the solution lies in the span of the pictures: the
/// problem is written in that span's basis, exactly, and becomes as small as the number of pictures.
/// </summary>
internal sealed class LinearProblem : IDisposable
{
    /// <param name="features">N×d.</param>
    public LinearProblem(Tensor features)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var x = features.To(DType.Float64);
        var (n, d) = (x.Shape[0], x.Shape[1]);
        if (n < d)
        {
            var (values, vectors) = x.Matmul(x.T()).LinalgEigh();
            var largest = Math.Max(values.Max().Item(), double.Epsilon);
            var keep = values.Gt(1e-12 * largest).Nonzero().Flatten(0);
            var (scale, u) = (values.IndexSelect(0, keep).Sqrt(), vectors.IndexSelect(1, keep));
            Inputs = u * scale;
            Basis = TensorScope.Detach(x.T().Matmul(u / scale));
        }
        else
        {
            Inputs = x;
        }
        Inputs = TensorScope.Detach(Ops.Cat([Inputs, Ops.Ones([n, 1], dtype: DType.Float64)], 1));
    }

    /// <summary>N×(r + 1), the last column ones.</summary>
    internal Tensor Inputs { get; }

    /// <summary>d×r, or null for the identity.</summary>
    internal Tensor? Basis { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Inputs.Dispose();
        Basis?.Dispose();
    }
}

/// <summary>
/// Minimises ½‖W‖² + C Σ loss. Softmax: Newton's method with conjugate gradients (Lin, Weng and Keerthi 2008), preconditioned with
/// the exact inverse of the Hessian's shared part C·w̄·XᵀX + I. Squared hinge: <see cref="ActiveSetNewton"/>.
/// </summary>
internal static class NewtonSolver
{
    /// <summary>Solves on some of a problem's rows.</summary>
    /// <param name="problem">The features.</param>
    /// <param name="labels">N class numbers.</param>
    /// <param name="classes">How many classes.</param>
    /// <param name="loss">Which loss.</param>
    /// <param name="c">Weight of the data against the penalty.</param>
    /// <param name="tolerance">Stop when the gradient's norm is this share of what it was at zero.</param>
    /// <param name="rows">Which rows; all where null.</param>
    /// <param name="weights">A weight for each of the N rows, or null.</param>
    /// <param name="start">(r + 1)×k to start from, such as the solution for another C.</param>
    public static LinearSolution Solve(LinearProblem problem, long[] labels, int classes, LinearLoss loss, double c, double tolerance = 1e-5,
        long[]? rows = null, double[]? weights = null, Tensor? start = null)
    {
        using var scope = new TensorScope();
        var (solution, objective, iterations, converged) = SolveReduced(problem, labels, classes, loss, c, tolerance, rows, weights, start);
        var r = solution.Shape[0] - 1;
        var inner = solution.Narrow(0, 0, r);
        var weight = (problem.Basis is { } basis ? basis.Matmul(inner) : inner).T().Contiguous();
        return new LinearSolution(scope.Keep(weight), scope.Keep(solution.Select(0, r).Clone()), objective, iterations, converged);
    }

    internal static (Tensor Solution, double Objective, int Iterations, bool Converged) SolveReduced(LinearProblem problem, long[] labels,
        int classes, LinearLoss loss, double c,
        double tolerance, long[]? rows, double[]? weights, Tensor? start)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var x = rows is null ? problem.Inputs : problem.Inputs.IndexSelect(0, Tensor.From(rows));
        var y = Tensor.From(rows is null ? labels : [.. rows.Select(k => labels[k])]);
        Tensor? sample = weights is null ? null : Tensor.From(rows is null ? weights : [.. rows.Select(k => weights[k])]).Unsqueeze(1);
        var targets = y.OneHot(classes).To(DType.Float64);
        if (loss == LinearLoss.SquaredHinge)
        {
            var solved = ActiveSetNewton.Solve(x, targets * 2 - 1, sample, c, tolerance, start);
            return (scope.Keep(solved.Solution), solved.Objective, solved.Iterations, solved.Converged);
        }
        var penalty = Ops.Ones([x.Shape[1], 1], dtype: DType.Float64);
        penalty.Narrow(0, x.Shape[1] - 1, 1).ZeroInPlace();
        var gram = x.T().Matmul(x);
        var xt = x.T();
        var single = x.To(DType.Float32);
        var singleT = single.T();

        var w = start ?? Ops.Zeros([x.Shape[1], classes], dtype: DType.Float64);
        var point = Evaluate(x.Matmul(w), targets, sample);
        var objective = Penalty(w, penalty) + c * point.Value;
        var gradient = xt.Matmul(point.Slope) * c + w * penalty;
        var zero = start is null ? gradient.LinalgVectorNorm().Item() : GradientAtZero(x, xt, targets, sample, classes, c);
        for (var iteration = 0; iteration < 200; iteration++)
        {
            var norm = gradient.LinalgVectorNorm().Item();
            if (norm <= tolerance * zero) return (scope.Keep(w), objective, iteration, true);
            using var inner = new TensorScope();
            var curvature = c * point.MeanCurvature;
            var shared = gram * curvature + (penalty.Flatten(0) + 1e-10 * curvature * x.Shape[0]).DiagEmbed();
            var factor = shared.LinalgCholesky();
            // The direction need not be exact, so it is sought in single precision, at half the memory traffic.
            var (p, mild, reduced) = (point.Probabilities.To(DType.Float32), penalty.To(DType.Float32), factor.To(DType.Float32));
            var weight = sample?.To(DType.Float32);
            var step = ConjugateGradients(gradient.To(DType.Float32), norm, norm / zero, v =>
            {
                var weighted = p * single.Matmul(v);
                var curved = weighted - p * weighted.Sum([1L], true);
                if (weight is not null) curved *= weight;
                return singleT.Matmul(curved) * c + v * mild;
            }, v => v.CholeskySolve(reduced)).To(DType.Float64);
            var along = x.Matmul(step);
            var slope = (gradient * step).Sum().Item();
            var scores = x.Matmul(w);
            var rate = 1.0;
            Point next = default;
            double value = 0;
            Tensor moved = w;
            for (var trial = 0; trial < 30; trial++, rate /= 2)
            {
                moved = w + step * rate;
                next = Evaluate(scores + along * rate, targets, sample);
                value = Penalty(moved, penalty) + c * next.Value;
                if (value <= objective + 1e-4 * rate * slope) break;
            }
            // Rounding leaves nothing to gain: as good as double precision gets.
            if (!(value < objective)) return (scope.Keep(inner.Keep(w)), objective, iteration, norm <= 100 * tolerance * zero);
            w = inner.Keep(moved);
            objective = value;
            gradient = inner.Keep(xt.Matmul(next.Slope) * c + moved * penalty);
            point = next with { Slope = inner.Keep(next.Slope), Probabilities = inner.Keep(next.Probabilities) };
        }
        return (scope.Keep(w), objective, 200, false);
    }

    private static double GradientAtZero(Tensor x, Tensor xt, Tensor targets, Tensor? sample, int classes, double c)
    {
        using var scope = new TensorScope();
        var point = Evaluate(Ops.Zeros([x.Shape[0], classes], dtype: DType.Float64), targets, sample);
        return (xt.Matmul(point.Slope) * c).LinalgVectorNorm().Item();
    }

    private static double Penalty(Tensor w, Tensor penalty) => 0.5 * (w.Square() * penalty).Sum().Item();

    /// <summary>Cross-entropy at scores N×k: its value, its slope N×k, the probabilities, and the mean of p(1 − p).</summary>
    private readonly record struct Point(double Value, Tensor Slope, Tensor Probabilities, double MeanCurvature);

    private static Point Evaluate(Tensor scores, Tensor targets, Tensor? sample)
    {
        var log = scores.LogSoftmax(1);
        var p = log.Exp();
        var each = (targets * log).Sum([1L], true).Neg();
        var slope = p - targets;
        if (sample is not null) (each, slope) = (each * sample, slope * sample);
        return new Point(each.Sum().Item(), slope, p, Math.Max((p * (1 - p)).Mean().Item(), 1e-8));
    }

    /// <summary>An approximate solution of H s = −g: until the residual is a forcing term's share of the gradient.</summary>
    private static Tensor ConjugateGradients(Tensor gradient, double norm, double progress,
        Func<Tensor, Tensor> hessian, Func<Tensor, Tensor> precondition)
    {
        using var scope = new TensorScope();
        var step = gradient.ZerosLike();
        var residual = -gradient;
        var z = precondition(residual);
        var direction = z;
        var rho = (residual * z).Sum().Item();
        var target = Math.Min(0.1, Math.Sqrt(progress)) * norm;
        for (var k = 0; k < 250; k++)
        {
            using var inner = new TensorScope();
            var curved = hessian(direction);
            var curvature = (direction * curved).Sum().Item();
            if (!(curvature > 0)) break;
            var alpha = rho / curvature;
            step.AddInPlace(direction, alpha);
            residual.SubInPlace(curved, alpha);
            if (residual.LinalgVectorNorm().Item() <= target) break;
            z = precondition(residual);
            var next = (residual * z).Sum().Item();
            direction = inner.Keep(z + direction * (next / rho));
            rho = next;
        }
        return scope.Keep(step);
    }
}
