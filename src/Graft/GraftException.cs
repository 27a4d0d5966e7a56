namespace Graft;

/// <summary>An error that its message explains: what is wrong, where, and what to do.</summary>
public sealed class GraftException : Exception
{
    /// <summary>An error without a message.</summary>
    public GraftException() { }

    /// <summary>An error with a message.</summary>
    public GraftException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public GraftException(string message, Exception inner) : base(message, inner) { }
}
