using Graft.Inference.Text;
using Graft.Inference.Words;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>A text encoder from word vectors: a sentence is the mean of the vectors of its words, and of their pieces where these have
/// vectors.</summary>
internal static class WordEncoder
{
    // An ONNX file is one message of protobuf, and none is larger than 2 GB.
    private const long MostBytes = 1_500_000_000;

    private const int MostTokens = 1024, MostPieces = 8192;

    /// <summary>Opens a file of word vectors as an encoder.</summary>
    /// <param name="path">A file that <see cref="WordFile.Is"/> knows.</param>
    /// <param name="notes">What was noticed.</param>
    /// <exception cref="GraftException">It is damaged, or too large.</exception>
    public static TextEncoder Open(string path, out IReadOnlyList<string> notes)
    {
        var vectors = WordVectors.Open(path);
        var noticed = new List<string>(vectors.Notes);
        var (size, most) = (vectors.Size, (int)Math.Min(int.MaxValue, MostBytes / 4 / vectors.Size));
        var (words, rows) = (vectors.List, vectors.Count + (vectors.Grams?.Buckets ?? 0));
        if (rows > most && vectors.Grams is not null)
            throw new GraftException($"{path}: its {rows:N0} vectors are more than the {most:N0} that an ONNX file holds: take its .vec, or a model of fewer buckets");
        if (rows > most)
        {
            noticed.Add($"of its {rows:N0} words the first {most:N0} are taken: more than these an ONNX file does not hold");
            (words, rows) = (new WordList(), most);
            for (var k = 0; k < most; k++) words.Add(vectors.List.Utf8(k));
        }
        var tokenizer = new WordTokenizer(words, vectors.Grams);
        using var skip = Initialisers.Skip();
        var encoder = new TextEncoder(new EncoderShape
        {
            Kind = EncoderShape.Words, Vocabulary = tokenizer.Count, Width = size, Embedding = size, Layers = 0, Heads = 1, Inner = 1,
                Positions = MostPieces,
            Pad = tokenizer.Pad,
        })
        { Tokenizer = tokenizer, MostTokens = vectors.Grams is null ? MostTokens : MostPieces };
        var table = new float[(long)(rows + WordTokenizer.Own) * size];
        vectors.Table.AsSpan(0, rows * size).CopyTo(table.AsSpan(WordTokenizer.Own * size));
        using var tensor = Tensor.From(table, rows + WordTokenizer.Own, size);
        CheckpointMatcher.Load(encoder, new Dictionary<string, Tensor> { [encoder.Names.Words + ".weight"] = tensor }, path);
        encoder.Provenance = ModelCard.Origin(path, new Dictionary<string, string>(), "", $"words ({Path.GetFileName(path)})");
        notes = noticed;
        return encoder;
    }
}
