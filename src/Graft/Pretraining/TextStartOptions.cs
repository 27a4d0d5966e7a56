namespace Graft.Pretraining;

/// <summary>What an encoder of sentences begins with, where no weights are given.</summary>
public sealed record TextStartOptions
{
    /// <summary>Word pieces that are made from the texts; null: 8,000.</summary>
    [Option("Word pieces that are made from the sentences, where no --weights are given (default: 8000)",
        HelpName = "N", Least = 100, Most = 1_000_000)]
    public int? Vocabulary { get; init; }

    /// <summary>Keep capitals, accents and Korean syllables as they are written.</summary>
    [Option("Keep capitals and accents, which the word pieces otherwise drop (always so where most letters are Korean)")]
    public bool Cased { get; init; }
}
