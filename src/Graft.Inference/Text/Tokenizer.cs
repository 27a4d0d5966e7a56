using Graft.Data;

namespace Graft.Inference.Text;

/// <summary>Cuts sentences into the pieces that a network has a number for. Any number of threads may use one at once.</summary>
internal abstract class Tokenizer
{
    /// <summary>wordpiece, bpe or unigram.</summary>
    public abstract string Kind { get; }

    /// <summary>Pieces of the vocabulary.</summary>
    public abstract int Count { get; }

    /// <summary>Fills batches up.</summary>
    public abstract int Pad { get; }

    /// <summary>Stands first: [CLS], &lt;s&gt;.</summary>
    public abstract int First { get; }

    /// <summary>Stands behind each sentence: [SEP], &lt;/s&gt;.</summary>
    public abstract int Separator { get; }

    /// <summary>Stands for a word that is hidden; null: the vocabulary has none.</summary>
    public abstract int? Mask { get; }

    /// <summary>The piece of a number.</summary>
    public abstract string Piece(int id);

    /// <summary>A sentence or a pair as numbers, with the network's own signs in their places. Of a pair that is too long, the longer one is cut,
    /// piece by piece, from its end.</summary>
    /// <param name="text">The sentence.</param>
    /// <param name="most">Numbers that the network can read, its own signs among them.</param>
    /// <param name="spans">Whether to say where each piece stands.</param>
    public abstract Tokens Encode(TextItem text, int most, bool spans = false);

    /// <summary>The files that make it, by name: vocab.txt; vocab.json and merges.txt; tokenizer.json; ….</summary>
    public abstract IReadOnlyDictionary<string, byte[]> Files { get; }

    /// <summary>Everything that it is, as text for a model's card.</summary>
    public abstract string ToCard();
}
