using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Hinton 2002: one dense layer as a restricted Boltzmann machine.</summary>
internal sealed class Rbm : DenseMethod
{
    public override string Name => "rbm";

    public override string Summary => "One dense layer as a restricted Boltzmann machine, by contrastive divergence (Hinton 2002)";

    protected override string UsualWidths => "500";

    public override void Check(Backbone backbone)
    {
        base.Check(backbone);
        RequireSigmoid(this, backbone);
        if (backbone.Stages.Count == 1) return;
        throw new GraftException($"rbm trains one layer, and {backbone.Spec} has {backbone.Stages.Count}: give --method dbn, which trains them one after "
            + "another, or --backbone \"mlp widths=500\"");
    }

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) => [Phase(material, 0, "machine")];

    /// <summary>Units that are on or off are what the machine is of.</summary>
    internal static void RequireSigmoid(PretrainMethod method, Backbone backbone)
    {
        if (!((Mlp)backbone).IsSigmoid)
            throw new GraftException($"{method.Name} needs sigmoid units, and {backbone.Spec} has others: give --backbone \"mlp activation=sigmoid\"");
    }

    /// <summary>A layer of a network, as a machine of its own. Rates, momentum and weight cost as Salakhutdinov and Murray 2008 and Hinton 2012 have
    /// them; the rise at the beginning stands for the lower momentum there.</summary>
    internal static PretrainPhase Phase(PretrainMaterial material, int layer, string name)
    {
        var batch = Batch(material, 100);
        var rate = material.Options.Reconstruction.Persistent ? 0.02 : 0.05;
        return new PretrainPhase<RowBatch>(name, How(material, new Optimisation
        {
            Optimizer = new SgdRule(), Rate = rate, WeightDecay = 2e-4, Epochs = 20, Schedule = new CosineSchedule { WarmUp = 0.1 },
        }), given =>
        {
            var feed = new LayerFeed(given, (Mlp)given.Backbone, layer, batch);
            return (new RestrictedBoltzmannMachine(given, layer, feed, batch), feed);
        });
    }
}
