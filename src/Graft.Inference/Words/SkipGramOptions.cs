namespace Graft.Inference.Words;

/// <summary>How word vectors are learned.</summary>
public sealed record SkipGramOptions
{
    /// <summary>Numbers of a vector.</summary>
    [Option("Numbers of a vector", Least = 1, Most = 10_000)]
    public int Size { get; init; } = 100;

    /// <summary>Words to each side that are looked at, at most; how many is drawn anew for each word.</summary>
    [Option("Words to each side that are looked at, at most", Least = 1, Most = 100)]
    public int Window { get; init; } = 5;

    /// <summary>Words drawn at random against each word that was there.</summary>
    [Option("Words drawn at random against each word that was there", Least = 1, Most = 100)]
    public int Negatives { get; init; } = 5;

    /// <summary>Turns over the text.</summary>
    [Option("Turns over the text", Least = 1, Most = 10_000)]
    public int Epochs { get; init; } = 5;

    /// <summary>The learning rate at the beginning; it falls to nothing.</summary>
    [Option("The learning rate at the beginning; it falls to nothing", Above = 0)]
    public double Rate { get; init; } = 0.05;

    /// <summary>How often a word must be there to have a vector.</summary>
    [Option("How often a word must be there to have a vector", Name = "--min-count", Least = 1)]
    public int Least { get; init; } = 5;

    /// <summary>Of a word more frequent than this share, some are passed over.</summary>
    [Option("Of a word more frequent than this share, some are passed over", Above = 0)]
    public double Sample { get; init; } = 1e-4;

    /// <summary>Whether the pieces of words have vectors too (fastText).</summary>
    [Option("Learn vectors for the pieces of words too (fastText), so that words that were never seen have some")]
    public bool Subwords { get; init; }

    /// <summary>Characters of the shortest piece.</summary>
    [Option("With --subwords: characters of the shortest piece, the signs of a word's beginning and end among them", Least = 1, Most = 20)]
    public int MinPiece { get; init; } = 3;

    /// <summary>Characters of the longest piece.</summary>
    [Option("With --subwords: characters of the longest piece", Least = 1, Most = 20)]
    public int MaxPiece { get; init; } = 6;

    /// <summary>Vectors that all pieces share.</summary>
    [Option("With --subwords: vectors that all pieces share", Least = 1, Most = 20_000_000)]
    public int Buckets { get; init; } = 200_000;

    /// <summary>Of everything that is random.</summary>
    [Option("Of everything that is random")]
    public long Seed { get; init; }

    /// <summary>Whether all cores change one table without waiting for each other.</summary>
    [Option("All cores change one table without waiting for each other (Niu et al. 2011): faster, and no two runs are the same")]
    public bool Hogwild { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">Which option, and what it may be.</exception>
    public void Validate()
    {
        OptionBounds.Check(this);
        if (MaxPiece < MinPiece) throw Bounds.Refuse($"--max-piece {MaxPiece}: no shorter than --min-piece {MinPiece}");
    }
}
