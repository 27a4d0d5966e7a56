using System.Buffers.Binary;
using System.IO.Compression;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>
/// PyTorch's <c>.pt</c>, <c>.pth</c>, <c>.th</c>, <c>.bin</c>: the zip format (since 1.6: data.pkl and one entry for each storage) and the
/// older one (four pickles, then the storages). A state dict is found in the wrappers that training scripts put around it.
/// </summary>
public static class PyTorchCheckpoint
{
    private static readonly Dictionary<string, DType> s_storages = new()
    {
        ["FloatStorage"] = DType.Float32, ["DoubleStorage"] = DType.Float64, ["HalfStorage"] = DType.Float16, ["BFloat16Storage"] = DType.BFloat16,
        ["LongStorage"] = DType.Int64, ["IntStorage"] = DType.Int32, ["ShortStorage"] = DType.Int16, ["CharStorage"] = DType.Int8, ["ByteStorage"] = DType.UInt8, ["BoolStorage"] = DType.Bool,
    };

    private static readonly HashSet<string> s_allowed =
    [
        "collections.OrderedDict", "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size", "torch.device", "builtins.set", "__builtin__.set",
        "torch.float32", "torch.float64", "torch.float16", "torch.bfloat16", "torch.int64", "torch.int32", "torch.int16", "torch.int8", "torch.uint8", "torch.bool",
    ];

    private static readonly string[] s_wrappers = ["state_dict", "model_state_dict", "model", "net", "weights", "params"];

    private static readonly Operator s_asStrided = new("aten::as_strided");

    /// <summary>A tensor described by the pickle before its storage's bytes are at hand.</summary>
    private sealed record Described(string Key, DType Type, long Offset, long[] Shape, long[] Strides, long StorageCount);

    private sealed record StorageId(string Key, DType Type, long Count);

    /// <summary>Reads the state dict.</summary>
    /// <exception cref="InvalidDataException">Damaged, refused, or no state dict: what is wrong and what to do.</exception>
    public static IReadOnlyDictionary<string, Tensor> Read(string path)
    {
        try
        {
            Span<byte> first = stackalloc byte[2];
            using (var file = File.OpenRead(path)) file.ReadExactly(first);
            return first is [(byte)'P', (byte)'K'] ? ReadZip(path) : ReadLegacy(path);
        }
        catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException)
        {
            throw new InvalidDataException($"{path} is no PyTorch checkpoint that can be read: {reason.Message}", reason);
        }
    }

    private static bool Allowed(PickleGlobal global) => s_allowed.Contains(global.ToString()) || (global.Module == "torch" && s_storages.ContainsKey(global.Name));

    private static Pickle NewPickle() => new(Allowed, Reduce, Persistent);

    private static object? Reduce(PickleGlobal function, object?[] arguments) => function.Name switch
    {
        "OrderedDict" => new Dictionary<object, object?>(),
        "set" => new List<object?>(),
        "_rebuild_tensor" or "_rebuild_tensor_v2" => Describe(arguments),
        "_rebuild_parameter" => arguments[0],
        "Size" => arguments[0],
        "device" => string.Join(":", arguments),
        _ => throw new InvalidDataException($"it calls {function}, which is refused"),
    };

    private static Described Describe(object?[] arguments)
    {
        if (arguments is not [StorageId storage, long offset, object?[] shape, object?[] strides, ..] || shape.Length != strides.Length || shape.Length > 16)
            throw new InvalidDataException("a tensor is described wrongly");
        return new Described(storage.Key, storage.Type, offset, [.. shape.Select(size => (long)size!)], [.. strides.Select(size => (long)size!)], storage.Count);
    }

    // ('storage', torch.FloatStorage, key, location, count[, view])
    private static object Persistent(object? id) => id is object?[] and ["storage", PickleGlobal type, string key, _, long count, ..] && s_storages.TryGetValue(type.Name, out var found) && count >= 0
        ? new StorageId(key, found, count)
        : throw new InvalidDataException("a storage is described wrongly");

    private static Dictionary<string, Tensor> ReadZip(string path)
    {
        using var archive = ZipFile.OpenRead(path);
        var index = archive.Entries.FirstOrDefault(entry => entry.FullName.EndsWith("/data.pkl", StringComparison.Ordinal) || entry.FullName == "data.pkl")
            ?? throw new InvalidDataException("it is a zip archive without data.pkl");
        if (archive.Entries.Any(entry => entry.FullName.Contains("/code/", StringComparison.Ordinal))) throw new InvalidDataException("it is a TorchScript archive, not a state dict: save model.state_dict() in PyTorch");
        var root = NewPickle().Read(Bytes(index, path), out _);
        var prefix = index.FullName[..^"data.pkl".Length];
        using var file = new MappedFile(path);
        var stored = StoredEntries.Find(file);
        return Build(root, described =>
        {
            // Unpacked and aligned, a tensor stands on the file itself.
            if (stored.TryGetValue($"{prefix}data/{described.Key}", out var place) && place.Length == checked(described.StorageCount * described.Type.Size()) && place.Offset % described.Type.Size() == 0 && place.Length > 0)
                return file.Tensor(place.Offset, described.Type, [described.StorageCount]);
            var entry = archive.GetEntry($"{prefix}data/{described.Key}") ?? throw new InvalidDataException($"storage {described.Key} is missing from the archive");
            if (entry.Length != checked(described.StorageCount * described.Type.Size())) throw new InvalidDataException($"storage {described.Key} should have {described.StorageCount} elements and has {entry.Length} bytes");
            using var stream = entry.Open();
            return ReadStorage(stream, described, path, entry.CompressedLength == entry.Length);
        });
    }

    private static byte[] Bytes(ZipArchiveEntry entry, string path)
    {
        if (entry.Length > new FileInfo(path).Length * 100) throw new InvalidDataException("an entry is packed more than 100 times: refused");
        var bytes = new byte[entry.Length];
        using var stream = entry.Open();
        stream.ReadExactly(bytes);
        return bytes;
    }

    private static unsafe Tensor ReadStorage(Stream stream, Described described, string path, bool stored)
    {
        var bytes = checked(described.StorageCount * described.Type.Size());
        if (stored && bytes > new FileInfo(path).Length) throw new InvalidDataException($"storage {described.Key} says that it has {bytes} bytes, more than the file");
        var tensor = Ops.Empty([described.StorageCount], dtype: described.Type);
        const int Piece = 1 << 26;
        for (long at = 0; at < bytes; at += Piece) stream.ReadExactly(new Span<byte>((byte*)tensor.Data + at, (int)Math.Min(Piece, bytes - at)));
        return tensor;
    }

    private static Dictionary<string, Tensor> ReadLegacy(string path)
    {
        if (new FileInfo(path).Length > int.MaxValue) throw new InvalidDataException("the old format is read up to 2 GB: load it in PyTorch and save it again");
        using var file = new MappedFile(path);
        var data = file.Bytes(0, (int)file.Length);
        var at = 0;
        object? Next(ReadOnlySpan<byte> from)
        {
            var value = NewPickle().Read(from[at..], out var used);
            at += used;
            return value;
        }
        // The magic number has 80 bits: the one number that is not read, but compared.
        ReadOnlySpan<byte> magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e];
        if (data.Length < 15 || !data[2..15].SequenceEqual(magic))
        {
            Next(data);
            throw new InvalidDataException("it is a bare pickle, not a file that torch.save wrote");
        }
        at = 15;
        Next(data);
        Next(data);
        var root = Next(data);
        if (Next(data) is not List<object?> keys) throw new InvalidDataException("the list of storages is missing: it is cut off");
        var starts = new Dictionary<string, long>();
        var described = new Dictionary<string, Described>();
        Collect(root, described);
        foreach (var key in keys.OfType<string>())
        {
            if (at > data.Length - 8) throw new InvalidDataException("it is cut off");
            var count = BinaryPrimitives.ReadInt64LittleEndian(data[at..]);
            at += 8;
            if (!described.TryGetValue(key, out var about)) throw new InvalidDataException($"storage {key} belongs to no tensor: its length cannot be known");
            var bytes = count < 0 || count > data.Length ? -1 : count * about.Type.Size();
            if (count != about.StorageCount || bytes < 0 || bytes > data.Length - at) throw new InvalidDataException($"storage {key} says that it has {count} elements, beyond the end: it is cut off");
            starts[key] = at;
            at += (int)bytes;
        }
        return Build(root, about => starts.TryGetValue(about.Key, out var start)
            ? file.Tensor(start, about.Type, [about.StorageCount])
            : throw new InvalidDataException($"storage {about.Key} is missing"));
    }

    private static void Collect(object? value, Dictionary<string, Described> into)
    {
        if (value is Described described) into[described.Key] = described;
        else if (value is Dictionary<object, object?> map) foreach (var item in map.Values) Collect(item, into);
        else if (value is IEnumerable<object?> list) foreach (var item in list) Collect(item, into);
    }

    private static Dictionary<string, Tensor> Build(object? root, Func<Described, Tensor> read)
    {
        var state = Unwrap(root) ?? throw new InvalidDataException("it holds no state dict (names with tensors): save model.state_dict() in PyTorch");
        var storages = new Dictionary<string, Tensor>();
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (key, value) in state)
        {
            if (key is not string name || value is not Described described) continue;
            if (!storages.TryGetValue(described.Key, out var storage)) storages[described.Key] = storage = read(described);
            var last = described.Offset + described.Shape.Zip(described.Strides, (size, stride) => (size - 1) * stride).Sum();
            if (described.Offset < 0 || described.Shape.Any(size => size < 0) || described.Strides.Any(stride => stride < 0) || (described.Shape.All(size => size > 0) && last >= described.StorageCount))
                throw new InvalidDataException($"tensor '{name}' reaches beyond its storage");
            tensors[name] = s_asStrided.Invoke(storage, described.Shape, described.Strides, described.Offset)[0];
        }
        foreach (var storage in storages.Values) storage.Dispose();
        return tensors;
    }

    private static Dictionary<object, object?>? Unwrap(object? value)
    {
        if (value is not Dictionary<object, object?> map) return null;
        if (map.Values.Any(item => item is Described)) return map;
        return s_wrappers.Where(map.ContainsKey).Select(name => Unwrap(map[name])).FirstOrDefault(found => found is not null);
    }
}
