using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>A published architecture: its stages are added as they are made, its classifier last.</summary>
/// <param name="name">As on its card.</param>
internal abstract class PublishedBackbone(string name) : Backbone
{
    private readonly List<Stage> _stages = [];
    private string _headName = "";

    /// <inheritdoc/>
    public sealed override string Architecture => name;

    /// <inheritdoc/>
    public sealed override IReadOnlyList<Stage> Stages => _stages;

    /// <inheritdoc/>
    public sealed override string HeadName => _headName;

    /// <summary>The next stage: modules one after another.</summary>
    protected void Add(string stage, int channels, params Module[] modules) => _stages.Add(Stage.Of(stage, channels, modules));

    /// <summary>The next stage.</summary>
    protected void Add(string stage, int channels, IReadOnlyList<Module> modules, Func<Tensor, Tensor> forward) =>
        _stages.Add(new Stage(stage, channels, modules, forward));

    /// <summary>The classifier, under its name in checkpoints.</summary>
    protected void Classifier(string headName, int? classes, bool register = true)
    {
        _headName = headName;
        if (classes is not { } count) return;
        UpstreamHead = new Linear(FeatureSize, count);
        if (register) Child(headName, UpstreamHead);
    }

    /// <summary>ImageNet's preprocessing, and He's starting values for convolutions.</summary>
    protected void Finish(int resize = 256, int crop = 224, Normalize? normalize = null)
    {
        Preprocessing = Preprocessing.Evaluation(resize, crop, normalize ?? Normalize.ImageNet);
        foreach (var convolution in Modules().OfType<Conv2d>()) Initialisers.KaimingNormal(convolution.Weight, fanOut: true);
    }
}

/// <summary>Children under names of their own, which their owner runs.</summary>
internal sealed class Named : Module
{
    public T Add<T>(string name, T module) where T : Module => Child(name, module);

    public override Tensor Forward(Tensor x) => throw new NotSupportedException("its parts run in stages");
}

/// <summary>Convolution, BatchNorm, activation, named 0 and 1 as torchvision's Conv2dNormActivation.</summary>
internal sealed class ConvNormActivation : Module
{
    private readonly Conv2d _convolution;
    private readonly BatchNorm2d _norm;
    private readonly Func<Tensor, Tensor>? _activation;

    public ConvNormActivation(int inputs, int outputs, int window, int stride = 1, int groups = 1, bool same = false, double epsilon = 1e-5,
        double momentum = 0.1, Func<Tensor, Tensor>? activation = null)
    {
        _convolution = Child("0", new Conv2d(inputs, outputs, window, stride, (window - 1) / 2, groups: groups, bias: false, same: same));
        _norm = Child("1", new BatchNorm2d(outputs, epsilon, momentum));
        _activation = activation;
    }

    public override Tensor Forward(Tensor x)
    {
        var y = _norm.After(_convolution, x);
        return _activation is null ? y : _activation(y);
    }
}

/// <summary>Hu et al. 2018, eq. 2 to 4: channels weighed by what their means say together.</summary>
internal sealed class SqueezeExcitation : Module
{
    private readonly Conv2d _first, _second;
    private readonly Func<Tensor, Tensor> _activation, _gate;

    public SqueezeExcitation(int channels, int squeezed, Func<Tensor, Tensor> activation, Func<Tensor, Tensor> gate)
    {
        _first = Child("fc1", new Conv2d(channels, squeezed, 1));
        _second = Child("fc2", new Conv2d(squeezed, channels, 1));
        (_activation, _gate) = (activation, gate);
    }

    public override Tensor Forward(Tensor x) => _gate(_second.Forward(_activation(_first.Forward(x.Mean([2, 3], true))))) * x;
}

/// <summary>Huang et al. 2016: while training, a picture goes past the block with a probability.</summary>
internal sealed class StochasticDepth(double probability) : Module
{
    public override Tensor Forward(Tensor x)
    {
        if (!Training || probability == 0) return x;
        var kept = Ops.Empty([x.Shape[0], .. Enumerable.Repeat(1L, x.Dimensions - 1)], dtype: x.Type, device: x.Device)
            .BernoulliInPlace(1 - probability);
        return x * (kept / (1 - probability));
    }
}

/// <summary>Layer normalisation over the channels of N×C×H×W.</summary>
internal sealed class LayerNormChannels : Module
{
    private readonly Slot _weight, _bias;
    private readonly double _epsilon;

    public LayerNormChannels(int channels, double epsilon)
    {
        _weight = Parameter("weight", Ops.Ones([channels]));
        _bias = Parameter("bias", Ops.Zeros([channels]));
        _epsilon = epsilon;
    }

    public override Tensor Forward(Tensor x) => x.Permute([0, 2, 3, 1]).LayerNorm([_weight.Value.Shape[0]], _weight.Value, _bias.Value, _epsilon)
        .Permute([0, 3, 1, 2]);
}

/// <summary>Widths as multiples of eight, never a tenth below what was asked for (Howard et al. 2017's code).</summary>
internal static class Widths
{
    public static int Divisible(double width, int by = 8)
    {
        var rounded = Math.Max(by, (int)(width + by / 2.0) / by * by);
        return rounded < 0.9 * width ? rounded + by : rounded;
    }
}
