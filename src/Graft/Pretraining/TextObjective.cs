using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>A loss over batches of sentences.</summary>
internal abstract class TextObjective : BackboneObjective<Batch>
{
    protected TextObjective(PretrainMaterial material) : base(material)
    {
        Encoder = material.Encoder;
        Words = SlotOf(Encoder.Names.Words);
        Vocabulary = new Vocabulary(Encoder.Tokenizer);
    }

    protected TextEncoder Encoder { get; }

    protected Vocabulary Vocabulary { get; }

    /// <summary>The vectors that the encoder reads pieces by: V×E.</summary>
    protected Slot Words { get; }

    protected Slot SlotOf(string embedding) => Encoder.NamedSlots().Single(slot => slot.Name == embedding + ".weight").Slot;

    /// <summary>N×T numbers of pieces to N×T×C, and which places are filled up.</summary>
    protected Signal Tokens(Tensor ids) => Encoder.Forward(Here(ids), 0, Encoder.Stages.Count);

    /// <summary>The sentences of a batch without what fills them up.</summary>
    protected int[][] Rows(Batch batch)
    {
        var length = (int)batch.Inputs.Shape[1];
        return [.. batch.Inputs.ToArray<long>().Chunk(length)
            .Select(row => row.TakeWhile(id => id != Encoder.Shape.Pad).Select(id => (int)id).ToArray())];
    }
}
