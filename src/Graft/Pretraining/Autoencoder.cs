using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Hinton and Salakhutdinov 2006: a network that rebuilds its picture, all layers at once.</summary>
internal class Autoencoder : PretrainMethod
{
    public override string Name => "autoencoder";

    public override string Summary => "Rebuilds the picture from the features, all layers at once (Hinton and Salakhutdinov 2006)";

    /// <summary>What is done to the picture first.</summary>
    protected virtual InputNoise Noise => InputNoise.None;

    public override (Backbone Backbone, IReadOnlyList<string> Notes) CreateBackbone(Dataset items, PretrainOptions options) =>
        base.CreateBackbone(items, DenseMethod.Sigmoid(options, "1000-500-250"));

    public override void Check(Backbone backbone)
    {
        if (backbone is Mlp mlp)
        {
            DenseMethod.RequireLevels(this, mlp);
            return;
        }
        if (backbone is not VisionTransformer && RebuildingObjective.HasMap(backbone)) return;
        throw new GraftException($"{Name} rebuilds a picture from the map of the last convolution, and {backbone.Architecture} ends with none: give "
            + (backbone is VisionTransformer ? "--method mae, which is made for it" : "--backbone convnet, resnet18 or mlp"));
    }

    public sealed override void Check(PretrainMaterial material) => PictureStart.RequireDifferent(material);

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) =>
        backbone is Mlp ? [] : [Augmentations.Plain(backbone.Preprocessing, 0.8)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        if (material.Backbone is Mlp)
            return [new PretrainPhase<RowBatch>("all layers", How(material, TiedAutoencoder.Usual with { Epochs = 30 }), Rows)];
        var how = new Optimisation
        {
            Optimizer = new AdamRule(Decoupled: true), Rate = 1e-3, WeightDecay = 1e-4, Epochs = 50, Schedule = new CosineSchedule { WarmUp = 0.05 },
        };
        return [new PretrainPhase<ViewBatch>("all layers", How(material, how), Maps)];
    }

    private (Objective<RowBatch>, Feed<RowBatch>) Rows(PretrainMaterial given)
    {
        var network = (Mlp)given.Backbone;
        return (new TiedAutoencoder(given, 0, network.Layers.Count, given.Options.Reconstruction.NoiseOr(Noise)),
            new LayerFeed(given, network, 0, Batch(given, 100)));
    }

    private (Objective<ViewBatch>, Feed<ViewBatch>) Maps(PretrainMaterial given) =>
        (new RebuildingObjective(given, given.Options.Reconstruction.NoiseOr(Noise)), given.Views(Batch(given, 128), Views(given.Backbone)));
}

/// <summary>Vincent et al. 2008: the same, from a picture some of which is taken away.</summary>
internal sealed class Denoising : Autoencoder
{
    public override string Name => "denoising";

    public override string Summary => "Rebuilds the picture from one with a part of it set to 0, or with noise (Vincent et al. 2008)";

    protected override InputNoise Noise => new(0.25, 0);
}
