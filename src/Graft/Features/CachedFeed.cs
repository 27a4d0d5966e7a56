using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Features;

/// <summary>Outputs of frozen stages: each epoch takes one view of every picture.</summary>
internal sealed class CachedFeed(Extraction extraction, Dataset dataset, int batchSize, long seed) : Feed<Batch>
{
    private readonly int _count = extraction.Indices.Length;

    public override int Batches => Loader.Count(_count, batchSize);

    public override int Size(Batch batch) => batch.Indices.Length;

    public override string Unit => dataset.Noun.Many;

    public override IEnumerable<Batch> Epoch(int epoch, int skip)
    {
        var views = (int)(extraction.Rows.Shape[0] / _count);
        foreach (var chunk in Loader.Cut(new Rng(seed, 1, epoch).Permutation(_count), batchSize, joinLastOne: true).Skip(skip))
        {
            using var scope = new TensorScope();
            var rows = extraction.Rows.IndexSelect(0, Tensor.From([.. chunk.Select(k => (long)((epoch + k) % views) * _count + k)]));
            var inputs = rows.View([chunk.Length, .. extraction.Shape]);
            if (extraction.Shape.Length == 3) inputs = inputs.Contiguous(MemoryFormat.ChannelsLast);
            int[] items = [.. chunk.Select(k => extraction.Indices[k])];
            yield return new Batch(TensorScope.Detach(inputs), TensorScope.Detach(dataset.Targets.Batch(items)), items);
        }
    }

    protected override void Dispose(bool disposing) => extraction.Rows.Dispose();
}
