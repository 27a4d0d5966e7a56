using Graft.Data;

namespace Graft.Learning;

/// <summary>Pairs that come with a score each: the items 2k and 2k + 1, in a new order every epoch, or as they are.</summary>
/// <param name="scores">Of each pair.</param>
/// <param name="batchSize">Pairs of a batch.</param>
/// <param name="seed">Of the order.</param>
/// <param name="shuffle">False: always in the order given.</param>
internal sealed class ScoredPairs(float[] scores, int batchSize, long seed, bool shuffle = true) : PairSource
{
    public override int Batches => (scores.Length + batchSize - 1) / batchSize;

    public override IEnumerable<ItemPair[]> Epoch(int epoch, int skip)
    {
        IEnumerable<int> order = shuffle ? new Rng(seed, 1, epoch).Permutation(scores.Length) : Enumerable.Range(0, scores.Length);
        return order.Select(k => new ItemPair(2 * k, 2 * k + 1, scores[k])).Chunk(batchSize).Skip(skip);
    }
}
