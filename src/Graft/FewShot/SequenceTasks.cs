using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Sequences to learn an algorithm from; x: T×B×inputs, the bits wanted: U×B×outputs, for the last U steps.</summary>
internal sealed record SequenceBatch(Tensor Inputs, Tensor Wanted)
{
    /// <summary>Wrong bits of each sequence, from log-odds for every step: T×B×outputs.</summary>
    public double[] WrongBits(Tensor outputs)
    {
        var said = outputs.Narrow(0, outputs.Shape[0] - Wanted.Shape[0], Wanted.Shape[0]);
        return said.Gt(0).To(DType.Float32).Ne(Wanted).To(DType.Float32).Sum([0L, 2L]).ToArray<double>();
    }

    /// <summary>Mean cross-entropy of a bit.</summary>
    public Tensor Loss(Tensor outputs) => Losses.BinaryCrossEntropy(outputs.Narrow(0, outputs.Shape[0] - Wanted.Shape[0], Wanted.Shape[0]), Wanted);
}

/// <summary>The tasks of Graves et al. 2014, sections 4.1 and 4.3.</summary>
internal static class SequenceTasks
{
    /// <summary>Bits of a vector in the copy task.</summary>
    public const int CopyBits = 8;

    /// <summary>Bits of a vector in associative recall, and vectors of an item.</summary>
    public const int RecallBits = 6, RecallVectors = 3;

    /// <summary>Random vectors, a delimiter on a channel of its own, then nothing while they are to be said again.</summary>
    public static SequenceBatch Copy(int length, int batch, ref Rng rng)
    {
        const int Width = CopyBits + 1;
        var x = new float[(2 * length + 1) * batch * Width];
        var y = new float[length * batch * CopyBits];
        for (var t = 0; t < length; t++)
        {
            for (var b = 0; b < batch; b++)
            {
                for (var k = 0; k < CopyBits; k++) x[(t * batch + b) * Width + k] = y[(t * batch + b) * CopyBits + k] = rng.NextBits() >> 63;
            }
        }
        for (var b = 0; b < batch; b++) x[(length * batch + b) * Width + CopyBits] = 1;
        return new SequenceBatch(Tensor.From(x, 2 * length + 1, batch, Width), Tensor.From(y, length, batch, CopyBits));
    }

    /// <summary>Items of three vectors, each behind a delimiter; then one of them again between query delimiters: the item that followed it is to be
    /// said.</summary>
    public static SequenceBatch AssociativeRecall(int items, int batch, ref Rng rng)
    {
        const int Width = RecallBits + 2, Item = RecallVectors + 1;
        var steps = items * Item + Item + 1 + RecallVectors;
        var x = new float[steps * batch * Width];
        var y = new float[RecallVectors * batch * RecallBits];
        for (var b = 0; b < batch; b++)
        {
            var bits = new float[items * RecallVectors * RecallBits];
            for (var k = 0; k < bits.Length; k++) bits[k] = rng.NextBits() >> 63;
            var asked = rng.Below(items - 1);
            void Put(int item, int from)
            {
                for (var v = 0; v < RecallVectors; v++)
                {
                    for (var k = 0; k < RecallBits; k++) x[((from + v) * batch + b) * Width + k] = bits[(item * RecallVectors + v) * RecallBits + k];
                }
            }
            for (var item = 0; item < items; item++)
            {
                x[(item * Item * batch + b) * Width + RecallBits] = 1;
                Put(item, item * Item + 1);
            }
            x[(items * Item * batch + b) * Width + RecallBits + 1] = 1;
            Put(asked, items * Item + 1);
            x[((items * Item + Item) * batch + b) * Width + RecallBits + 1] = 1;
            for (var v = 0; v < RecallVectors; v++)
            {
                for (var k = 0; k < RecallBits; k++) y[(v * batch + b) * RecallBits + k] = bits[((asked + 1) * RecallVectors + v) * RecallBits + k];
            }
        }
        return new SequenceBatch(Tensor.From(x, steps, batch, Width), Tensor.From(y, RecallVectors, batch, RecallBits));
    }
}
