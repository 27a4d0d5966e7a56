namespace Graft.Learning;

/// <summary>A training that cannot go on, such as a loss that is no number; the last good state is kept.</summary>
public sealed class TrainingStoppedException : GraftException
{
    /// <summary>An error without a message.</summary>
    public TrainingStoppedException() { }

    /// <summary>What stopped it, and what to do.</summary>
    public TrainingStoppedException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public TrainingStoppedException(string message, Exception inner) : base(message, inner) { }
}
