using Graft.Data;

namespace Graft.Learning;

/// <summary>Batches, epoch after epoch. What an epoch holds depends on the seed and its number only, so that a resumed training sees the same.</summary>
/// <typeparam name="TBatch">What an objective takes; disposed after its step where it can be.</typeparam>
public abstract class Feed<TBatch> : IDisposable
{
    /// <summary>Batches of an epoch.</summary>
    public abstract int Batches { get; }

    /// <summary>An epoch's batches, from batch <paramref name="skip"/> on.</summary>
    public abstract IEnumerable<TBatch> Epoch(int epoch, int skip);

    /// <summary>Items in a batch, for rates and means.</summary>
    public virtual int Size(TBatch batch) => 1;

    /// <summary>What an item is called, in the plural.</summary>
    public virtual string Unit => "batches";

    /// <summary>Into how many parts a batch is cut, each for a replica of its own: a number that does not depend on the machine, so that the sums do not either.</summary>
    public virtual int Parts => 1;

    /// <summary>A part of a batch, and its share of the whole batch's loss.</summary>
    public virtual (TBatch Batch, double Share) Part(TBatch batch, int part, int parts) => (batch, 1);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Lets go of what the feed holds.</summary>
    protected virtual void Dispose(bool disposing) { }
}

/// <summary>Numbers of batches, without end: for objectives that draw their data from the number.</summary>
/// <param name="batches">Of an epoch, after which the trainer looks at what was learned.</param>
public sealed class NumberFeed(int batches) : Feed<long>
{
    /// <inheritdoc/>
    public override int Batches => batches;

    /// <inheritdoc/>
    public override IEnumerable<long> Epoch(int epoch, int skip)
    {
        for (var k = skip; k < batches; k++) yield return (long)epoch * batches + k;
    }
}

/// <summary>Indices of items that lie in memory, shuffled anew every epoch.</summary>
/// <param name="items">How many.</param>
/// <param name="batchSize">Of a batch; the last one may be smaller.</param>
/// <param name="seed">Of the order.</param>
public sealed class IndexFeed(int items, int batchSize, long seed) : Feed<int[]>
{
    /// <inheritdoc/>
    public override int Batches => (items + batchSize - 1) / batchSize;

    /// <inheritdoc/>
    public override int Size(int[] batch) => batch.Length;

    /// <inheritdoc/>
    public override string Unit => "items";

    /// <inheritdoc/>
    public override IEnumerable<int[]> Epoch(int epoch, int skip) => new Rng(seed, 1, epoch).Permutation(items).Chunk(batchSize).Skip(skip);
}
