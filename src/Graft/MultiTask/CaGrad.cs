using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Liu et al. 2021, eq. 3 and algorithm 1: within c‖g₀‖ of the mean gradient g₀ the step that is best for the worst task, g₀ + c‖g₀‖ g_w/‖g_w‖, w on
/// the simplex minimising g_w·g₀ + c‖g₀‖‖g_w‖. c = 0.4, as the paper has it for several dense tasks.
/// </summary>
internal sealed class CaGrad : Weighting
{
    private const double C = 0.4;

    public override Tensor Total(TaskStep at) => Sum(at, _ => 1);

    public override Tensor? Direction(TaskStep at)
    {
        Tensor[] gradients = [.. at.Present.Select(at.Gradient)];
        var coefficients = Coefficients(TaskStep.Gram(gradients), C);
        return gradients.Select((gradient, k) => gradient * (coefficients[k] * gradients.Length)).Aggregate((a, b) => a + b);
    }

    /// <summary>The step as a mixture of the gradients.</summary>
    internal static double[] Coefficients(double[,] gram, double c)
    {
        var count = gram.GetLength(0);
        double[] even = [.. Enumerable.Repeat(1.0 / count, count)];
        var mean = Math.Sqrt(MgdaUb.Length(gram, even));
        if (mean <= 0) return even;
        double Toward(double[] weights)
        {
            var sum = 0.0;
            for (var i = 0; i < count; i++) for (var j = 0; j < count; j++) sum += weights[i] * even[j] * gram[i, j];
            return sum;
        }
        // Over ‖g₀‖², so that the size of the gradients does not matter.
        var found = Simplex.Minimise(count, weights => (Toward(weights) + c * mean * Math.Sqrt(MgdaUb.Length(gram, weights))) / (mean * mean));
        var length = Math.Sqrt(MgdaUb.Length(gram, found));
        return length <= 1e-12 * mean ? even : [.. even.Select((share, k) => share + c * mean / length * found[k])];
    }
}
