namespace Graft.MultiTask;

/// <summary>Minimises a convex function of weights that are not negative and sum to 1.</summary>
internal static class Simplex
{
    private const int Sweeps = 100, Cuts = 60;

    private static readonly double s_golden = (Math.Sqrt(5) - 1) / 2;

    /// <summary>Pairs of weights in turn, each the best division of what the two have, by golden section, until a sweep gains nothing.</summary>
    public static double[] Minimise(int count, Func<double[], double> cost)
    {
        double[] weights = [.. Enumerable.Repeat(1.0 / count, count)];
        var best = cost(weights);
        for (var sweep = 0; sweep < Sweeps; sweep++)
        {
            var before = best;
            for (var i = 0; i < count; i++)
            {
                for (var j = i + 1; j < count; j++) best = Divide(weights, i, j, cost, best);
            }
            if (before - best <= 1e-14 * Math.Abs(before)) break;
        }
        return weights;
    }

    private static double Divide(double[] weights, int i, int j, Func<double[], double> cost, double best)
    {
        var (mass, own, other) = (weights[i] + weights[j], weights[i], weights[j]);
        double At(double share)
        {
            (weights[i], weights[j]) = (share * mass, (1 - share) * mass);
            return cost(weights);
        }
        var (low, high) = (0.0, 1.0);
        var (a, b) = (1 - s_golden, s_golden);
        var (costA, costB) = (At(a), At(b));
        for (var cut = 0; cut < Cuts; cut++)
        {
            if (costA <= costB)
            {
                (high, b, costB) = (b, a, costA);
                costA = At(a = high - s_golden * (high - low));
            }
            else
            {
                (low, a, costA) = (a, b, costB);
                costB = At(b = low + s_golden * (high - low));
            }
        }
        foreach (var share in new[] { 0, 1, (low + high) / 2 })
        {
            if (At(share) is var found && found < best) (best, own, other) = (found, weights[i], weights[j]);
        }
        (weights[i], weights[j]) = (own, other);
        return best;
    }
}
