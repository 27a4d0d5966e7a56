using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss over batches of sentences. The encoder stays the caller's; what a method puts above it is its own.</summary>
internal abstract class TextObjective : Objective<Batch>
{
    private const string Below = "backbone";

    private readonly Device _device;

    protected TextObjective(PretrainMaterial material)
    {
        Encoder = Child(Below, material.Encoder);
        Encoder.FreezeBelow(0, freezeStatistics: false);
        _device = Graft.Torch.Device.Parse(material.Options.Device);
        Words = SlotOf(Encoder.Names.Words);
        Vocabulary = new Vocabulary(Encoder.Tokenizer);
    }

    protected TextEncoder Encoder { get; }

    protected Vocabulary Vocabulary { get; }

    /// <summary>The vectors that the encoder reads pieces by: V×E.</summary>
    protected Slot Words { get; }

    protected Slot SlotOf(string embedding) => Encoder.NamedSlots().Single(slot => slot.Name == embedding + ".weight").Slot;

    /// <summary>On the device where the networks are.</summary>
    protected Tensor Here(Tensor tensor) => tensor.To(_device);

    /// <summary>N×T numbers of pieces to N×T×C, and which places are filled up.</summary>
    protected Signal Tokens(Tensor ids) => Encoder.Forward(Here(ids), 0, Encoder.Stages.Count);

    /// <summary>The sentences of a batch without what fills them up.</summary>
    protected int[][] Rows(Batch batch)
    {
        var length = (int)batch.Inputs.Shape[1];
        return [.. batch.Inputs.ToArray<long>().Chunk(length)
            .Select(row => row.TakeWhile(id => id != Encoder.Shape.Pad).Select(id => (int)id).ToArray())];
    }

    /// <summary>What trains: every parameter that asks for gradients; norms and biases without decay, as BERT has it.</summary>
    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how)
    {
        Tensor[] all = [.. Parameters().Where(parameter => parameter.RequiresGrad)];
        return
        [
            new("weights", [.. all.Where(parameter => parameter.Dimensions > 1)], how.Rate, how.WeightDecay),
            new("norms and biases", [.. all.Where(parameter => parameter.Dimensions <= 1)], how.Rate),
        ];
    }

    // The encoder lives on.
    protected override void Dispose(bool disposing)
    {
        foreach (var (name, slot) in NamedSlots())
        {
            if (!name.StartsWith(Below + ".", StringComparison.Ordinal)) slot.Value.Dispose();
        }
    }
}
