using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>What is done to an input before it is to be rebuilt (Vincent et al. 2010, section 3.3).</summary>
/// <param name="Masked">Share of the numbers that are set to 0.</param>
/// <param name="Deviation">Of Gaussian noise that is added.</param>
internal sealed record InputNoise(double Masked, double Deviation)
{
    public static InputNoise None { get; } = new(0, 0);

    /// <summary>x̃ ~ q(x̃ | x), drawn by torch's generator, which the trainer seeds at every step.</summary>
    public Tensor Of(Tensor x)
    {
        if (Deviation > 0) return x + Ops.Randn(x.Shape, x.Type, x.Device) * Deviation;
        return Masked > 0 ? x * Ops.Rand(x.Shape, x.Type, x.Device).Ge(Masked).To(x.Type) : x;
    }
}
