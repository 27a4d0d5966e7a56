using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>Hinton, Osindero and Teh 2006: a deep belief network, each layer a machine on what those below make of a picture.</summary>
internal sealed class Dbn : DenseMethod
{
    public override string Name => "dbn";

    public override string Summary => "A deep belief network: dense layers as restricted Boltzmann machines, one on another (Hinton et al. 2006)";

    protected override string UsualWidths => "1000-1000-1000";

    public override void Check(Backbone backbone)
    {
        base.Check(backbone);
        Rbm.RequireSigmoid(this, backbone);
    }

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        [.. material.Backbone.Stages.Select((stage, layer) => Rbm.Phase(material, layer, stage.Name))];
}
