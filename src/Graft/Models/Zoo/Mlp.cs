using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// Dense layers with SELU (Klambauer et al. 2017) over the pixels: the network of Géron's chapter on reusing pretrained
/// layers, for tiny pictures. Grey pictures use one channel.
/// </summary>
internal sealed class Mlp : Backbone
{
    private readonly int[] _widths;
    private readonly int _side, _channels;

    /// <summary>Random weights.</summary>
    public Mlp(int[] widths, int side, int channels = 1, int? classes = null)
    {
        (_widths, _side, _channels) = (widths, side, channels);
        var stages = new List<Stage>();
        var inputs = channels * side * side;
        for (var k = 0; k < widths.Length; k++)
        {
            var first = k == 0;
            var layer = Child($"dense{k + 1}", new Linear(inputs, widths[k]));
            Initialisers.XavierUniform(layer.Weight);
            Initialisers.Constant(layer.Bias!, 0);
            stages.Add(new Stage($"s{k + 1}", widths[k], [layer], x => layer.Forward(first ? x.Narrow(1, 0, channels).Flatten(1) : x).Selu()));
            inputs = widths[k];
        }
        Stages = stages;
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
    public override BackboneSpec Spec => new("mlp", ("widths", string.Join('-', _widths)), ("side", $"{_side}"), ("channels", $"{_channels}"));
}
