namespace Graft.Inference.Text;

/// <summary>A network of text that no longer changes: N×T numbers of tokens to N×<see cref="Outputs"/>. Any number of threads may run it at
/// once.</summary>
internal abstract class TextNetwork : IDisposable
{
    /// <summary>Numbers that it gives for a sentence.</summary>
    public abstract int Outputs { get; }

    /// <summary>What runs it, and its version: part of what a kept answer is known by.</summary>
    public abstract string Engine { get; }

    /// <summary>Threads that run it side by side best.</summary>
    public virtual int Lanes => Cores.Count;

    /// <summary>Runs sentences of one length.</summary>
    /// <param name="ids">count × length numbers, nothing of them filling up.</param>
    /// <param name="count">Sentences.</param>
    /// <param name="outputs">count × <see cref="Outputs"/>.</param>
    public abstract void Run(Memory<long> ids, int count, Memory<float> outputs);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) { }
}
