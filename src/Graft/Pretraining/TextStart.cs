using Graft.Data;
using Graft.Inference.Text;
using Graft.Models;
using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>The encoder that a pretraining on sentences begins with, where no weights are given: word pieces made from the sentences, and a BERT
/// (Devlin et al. 2019) with random weights, in one of the small sizes of Turc et al. 2019.</summary>
internal static class TextStart
{
    /// <summary>Pieces, where nothing is said.</summary>
    public const int UsualVocabulary = 8000;

    private const string Usual = "bert-mini";

    // So many pieces of a sentence are read; heads are of 64 numbers, the inner width is four times the width.
    private const int Positions = 128, HeadWidth = 64, InnerTimes = 4;

    // So many sentences show which letters a corpus is written with.
    private const int Looked = 2000;

    private static readonly (string Name, int Layers, int Width)[] s_sizes =
        [("bert-tiny", 2, 128), (Usual, 4, 256), ("bert-small", 4, 512), ("bert-medium", 8, 512)];

    /// <summary>What <c>--backbone</c> takes.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_sizes.Select(size => size.Name)];

    /// <summary>Random weights, and what to say of them.</summary>
    /// <exception cref="GraftException">The architecture is no encoder's, or the sentences hold no word.</exception>
    public static (TextEncoder Encoder, IReadOnlyList<string> Notes) Create(Dataset items, PretrainOptions options)
    {
        if (options.Input != new InputOptions())
            throw Bounds.Refuse($"{options.Data} holds sentences: --scale, --mean, --std, --channels and --size are for pictures");
        var size = Size(options.Backbone ?? Usual, options.Data);
        var lower = !(options.Text.Cased || IsKorean(items));
        var asked = options.Text.Vocabulary ?? UsualVocabulary;
        var tokenizer = Tokenizers.WordPiece(WordPieceTrainer.Train(Texts(items), asked, lower), lower);
        var encoder = new TextEncoder(new EncoderShape
        {
            Kind = "bert", Vocabulary = tokenizer.Count, Layers = size.Layers, Width = size.Width, Embedding = size.Width,
            Heads = size.Width / HeadWidth, Inner = InnerTimes * size.Width, Positions = Positions, Types = 2,
            Pad = tokenizer.Pad, Separator = tokenizer.Separator,
        })
        { Tokenizer = tokenizer };
        var notes = new List<string>
        {
            $"no --weights were given: {size.Name} ({size.Layers} layers of {size.Width}) from random weights, with {tokenizer.Count} word pieces "
                + $"made from the sentences, capitals and accents {(lower ? "dropped" : "kept")}",
        };
        if (tokenizer.Count < asked)
        {
            var wish = options.Text.Vocabulary is null ? "the usual" : "--vocabulary";
            notes.Add($"the sentences give {tokenizer.Count} word pieces, fewer than {wish} {asked}: "
                + "pairs of pieces that stand together once make none");
        }
        return (encoder, notes);
    }

    private static (string Name, int Layers, int Width) Size(string name, string data)
    {
        // The family's name alone means its usual size.
        if (name == "bert") name = Usual;
        var found = s_sizes.FirstOrDefault(size => size.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (found.Name is not null) return found;
        var choices = string.Join(", ", Names);
        throw EncoderShape.Knows(name)
            ? Bounds.Refuse($"--backbone {name} has no size of its own here: choose {choices}, or give an encoder with --weights")
            : BackboneCatalogue.Knows(name) ? Bounds.Refuse($"--backbone {name} sees pictures, and {data} holds sentences: choose {choices}")
            : UnknownName.Of("encoder", name, Names, NextCommand.Of("pretrain", "--help"));
    }

    private static IEnumerable<string> Texts(Dataset items)
    {
        for (var k = 0; k < items.Count; k++)
        {
            var text = items.Text(k);
            yield return text.First;
            if (text.Second is { } second) yield return second;
        }
    }

    /// <summary>Whether most letters are Korean syllables: without accents these come apart into three, and more pieces are needed.</summary>
    private static bool IsKorean(Dataset items)
    {
        var (letters, korean) = (0L, 0L);
        foreach (var letter in Texts(items).Take(Looked).SelectMany(text => text).Where(char.IsLetter))
        {
            letters++;
            if (letter is >= '가' and <= '힣') korean++;
        }
        return 2 * korean > letters;
    }
}
