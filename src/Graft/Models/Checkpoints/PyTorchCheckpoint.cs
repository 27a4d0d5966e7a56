using System.Buffers.Binary;
using System.IO.Compression;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>
/// PyTorch's <c>.pt</c>, <c>.pth</c>, <c>.th</c>, <c>.bin</c>: the zip format (since 1.6: data.pkl and one entry for each storage) and the
/// older one (four pickles, then the storages). A state dict is found in the wrappers that training scripts put around it.
/// </summary>
internal static class PyTorchCheckpoint
{
    private static readonly Dictionary<string, DType> s_storages = new()
    {
        ["FloatStorage"] = DType.Float32, ["DoubleStorage"] = DType.Float64, ["HalfStorage"] = DType.Float16, ["BFloat16Storage"] = DType.BFloat16,
        ["LongStorage"] = DType.Int64, ["IntStorage"] = DType.Int32, ["ShortStorage"] = DType.Int16, ["CharStorage"] = DType.Int8,
            ["ByteStorage"] = DType.UInt8, ["BoolStorage"] = DType.Bool,
    };

    // Deeper than any wrapper; a pickle may hold itself.
    private const int DepthLimit = 4;

    private static readonly string[] s_wrappers = ["state_dict", "model_state_dict", "model", "net", "weights", "params"];

    private static readonly Operator s_asStrided = new("aten::as_strided");

    /// <summary>A tensor described by the pickle before its storage's bytes are at hand.</summary>
    private sealed record Described(string Key, DType Type, long Offset, long[] Shape, long[] Strides, long StorageCount);

    /// <param name="Start">Of a view's first element, in files from before PyTorch 0.4.</param>
    private sealed record StorageId(string Key, DType Type, long Count, long Start);

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
        catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException or OverflowException)
        {
            throw new InvalidDataException($"{path} is no PyTorch checkpoint that can be read: {reason.Message}", reason);
        }
    }

    /// <summary>A reader of pickles that notes every storage it is told of, in <paramref name="storages"/>: those of what is passed over
    /// too.</summary>
    private static Pickle NewPickle(Dictionary<string, StorageId>? storages = null) => new(Call, id =>
    {
        // The older format tells a module's class with its source.
        if (id is object?[] and ["module", PickleGlobal type, ..]) return type;
        var found = Persistent(id);
        storages?.TryAdd(found.Key, found);
        return found;
    });

    private static object? Call(PickleGlobal function, object?[] arguments) => ($"{function}", arguments) switch
    {
        ("torch._utils._rebuild_tensor" or "torch._utils._rebuild_tensor_v2", _) => Describe(arguments),
        ("torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" or "torch.Size", [var of, ..]) => of,
        ("torch.device", _) => new PickledObject(function),
        _ => PickleNames.Call(function, arguments),
    };

    private static Described Describe(object?[] arguments)
    {
        if (arguments is not [StorageId storage, long offset, object?[] shape, object?[] strides, ..] || shape.Length != strides.Length
            || shape.Length > 16)
            throw new InvalidDataException("a tensor is described wrongly");
        return new Described(storage.Key, storage.Type, checked(storage.Start + offset), [.. shape.Select(size => (long)size!)],
            [.. strides.Select(size => (long)size!)], storage.Count);
    }

    // ('storage', torch.FloatStorage, key, location, count[, view: None or (its key, start, count)])
    private static StorageId Persistent(object? id) => id is object?[] and ["storage", PickleGlobal type, string key, _, long count, .. var rest]
        && s_storages.TryGetValue(type.Name, out var found) && count >= 0
        ? new StorageId(key, found, count, rest is [object?[] and [_, long start, _]] ? start : 0)
        : throw new InvalidDataException("a storage is described wrongly");

    private static Dictionary<string, Tensor> ReadZip(string path)
    {
        using var archive = ZipFile.OpenRead(path);
        var index = archive.Entries.FirstOrDefault(entry => entry.FullName.EndsWith("/data.pkl", StringComparison.Ordinal)
            || entry.FullName == "data.pkl")
            ?? throw new InvalidDataException(archive.Entries.Any(entry => entry.FullName.EndsWith(".npy", StringComparison.Ordinal))
                ? "it is a zip archive of NumPy arrays (.npz): save them as safetensors (safetensors.numpy.save_file)"
                    : "it is a zip archive without data.pkl: if a checkpoint lies in it, unpack it");
        if (archive.Entries.Any(entry => entry.FullName.Contains("/code/", StringComparison.Ordinal))) throw new InvalidDataException("it is a TorchScript archive, not a state dict: save model.state_dict() in PyTorch");
        var root = NewPickle().Read(Bytes(index, path), out _);
        var prefix = index.FullName[..^"data.pkl".Length];
        using var file = new MappedFile(path);
        var stored = StoredEntries.Find(file);
        return Build(root, described =>
        {
            // Unpacked and aligned, a tensor stands on the file itself.
            if (stored.TryGetValue($"{prefix}data/{described.Key}", out var place)
                && place.Length == checked(described.StorageCount * described.Type.Size()) && place.Offset % described.Type.Size() == 0
                && place.Length > 0)
                return file.Tensor(place.Offset, described.Type, [described.StorageCount]);
            var entry = archive.GetEntry($"{prefix}data/{described.Key}")
                ?? throw new InvalidDataException($"storage {described.Key} is missing from the archive");
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
        if (stored && bytes > new FileInfo(path)
            .Length) throw new InvalidDataException($"storage {described.Key} says that it has {bytes} bytes, more than the file");
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
        var storages = new Dictionary<string, StorageId>();
        object? Next(ReadOnlySpan<byte> from)
        {
            var value = NewPickle(storages).Read(from[at..], out var used);
            at += used;
            return value;
        }
        // torch.save's magic number, of 80 bits.
        ReadOnlySpan<byte> magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
        var first = Next(data);
        if (first is not byte[] number || !magic.SequenceEqual(number)) throw new InvalidDataException($"it is a bare pickle{(first is PickledObject { Class: var type } ? $" of a {type}" : "")}, not a file that torch.save wrote");
        Next(data);
        Next(data);
        var root = Next(data);
        if (Next(data) is not List<object?> keys) throw new InvalidDataException("the list of storages is missing: it is cut off");
        var starts = new Dictionary<string, long>();
        foreach (var key in keys.OfType<string>())
        {
            if (at > data.Length - 8) throw new InvalidDataException("it is cut off");
            var count = BinaryPrimitives.ReadInt64LittleEndian(data[at..]);
            at += 8;
            if (!storages.TryGetValue(key,
                out var about)) throw new InvalidDataException($"storage {key} belongs to no tensor: its length cannot be known");
            var bytes = count < 0 || count > data.Length ? -1 : count * about.Type.Size();
            if (count != about.Count || bytes < 0 || bytes > data.Length - at) throw new InvalidDataException($"storage {key} says that it has {count} elements, beyond the end: it is cut off");
            starts[key] = at;
            at += (int)bytes;
        }
        return Build(root, about => starts.TryGetValue(about.Key, out var start) && storages[about.Key] is var stored
            && (stored.Type, stored.Count) == (about.Type, about.StorageCount)
            ? file.Tensor(start, about.Type, [about.StorageCount])
            : throw new InvalidDataException($"storage {about.Key} is missing, or described in two ways"));
    }

    private static Dictionary<string, Tensor> Build(object? root, Func<Described, Tensor> read)
    {
        var state = Unwrap(root) ?? throw new InvalidDataException(Whole(root) is { } whole
            ? $"it holds a {whole.Class}, an object that only its own code can read, and no state dict (names with tensors): load it in PyTorch and save model.state_dict()"
            : "it holds no state dict (names with tensors): save model.state_dict() in PyTorch");
        var storages = new Dictionary<(string, DType, long), Tensor>();
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (key, value) in state)
        {
            if (key is not string name || value is not Described described) continue;
            var place = (described.Key, described.Type, described.StorageCount);
            if (!storages.TryGetValue(place, out var storage)) storages[place] = storage = read(described);
            var last = described.Shape.Zip(described.Strides, (size, stride) => checked((size - 1) * stride))
                .Aggregate(described.Offset, (sum, step) => checked(sum + step));
            if (described.Offset < 0 || described.Shape.Any(size => size < 0) || described.Strides.Any(stride => stride < 0)
                || (described.Shape.All(size => size > 0) && last >= described.StorageCount))
                throw new InvalidDataException($"tensor '{name}' reaches beyond its storage");
            tensors[name] = s_asStrided.Invoke(storage, described.Shape, described.Strides, described.Offset)[0];
        }
        foreach (var storage in storages.Values) storage.Dispose();
        return tensors;
    }

    // A wrapper's state dict comes before tensors that stand beside it, such as a random generator's state.
    private static Dictionary<object, object?>? Unwrap(object? value, int depth = 0) => value is not Dictionary<object, object?> map
        || depth > DepthLimit ? null
        : s_wrappers.Where(map.ContainsKey).Select(name => Unwrap(map[name], depth + 1)).FirstOrDefault(found => found is not null)
            ?? (map.Values.Any(item => item is Described) ? map : null);

    private static PickledObject? Whole(object? value) => value as PickledObject
        ?? (value is Dictionary<object, object?> map ? s_wrappers.Select(name => map.GetValueOrDefault(name)).OfType<PickledObject>()
            .FirstOrDefault() : null);
}
