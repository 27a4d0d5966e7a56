using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// Dense layers over the pixels, a stage each, for tiny pictures: with SELU (Klambauer et al. 2017) the network of Géron's chapter on reusing
/// pretrained layers; with sigmoid units the one that Hinton et al. 2006 and Vincent et al. 2008 pretrain layer by layer. Grey pictures use one
/// channel. Pixels come in as 0 … 1.
/// </summary>
internal sealed class Mlp : Backbone
{
    private const string UsualActivation = "selu";

    private static readonly Dictionary<string, Func<Tensor, Tensor>> s_activations = new()
    {
        [UsualActivation] = x => x.Selu(), ["sigmoid"] = x => x.Sigmoid(), ["relu"] = x => x.Relu(),
    };

    private readonly int[] _widths;
    private readonly int _side, _channels;
    private readonly string _activation;
    private readonly Linear[] _layers;

    /// <summary>Random weights.</summary>
    /// <param name="widths">Units of each layer.</param>
    /// <param name="side">Pixels of the square input.</param>
    /// <param name="channels">Of the pictures: 3, or 1 for grey.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    /// <param name="activation">selu, sigmoid or relu.</param>
    /// <exception cref="GraftException">No such activation.</exception>
    public Mlp(int[] widths, int side, int channels = 1, int? classes = null, string activation = UsualActivation)
    {
        if (!s_activations.TryGetValue(activation, out var units)) throw UnknownName.Of("activation of an mlp", activation, s_activations.Keys);
        (_widths, _side, _channels, _activation) = (widths, side, channels, activation);
        var (stages, layers) = (new List<Stage>(), new List<Linear>());
        var inputs = InputSize;
        for (var k = 0; k < widths.Length; k++)
        {
            var first = k == 0;
            var layer = Child($"dense{k + 1}", new Linear(inputs, widths[k]));
            // Glorot and Bengio 2010: tanh's bound, four times as wide for sigmoid units.
            Initialisers.Uniform(layer.Weight, (IsSigmoid ? 4 : 1) * Math.Sqrt(6.0 / (inputs + widths[k])));
            Initialisers.Constant(layer.Bias!, 0);
            stages.Add(new Stage($"s{k + 1}", widths[k], [layer], x => units(layer.Forward(first ? Pixels(x) : x))));
            layers.Add(layer);
            inputs = widths[k];
        }
        (Stages, _layers) = (stages, [.. layers]);
        if (classes is { } count) UpstreamHead = Child("head", new Linear(inputs, count));
        Preprocessing = Preprocessing.Small(side, new Normalize([0, 0, 0], [1, 1, 1]));
    }

    /// <inheritdoc/>
    public override string Architecture => "mlp";

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages { get; }

    /// <inheritdoc/>
    public override string HeadName => "head";

    /// <inheritdoc/>
    public override BackboneSpec Spec => new("mlp",
    [
        ("widths", string.Join('-', _widths)), ("side", $"{_side}"), ("channels", $"{_channels}"),
        .. _activation == UsualActivation ? ((string, string)[])[] : [("activation", _activation)],
    ]);

    /// <summary>The layers, from the pixels up.</summary>
    public IReadOnlyList<Linear> Layers => _layers;

    /// <summary>Numbers of a picture.</summary>
    public int InputSize => _channels * _side * _side;

    /// <summary>Whether every unit gives a number between 0 and 1.</summary>
    public bool IsSigmoid => _activation == "sigmoid";

    /// <summary>N×3×H×W to N×<see cref="InputSize"/>.</summary>
    public Tensor Pixels(Tensor pictures) => pictures.Narrow(1, 0, _channels).Flatten(1);

    /// <summary>What the units make of their sums.</summary>
    public Tensor Activate(Tensor sums) => s_activations[_activation](sums);
}
