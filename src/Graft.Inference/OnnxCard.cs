using System.Text;
using Graft.Data;

namespace Graft.Inference;

/// <summary>What an ONNX file that Graft wrote says of itself, key by key.</summary>
internal static class OnnxCard
{
    /// <summary>The key <c>format</c>.</summary>
    public const string Program = "graft-program-1";

    /// <summary>The key <c>input</c> of a program that normalises by itself.</summary>
    public const string Levels = "N×3×H×W levels of 0 … 255, RGB";

    // onnx.proto: fields of ModelProto and of StringStringEntryProto.
    private const int MetadataProps = 14, KeyField = 1, ValueField = 2, LengthDelimited = 2;

    /// <summary>Whether Graft wrote the file; only the fields around the graph are read.</summary>
    public static bool IsGrafts(string file) => FormatOf(file) == Program;

    /// <summary>What its key <c>format</c> says; null where it says nothing, or is no ONNX file.</summary>
    public static string? FormatOf(string file)
    {
        try
        {
            return Read(file).GetValueOrDefault("format");
        }
        catch (Exception reason) when (reason is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The card; the graph is passed over unread.</summary>
    /// <exception cref="InvalidDataException">It is no ONNX file, or is cut off.</exception>
    public static Dictionary<string, string> Read(string file)
    {
        using var stream = File.OpenRead(file);
        var card = new Dictionary<string, string>();
        foreach (var (key, value) in Metadata(stream)) card[key] = value;
        return card;
    }

    /// <summary>What a network's pictures go through before it sees them; null where the card does not say.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static Preprocessing? Preprocessing(IReadOnlyDictionary<string, string> card)
    {
        if (!card.TryGetValue("preprocessing", out var text)) return null;
        var stated = Data.Preprocessing.FromJson(text);
        // With the normalisation inside, the network takes levels as they are.
        return card.GetValueOrDefault("input") == Levels ? stated with { Normalize = Normalize.Levels } : stated;
    }

    private static IEnumerable<(string Key, string Value)> Metadata(Stream stream)
    {
        while (stream.Position < stream.Length)
        {
            var (field, length) = Field(stream);
            if (length < 0 || length > stream.Length - stream.Position) throw new InvalidDataException("it is cut off");
            if (field != MetadataProps) stream.Position += length;
            else
            {
                var (end, key, value) = (stream.Position + length, "", "");
                while (stream.Position < end)
                {
                    var (part, size) = Field(stream);
                    if (size < 0 || size > end - stream.Position) throw new InvalidDataException("it is cut off");
                    var bytes = new byte[size];
                    stream.ReadExactly(bytes);
                    if (part == KeyField) key = Encoding.UTF8.GetString(bytes);
                    else if (part == ValueField) value = Encoding.UTF8.GetString(bytes);
                }
                yield return (key, value);
            }
        }
    }

    /// <summary>Writes a file with another card: the fields of a message may stand in any order, so that the graph is copied as it is.</summary>
    /// <param name="to">The new file.</param>
    /// <param name="model">The bytes of the old.</param>
    /// <param name="card">In place of its own.</param>
    /// <exception cref="InvalidDataException">It is no ONNX file, or is cut off.</exception>
    public static void Write(Stream to, byte[] model, IReadOnlyDictionary<string, string> card)
    {
        using var stream = new MemoryStream(model, writable: false);
        while (stream.Position < stream.Length)
        {
            var start = stream.Position;
            var (field, length) = Field(stream);
            if (length < 0 || length > stream.Length - stream.Position) throw new InvalidDataException("it is cut off");
            stream.Position += length;
            if (field != MetadataProps) to.Write(model, (int)start, (int)(stream.Position - start));
        }
        foreach (var (key, value) in card)
        {
            using var entry = new MemoryStream();
            Put(entry, KeyField, Encoding.UTF8.GetBytes(key));
            Put(entry, ValueField, Encoding.UTF8.GetBytes(value));
            Put(to, MetadataProps, entry.ToArray());
        }
    }

    private static void Put(Stream to, int field, byte[] bytes)
    {
        Varint(to, field << 3 | LengthDelimited);
        Varint(to, bytes.Length);
        to.Write(bytes);
    }

    private static void Varint(Stream to, long value)
    {
        for (; value >= 128; value >>= 7) to.WriteByte((byte)(value & 127 | 128));
        to.WriteByte((byte)value);
    }

    /// <summary>A field's number and how many bytes follow; a number's own bytes are passed over.</summary>
    private static (int Field, long Length) Field(Stream stream)
    {
        var key = Varint(stream);
        switch ((int)(key & 7))
        {
            case LengthDelimited: return ((int)(key >> 3), Varint(stream));
            case 0: Varint(stream); return ((int)(key >> 3), 0);
            case 1: return ((int)(key >> 3), 8);
            case 5: return ((int)(key >> 3), 4);
            default: throw new InvalidDataException("it is no ONNX file");
        }
    }

    private static long Varint(Stream stream)
    {
        long value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var next = stream.ReadByte();
            if (next < 0) throw new InvalidDataException("it is cut off");
            value |= (long)(next & 127) << shift;
            if (next < 128) return value;
        }
        throw new InvalidDataException("it is no ONNX file");
    }
}
