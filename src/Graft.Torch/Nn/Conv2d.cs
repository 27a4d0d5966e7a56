namespace Graft.Torch;

/// <summary>
/// Two-dimensional convolution; x: N×in×H×W. With <c>same</c> the border is TensorFlow's: ⌈H/stride⌉ outputs, the odd zero at
/// the bottom and the right.
/// </summary>
public sealed class Conv2d : Module
{
    private readonly Slot _weight;
    private readonly Slot? _bias;
    private readonly long[] _window, _padding;
    private readonly long _stride, _dilation, _groups;
    private readonly bool _same;

    /// <summary>A square convolution with torch's starting values.</summary>
    public Conv2d(long inputs, long outputs, long window, long stride = 1, long padding = 0, long dilation = 1, long groups = 1, bool bias = true, bool same = false)
        : this(inputs, outputs, [window, window], stride, [padding, padding], dilation, groups, bias, same) { }

    /// <summary>A convolution of a rectangle: window and padding as height, width.</summary>
    public Conv2d(long inputs, long outputs, long[] window, long stride, long[] padding, long dilation = 1, long groups = 1, bool bias = true, bool same = false)
    {
        (_window, _stride, _padding, _dilation, _groups, _same) = (window, stride, padding, dilation, groups, same);
        _weight = Parameter("weight", Initialisers.Default(Ops.Empty([outputs, inputs / groups, .. window])));
        if (bias) _bias = Parameter("bias", Initialisers.Uniform(Ops.Empty([outputs]), 1 / Math.Sqrt(inputs / groups * window[0] * window[1])));
    }

    /// <summary>out × in/groups × window × window.</summary>
    public Tensor Weight => _weight.Value;

    /// <summary>out, or null.</summary>
    public Tensor? Bias => _bias?.Value;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, Weight, Bias);

    /// <summary>The same convolution with other values, such as a BatchNorm folded in.</summary>
    public Tensor Forward(Tensor x, Tensor weight, Tensor? bias)
    {
        if (!_same) return x.Conv2d(weight, bias, [_stride, _stride], _padding, [_dilation, _dilation], _groups);
        var (top, bottom) = SamePadding(x.Shape[2], _window[0]);
        var (left, right) = SamePadding(x.Shape[3], _window[1]);
        if (top == bottom && left == right) return x.Conv2d(weight, bias, [_stride, _stride], [top, left], [_dilation, _dilation], _groups);
        return x.ConstantPadNd([left, right, top, bottom], 0).Conv2d(weight, bias, [_stride, _stride], [0, 0], [_dilation, _dilation], _groups);
    }

    private (long Before, long After) SamePadding(long size, long window)
    {
        var total = Math.Max(0, ((size + _stride - 1) / _stride - 1) * _stride + _dilation * (window - 1) + 1 - size);
        return (total / 2, total - total / 2);
    }
}
