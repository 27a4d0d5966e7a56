namespace Graft.Inference;

/// <summary>At a threshold: the share of same pairs that are farther (missed) and of different pairs that are nearer (wrongly accepted).</summary>
public sealed record ErrorPoint(double Threshold, double Missed, double WronglyAccepted);

/// <summary>
/// What a threshold on a distance gets wrong, from distances of pairs that are known to be the same or different: the detection
/// error trade-off (Martin et al. 1997).
/// </summary>
public sealed class ErrorCurve
{
    private const int MostPoints = 200;

    /// <summary>From distances.</summary>
    /// <exception cref="GraftException">One of the kinds is missing.</exception>
    public ErrorCurve(IReadOnlyList<double> same, IReadOnlyList<double> different)
    {
        if (same.Count == 0 || different.Count == 0) throw new GraftException("a threshold needs pairs of both kinds: at least one class with two pictures, and two classes");
        var (own, other) = (same.Order().ToArray(), different.Order().ToArray());
        double Below(double[] sorted, double t) => (double)Count(sorted, t) / sorted.Length;
        ErrorPoint At(double t) => new(t, 1 - Below(own, t), Below(other, t));
        // Thresholds lie between neighbouring distances: one on a distance itself would hang by rounding.
        var values = own.Concat(other).Distinct().Order().ToArray();
        var all = Enumerable.Range(0, values.Length + 1)
            .Select(k => At(k == 0 ? values[0] - 1e-6 : k == values.Length ? values[^1] + 1e-6 : (values[k - 1] + values[k]) / 2)).ToArray();
        Points = all.Length <= MostPoints ? all
            : [.. Enumerable.Range(0, MostPoints).Select(k => all[(int)((long)k * (all.Length - 1) / (MostPoints - 1))])];
        var least = all.Min(point => point.Missed + point.WronglyAccepted);
        var best = all.Where(point => point.Missed + point.WronglyAccepted <= least + 1e-12).ToArray();
        Best = best[best.Length / 2];
        var equal = all.MinBy(point => Math.Abs(point.Missed - point.WronglyAccepted))!;
        (EqualErrorRate, EqualThreshold) = ((equal.Missed + equal.WronglyAccepted) / 2, equal.Threshold);
        (SamePairs, DifferentPairs) = (own.Length, other.Length);
    }

    // How many are below.
    private static int Count(double[] sorted, double t)
    {
        var at = Array.BinarySearch(sorted, t);
        return at >= 0 ? at : ~at;
    }

    /// <summary>From strict to lax.</summary>
    public IReadOnlyList<ErrorPoint> Points { get; }

    /// <summary>Where the two errors together are least.</summary>
    public ErrorPoint Best { get; }

    /// <summary>Where both errors are the same.</summary>
    public double EqualErrorRate { get; }

    /// <summary>The threshold there.</summary>
    public double EqualThreshold { get; }

    /// <summary>Pairs of the same class.</summary>
    public int SamePairs { get; }

    /// <summary>Pairs of two classes.</summary>
    public int DifferentPairs { get; }
}
