namespace Graft.Inference;

/// <summary>
/// A network that no longer changes: N×3×height×width numbers to N×<see cref="Outputs"/>, each row the same whichever rows stand beside
/// it. Any number of threads may run it at once.
/// </summary>
public abstract class FrozenNetwork : IDisposable
{
    /// <summary>Pixels down.</summary>
    public abstract int Height { get; }

    /// <summary>Pixels across.</summary>
    public abstract int Width { get; }

    /// <summary>Numbers that it gives for a picture.</summary>
    public abstract int Outputs { get; }

    /// <summary>What runs it, and its version: part of what a kept answer is known by.</summary>
    public abstract string Engine { get; }

    /// <summary>Pictures that are best run together.</summary>
    public virtual int Batch => 4;

    /// <summary>Threads that run it side by side best.</summary>
    public virtual int Lanes => Cores.Count;

    /// <summary>Numbers of one picture.</summary>
    public int InputLength => 3 * Height * Width;

    /// <summary>Runs <paramref name="count"/> pictures.</summary>
    /// <param name="inputs">count × 3 × height × width, normalised, or more.</param>
    /// <param name="count">Pictures.</param>
    /// <param name="outputs">count × <see cref="Outputs"/>, or more.</param>
    public abstract void Run(Memory<float> inputs, int count, Memory<float> outputs);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what it holds.</summary>
    protected virtual void Dispose(bool disposing) { }
}
