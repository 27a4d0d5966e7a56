using Graft.Data;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>Sentences as batches N×T of tokens, filled up behind to their longest: in a new order every epoch, those of like length together, so that
/// little is filled up; or as they are.</summary>
/// <param name="tokens">Of each sentence of the dataset.</param>
/// <param name="targets">What is told of each.</param>
/// <param name="pad">The token that fills up.</param>
/// <param name="batchSize">Sentences of a batch.</param>
/// <param name="seed">Of the order.</param>
/// <param name="shuffle">False: always in the order of length.</param>
internal sealed class TextFeed(int[][] tokens, Targets targets, int pad, int batchSize, long seed, bool shuffle = true) : Feed<Batch>
{
    // So many batches are drawn together and sorted among themselves.
    private const int Window = 32;

    public override int Batches => (tokens.Length + batchSize - 1) / batchSize;

    public override int Size(Batch batch) => batch.Indices.Length;

    public override string Unit => "sentences";

    public override IEnumerable<Batch> Epoch(int epoch, int skip) => Cut(epoch).Skip(skip).Select(Make);

    private IEnumerable<int[]> Cut(int epoch)
    {
        if (!shuffle) return Enumerable.Range(0, tokens.Length).OrderBy(k => tokens[k].Length).Chunk(batchSize);
        var rng = new Rng(seed, 1, epoch);
        var order = rng.Permutation(tokens.Length);
        int[][] batches = [.. order.Chunk(Window * batchSize).SelectMany(window => window.OrderBy(k => tokens[k].Length).Chunk(batchSize))];
        return rng.Permutation(batches.Length).Select(k => batches[k]);
    }

    private Batch Make(int[] items)
    {
        using var scope = new TensorScope();
        var ids = TokenRows.Fill([.. items.Select(k => tokens[k])], pad);
        return new Batch(TensorScope.Detach(ids), TensorScope.Detach(targets.Batch(items)), items);
    }
}
