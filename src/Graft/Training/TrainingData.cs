using Graft.Data;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Training;

/// <summary>Batches of inputs and labels for the trained part of a network.</summary>
internal abstract class TrainingData : IDisposable
{
    /// <summary>Batches of an epoch.</summary>
    public abstract int Batches { get; }

    /// <summary>An epoch's batches, from batch <paramref name="skip"/> on.</summary>
    public abstract IEnumerable<(Tensor Inputs, Tensor Labels)> Epoch(int epoch, int skip);

    public virtual void Dispose() { }
}

/// <summary>Pictures, augmented anew every epoch.</summary>
internal sealed class LiveData(PictureStore store, int[] items, Preprocessing preprocessing, int batchSize, long seed) : TrainingData
{
    public override int Batches => Loader.Count(items.Length, batchSize);

    public override IEnumerable<(Tensor, Tensor)> Epoch(int epoch, int skip) =>
        new Loader(store, preprocessing, batchSize, seed).Batches(items, epoch, shuffle: true, skip, joinLastOne: true).Select(batch => (batch.Inputs, batch.Labels));
}

/// <summary>Outputs of frozen stages: each epoch takes one view of every picture.</summary>
internal sealed class CachedData(Extraction extraction, Dataset dataset, int batchSize, long seed) : TrainingData
{
    private readonly int _count = extraction.Indices.Length;

    public override int Batches => Loader.Count(_count, batchSize);

    public override IEnumerable<(Tensor, Tensor)> Epoch(int epoch, int skip)
    {
        var views = (int)(extraction.Rows.Shape[0] / _count);
        foreach (var chunk in Loader.Cut(new Rng(seed, 1, epoch).Permutation(_count), batchSize, joinLastOne: true).Skip(skip))
        {
            using var scope = new TensorScope();
            var rows = extraction.Rows.IndexSelect(0, Tensor.From([.. chunk.Select(k => (long)((epoch + k) % views) * _count + k)]));
            var inputs = rows.View([chunk.Length, .. extraction.Shape]);
            if (extraction.Shape.Length == 3) inputs = inputs.Contiguous(MemoryFormat.ChannelsLast);
            yield return (TensorScope.Detach(inputs), TensorScope.Detach(Tensor.From([.. chunk.Select(k => (long)dataset.Labels[extraction.Indices[k]])])));
        }
    }

    public override void Dispose() => extraction.Rows.Dispose();
}

/// <summary>How a plan is carried out.</summary>
public sealed record TrainerOptions
{
    /// <summary>Of orders, augmentations, splits, starting values.</summary>
    public long Seed { get; init; }

    /// <summary>The run's folder, for the state; null: nothing is saved.</summary>
    public string? Folder { get; init; }

    /// <summary>Go on from the folder's state.</summary>
    public bool Resume { get; init; }

    /// <summary>Where outputs of frozen stages are kept; null: nowhere.</summary>
    public FeatureCache? Cache { get; init; }

    /// <summary>Where the network runs.</summary>
    public Device Device { get; init; }

    /// <summary>Whether rare classes weigh as much as frequent ones.</summary>
    public bool Balanced { get; init; }

    /// <summary>Whether a broken picture ends the run.</summary>
    public bool Strict { get; init; }

    /// <summary>Bytes of decoded pictures that may be kept in memory.</summary>
    public long PictureBudget { get; init; } = PictureStore.DefaultBudget;

    /// <summary>Told often.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after each epoch.</summary>
    public Action<EpochRecord>? EpochEnded { get; init; }

    /// <summary>Stops cleanly.</summary>
    public CancellationToken Cancel { get; init; }
}
