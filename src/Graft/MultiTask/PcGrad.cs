using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Yu et al. 2020, algorithm 1: from each task's gradient what points against another's is taken away, the others in a random order, g ← g −
/// (g·h/‖h‖²) h where g·h is below zero; the step is the sum.
/// </summary>
internal sealed class PcGrad : Weighting
{
    public override Tensor Total(TaskStep at) => Sum(at, _ => 1);

    public override Tensor? Direction(TaskStep at)
    {
        Tensor[] gradients = [.. at.Present.Select(at.Gradient)];
        var coefficients = Coefficients(TaskStep.Gram(gradients), task => at.Step.Rng.Permutation(gradients.Length));
        return gradients.Select((gradient, k) => gradient * coefficients[k]).Aggregate((a, b) => a + b);
    }

    /// <summary>The step as a mixture of the gradients: all that projections do stays in their span.</summary>
    /// <param name="gram">Inner products of the gradients.</param>
    /// <param name="order">In which the others are looked at.</param>
    internal static double[] Coefficients(double[,] gram, Func<int, int[]> order)
    {
        var count = gram.GetLength(0);
        var sum = new double[count];
        for (var i = 0; i < count; i++)
        {
            var own = new double[count];
            own[i] = 1;
            foreach (var j in order(i))
            {
                if (j == i || gram[j, j] <= 0) continue;
                var product = 0.0;
                for (var k = 0; k < count; k++) product += own[k] * gram[k, j];
                if (product < 0) own[j] -= product / gram[j, j];
            }
            for (var k = 0; k < count; k++) sum[k] += own[k];
        }
        return sum;
    }
}
