using System.Text;
using System.Text.Json;

namespace Graft.Inference.Text;

/// <summary>Tokenizers from the files that models come with, and from what their cards say.</summary>
internal static class Tokenizers
{
    /// <summary>The tokenizer of a model's folder: of tokenizer.json where it is of a known kind, else of vocab.txt, else of vocab.json and
    /// merges.txt, else of a .model of SentencePiece. tokenizer_config.json beside them is heeded.</summary>
    /// <exception cref="GraftException">There is none, it is damaged, or it is of a kind that is not known.</exception>
    public static Tokenizer Open(string folder)
    {
        if (!Directory.Exists(folder)) throw new GraftException($"{folder} is no folder: a tokenizer is the folder of its model's files");
        string[] names = [TokenizerJson.Name, BertFiles.Vocabulary, RobertaFiles.Vocabulary, RobertaFiles.Merges, TokenizerFiles.Config];
        var found = names.Select(name => Path.Combine(folder, name)).Where(File.Exists)
            .Concat(Directory.EnumerateFiles(folder, "*.model").Order(StringComparer.Ordinal));
        return Read(new TokenizerFiles(folder, found.ToDictionary(path => Path.GetFileName(path), File.ReadAllBytes, StringComparer.Ordinal)));
    }

    /// <summary>A vocabulary of word pieces, such as <see cref="WordPieceTrainer"/> makes.</summary>
    /// <param name="vocabulary">A piece a line.</param>
    /// <param name="lower">Whether letters are made small and lose their accents.</param>
    public static Tokenizer WordPiece(byte[] vocabulary, bool lower) => Read(new TokenizerFiles("the vocabulary", new Dictionary<string, byte[]>
    {
        [BertFiles.Vocabulary] = vocabulary,
        [TokenizerFiles.Config] = Encoding.UTF8.GetBytes(
            $$"""{"tokenizer_class": "BertTokenizer", "do_lower_case": {{(lower ? "true" : "false")}}}"""),
    }));

    /// <summary>What <see cref="Tokenizer.ToCard"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static Tokenizer FromCard(string card)
    {
        try
        {
            using var json = JsonDocument.Parse(card);
            var files = json.RootElement.GetProperty("files").EnumerateObject().ToDictionary(
                file => file.Name,
                file => file.Value.TryGetProperty("text", out var text) ? Encoding.UTF8.GetBytes(text.GetString()!)
                    : file.Value.GetProperty("base64").GetBytesFromBase64(),
                StringComparer.Ordinal);
            return Read(new TokenizerFiles("the card", files));
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException
            or GraftException or ArgumentException or InvalidDataException)
        {
            throw new InvalidDataException($"its tokenizer is damaged: {error.Message}", error);
        }
    }

    private static Tokenizer Read(TokenizerFiles files)
    {
        if (files.Has(WordTokenizer.Words)) return WordTokenizer.Read(files);
        UnknownTokenizerException? unknown = null;
        if (files.Has(TokenizerJson.Name))
        {
            try
            {
                return TokenizerJson.Read(files);
            }
            catch (UnknownTokenizerException error)
            {
                unknown = error;
            }
        }
        if (files.Has(BertFiles.Vocabulary)) return BertFiles.Read(files);
        if (files.Has(RobertaFiles.Vocabulary))
        {
            return files.Has(RobertaFiles.Merges) ? RobertaFiles.Read(files)
                : throw new GraftException(
                    $"{files.Path(RobertaFiles.Merges)} is not there: "
                    + $"{RobertaFiles.Vocabulary} alone does not say how words are cut; put its merges there");
        }
        var models = files.All.Keys.Where(name => name.EndsWith(".model", StringComparison.Ordinal)).ToArray();
        var list = string.Join(", ", models);
        if (models.Length > 1)
            throw new GraftException($"{files.Where} has several files that end by .model ({list}): leave the one of its tokenizer there");
        if (models.Length == 1) return SentencePieceFiles.Read(files, models[0]);
        throw unknown ?? new GraftException($"{files.Where} has no tokenizer.json, no vocab.txt, no vocab.json with merges.txt, and no .model: "
            + "a network of text is of no use without its tokenizer; put the one of its own there");
    }
}
