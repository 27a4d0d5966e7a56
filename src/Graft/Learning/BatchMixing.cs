using Graft.Data;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>Mixes the pictures of a batch with one another; labels become probabilities.</summary>
internal static class BatchMixing
{
    /// <summary>Zhang et al. 2018: λx + (1 − λ)x′, λ from Beta(alpha, alpha). inputs: N×C×H×W, labels: N.</summary>
    /// <returns>Inputs, and N×classes probabilities.</returns>
    public static (Tensor Inputs, Tensor Targets) Mixup(Tensor inputs, Tensor labels, int classes, double alpha, ref Rng rng)
    {
        var share = rng.Beta(alpha);
        using var scope = new TensorScope();
        var (other, targets) = Partners(inputs, labels, classes, share, ref rng);
        return (scope.Keep(inputs * share + inputs.IndexSelect(0, other) * (1 - share)), scope.Keep(targets));
    }

    /// <summary>Yun et al. 2019: a rectangle of (1 − λ) of the area comes from the partner. inputs: N×C×H×W, labels: N.</summary>
    /// <returns>Inputs, and N×classes probabilities.</returns>
    public static (Tensor Inputs, Tensor Targets) CutMix(Tensor inputs, Tensor labels, int classes, double alpha, ref Rng rng)
    {
        var (h, w) = ((int)inputs.Shape[2], (int)inputs.Shape[3]);
        var side = Math.Sqrt(1 - rng.Beta(alpha));
        var (bh, bw) = ((int)(h * side), (int)(w * side));
        var (top, left) = (rng.Below(h - bh + 1), rng.Below(w - bw + 1));
        using var scope = new TensorScope();
        var (other, targets) = Partners(inputs, labels, classes, 1 - (double)bh * bw / (h * w), ref rng);
        var mixed = inputs.Clone();
        mixed.Narrow(2, top, bh).Narrow(3, left, bw).CopyInPlace(inputs.IndexSelect(0, other).Narrow(2, top, bh).Narrow(3, left, bw));
        return (scope.Keep(mixed), scope.Keep(targets));
    }

    private static (Tensor Other, Tensor Targets) Partners(Tensor inputs, Tensor labels, int classes, double share, ref Rng rng)
    {
        var other = Tensor.From(Array.ConvertAll(rng.Permutation((int)inputs.Shape[0]), k => (long)k)).To(inputs.Device);
        var own = labels.OneHot(classes).To(DType.Float32);
        return (other, own * share + own.IndexSelect(0, other) * (1 - share));
    }
}
