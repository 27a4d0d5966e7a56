namespace Graft.Torch;

/// <summary>An error of libtorch: the operator, the shapes that it was called with, and libtorch's own first line.</summary>
public sealed class TorchException : GraftException
{
    /// <summary>An error without a message.</summary>
    public TorchException() { }

    /// <summary>An error with a message.</summary>
    public TorchException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public TorchException(string message, Exception inner) : base(message, inner) { }
}
