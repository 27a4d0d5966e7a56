using Graft.Data;

namespace Graft.Learning;

/// <summary>Where a training stands when an objective is asked for a loss, and what the objective has to say beside it.</summary>
public sealed class Step
{
    private readonly Dictionary<string, Tally> _counts = [];
    private Rng _rng;

    /// <param name="seed">Of the training.</param>
    /// <param name="phase">Of the plan.</param>
    /// <param name="epoch">Pass over the feed.</param>
    /// <param name="index">Step of the epoch.</param>
    /// <param name="number">Step of the phase.</param>
    /// <param name="total">Steps of the phase.</param>
    public Step(long seed, int phase, int epoch, int index, long number, long total)
    {
        (Phase, Epoch, Index, Number, Total) = (phase, epoch, index, number, total);
        _rng = new Rng(seed, 3, phase, epoch, index);
    }

    /// <summary>Of the plan.</summary>
    public int Phase { get; }

    /// <summary>Pass over the feed, from 0.</summary>
    public int Epoch { get; }

    /// <summary>Step of the epoch, from 0.</summary>
    public int Index { get; }

    /// <summary>Step of the phase, from 0.</summary>
    public long Number { get; }

    /// <summary>Steps of the phase.</summary>
    public long Total { get; }

    /// <summary>Draws that depend on the seed and the step only, so that no generator's state has to be saved.</summary>
    public ref Rng Rng => ref _rng;

    /// <summary>Adds to a count that is shown while training goes on, such as right: how many of how many.</summary>
    public void Count(string what, double sum, double of)
    {
        var before = _counts.GetValueOrDefault(what) ?? new Tally(0, 0);
        _counts[what] = new Tally(before.Sum + sum, before.Of + of);
    }

    internal IReadOnlyDictionary<string, Tally> Counts => _counts;
}

/// <summary>So much, of so many.</summary>
internal sealed record Tally(double Sum, double Of)
{
    public double Share => Of == 0 ? double.NaN : Sum / Of;
}
