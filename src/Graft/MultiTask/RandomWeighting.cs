using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>Lin et al. 2022 (RLW): at each step w = K softmax(z), z from a normal distribution. What other weightings must beat.</summary>
internal sealed class RandomWeighting : Weighting
{
    public override Tensor Total(TaskStep at)
    {
        var draws = new double[at.Count];
        for (var task = 0; task < draws.Length; task++) draws[task] = Math.Exp(at.Step.Rng.Normal());
        return Sum(at, task => draws.Length * draws[task] / draws.Sum());
    }
}
