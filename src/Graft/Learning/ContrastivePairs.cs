using Graft.Data;

namespace Graft.Learning;

/// <summary>
/// Pairs of labelled items as SetFit draws them (Tunstall et al. 2022, section 3.1): each item R times with another of its class, target 1, and R
/// times with one of another class, target 0. They are drawn as they are asked for, so that there is never a list of all.
/// </summary>
internal sealed class ContrastivePairs : PairSource
{
    private readonly int[] _labels, _ordered, _start, _place;
    private readonly int _repeats, _batchSize, _most;
    private readonly long _seed;

    /// <param name="labels">A class number for each item.</param>
    /// <param name="repeats">R.</param>
    /// <param name="batchSize">Pairs of a batch.</param>
    /// <param name="most">Batches of an epoch at most: fewer pairs are drawn then; 0: no bound.</param>
    /// <param name="seed">Of the draws.</param>
    /// <exception cref="GraftException">There are no such pairs.</exception>
    public ContrastivePairs(int[] labels, int repeats, int batchSize, int most, long seed)
    {
        (_labels, _repeats, _batchSize, _most, _seed) = (labels, repeats, batchSize, most, seed);
        var classes = labels.DefaultIfEmpty(-1).Max() + 1;
        var counts = new int[classes];
        foreach (var label in labels) counts[label]++;
        if (counts.Count(count => count > 0) < 2)
            throw new GraftException("all that is trained on is of one class: pairs of two classes are needed too");
        if (counts.All(count => count < 2)) throw new GraftException("no class has two to be trained on: pairs of one class are needed too");
        _ordered = [.. Enumerable.Range(0, labels.Length).OrderBy(k => labels[k])];
        _start = new int[classes + 1];
        for (var c = 0; c < classes; c++) _start[c + 1] = _start[c] + counts[c];
        _place = new int[labels.Length];
        for (var k = 0; k < _ordered.Length; k++) _place[_ordered[k]] = k;
    }

    private long Pairs => 2L * _repeats * _labels.Length;

    public override int Batches
    {
        get
        {
            var all = (Pairs + _batchSize - 1) / _batchSize;
            return (int)Math.Min(all, _most > 0 ? _most : int.MaxValue);
        }
    }

    public override IEnumerable<ItemPair[]> Epoch(int epoch, int skip)
    {
        var (round, order) = (-1L, Array.Empty<int>());
        for (var b = skip; b < Batches; b++)
        {
            var batch = new ItemPair[Math.Min(_batchSize, Pairs - (long)b * _batchSize)];
            for (var k = 0; k < batch.Length; k++)
            {
                var number = (long)b * _batchSize + k;
                var turn = number / 2 / _labels.Length;
                if (turn != round) (round, order) = (turn, new Rng(_seed, 5, epoch, turn).Permutation(_labels.Length));
                batch[k] = Draw(order[number / 2 % _labels.Length], number % 2 == 0, new Rng(_seed, 6, epoch, number));
            }
            yield return batch;
        }
    }

    // An item that is alone in its class has a pair of another in place of one of its own.
    private ItemPair Draw(int item, bool same, Rng rng)
    {
        var (from, to) = (_start[_labels[item]], _start[_labels[item] + 1]);
        if (same && to - from > 1)
        {
            var other = from + rng.Below(to - from - 1);
            return new ItemPair(item, _ordered[other >= _place[item] ? other + 1 : other], 1);
        }
        var outside = rng.Below(_labels.Length - (to - from));
        return new ItemPair(item, _ordered[outside >= from ? outside + (to - from) : outside], 0);
    }
}
