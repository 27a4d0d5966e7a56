namespace Graft;

/// <summary>
/// An error that its message explains: what is wrong, where, and what to do. What Graft throws at bad input (data, files, names, options) derives
/// from it; beside it stand <see cref="IOException"/> (a disk that is full, a folder that may not be written) and
/// <see cref="OperationCanceledException"/>.
/// </summary>
public class GraftException : Exception
{
    /// <summary>An error without a message.</summary>
    public GraftException() { }

    /// <summary>An error with a message.</summary>
    public GraftException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public GraftException(string message, Exception inner) : base(message, inner) { }

    /// <summary>Whether what was asked for cannot be, such as an option out of its bounds: the command line then ends with status 2.</summary>
    public bool IsUsage { get; init; }
}
