using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Graft.Models.Checkpoints;
using Graft.Torch;

namespace Graft.Exports;

/// <summary>A state dict as <c>torch.save</c> writes it since 1.6: a zip of a pickle of names and shapes, and each tensor's bytes.</summary>
internal static class PyTorchWriter
{
    private static readonly Dictionary<DType, string> s_storages = new()
    {
        [DType.Float32] = "FloatStorage", [DType.Float64] = "DoubleStorage", [DType.Float16] = "HalfStorage", [DType.BFloat16] = "BFloat16Storage",
            [DType.Int64] = "LongStorage", [DType.Int32] = "IntStorage",
        [DType.Int16] = "ShortStorage", [DType.Int8] = "CharStorage", [DType.UInt8] = "ByteStorage", [DType.Bool] = "BoolStorage",
    };

    /// <summary>Writes tensors by name, atomically; <c>torch.load</c> gives them back as an OrderedDict.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="tensors">The state dict.</param>
    /// <param name="card">What the file says of itself, in an entry of the archive that torch passes over; null: nothing.</param>
    public static void Write(string path, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? card = null) =>
        AtomicFile.Write(path, stream => Write(stream, Path.GetFileNameWithoutExtension(path), tensors, card));

    private static unsafe void Write(Stream stream, string folder,
        IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? card)
    {
        using var archive = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true);
        void Entry(string name, ReadOnlySpan<byte> bytes)
        {
            using var entry = archive.CreateEntry($"{folder}/{name}", CompressionLevel.NoCompression).Open();
            entry.Write(bytes);
        }
        Entry("data.pkl", Pickle(tensors));
        Entry("byteorder", "little"u8);
        var number = 0;
        foreach (var tensor in tensors.Values)
        {
            using var scope = new TensorScope();
            var ready = tensor.Detach().To(Device.Cpu).Contiguous();
            Entry($"data/{number++}", new ReadOnlySpan<byte>((void*)ready.Data, checked((int)ready.Bytes)));
        }
        Entry("version", "3\n"u8);
        if (card is not null) Entry($"extra/{ArchiveCard.Name}", Encoding.UTF8.GetBytes(ArchiveCard.ToText(card)));
    }

    // Protocol 2: an OrderedDict, then an item for each tensor: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict()).
    private static byte[] Pickle(IReadOnlyDictionary<string, Tensor> tensors)
    {
        using var pickle = new MemoryStream();
        void Op(params ReadOnlySpan<byte> bytes) => pickle.Write(bytes);
        void Global(string module, string name) => pickle.Write(Encoding.ASCII.GetBytes($"c{module}\n{name}\n"));
        void Text(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
            Op((byte)'X');
            Op(length);
            Op(bytes);
        }
        void Number(long value)
        {
            // A long of eight bytes serves every size.
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
            Op(0x8a, 8);
            Op(bytes);
        }
        void Numbers(IEnumerable<long> values)
        {
            Op((byte)'(');
            foreach (var value in values) Number(value);
            Op((byte)'t');
        }
        void Empty()
        {
            Global("collections", "OrderedDict");
            Op((byte)')', (byte)'R');
        }
        Op(0x80, 2);
        Empty();
        Op((byte)'(');
        var number = 0;
        foreach (var (name, tensor) in tensors)
        {
            if (!s_storages.TryGetValue(tensor.Type,
                out var storage)) throw new GraftException($"'{name}' is of the type {tensor.Type}, which PyTorch's format has no storage for");
            Text(name);
            Global("torch._utils", "_rebuild_tensor_v2");
            Op((byte)'(', (byte)'(');
            Text("storage");
            Global("torch", storage);
            Text($"{number++}");
            Text("cpu");
            Number(tensor.Count);
            Op((byte)'t', (byte)'Q');
            Number(0);
            Numbers(tensor.Shape);
            var strides = new long[tensor.Dimensions];
            long step = 1;
            for (var k = strides.Length - 1; k >= 0; k--) (strides[k], step) = (step, step * tensor.Shape[k]);
            Numbers(strides);
            Op(0x89);
            Empty();
            Op((byte)'t', (byte)'R');
        }
        Op((byte)'u', (byte)'.');
        return pickle.ToArray();
    }
}
