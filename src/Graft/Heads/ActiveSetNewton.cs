using Graft.Torch;

namespace Graft.Heads;

/// <summary>
/// The linear SVM with squared hinge loss, one class against the rest at a time, by Newton's method on its active set (Keerthi
/// and DeCoste 2005; Chapelle 2007): between changes of the set of pictures within the margin the objective is quadratic, so each
/// step is a least-squares problem, and a handful of steps is exact.
/// </summary>
internal static class ActiveSetNewton
{
    /// <summary>Minimises ½‖w‖² + C Σ s max(0, 1 − y·xw)² for each column of signs.</summary>
    /// <param name="x">N×d.</param>
    /// <param name="signs">N×k of ±1.</param>
    /// <param name="sample">N×1 weights, or null.</param>
    /// <param name="c">Weight of the data.</param>
    /// <param name="tolerance">Of the gradient's norm against its norm at zero.</param>
    /// <param name="start">d×k, or null.</param>
    public static (Tensor Solution, double Objective, int Iterations, bool Converged) Solve(Tensor x, Tensor signs, Tensor? sample, double c,
        double tolerance, Tensor? start)
    {
        using var scope = new TensorScope();
        var (n, d, classes) = (x.Shape[0], x.Shape[1], signs.Shape[1]);
        var weights = sample?.Flatten(0);
        // With all pictures active the system is the same for every class: it is factored once.
        var everyone = Ridge(x, weights, c);
        using var steps = new Steps(x, weights, c);
        var columns = new List<Tensor>();
        var (total, most, converged) = (0.0, 0, true);
        for (long k = 0; k < classes; k++)
        {
            var (w, objective, iterations, good) = One(x, signs.Select(1, k), weights, c, tolerance, start?.Select(1, k), everyone, steps);
            columns.Add(scope.Keep(w));
            total += objective;
            most = Math.Max(most, iterations);
            converged &= good;
        }
        return (scope.Keep(Ops.Stack(columns, 1)), total, most, converged);
    }

    /// <summary>The Cholesky factor of I + 2C XᵀSX.</summary>
    private static Tensor Ridge(Tensor x, Tensor? weights, double c)
    {
        var scaled = weights is null ? x : x * weights.Unsqueeze(1);
        return (x.T().Matmul(scaled) * (2 * c) + Ops.Eye(x.Shape[1], x.Shape[1], dtype: x.Type)).LinalgCholesky();
    }

    private static (Tensor W, double Objective, int Iterations, bool Converged) One(Tensor x, Tensor y, Tensor? weights, double c, double tolerance,
        Tensor? start, Tensor everyone, Steps steps)
    {
        using var scope = new TensorScope();
        var (n, d) = (x.Shape[0], x.Shape[1]);
        var w = start?.Clone() ?? Ops.Zeros([d], dtype: DType.Float64);
        var scores = x.Mv(w);
        var weighted = weights is null ? y : y * weights;
        var zero = x.T().Mv(weighted).LinalgVectorNorm().Item() * 2 * c;
        for (var iteration = 0; ; iteration++)
        {
            var slack = (1 - y * scores).Relu();
            var objective = Objective(w, slack, weights, c);
            var gradient = w - x.T().Mv(weighted * slack) * (2 * c);
            var norm = gradient.LinalgVectorNorm().Item();
            if (norm <= tolerance * zero || iteration == 100) return (scope.Keep(w), objective, iteration, norm <= tolerance * zero);
            var active = slack.Gt(0L).Nonzero().Flatten(0);
            var step = active.Count == n ? gradient.Unsqueeze(1).CholeskySolve(everyone).Flatten(0).Neg()
                : steps.Solve(active, gradient, precise: norm <= 1e-6 * zero);
            var along = x.Mv(step);
            var slope = gradient.Dot(step).Item();
            var rate = 1.0;
            for (var trial = 0; trial < 40; trial++, rate /= 2)
            {
                var value = Objective(w + step * rate, (1 - y * (scores + along * rate)).Relu(), weights, c);
                if (value <= objective + 1e-4 * rate * slope) break;
            }
            w += step * rate;
            scores += along * rate;
        }
    }

    private static double Objective(Tensor w, Tensor slack, Tensor? weights, double c)
    {
        var squared = slack.Square();
        if (weights is not null) squared *= weights;
        return 0.5 * w.Dot(w).Item() + c * squared.Sum().Item();
    }

    /// <summary>
    /// −(I + 2C XᵀSX)⁻¹ g over active rows: by Woodbury's identity where they are fewer than the features, on rows and columns of
    /// the Gram matrix of all pictures, which is made once. Far from the solution single precision is enough.
    /// </summary>
    private sealed class Steps(Tensor x, Tensor? weights, double c) : IDisposable
    {
        // 6,000² floats are 144 MB.
        private const long GramLimit = 6000;

        private readonly Tensor _single = TensorScope.Detach(x.To(DType.Float32));
        private Tensor? _gram;

        public Tensor Solve(Tensor active, Tensor gradient, bool precise)
        {
            if (!precise)
            {
                try
                {
                    return Solve(active, gradient, DType.Float32);
                }
                catch (TorchException)
                {
                    // Too badly conditioned for single precision: the factorisation found no positive pivot.
                    return Solve(active, gradient, DType.Float64);
                }
            }
            return Solve(active, gradient, DType.Float64);
        }

        private Tensor Solve(Tensor active, Tensor gradient, DType type)
        {
            var precise = type == DType.Float64;
            var sample = weights?.IndexSelect(0, active).To(type);
            var rows = (precise ? x : _single).IndexSelect(0, active);
            var g = gradient.To(type);
            if (active.Shape[0] >= x.Shape[1]) return g.Unsqueeze(1).CholeskySolve(Ridge(rows, sample, c)).Flatten(0).Neg().To(DType.Float64);
            var kernel = precise || x.Shape[0] > GramLimit ? rows.Matmul(rows.T())
                : (_gram ??= TensorScope.Detach(_single.Matmul(_single.T()))).IndexSelect(0, active).IndexSelect(1, active);
            var diagonal = sample is null ? Ops.Full([active.Shape[0]], 1 / (2 * c), dtype: type) : sample.Reciprocal() / (2 * c);
            var inner = rows.Mv(g).Unsqueeze(1).CholeskySolve((kernel + diagonal.DiagEmbed()).LinalgCholesky()).Flatten(0);
            return (rows.T().Mv(inner) - g).To(DType.Float64);
        }

        public void Dispose()
        {
            _single.Dispose();
            _gram?.Dispose();
        }
    }
}
