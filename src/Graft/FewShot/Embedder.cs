using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// From pictures to embeddings: any backbone. The papers' ConvNet gives its last maps, flattened; every other backbone the
/// features that a head would stand on.
/// </summary>
public sealed class Embedder : Module
{
    /// <summary>Around a backbone, which it owns.</summary>
    public Embedder(Backbone backbone)
    {
        Backbone = Child("", backbone);
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var training = backbone.Training;
        backbone.Eval();
        MapShape = [.. Maps(Ops.Zeros([1, InputChannels, backbone.Preprocessing.Height, backbone.Preprocessing.Width])).Shape[1..]];
        backbone.Train(training);
    }

    /// <summary>The network.</summary>
    public Backbone Backbone { get; }

    /// <summary>1 for a network of grey pictures, else 3.</summary>
    public int InputChannels => Backbone is ConvNet ? Backbone.Spec.Number("channels", 3) : 3;

    /// <summary>Channels, height and width of <see cref="Maps"/> of one picture.</summary>
    public long[] MapShape { get; }

    /// <summary>Numbers of an embedding.</summary>
    public int Size => Backbone is ConvNet ? (int)MapShape.Aggregate((a, b) => a * b) : Backbone.FeatureSize;

    /// <summary>The last stage's output: N×C×h×w.</summary>
    public Tensor Maps(Tensor x) => Backbone.Forward(x, 0, Backbone.Stages.Count);

    /// <summary>N×C×H×W to N×<see cref="Size"/>.</summary>
    public override Tensor Forward(Tensor x) => Backbone is ConvNet ? Maps(x).Flatten(1) : Backbone.Forward(x);
}
