using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss over the rows that a layer gets; every other layer of the network stays as it is.</summary>
internal abstract class LayerObjective : Objective<RowBatch>
{
    private const string Below = "backbone";

    /// <param name="material">Whose backbone is the network.</param>
    /// <param name="trained">The layers that train.</param>
    protected LayerObjective(PretrainMaterial material, params IReadOnlyList<Linear> trained)
    {
        Network = Child(Below, (Mlp)material.Backbone);
        Network.SetTrainable(false);
        foreach (var layer in trained) layer.SetTrainable(true);
    }

    protected Mlp Network { get; }

    /// <summary>Weights with decay, biases without.</summary>
    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how)
    {
        Tensor[] all = [.. Parameters().Where(parameter => parameter.RequiresGrad)];
        return
        [
            new("weights", [.. all.Where(parameter => parameter.Dimensions > 1)], how.Rate, how.WeightDecay),
            new("biases", [.. all.Where(parameter => parameter.Dimensions <= 1)], how.Rate),
        ];
    }

    /// <summary>Where the weights are.</summary>
    protected Tensor Here(Tensor rows) => rows.To(Network.Layers[0].Weight.Device);

    // The network lives on.
    protected override void Dispose(bool disposing)
    {
        foreach (var (name, slot) in NamedSlots())
        {
            if (!name.StartsWith(Below + ".", StringComparison.Ordinal)) slot.Value.Dispose();
        }
    }
}
