using Graft.Data;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>A batch: inputs N×3×H×W, labels N whole numbers (or what else the dataset's targets are: <see cref="TargetTensors.Batch"/>), and which
/// pictures of the dataset they are.</summary>
internal sealed record Batch(Tensor Inputs, Tensor Labels, int[] Indices) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Inputs.Dispose();
        Labels.Dispose();
    }
}

/// <summary>
/// Makes batches ahead of the training on the other cores, in an order and with augmentations that depend on the seed and
/// the epoch only.
/// </summary>
internal sealed class Loader(PictureStore store, Preprocessing preprocessing, int batchSize, long seed, bool channelsLast = true)
{
    /// <summary>Batches of one epoch, from batch <paramref name="skip"/> on.</summary>
    /// <param name="items">Indices into the store's dataset.</param>
    /// <param name="epoch">Chooses the order and the augmentations.</param>
    /// <param name="shuffle">A new order for every epoch; otherwise as given.</param>
    /// <param name="skip">Batches that were already used.</param>
    /// <param name="joinLastOne">A last batch of one picture joins the one before it: <see cref="Cut"/>.</param>
    public IEnumerable<Batch> Batches(IReadOnlyList<int> items, int epoch, bool shuffle, int skip = 0, bool joinLastOne = false)
    {
        int[] order = shuffle ? [.. new Rng(seed, 1, epoch).Permutation(items.Count).Select(k => items[k])] : [.. items];
        return Ahead(Cut(order, batchSize, joinLastOne).Skip(skip), chunk => Make(chunk, epoch));
    }

    /// <summary>Makes batches on the other cores while the one before is used; those that nobody takes are disposed.</summary>
    internal static IEnumerable<T> Ahead<T>(IEnumerable<int[]> chunks, Func<int[], T> make) where T : IDisposable
    {
        var ahead = Cores.Count + 1;
        var made = new Queue<Task<T>>();
        using var batches = chunks.GetEnumerator();
        try
        {
            while (true)
            {
                while (made.Count < ahead && batches.MoveNext())
                {
                    var chunk = batches.Current;
                    made.Enqueue(Task.Run(() => make(chunk)));
                }
                if (!made.TryDequeue(out var next)) yield break;
                yield return next.GetAwaiter().GetResult();
            }
        }
        finally
        {
            foreach (var task in made)
            {
                ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
                if (task.IsCompletedSuccessfully) task.Result.Dispose();
            }
        }
    }

    /// <summary>
    /// An order cut into batches. BatchNorm takes the variance of a batch, which one picture does not have; so in training a last batch
    /// of one joins the batch before it, and no picture is lost.
    /// </summary>
    internal static IEnumerable<int[]> Cut(int[] order, int batchSize, bool joinLastOne)
    {
        var join = joinLastOne && batchSize > 1 && order.Length > batchSize && order.Length % batchSize == 1;
        var whole = join ? order.Length - batchSize - 1 : order.Length;
        return join ? order[..whole].Chunk(batchSize).Append(order[whole..]) : order.Chunk(batchSize);
    }

    /// <summary>How many batches <see cref="Cut"/> makes of so many pictures in training.</summary>
    internal static int Count(int pictures, int batchSize) =>
        (pictures + batchSize - 1) / batchSize - (batchSize > 1 && pictures > batchSize && pictures % batchSize == 1 ? 1 : 0);

    private Batch Make(int[] chunk, int epoch) =>
        new(Inputs(store, chunk, preprocessing, channelsLast, index => new Rng(seed, 2, epoch, index)), store.Dataset.Targets.Batch(chunk), chunk);

    /// <summary>Pictures of a store as N×3×H×W.</summary>
    /// <param name="store">Where they are.</param>
    /// <param name="chunk">Which.</param>
    /// <param name="preprocessing">What they go through.</param>
    /// <param name="channelsLast">How they lie in memory.</param>
    /// <param name="draws">What the random steps of one draw from.</param>
    internal static unsafe Tensor Inputs(PictureStore store, int[] chunk, Preprocessing preprocessing, bool channelsLast, Func<int, Rng> draws)
    {
        var size = 3L * preprocessing.Height * preprocessing.Width;
        var inputs = Ops.Empty([chunk.Length, 3, preprocessing.Height, preprocessing.Width],
            memoryFormat: channelsLast ? MemoryFormat.ChannelsLast : MemoryFormat.Contiguous);
        var start = (float*)inputs.Data;
        for (var k = 0; k < chunk.Length; k++)
        {
            var into = start + k * size;
            var index = chunk[k];
            store.Use(index, picture =>
            {
                var rng = draws(index);
                TransformRunner.Run(picture, preprocessing, ref rng, !channelsLast, into);
            });
        }
        return inputs;
    }
}
