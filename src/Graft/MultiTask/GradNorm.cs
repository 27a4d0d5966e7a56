using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Chen et al. 2018, algorithm 1: G = w‖∇L‖ by the last shared layer is drawn to Ḡ r^α, r a task's share of its first loss over the tasks' mean
/// share, by a step on Σ|G − Ḡ r^α| with the target held; then the weights sum to the number of tasks again. α = 1.5, rate 0.025.
/// </summary>
internal sealed class GradNorm : Weighting
{
    private const double Alpha = 1.5, Rate = 0.025, Least = 1e-3;

    private readonly Slot _weights, _first;

    public GradNorm(WeightingSetup setup)
    {
        _weights = Memory("weights", [.. setup.Kinds.Select(_ => 1.0)]);
        _first = Memory("first", [.. setup.Kinds.Select(_ => double.NaN)]);
    }

    public override Tensor Total(TaskStep at)
    {
        var (weights, first) = (Read(_weights), Read(_first));
        foreach (var task in at.Present) if (double.IsNaN(first[task])) first[task] = at.Values[task];
        Write(_first, first);
        var norms = new double[at.Count];
        foreach (var task in at.Present) norms[task] = at.LastNorm(task);
        Write(_weights, Next(weights, norms, [.. at.Values.Zip(first, (now, then) => now / Math.Max(then, 1e-12))], at.Present));
        return Sum(at, task => weights[task]);
    }

    /// <summary>The weights after a step.</summary>
    /// <param name="weights">Before.</param>
    /// <param name="norms">‖∇L‖ of each task.</param>
    /// <param name="shares">Of its first loss.</param>
    /// <param name="present">The tasks of which norms and shares are known.</param>
    internal static double[] Next(double[] weights, double[] norms, double[] shares, int[] present)
    {
        if (present.Length < 2) return weights;
        double[] next = [.. weights];
        var (mean, share) = (present.Average(task => weights[task] * norms[task]), present.Average(task => shares[task]));
        foreach (var task in present)
        {
            var target = mean * Math.Pow(shares[task] / Math.Max(share, 1e-12), Alpha);
            next[task] = Math.Max(Least, weights[task] - Rate * Math.Sign(weights[task] * norms[task] - target) * norms[task]);
        }
        var sum = next.Sum();
        return [.. next.Select(weight => weight * next.Length / sum)];
    }
}
