using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Sener and Koltun 2018, eq. 5: weights on the simplex that make Σ α ∇L shortest, the gradients taken by what all tasks share last and not by the
/// shared parameters (MGDA-UB), which bounds the one by the other and costs nothing more. Where each task has features of its own (MMoE,
/// cross-stitch,
/// MTAN) they are taken by the shared parameters, which is MGDA (Désidéri 2012).
/// </summary>
internal sealed class MgdaUb : Weighting
{
    public override Tensor Total(TaskStep at)
    {
        var shares = Weights(TaskStep.Gram([.. at.Present.Select(at.CommonGradient)]));
        return Sum(at, task => at.Present.Length * shares[Array.IndexOf(at.Present, task)]);
    }

    /// <summary>The weights, from the gradients' inner products.</summary>
    internal static double[] Weights(double[,] gram)
    {
        var count = gram.GetLength(0);
        // Only the proportions count, and small gradients have tiny products.
        var size = Enumerable.Range(0, count).Max(k => gram[k, k]);
        return size <= 0 ? [.. Enumerable.Repeat(1.0 / count, count)] : Simplex.Minimise(count, weights => Length(gram, weights) / size);
    }

    /// <summary>‖Σ w g‖².</summary>
    internal static double Length(double[,] gram, double[] weights)
    {
        var sum = 0.0;
        for (var i = 0; i < weights.Length; i++)
        {
            for (var j = 0; j < weights.Length; j++) sum += weights[i] * weights[j] * gram[i, j];
        }
        return Math.Max(0, sum);
    }
}
