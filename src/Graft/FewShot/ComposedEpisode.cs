using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// An episode of made-up characters. Each class is a pair from a few first parts and a few second parts, so that every part
/// stands in several classes; each picture takes both parts from drawings of their own.
/// </summary>
internal static class ComposedEpisode
{
    /// <param name="pool">Where parts come from.</param>
    /// <param name="group">The classes to take them from.</param>
    /// <param name="options">Way, shot, query and augmentation.</param>
    /// <param name="rng">Where chance comes from.</param>
    public static Episode Draw(EpisodePool pool, int[] group, EpisodeOptions options, ref Rng rng)
    {
        var (firsts, seconds) = Parts(group.Length, options.Way, ref rng);
        int[] first = [.. rng.Permutation(group.Length).Take(firsts).Select(k => group[k])];
        int[] second = [.. rng.Permutation(group.Length).Take(seconds).Select(k => group[k])];
        var pairs = rng.Permutation(firsts * seconds).Take(options.Way).ToArray();
        var each = options.Shot + options.Query;
        var drawings = new List<(EpisodeItem First, EpisodeItem Second)>();
        for (var c = 0; c < pairs.Length; c++)
        {
            var (a, b) = (pool.Classes[first[pairs[c] / seconds]], pool.Classes[second[pairs[c] % seconds]]);
            var (x, y) = (rng.Permutation(a.Rows.Length), rng.Permutation(b.Rows.Length));
            for (var k = 0; k < each; k++) drawings.Add((new(a.Rows[x[k]], a.Turn, c), new(b.Rows[y[k]], b.Turn, c)));
        }
        // The supports of all classes, then their queries.
        drawings = [.. drawings.Select((drawing, k) => (drawing, Asked: k % each >= options.Shot)).OrderBy(item => item.Asked).Select(item => item.drawing)];
        var joined = Join(Levels(pool, drawings.Select(drawing => drawing.First)), Levels(pool, drawings.Select(drawing => drawing.Second)), ref rng);
        var pictures = pool.Normalise(joined, options.Augmentation, ref rng);
        long[] labels = [.. drawings.Select(drawing => drawing.First.Label)];
        var shown = options.Way * options.Shot;
        return new Episode(new Support(pictures.Narrow(0, 0, shown), labels[..shown], options.Way), pictures.Narrow(0, shown, labels.Length - shown), labels[shown..], [.. first, .. second]);
    }

    /// <summary>How many first and second parts: few enough that each stands in several classes, enough for all the classes.</summary>
    private static (int First, int Second) Parts(int available, int way, ref Rng rng)
    {
        var first = Math.Min(available, 2 + (int)rng.Below((int)Math.Sqrt(way) + 2));
        var second = Math.Min(available, (way + first - 1) / first);
        return ((way + second - 1) / second, second);
    }

    private static Tensor Levels(EpisodePool pool, IEnumerable<EpisodeItem> items)
    {
        var all = items.ToArray();
        return pool.Levels([.. all.Select(item => item.Row)], [.. all.Select(item => item.Turn)]);
    }

    /// <summary>Two batches side by side, or one above the other, at half the size or narrowed only.</summary>
    private static Tensor Join(Tensor left, Tensor right, ref Rng rng)
    {
        var (height, width) = (left.Shape[2], left.Shape[3]);
        var cut = (long)Math.Round(width * rng.Next(0.4, 0.6));
        var high = (long)Math.Round(height * rng.Next(0.5, 1));
        var above = (height - high) / 2;
        var joined = Ops.Cat([left.AdaptiveAvgPool2d([high, cut]), right.AdaptiveAvgPool2d([high, width - cut])], 3);
        if (high < height) joined = joined.Pad([0, 0, above, height - high - above], "replicate");
        return rng.Next() < 0.5 && height == width ? joined.Transpose(2, 3) : joined;
    }
}
