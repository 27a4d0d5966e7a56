namespace Graft.Torch;

/// <summary>A function as a layer: activations, pooling, flattening.</summary>
public sealed class Lambda(Func<Tensor, Tensor> function) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => function(x);

    /// <summary>max(0, x).</summary>
    public static Lambda Relu() => new(x => x.Relu());

    /// <summary>Gaussian error linear unit (Hendrycks and Gimpel 2016).</summary>
    public static Lambda Gelu() => new(x => x.Gelu());

    /// <summary>The largest of each window.</summary>
    public static Lambda MaxPool(long window, long? stride = null, long padding = 0) => new(x => x.MaxPool2d([window, window], [stride ?? window, stride ?? window], [padding, padding]));

    /// <summary>N×… to N×(the product).</summary>
    public static Lambda Flatten() => new(x => x.Flatten(1));
}

/// <summary>Layers one after another, named 0, 1, … as torch's are.</summary>
public sealed class Sequential : Module
{
    private readonly Module[] _layers;

    /// <summary>In the order of running.</summary>
    public Sequential(params Module[] layers)
    {
        _layers = layers;
        for (var k = 0; k < layers.Length; k++) Child($"{k}", layers[k]);
    }

    /// <summary>The layers.</summary>
    public IReadOnlyList<Module> Layers => _layers;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        foreach (var layer in _layers) x = layer.Forward(x);
        return x;
    }
}

/// <summary>Srivastava et al. 2014: zeroes a share of the inputs while training and scales the rest.</summary>
public sealed class Dropout(double probability = 0.5) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Training && probability > 0 ? x.Dropout(probability, true) : x;
}

/// <summary>Ba et al. 2016, over the last dimension.</summary>
public sealed class LayerNorm : Module
{
    private readonly Slot _weight, _bias;
    private readonly long _size;
    private readonly double _epsilon;

    /// <summary>Scale 1, shift 0.</summary>
    public LayerNorm(long size, double epsilon = 1e-5)
    {
        (_size, _epsilon) = (size, epsilon);
        _weight = Parameter("weight", Ops.Ones([size]));
        _bias = Parameter("bias", Ops.Zeros([size]));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.LayerNorm([_size], _weight.Value, _bias.Value, _epsilon);
}
