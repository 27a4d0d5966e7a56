using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Methods that work on a network of dense layers (mlp), most of them layer by layer.</summary>
internal abstract class DenseMethod : PretrainMethod
{
    /// <summary>Units of each layer where nothing is said.</summary>
    protected abstract string UsualWidths { get; }

    public sealed override string? UsualBackbone => $"mlp widths={UsualWidths} activation=sigmoid";

    public sealed override (Backbone Backbone, IReadOnlyList<string> Notes) CreateBackbone(Dataset items, PretrainOptions options) =>
        base.CreateBackbone(items, Sigmoid(options, UsualWidths));

    /// <summary>An mlp that is asked for has sigmoid units and these widths, but for what is said of it.</summary>
    internal static PretrainOptions Sigmoid(PretrainOptions options, string widths) =>
        options.Backbone is { } text && BackboneSpec.Parse(text) is { Name: "mlp" } spec
            ? options with { Backbone = spec.Else(("widths", widths), ("activation", "sigmoid")).ToString() } : options;

    public sealed override void Check(PretrainMaterial material) => PictureStart.RequireDifferent(material);

    public override void Check(Backbone backbone)
    {
        if (backbone is Mlp mlp)
        {
            RequireLevels(this, mlp);
            return;
        }
        throw new GraftException($"{Name} trains dense layers one by one, and {backbone.Architecture} has others: give --backbone mlp, or a run of one with "
            + "--weights. For a network of convolutions there are --method autoencoder and denoising");
    }

    /// <summary>What is rebuilt is taken for chances.</summary>
    internal static void RequireLevels(PretrainMethod method, Mlp network)
    {
        var normalize = network.Preprocessing.Normalize;
        if (normalize.Mean.Any(mean => mean != 0) || normalize.Std.Any(std => std != 1))
            throw new GraftException($"{method.Name} takes pixels as numbers of 0 … 1, and the network gets others: leave out --mean, --std and --scale");
    }
}
