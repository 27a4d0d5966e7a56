using System.Numerics;
using System.Runtime.InteropServices;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>Refuses weights that are not finite: a network with one NaN answers nonsense to everything, and says nothing.</summary>
internal static class Finite
{
    private static readonly Operator s_asStrided = new("aten::as_strided");

    /// <summary>Looks at every value, as fast as the memory is read.</summary>
    /// <exception cref="GraftException">The first tensor with NaN or infinite values, and how many.</exception>
    public static void Check(IReadOnlyDictionary<string, Tensor> tensors, string path)
    {
        using var scope = new TensorScope();
        var bad = tensors.Select(item => (Name: item.Key, Found: Count(item.Value), All: item.Value.Count)).Where(item => item.Found > 0).ToList();
        if (bad.Count == 0) return;
        var others = bad.Count > 1 ? $", and {bad.Count - 1} more of its {tensors.Count} tensors hold such values" : "";
        throw new GraftException($"{path}: '{bad[0].Name}' holds {bad[0].Found:N0} values of {bad[0].All:N0} that are not finite (NaN or infinite){others}. The training that wrote it diverged, or the file is damaged: take an earlier checkpoint");
    }

    /// <summary>How many values are NaN or infinite: in IEEE 754, those whose exponent's bits are all set.</summary>
    private static long Count(Tensor tensor) => !tensor.Type.IsFloating() || tensor.Count == 0 ? 0 : tensor.Type switch
    {
        DType.Float64 => Set<ulong>(Flat(tensor), 0x7ff0_0000_0000_0000),
        DType.Float16 => Set<ushort>(Flat(tensor), 0x7c00),
        DType.BFloat16 => Set<ushort>(Flat(tensor), 0x7f80),
        _ => Set<uint>(Flat(tensor), 0x7f80_0000),
    };

    // Of a transposed or expanded view, what it stands on: no copy is made, and nothing is looked at twice.
    private static Tensor Flat(Tensor tensor)
    {
        if (tensor.IsContiguous) return tensor;
        var extent = 1 + tensor.Shape.Zip(tensor.Strides, (size, stride) => (size - 1) * stride).Sum();
        return extent <= tensor.Count ? s_asStrided.Invoke(tensor, (long[])[extent], (long[])[1], null)[0] : tensor.Contiguous();
    }

    private static unsafe long Set<T>(Tensor tensor, T mask) where T : unmanaged, IBinaryInteger<T>
    {
        const int Piece = 1 << 20;
        long found = 0;
        for (long at = 0; at < tensor.Count; at += Piece) found += Set(new ReadOnlySpan<T>((T*)tensor.Data + at, (int)Math.Min(Piece, tensor.Count - at)), mask);
        return found;
    }

    private static long Set<T>(ReadOnlySpan<T> bits, T mask) where T : unmanaged, IBinaryInteger<T>
    {
        var vectors = MemoryMarshal.Cast<T, Vector<T>>(bits);
        var (masks, any) = (new Vector<T>(mask), Vector<T>.Zero);
        foreach (var vector in vectors) any |= Vector.Equals(vector & masks, masks);
        long found = 0;
        // Values are only counted where there is something to count.
        for (var k = any == Vector<T>.Zero ? vectors.Length * Vector<T>.Count : 0; k < bits.Length; k++) if ((bits[k] & mask) == mask) found++;
        return found;
    }
}
