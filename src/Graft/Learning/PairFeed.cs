using Graft.Torch;

namespace Graft.Learning;

/// <summary>Two items of a dataset, and how alike their vectors should be.</summary>
internal readonly record struct ItemPair(int First, int Second, float Target);

/// <summary>Which pairs an epoch is made of, batch by batch: it depends on the seed and the epoch only.</summary>
internal abstract class PairSource
{
    /// <summary>Batches of an epoch.</summary>
    public abstract int Batches { get; }

    /// <summary>An epoch's batches, from batch <paramref name="skip"/> on.</summary>
    public abstract IEnumerable<ItemPair[]> Epoch(int epoch, int skip);
}

/// <summary>A batch of pairs. An item that stands in several of them is there once.</summary>
/// <param name="Inputs">Tokens of the items, M×T in all, those of like length together.</param>
/// <param name="First">B rows of the inputs.</param>
/// <param name="Second">B rows of the inputs.</param>
/// <param name="Targets">B.</param>
internal sealed record PairBatch(IReadOnlyList<Tensor> Inputs, long[] First, long[] Second, float[] Targets) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var input in Inputs) input.Dispose();
    }
}

/// <summary>Pairs of sentences, eight of like length filled up behind to their longest.</summary>
/// <param name="tokens">Of each sentence.</param>
/// <param name="pad">The token that fills up.</param>
/// <param name="pairs">Which go together.</param>
internal sealed class PairFeed(int[][] tokens, int pad, PairSource pairs) : Feed<PairBatch>
{
    private const int Together = 8;

    public override int Batches => pairs.Batches;

    public override int Size(PairBatch batch) => batch.Targets.Length;

    public override string Unit => "pairs";

    public override IEnumerable<PairBatch> Epoch(int epoch, int skip) => pairs.Epoch(epoch, skip).Select(Make);

    private PairBatch Make(ItemPair[] batch)
    {
        int[] items = [.. batch.SelectMany(pair => new[] { pair.First, pair.Second }).Distinct().OrderBy(k => tokens[k].Length)];
        var row = items.Select((item, k) => (item, k)).ToDictionary(pair => pair.item, pair => (long)pair.k);
        return new PairBatch([.. items.Chunk(Together).Select(Tokens)], [.. batch.Select(pair => row[pair.First])],
            [.. batch.Select(pair => row[pair.Second])], [.. batch.Select(pair => pair.Target)]);
    }

    private Tensor Tokens(int[] items) => TensorScope.Detach(TokenRows.Fill([.. items.Select(k => tokens[k])], pad));
}
