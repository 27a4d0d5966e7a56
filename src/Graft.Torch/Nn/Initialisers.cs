namespace Graft.Torch;

/// <summary>Starting values for parameters, in place. Fans are those of torch: a convolution's include its window.</summary>
public static class Initialisers
{
    [ThreadStatic] private static bool s_skipped;

    /// <summary>Until the result is disposed, networks made on this thread keep uninitialised values: for those that a checkpoint fills.</summary>
    public static IDisposable Skip() => new Skipping();

    private sealed class Skipping : IDisposable
    {
        private readonly bool _before = s_skipped;
        public Skipping() => s_skipped = true;
        public void Dispose() => s_skipped = _before;
    }

    private static (double In, double Out) Fans(Tensor weight)
    {
        var window = weight.Shape.Skip(2).Aggregate(1L, (n, size) => n * size);
        return (weight.Shape[1] * window, weight.Shape[0] * window);
    }

    private static Tensor InPlace(Tensor tensor, Action fill)
    {
        if (s_skipped) return tensor;
        using var mode = Autograd.NoGrad();
        fill();
        return tensor;
    }

    /// <summary>Uniform in ±1/√fan_in: what torch's Linear and Conv2d start with (Kaiming uniform with a = √5).</summary>
    public static Tensor Default(Tensor weight) => Uniform(weight, 1 / Math.Sqrt(Fans(weight).In));

    /// <summary>Uniform in ±bound.</summary>
    public static Tensor Uniform(Tensor tensor, double bound) => InPlace(tensor, () => tensor.UniformInPlace(-bound, bound));

    /// <summary>Normal with a standard deviation.</summary>
    public static Tensor Normal(Tensor tensor, double deviation) => InPlace(tensor, () => tensor.NormalInPlace(0, deviation));

    /// <summary>Normal cut at ±2 deviations, by drawing again what falls outside.</summary>
    public static Tensor TruncatedNormal(Tensor tensor, double deviation) => InPlace(tensor, () =>
    {
        using var scope = new TensorScope();
        tensor.NormalInPlace(0, deviation);
        for (var again = 0; again < 32; again++)
        {
            var outside = tensor.Abs().Gt(2 * deviation);
            if (!outside.Any().ToArray<bool>()[0]) return;
            tensor.CopyInPlace(outside.Where(Ops.Empty(tensor.Shape, dtype: tensor.Type).NormalInPlace(0, deviation), tensor));
        }
        tensor.ClampInPlace(-2 * deviation, 2 * deviation);
    });

    /// <summary>He et al. 2015, eq. 10: normal with variance 2 / fan.</summary>
    public static Tensor KaimingNormal(Tensor weight, bool fanOut = false) => Normal(weight, Math.Sqrt(2 / (fanOut ? Fans(weight).Out : Fans(weight).In)));

    /// <summary>Glorot and Bengio 2010, eq. 16.</summary>
    public static Tensor XavierUniform(Tensor weight) => Uniform(weight, Math.Sqrt(6 / (Fans(weight).In + Fans(weight).Out)));

    /// <summary>Every element the same.</summary>
    public static Tensor Constant(Tensor tensor, double value) => InPlace(tensor, () => tensor.FillInPlace((Scalar)value));
}
