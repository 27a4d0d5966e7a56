using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Graft.Torch;

/// <summary>
/// The safetensors format (huggingface/safetensors, "Format"): 8 bytes of header length, a JSON header of names, types,
/// shapes and offsets, then the bytes. Reading maps the file; writing is atomic.
/// </summary>
public static class Safetensors
{
    /// <summary>Bytes of the longest header that is read: the reference implementation's own limit.</summary>
    public const long HeaderLimit = 100_000_000;

    private const string MetadataName = "__metadata__";

    private static readonly Dictionary<string, DType> s_types = new()
    {
        ["F64"] = DType.Float64, ["F32"] = DType.Float32, ["F16"] = DType.Float16, ["BF16"] = DType.BFloat16, ["I64"] = DType.Int64,
        ["I32"] = DType.Int32, ["I16"] = DType.Int16, ["I8"] = DType.Int8, ["U8"] = DType.UInt8, ["BOOL"] = DType.Bool,
    };

    /// <summary>What a file holds.</summary>
    public sealed record Contents(IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata);

    /// <summary>Reads every tensor; their memory is the file's (copied when written to).</summary>
    /// <exception cref="InvalidDataException">Not safetensors: what is wrong, and where.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static Contents Read(string path)
    {
        using var file = new MappedFile(path);
        var (header, dataStart) = Header(file);
        using (header)
        {
            var tensors = new Dictionary<string, Tensor>();
            foreach (var entry in Entries(header, path))
            {
                if (entry.Name == MetadataName) continue;
                if (!tensors.TryAdd(entry.Name, One(file, entry, dataStart))) throw Bad(path, $"tensor '{entry.Name}' stands twice in the header");
            }
            return new Contents(tensors, Metadata(header, path));
        }
    }

    // Names are only turned into text when they are looked at: bytes that are none show there.
    private static List<JsonProperty> Entries(JsonDocument header, string path)
    {
        try
        {
            var entries = header.RootElement.EnumerateObject().ToList();
            foreach (var entry in entries) { _ = entry.Name; _ = entry.Value.ToString(); }
            return entries;
        }
        catch (InvalidOperationException reason)
        {
            throw Bad(path, $"the header's text is damaged ({reason.Message})");
        }
    }

    /// <summary>Reads only <c>__metadata__</c>.</summary>
    public static IReadOnlyDictionary<string, string> ReadMetadata(string path)
    {
        using var file = new MappedFile(path);
        using var header = Header(file).Json;
        return Metadata(header, path);
    }

    /// <summary>A digest of the tensors whose names begin so, read without libtorch: names, types, shapes, bytes.</summary>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    /// <exception cref="IOException">It cannot be opened, or is cut off.</exception>
    internal static string Digest(string path, string prefix)
    {
        using var file = new MappedFile(path);
        var (header, dataStart) = Header(file);
        using (header)
        {
            using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (var entry in Entries(header, path).Where(entry => entry.Name.StartsWith(prefix, StringComparison.Ordinal)))
            {
                var (type, shape, from, to) = Place(file, entry, dataStart);
                hash.AppendData(Encoding.UTF8.GetBytes($"{entry.Name} {type} {string.Join('x', shape)} "));
                const int Piece = 1 << 24;
                for (var at = from; at < to; at += Piece) hash.AppendData(file.Bytes(dataStart + at, (int)Math.Min(Piece, to - at)));
            }
            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }

    /// <summary>One tensor of floats, read without libtorch; null where the file has none of that name and kind.</summary>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    /// <exception cref="IOException">It cannot be opened, or is cut off.</exception>
    internal static (float[] Values, long[] Shape)? Floats(string path, string name)
    {
        using var file = new MappedFile(path);
        var (header, dataStart) = Header(file);
        using (header)
        {
            var entry = Entries(header, path).FirstOrDefault(entry => entry.Name == name);
            if (entry.Value.ValueKind != JsonValueKind.Object) return null;
            var (type, shape, from, to) = Place(file, entry, dataStart);
            return type == DType.Float32 ? ([.. MemoryMarshal.Cast<byte, float>(file.Bytes(dataStart + from, checked((int)(to - from))))], shape) : null;
        }
    }

    private static Dictionary<string, string> Metadata(JsonDocument header, string path)
    {
        var metadata = new Dictionary<string, string>();
        try
        {
            if (!header.RootElement.TryGetProperty(MetadataName, out var found) || found.ValueKind != JsonValueKind.Object) return metadata;
            foreach (var item in found.EnumerateObject()) metadata[item.Name] = item.Value.ToString();
            return metadata;
        }
        catch (InvalidOperationException reason)
        {
            throw Bad(path, $"the header's text is damaged ({reason.Message})");
        }
    }

    private static (JsonDocument Json, long DataStart) Header(MappedFile file)
    {
        if (file.Length < 8) throw Bad(file.Path, $"it has {file.Length} bytes, fewer than the header's length takes");
        var start = file.Bytes(0, (int)Math.Min(file.Length, 64));
        var length = BinaryPrimitives.ReadInt64LittleEndian(start);
        // The first byte alone may be part of an honest length.
        if (start[0] == '<' && length > HeaderLimit)
            throw Bad(file.Path, "it is a web page: the download gave a page in place of the file. Download it again");
        if (start[..2].SequenceEqual("PK"u8)
            && length > HeaderLimit) throw Bad(file.Path, "it is a zip archive (a PyTorch checkpoint is one): name it .pt or .pth");
        if (length <= 1 || length > HeaderLimit || length > file.Length - 8)
            throw Bad(file.Path, $"the header says that it is {length} bytes long, the file has {file.Length}: it is cut off, or not safetensors");
        JsonDocument json;
        try
        {
            json = JsonDocument.Parse(file.Bytes(8, (int)length).ToArray());
        }
        catch (JsonException reason)
        {
            throw Bad(file.Path, $"the header is no JSON ({reason.Message})");
        }
        if (json.RootElement.ValueKind != JsonValueKind.Object) throw Bad(file.Path, "the header is no JSON object");
        return (json, 8 + length);
    }

    private static Tensor One(MappedFile file, JsonProperty entry, long dataStart)
    {
        var (type, shape, from, _) = Place(file, entry, dataStart);
        return file.Tensor(dataStart + from, type, shape);
    }

    private static (DType Type, long[] Shape, long From, long To) Place(MappedFile file, JsonProperty entry, long dataStart)
    {
        try
        {
            var typeName = entry.Value.GetProperty("dtype").GetString() ?? "";
            if (!s_types.TryGetValue(typeName, out var type))
                throw Bad(file.Path, $"tensor '{entry.Name}' has the type '{typeName}', which is not read");
            long[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())];
            long[] offsets = [.. entry.Value.GetProperty("data_offsets").EnumerateArray().Select(offset => offset.GetInt64())];
            if (shape.Any(size => size < 0)
                || shape.Length > 16) throw Bad(file.Path, $"tensor '{entry.Name}' has the shape [{string.Join(", ", shape)}]");
            var count = shape.Aggregate(1L, (n, size) => checked(n * size));
            if (offsets is not [var from, var to] || from < 0 || to < from || to > file.Length - dataStart
                || to - from != checked(count * type.Size()))
                throw Bad(file.Path, $"tensor '{entry.Name}' says that its bytes are [{string.Join(", ", offsets)}] of {file.Length - dataStart}, which does not fit its shape [{string.Join(", ", shape)}]: the file is cut off or its header lies");
            return (type, shape, from, to);
        }
        catch (Exception reason) when (reason is KeyNotFoundException or InvalidOperationException or FormatException or OverflowException)
        {
            throw Bad(file.Path, $"tensor '{entry.Name}' is described wrongly ({reason.Message})");
        }
    }

    /// <summary>Writes tensors, in the order of their names, to a file that is complete or not there at all.</summary>
    public static void Write(string path, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var items = tensors.OrderByDescending(item => item.Value.Type.Size()).ThenBy(item => item.Key, StringComparer.Ordinal).ToList();
        var typeNames = s_types.ToDictionary(pair => pair.Value, pair => pair.Key);
        using var json = new MemoryStream();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                writer.WriteStartObject(MetadataName);
                foreach (var (key, value) in metadata) writer.WriteString(key, value);
                writer.WriteEndObject();
            }
            long offset = 0;
            foreach (var (name, tensor) in items)
            {
                writer.WriteStartObject(name);
                writer.WriteString("dtype", typeNames[tensor.Type]);
                writer.WriteStartArray("shape");
                foreach (var size in tensor.Shape) writer.WriteNumberValue(size);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(offset);
                writer.WriteNumberValue(offset += tensor.Bytes);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }
            writer.WriteEndObject();
        }
        // The data begin on a multiple of 8 bytes: spaces fill the header.
        while (json.Length % 8 != 0) json.WriteByte((byte)' ');
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
            stream.Write(length);
            json.WriteTo(stream);
            foreach (var (_, tensor) in items) WriteBytes(stream, tensor);
        });
    }

    private static unsafe void WriteBytes(Stream stream, Tensor tensor)
    {
        using var scope = new TensorScope();
        var ready = tensor.Detach().To(Device.Cpu).Contiguous();
        const int Piece = 1 << 24;
        for (long at = 0; at < ready.Bytes; at += Piece)
            stream.Write(new ReadOnlySpan<byte>((byte*)ready.Data + at, (int)Math.Min(Piece, ready.Bytes - at)));
    }

    private static InvalidDataException Bad(string path, string what) => new($"{path} is no safetensors file that can be read: {what}");
}
