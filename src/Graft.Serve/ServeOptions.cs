namespace Graft.Serve;

/// <summary>How a model is served.</summary>
public sealed record ServeOptions
{
    /// <summary>Where it listens.</summary>
    [Option("Where to listen", HelpName = "URLS")]
    public string Urls { get; init; } = "http://127.0.0.1:8080";

    /// <summary>Asked of every prediction, in X-API-Key or as a bearer token; null: none.</summary>
    [Option("Ask for this key (default: GRAFT_API_KEY, or none)", HelpName = "KEY")]
    public string? ApiKey { get; init; }

    /// <summary>A larger request is refused.</summary>
    [Option("Refuse larger requests", Name = "--max-megabytes", Unit = 1 << 20, Least = 1, Most = 1 << 20)]
    public long MaxBytes { get; init; } = 20L << 20;

    /// <summary>A request that takes longer is given up.</summary>
    [Option("Give up longer requests", Name = "--max-seconds", Least = 0.001, Most = 86_400)]
    public TimeSpan MaxTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Pictures in one request.</summary>
    [Option("Pictures in one request", Name = "pictures of a request", Least = 1)]
    public int MaxPictures { get; init; } = 64;

    /// <summary>Classes named for each picture.</summary>
    [Option("Classes named for each picture", Name = "classes named", Least = 1)]
    public int Top { get; init; } = 5;

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds.</exception>
    public void Validate() => OptionBounds.Check(this);

    /// <summary>Whether Ctrl-C and SIGTERM stop it; no: its host sees to that.</summary>
    public bool StopsOnSignals { get; init; } = true;
}
