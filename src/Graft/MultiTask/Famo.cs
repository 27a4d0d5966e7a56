using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Liu et al. 2023, algorithm 1: the losses' logarithms fall at like rates. z = softmax(ξ), the step is on Σ c z log L, c = 1/Σ(z/L); after it ξ
/// moves
/// by the change of the logarithms, δ = (∇ξ z)ᵀ(log L − log L′), with a decay of 0.001. As in the authors' program ξ is moved by Adam at 0.025. It
/// takes one forward pass more at each step, and no gradients of tasks.
/// </summary>
internal sealed class Famo : Weighting
{
    private const double Rate = 0.025, Decay = 0.001, Beta1 = 0.9, Beta2 = 0.999, Least = 1e-8;

    private readonly Slot _logits, _mean, _square, _steps;
    private double[]? _before;

    public Famo(WeightingSetup setup)
    {
        var none = new double[setup.Count];
        (_logits, _mean, _square, _steps) = (Memory("logits", none), Memory("mean", none), Memory("square", none), Memory("steps", 0));
    }

    public override Tensor Total(TaskStep at)
    {
        _before = at.Values;
        var shares = Softmax(Read(_logits), at.Present);
        double Own(int task) => shares[task] / Math.Max(Least, at.Values[task]);
        var sum = at.Present.Sum(Own);
        // ∇ log L is ∇L/L: weights on the losses that have the same gradient.
        return Sum(at, task => at.Present.Length * Own(task) / sum);
    }

    public override void After(Func<double[]> losses)
    {
        if (_before is not { } before) return;
        var after = losses();
        int[] told = [.. Enumerable.Range(0, before.Length).Where(task => double.IsFinite(before[task]) && double.IsFinite(after[task]))];
        if (told.Length < 2) return;
        var logits = Read(_logits);
        var gradient = Gradient(logits, [.. before.Zip(after, (then, now) => Math.Log(Math.Max(Least, then)) - Math.Log(Math.Max(Least, now)))],
            told);
        var (mean, square, steps) = (Read(_mean), Read(_square), Read(_steps)[0] + 1);
        for (var task = 0; task < logits.Length; task++)
        {
            var slope = gradient[task] + Decay * logits[task];
            mean[task] = Beta1 * mean[task] + (1 - Beta1) * slope;
            square[task] = Beta2 * square[task] + (1 - Beta2) * slope * slope;
            logits[task] -= Rate * (mean[task] / (1 - Math.Pow(Beta1, steps))) / (Math.Sqrt(square[task] / (1 - Math.Pow(Beta2, steps))) + 1e-8);
        }
        Write(_logits, logits);
        Write(_mean, mean);
        Write(_square, square);
        Write(_steps, [steps]);
    }

    /// <summary>(∇ξ z)ᵀ d: of each task z (d − Σ z d).</summary>
    internal static double[] Gradient(double[] logits, double[] change, int[] told)
    {
        var shares = Softmax(logits, told);
        var mean = told.Sum(task => shares[task] * change[task]);
        return [.. logits.Select((_, task) => told.Contains(task) ? shares[task] * (change[task] - mean) : 0)];
    }

    private static double[] Softmax(double[] logits, int[] among)
    {
        var most = among.Max(task => logits[task]);
        var sum = among.Sum(task => Math.Exp(logits[task] - most));
        return [.. logits.Select((logit, task) => among.Contains(task) ? Math.Exp(logit - most) / sum : 0)];
    }
}
