namespace Graft.Data;

/// <summary>
/// A small seeded generator (SplitMix64, Steele et al. 2014). Made from what it is for — seed, epoch, picture — so that no
/// state has to be saved: a resumed run draws the same numbers.
/// </summary>
public struct Rng
{
    private ulong _state;

    /// <summary>A generator for this combination of numbers.</summary>
    public Rng(params ReadOnlySpan<long> seeds)
    {
        _state = 0x9E3779B97F4A7C15;
        foreach (var seed in seeds) _state = Mix(_state ^ unchecked((ulong)seed * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB));
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>64 random bits.</summary>
    public ulong NextBits() => Mix(_state += 0x9E3779B97F4A7C15);

    /// <summary>A seed for another generator.</summary>
    public long NextSeed() => (long)(NextBits() >> 1);

    /// <summary>Uniform in [0, 1).</summary>
    public double Next() => (NextBits() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Uniform in [from, to).</summary>
    public double Next(double from, double to) => from + (to - from) * Next();

    /// <summary>A whole number in [0, bound).</summary>
    public int Below(int bound) => (int)((UInt128)NextBits() * (uint)bound >> 64);

    /// <summary>Standard normal (Box and Muller).</summary>
    public double Normal() => Math.Sqrt(-2 * Math.Log(1 - Next())) * Math.Cos(2 * Math.PI * Next());

    /// <summary>Beta(a, a) by two gamma variates (Marsaglia and Tsang 2000).</summary>
    public double Beta(double a)
    {
        var (x, y) = (Gamma(a), Gamma(a));
        return x + y > 0 ? x / (x + y) : 0.5;
    }

    private double Gamma(double shape)
    {
        if (shape < 1) return Gamma(shape + 1) * Math.Pow(1 - Next(), 1 / shape);
        var d = shape - 1.0 / 3;
        while (true)
        {
            var x = Normal();
            var v = Math.Pow(1 + x / Math.Sqrt(9 * d), 3);
            if (v > 0 && Math.Log(1 - Next()) < 0.5 * x * x + d - d * v + d * Math.Log(v)) return d * v;
        }
    }

    /// <summary>0 … n−1 in random order (Fisher and Yates).</summary>
    public int[] Permutation(int n)
    {
        var order = Enumerable.Range(0, n).ToArray();
        for (var k = n - 1; k > 0; k--)
        {
            var other = Below(k + 1);
            (order[k], order[other]) = (order[other], order[k]);
        }
        return order;
    }
}
