using Graft.Data;

namespace Graft.Search;

/// <summary>What an index is made of.</summary>
public sealed record SearchOptions
{
    /// <summary>Pictures or sentences, labelled or not.</summary>
    [Option("Pictures or sentences, labelled or not: any dataset that train takes, a folder of pictures, a .txt of a sentence a line", Name = "DATA")]
    public required string Data { get; init; }

    /// <summary>The network whose vectors are kept.</summary>
    [Option("The network whose vectors are kept: any weights that train takes, or a run, whose vectors then tell the reasons of its predictions",
        HelpName = "FILE")]
    public string? Weights { get; init; }

    /// <summary>The folder of the index.</summary>
    [Option("The folder of the index", HelpName = "INDEX")]
    public string? Out { get; init; }

    /// <summary>Whether vectors are kept as half numbers.</summary>
    [Option("Keep the vectors as half numbers: half the size, and the third digit of a similarity may differ")]
    public bool Half { get; init; }

    /// <summary>train, val or test; null: train, or all where the data has no parts.</summary>
    [Option("train, val or test (default: train, or all where the data has no parts)", HelpName = "PART")]
    public string? Split { get; init; }

    /// <summary>Which columns of a table hold what.</summary>
    public TextColumns Columns { get; init; } = new();
}
