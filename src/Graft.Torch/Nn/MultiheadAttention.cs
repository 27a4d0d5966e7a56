namespace Graft.Torch;

/// <summary>Self-attention (Vaswani et al. 2017, eq. 1 and section 3.2.2) with torch's names; x: N×T×C.</summary>
public sealed class MultiheadAttention : Module
{
    private readonly Slot _weight, _bias;
    private readonly Linear _out;
    private readonly long _heads, _size;

    /// <summary>Glorot's starting values for the projections, zero biases.</summary>
    public MultiheadAttention(long width, long heads)
    {
        if (width % heads != 0) throw new ArgumentException($"{width} features cannot be shared by {heads} heads");
        (_heads, _size) = (heads, width / heads);
        _weight = Parameter("in_proj_weight", Initialisers.XavierUniform(Ops.Empty([3 * width, width])));
        _bias = Parameter("in_proj_bias", Ops.Zeros([3 * width]));
        _out = Child("out_proj", new Linear(width, width));
        Initialisers.Constant(_out.Bias!, 0);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var tokens = x.Shape[1];
        var parts = x.Linear(_weight.Value, _bias.Value).View([-1, tokens, 3, _heads, _size]).Permute([2, 0, 3, 1, 4]);
        var (q, k, v) = (parts.Select(0, 0) * Math.Pow(_size, -0.5), parts.Select(0, 1), parts.Select(0, 2));
        return _out.Forward(q.Matmul(k.Transpose(-2, -1)).Softmax(-1).Matmul(v).Transpose(1, 2).Reshape([-1, tokens, _heads * _size]));
    }
}
