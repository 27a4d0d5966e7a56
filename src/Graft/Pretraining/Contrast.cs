using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>What the methods that compare views have in common.</summary>
internal static class Contrast
{
    /// <summary>Stochastic gradient descent with momentum whose rate goes with the batch, falling along a cosine, after a warm-up.</summary>
    /// <param name="batch">Pictures of a batch.</param>
    /// <param name="ratePer256">The rate of a batch of 256.</param>
    /// <param name="epochs">Passes over the data.</param>
    /// <param name="decay">L2 penalty of the weights.</param>
    /// <param name="large">The rate of a batch of 256 by LARS, which batches of a thousand and more take, with a decay of 1e-6; 0: never.</param>
    public static Optimisation Usual(int batch, double ratePer256 = 0.12, int epochs = 100, double decay = 5e-4, double large = 0)
    {
        var lars = large > 0 && batch >= LarsFrom;
        return new Optimisation
        {
            Optimizer = lars ? new LarsRule() : new SgdRule(), Rate = (lars ? large : ratePer256) * batch / 256, WeightDecay = lars ? 1e-6 : decay,
            Epochs = epochs, Schedule = new CosineSchedule { WarmUp = 0.05 },
        };
    }

    private const int LarsFrom = 1024;

    /// <summary>AdamW, for losses whose scale goes with the width of the embedding: its steps do not.</summary>
    public static Optimisation Adaptive(int epochs = 100, double rate = 1e-3) => new()
    {
        Optimizer = new AdamRule(Decoupled: true), Rate = rate, WeightDecay = 1e-4, Epochs = epochs, Schedule = new CosineSchedule { WarmUp = 0.05 },
    };

    /// <summary>2 − 2 cos, the mean over rows: the squared distance of the two as unit vectors.</summary>
    public static Tensor Apart(Tensor a, Tensor b) => 2 - (Unit(a) * Unit(b)).Sum([1L]).Mean() * 2;

    /// <summary>Rows of length one: N×D.</summary>
    public static Tensor Unit(Tensor rows) => rows / rows.LinalgVectorNorm(2, [1], true).Clamp(1e-12);

    /// <summary>
    /// NT-Xent (Chen et al. 2020, eq. 1): the mean over all 2N views of −log softmax of the similarity with the other view of the same picture,
    /// among all views but the view itself.
    /// </summary>
    /// <param name="z">2N×D of length one: first all first views, then all second ones.</param>
    /// <param name="temperature">τ.</param>
    public static Tensor NtXent(Tensor z, double temperature)
    {
        var n = z.Shape[0] / 2;
        var likeness = z.Matmul(z.T()) / temperature - Ops.Eye(2 * n, 2 * n).To(z.Device) * 1e9;
        var partner = Tensor.From([.. Enumerable.Range(0, (int)(2 * n)).Select(k => (k + n) % (2 * n))]).To(z.Device);
        return Losses.CrossEntropy(likeness, partner);
    }
}
