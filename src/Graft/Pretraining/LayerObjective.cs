using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss over the rows that a layer gets; every other layer of the network stays as it is.</summary>
internal abstract class LayerObjective : BackboneObjective<RowBatch>
{
    /// <param name="material">Whose backbone is the network.</param>
    /// <param name="trained">The layers that train.</param>
    protected LayerObjective(PretrainMaterial material, params IReadOnlyList<Linear> trained) : base(material)
    {
        Network = (Mlp)material.Backbone;
        Network.SetTrainable(false);
        foreach (var layer in trained) layer.SetTrainable(true);
    }

    protected Mlp Network { get; }
}
