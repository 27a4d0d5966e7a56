namespace Graft.Torch;

/// <summary>y = x Wᵀ + b; x: N×in, W: out×in.</summary>
public sealed class Linear : Module
{
    private readonly Slot _weight;
    private readonly Slot? _bias;

    /// <summary>A layer with torch's starting values.</summary>
    public Linear(long inputs, long outputs, bool bias = true)
    {
        _weight = Parameter("weight", Initialisers.Default(Ops.Empty([outputs, inputs])));
        if (bias) _bias = Parameter("bias", Initialisers.Uniform(Ops.Empty([outputs]), 1 / Math.Sqrt(inputs)));
    }

    /// <summary>W: out×in.</summary>
    public Tensor Weight => _weight.Value;

    /// <summary>b: out, or null.</summary>
    public Tensor? Bias => _bias?.Value;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Linear(Weight, Bias);
}
