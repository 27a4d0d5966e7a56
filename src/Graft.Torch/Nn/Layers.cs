namespace Graft.Torch;

/// <summary>A function as a layer: activations, pooling, flattening.</summary>
public sealed class Lambda(Func<Tensor, Tensor> function) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => function(x);

    /// <summary>max(0, x).</summary>
    public static Lambda Relu() => new(x => x.Relu());

    /// <summary>min(max(0, x), 6).</summary>
    public static Lambda Relu6() => new(x => x.Hardtanh(0.0, 6.0));

    /// <summary>Gaussian error linear unit (Hendrycks and Gimpel 2016).</summary>
    public static Lambda Gelu() => new(x => x.Gelu());

    /// <summary>x · sigmoid(x).</summary>
    public static Lambda Silu() => new(x => x.Silu());

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    public static Lambda Sigmoid() => new(x => x.Sigmoid());

    /// <summary>Hyperbolic tangent.</summary>
    public static Lambda Tanh() => new(x => x.Tanh());

    /// <summary>The largest of each window.</summary>
    public static Lambda MaxPool(long window, long? stride = null, long padding = 0) => new(x => x.MaxPool2d([window, window], [stride ?? window, stride ?? window], [padding, padding]));

    /// <summary>The mean of each window.</summary>
    public static Lambda AveragePool(long window, long? stride = null, long padding = 0) => new(x => x.AvgPool2d([window, window], [stride ?? window, stride ?? window], [padding, padding]));

    /// <summary>N×C×H×W to N×C: the mean of each channel.</summary>
    public static Lambda GlobalAveragePool() => new(x => x.Dimensions == 4 ? x.Mean([2, 3]) : x);

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

/// <summary>Wu and He 2018.</summary>
public sealed class GroupNorm : Module
{
    private readonly Slot _weight, _bias;
    private readonly long _groups;

    /// <summary>Scale 1, shift 0.</summary>
    public GroupNorm(long groups, long channels)
    {
        _groups = groups;
        _weight = Parameter("weight", Ops.Ones([channels]));
        _bias = Parameter("bias", Ops.Zeros([channels]));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.GroupNorm(_groups, _weight.Value, _bias.Value);
}

/// <summary>Rows of a table by number; x: whole numbers of any shape.</summary>
public sealed class Embedding : Module
{
    private readonly Slot _weight;

    /// <summary>Standard normal rows.</summary>
    public Embedding(long rows, long size) => _weight = Parameter("weight", Initialisers.Normal(Ops.Empty([rows, size]), 1));

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Ops.Embedding(_weight.Value, x);
}
