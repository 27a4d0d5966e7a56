using System.Text;
using System.Text.Json;

namespace Graft.Inference.Text;

/// <summary>Tokenizers from the files that models come with, and from what their cards say.</summary>
internal static class Tokenizers
{
    /// <summary>The tokenizer of a model's folder.</summary>
    /// <param name="folder">With vocab.txt, tokenizer.json, vocab.json and merges.txt, or a .model.</param>
    /// <exception cref="GraftException">There is none, or it is of a kind that is not known.</exception>
    public static Tokenizer Open(string folder)
    {
        var vocabulary = Path.Combine(folder, "vocab.txt");
        if (!File.Exists(vocabulary)) throw new GraftException($"{folder} has no vocab.txt: a network of text is of no use without its vocabulary");
        return new WordPieceTokenizer(File.ReadAllBytes(vocabulary), lower: true);
    }

    /// <summary>What <see cref="Tokenizer.ToCard"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static Tokenizer FromCard(string card)
    {
        using var json = JsonDocument.Parse(card);
        var root = json.RootElement;
        return root.GetProperty("kind").GetString() switch
        {
            "wordpiece" => new WordPieceTokenizer(Encoding.UTF8.GetBytes(root.GetProperty("vocabulary").GetString()!), root.GetProperty("lower").GetBoolean()),
            var other => throw new InvalidDataException($"its tokenizer is of the kind '{other}', which is not known"),
        };
    }
}
