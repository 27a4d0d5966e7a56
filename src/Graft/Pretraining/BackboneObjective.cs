using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss that trains a backbone, or some of it. The backbone stays the caller's; what a method puts above it is its own, and is left
/// behind.</summary>
internal abstract class BackboneObjective<TBatch> : Objective<TBatch>
{
    private const string Below = "backbone";

    private readonly Device _device;

    protected BackboneObjective(PretrainMaterial material)
    {
        Child(Below, material.Backbone);
        material.Backbone.FreezeBelow(0, freezeStatistics: false);
        _device = Graft.Torch.Device.Parse(material.Options.Device);
    }

    /// <summary>On the device where the networks are.</summary>
    protected Tensor Here(Tensor tensor) => tensor.To(_device);

    /// <summary>What trains: every parameter that asks for gradients; norms and biases without decay, as the papers have it.</summary>
    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how)
    {
        Tensor[] all = [.. Parameters().Where(parameter => parameter.RequiresGrad)];
        return
        [
            new("weights", [.. all.Where(parameter => parameter.Dimensions > 1)], how.Rate, how.WeightDecay),
            new("norms and biases", [.. all.Where(parameter => parameter.Dimensions <= 1)], how.Rate),
        ];
    }

    // The backbone lives on.
    protected override void Dispose(bool disposing)
    {
        foreach (var (name, slot) in NamedSlots())
        {
            if (!name.StartsWith(Below + ".", StringComparison.Ordinal)) slot.Value.Dispose();
        }
    }
}
