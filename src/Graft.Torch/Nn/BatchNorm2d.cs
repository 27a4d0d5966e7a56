namespace Graft.Torch;

/// <summary>A layer with statistics of its input that training would change.</summary>
internal interface INormStatistics
{
    /// <summary>Keep to inference mode: the statistics neither change nor come from the batch.</summary>
    bool Frozen { get; set; }
}

/// <summary>
/// Ioffe and Szegedy 2015. While <see cref="Frozen"/>, it stays in inference mode whatever <see cref="Module.Training"/> says:
/// its statistics neither change nor come from the batch.
/// </summary>
public sealed class BatchNorm2d : Module, INormStatistics
{
    private readonly Slot _weight, _bias, _mean, _variance, _batches;
    private readonly double _epsilon;

    /// <summary>Scale 1, shift 0.</summary>
    public BatchNorm2d(long channels, double epsilon = 1e-5, double momentum = 0.1)
    {
        (Momentum, _epsilon) = (momentum, epsilon);
        _weight = Parameter("weight", Ops.Ones([channels]));
        _bias = Parameter("bias", Ops.Zeros([channels]));
        _mean = Buffer("running_mean", Ops.Zeros([channels]));
        _variance = Buffer("running_var", Ops.Ones([channels]));
        _batches = Buffer("num_batches_tracked", Ops.Zeros([], dtype: DType.Int64));
    }

    /// <summary>Keep to inference mode.</summary>
    public bool Frozen { get; set; }

    /// <summary>The share of a batch's statistics in the running ones: 0 leaves those as they are, 1 takes the batch's.</summary>
    public double Momentum { get; set; }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var train = Training && !Frozen;
        if (train) _batches.Value.AddInPlace((Scalar)1L);
        return x.BatchNorm(_weight.Value, _bias.Value, _mean.Value, _variance.Value, train, Momentum, _epsilon, true);
    }

    /// <summary>
    /// The convolution and its norm. A frozen norm is folded into the convolution's weights, which saves its own passes over
    /// the activations, forward and backward; gradients reach the same parameters.
    /// </summary>
    public Tensor After(Conv2d convolution, Tensor x)
    {
        if (!Frozen) return Forward(convolution.Forward(x));
        var scale = _weight.Value * (_variance.Value + _epsilon).Rsqrt();
        var shift = _bias.Value - _mean.Value * scale;
        if (convolution.Bias is { } bias) shift += bias * scale;
        return convolution.Forward(x, convolution.Weight * scale.View([-1, 1, 1, 1]), shift);
    }
}
