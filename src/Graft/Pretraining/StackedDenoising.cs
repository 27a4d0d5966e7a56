using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Vincent et al. 2008 and 2010: stacked denoising autoencoders, layer by layer, each with tied weights.</summary>
internal sealed class StackedDenoising : DenseMethod
{
    // Of the theano tutorial: more noise, the deeper.
    private static readonly double[] s_masked = [0.1, 0.2, 0.3];

    public override string Name => "sda";

    public override string Summary => "Stacked denoising autoencoders: dense layers that rebuild what was masked, in turn (Vincent et al. 2008)";

    protected override string UsualWidths => "1000-1000-1000";

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var batch = Batch(material, 100);
        return [.. material.Backbone.Stages.Select((stage, layer) => new PretrainPhase<RowBatch>(stage.Name, How(material, TiedAutoencoder.Usual),
            given =>
            {
                var noise = given.Options.Reconstruction.NoiseOr(new InputNoise(s_masked[Math.Min(layer, s_masked.Length - 1)], 0));
                return (new TiedAutoencoder(given, layer, 1, noise), new LayerFeed(given, (Mlp)given.Backbone, layer, batch));
            }))];
    }
}
