using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Random looks at the same pictures.</summary>
/// <param name="Views">V tensors N×3×H×W, each one look at every picture; crops of several sizes have their own H and W.</param>
/// <param name="Indices">Which pictures of the dataset.</param>
internal sealed record ViewBatch(Tensor[] Views, int[] Indices) : IDisposable
{
    /// <summary>The first look.</summary>
    public Tensor First => Views[0];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var view in Views) view.Dispose();
    }
}

/// <summary>Views of pictures, made ahead on the other cores: shuffled every epoch, drawn from the seed, the epoch, the picture and the view.</summary>
/// <param name="store">The pictures.</param>
/// <param name="items">Indices into the store's dataset.</param>
/// <param name="views">What each view goes through.</param>
/// <param name="batchSize">Pictures of a batch; a last batch that is smaller is left out, but for the only one: what compares the pictures of a batch
/// must not be told that there are fewer.</param>
/// <param name="seed">Of orders and views.</param>
internal sealed class ViewFeed(PictureStore store, int[] items, IReadOnlyList<Preprocessing> views, int batchSize, long seed) : Feed<ViewBatch>
{
    private readonly int _batch = Math.Min(batchSize, items.Length);

    public override int Batches => items.Length / _batch;

    public override int Size(ViewBatch batch) => batch.Indices.Length;

    public override string Unit => "pictures";

    public override IEnumerable<ViewBatch> Epoch(int epoch, int skip)
    {
        var order = new Rng(seed, 1, epoch).Permutation(items.Length).Select(k => items[k]).ToArray();
        return Loader.Ahead(order.Chunk(_batch).Take(Batches).Skip(skip), chunk => Make(chunk, epoch));
    }

    private ViewBatch Make(int[] chunk, int epoch) => new(
        [.. views.Select((view, number) => Loader.Inputs(store, chunk, view, channelsLast: true, index => new Rng(seed, 4, epoch, index, number)))], chunk);
}
