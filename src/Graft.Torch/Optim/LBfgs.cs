namespace Graft.Torch;

/// <summary>
/// Limited-memory BFGS (Nocedal and Wright 2006, algorithm 7.5) for smooth objectives of the whole dataset, with a line search
/// that meets the weak Wolfe conditions by bisection (Lewis and Overton 2013).
/// </summary>
public sealed class LBfgs(IReadOnlyList<Tensor> parameters, int memory = 10, double tolerance = 1e-5)
{
    private readonly LinkedList<(Tensor Step, Tensor Change, double Curvature)> _pairs = [];

    /// <summary>What a minimisation came to.</summary>
    public sealed record Outcome(double Value, double GradientNorm, int Iterations, bool Converged);

    /// <summary>Minimises a scalar function of the parameters until the largest gradient component is below the tolerance.</summary>
    public Outcome Minimise(Func<Tensor> objective, int iterations = 500)
    {
        using var scope = new TensorScope();
        var (value, gradient) = Evaluate(objective);
        for (var k = 0; k < iterations; k++)
        {
            var largest = gradient.Abs().Max().Item();
            if (largest <= tolerance) return new Outcome(value, largest, k, true);
            using var inner = new TensorScope();
            var direction = Direction(gradient);
            var slope = direction.Dot(gradient).Item();
            if (slope >= 0) { Forget(); direction = -gradient; slope = -gradient.Dot(gradient).Item(); }
            var start = Flat();
            double low = 0, high = double.PositiveInfinity, rate = _pairs.Count == 0 ? Math.Min(1, 1 / largest) : 1;
            (double Value, Tensor Gradient) next = default;
            for (var trial = 0; trial < 40; trial++)
            {
                Place(start + direction * rate);
                next = Evaluate(objective);
                if (!(next.Value <= value + 1e-4 * rate * slope)) high = rate;
                else if (next.Gradient.Dot(direction).Item() < 0.9 * slope) low = rate;
                else break;
                rate = double.IsPositiveInfinity(high) ? 2 * rate : (low + high) / 2;
            }
            if (!(next.Value < value)) { Place(start); return new Outcome(value, largest, k, false); }
            var change = next.Gradient! - gradient;
            var step = direction * rate;
            var curvature = step.Dot(change).Item();
            if (curvature > 1e-12 * change.Dot(change).Item())
            {
                _pairs.AddLast((TensorScope.Detach(step), TensorScope.Detach(change), curvature));
                if (_pairs.Count > memory) Drop();
            }
            (value, gradient) = (next.Value, inner.Keep(next.Gradient!));
        }
        var final = gradient.Abs().Max().Item();
        Forget();
        return new Outcome(value, final, iterations, false);
    }

    private Tensor Direction(Tensor gradient)
    {
        var q = -gradient;
        var weights = new Stack<double>();
        for (var node = _pairs.Last; node is not null; node = node.Previous)
        {
            var weight = node.Value.Step.Dot(q).Item() / node.Value.Curvature;
            weights.Push(weight);
            q -= node.Value.Change * weight;
        }
        if (_pairs.Last is { } last) q *= last.Value.Curvature / last.Value.Change.Dot(last.Value.Change).Item();
        foreach (var (step, change, curvature) in _pairs) q += step * (weights.Pop() - change.Dot(q).Item() / curvature);
        return q;
    }

    private (double, Tensor) Evaluate(Func<Tensor> objective)
    {
        using var scope = new TensorScope();
        var value = objective();
        var gradients = Autograd.Grad(value, parameters);
        return (value.Item(), scope.Keep(Ops.Cat([.. gradients.Select(gradient => gradient.Flatten(0))])));
    }

    private Tensor Flat()
    {
        using var mode = Autograd.NoGrad();
        return Ops.Cat([.. parameters.Select(parameter => parameter.Detach().Flatten(0))]);
    }

    private void Place(Tensor flat)
    {
        using var mode = Autograd.NoGrad();
        long at = 0;
        foreach (var parameter in parameters)
        {
            parameter.CopyInPlace(flat.Narrow(0, at, parameter.Count).View(parameter.Shape));
            at += parameter.Count;
        }
    }

    private void Drop()
    {
        var (step, change, _) = _pairs.First!.Value;
        step.Dispose();
        change.Dispose();
        _pairs.RemoveFirst();
    }

    private void Forget()
    {
        while (_pairs.Count > 0) Drop();
    }
}
