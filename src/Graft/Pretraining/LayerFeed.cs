using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>What one dense layer learns from: outputs of the layers below it, a row a picture.</summary>
internal sealed record RowBatch(Tensor Rows) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Rows.Dispose();
}

/// <summary>
/// Rows for a layer of a network of dense layers. The layers below it are frozen and nothing is drawn at random, so that they run once over
/// all pictures where the outputs fit in memory.
/// </summary>
/// <param name="material">Pictures and network.</param>
/// <param name="network">The material's network.</param>
/// <param name="layer">From 0; its rows are the pixels.</param>
/// <param name="batchSize">Pictures of a batch; the last one may be smaller.</param>
internal sealed class LayerFeed(PretrainMaterial material, Mlp network, int layer, int batchSize) : Feed<RowBatch>
{
    private const long Budget = 1L << 31;
    private const int Chunk = 256, Sampled = 10_000;

    private Tensor? _all;

    public override int Batches => (material.Usable.Length + batchSize - 1) / batchSize;

    public override string Unit => "pictures";

    /// <summary>Numbers of a row.</summary>
    public int Width => layer == 0 ? network.InputSize : (int)network.Layers[layer - 1].Weight.Shape[0];

    private bool Fits => 4L * Width * material.Usable.Length <= Budget;

    public override int Size(RowBatch batch) => (int)batch.Rows.Shape[0];

    public override IEnumerable<RowBatch> Epoch(int epoch, int skip)
    {
        var batches = new Rng(material.Options.Seed, 1, epoch).Permutation(material.Usable.Length).Chunk(batchSize).Skip(skip);
        if (!Fits)
        {
            foreach (var rows in Of(batches.Select(batch => batch.Select(k => material.Usable[k]).ToArray()))) yield return new RowBatch(rows);
            yield break;
        }
        var all = _all ??= All(material.Usable);
        foreach (var batch in batches)
        {
            using var places = Tensor.From([.. batch.Select(k => (long)k)]);
            yield return new RowBatch(all.IndexSelect(0, places));
        }
    }

    /// <summary>Mean of every number, over the rows or many of them: 1×width.</summary>
    public Tensor Mean()
    {
        using var some = Some(Sampled);
        return some.Mean([0L], true);
    }

    /// <summary>Rows of so many pictures, spread evenly over all, made anew: the layers below may still change.</summary>
    public Tensor Some(int most)
    {
        var step = Math.Max(1, material.Usable.Length / most);
        return All([.. material.Usable.Where((_, k) => k % step == 0).Take(most)]);
    }

    private Tensor All(int[] items)
    {
        var made = TensorScope.Detach(Ops.Empty([items.Length, Width]));
        var row = 0L;
        foreach (var rows in Of(items.Chunk(Chunk)))
        {
            using var place = made.Narrow(0, row, rows.Shape[0]);
            place.CopyInPlace(rows);
            row += rows.Shape[0];
            rows.Dispose();
        }
        return made;
    }

    private sealed record Made(Tensor Pictures) : IDisposable
    {
        public void Dispose() => Pictures.Dispose();
    }

    private IEnumerable<Tensor> Of(IEnumerable<int[]> chunks)
    {
        Made Make(int[] chunk) => new(Loader.Inputs(material.Pictures!, chunk, network.Preprocessing, true, _ => new Rng(0)));
        foreach (var made in Loader.Ahead(chunks, Make))
        {
            using (made) yield return Rows(made.Pictures);
        }
    }

    private Tensor Rows(Tensor pictures)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var here = pictures.To(network.Layers[0].Weight.Device);
        // The copy of pixels keeps no hold of the pictures that they were cut from.
        var rows = layer == 0 ? network.Pixels(here).Clone() : network.Forward(here, 0, layer).X;
        return TensorScope.Detach(rows.To(Device.Cpu));
    }

    protected override void Dispose(bool disposing) => _all?.Dispose();
}
