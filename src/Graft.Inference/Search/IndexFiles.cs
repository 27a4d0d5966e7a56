using System.Text.Json;

namespace Graft.Inference.Search;

/// <summary>What an index's folder says of itself: <c>index.json</c>, which is written last, so that a folder without it is no index.</summary>
/// <param name="Format"><see cref="IndexFiles.Format"/>.</param>
/// <param name="Kind">sentences or pictures.</param>
/// <param name="Count">Items.</param>
/// <param name="Size">Numbers of a vector.</param>
/// <param name="Numbers">float32 or float16.</param>
/// <param name="Encoder">What made the vectors.</param>
/// <param name="ItemBytes">Of the file of names and texts.</param>
internal sealed record IndexCard(string Format, string Kind, int Count, int Size, string Numbers, IndexEncoder Encoder, long ItemBytes)
{
    /// <summary>What it was made of.</summary>
    public string Data { get; init; } = "";
}

/// <summary>The network whose vectors an index holds, which lies beside them.</summary>
/// <param name="Source">What it was called.</param>
/// <param name="Architecture">The name of its shape.</param>
/// <param name="Bytes">Of its file.</param>
/// <param name="Sha256">Of its file, in hexadecimal.</param>
/// <param name="Run">The sha256 of the program of the run that it is of, in hexadecimal; null: it is of no run.</param>
internal sealed record IndexEncoder(string Source, string Architecture, long Bytes, string Sha256, string? Run);

/// <summary>The files of an index's folder.</summary>
internal static class IndexFiles
{
    public const string Format = "graft-index-1", Card = "index.json", Vectors = "vectors.bin", Items = "items.bin", Encoder = "encoder.onnx";

    /// <summary>What <see cref="IndexCard.Numbers"/> may be.</summary>
    public const string Single = "float32", Half = "float16";

    /// <summary>What <see cref="IndexCard.Kind"/> may be.</summary>
    public const string Sentences = "sentences", Pictures = "pictures";

    public static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    /// <summary>What a folder says of itself.</summary>
    /// <exception cref="GraftException">It is no index, or what it says cannot be.</exception>
    public static IndexCard Read(string folder)
    {
        if (!Directory.Exists(folder))
            throw new GraftException($"{folder}: there is no such index. Make one with {NextCommand.Of("search", "build")} DATA --weights NAME --out {NextCommand.Quoted(folder)}");
        var file = Path.Combine(folder, Card);
        if (!File.Exists(file))
            throw new GraftException($"{folder} is no index, or its making was broken off: it has no {Card}. Make it with {NextCommand.Of("search", "build")}");
        try
        {
            var card = JsonSerializer.Deserialize<IndexCard>(File.ReadAllBytes(file), Json) ?? throw new InvalidDataException("it is null");
            if (card.Format != Format)
                throw new GraftException($"{file} is of the format '{card.Format}', which this version does not read: make the index again");
            if (card.Count < 0 || card.Size is < 1 or > 65536 || card.Numbers is not (Single or Half) || card.Kind is not (Sentences or Pictures)
                || card.Encoder is not { Sha256: not null, Source: not null })
                throw new InvalidDataException("its count, size, numbers, kind or encoder cannot be");
            Whole(folder, Vectors, (long)card.Count * card.Size * (card.Numbers == Half ? 2 : 4));
            Whole(folder, Items, card.ItemBytes);
            Whole(folder, Encoder, card.Encoder.Bytes);
            return card;
        }
        catch (Exception reason) when (reason is JsonException or InvalidDataException)
        {
            throw new GraftException($"{file}: what it says of the index is damaged ({reason.Message}): make the index again", reason);
        }
    }

    private static void Whole(string folder, string name, long bytes)
    {
        var file = new FileInfo(Path.Combine(folder, name));
        if (!file.Exists) throw new GraftException($"{file.FullName} is not there: the index is not whole; make it again");
        if (file.Length != bytes)
            throw new GraftException($"{file.FullName} has {file.Length} bytes in place of {bytes}: it is cut off, or of another index; make the index again");
    }
}
