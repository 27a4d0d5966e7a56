using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Liu, Johns and Davison 2019 (with MTAN), eq. 7: w = K softmax(r/T), r = L(e−1)/L(e−2), L the mean loss of an epoch; T = 2. The first two epochs
/// weigh alike.
/// </summary>
internal sealed class DynamicWeightAverage : Weighting
{
    private const double Temperature = 2;

    private readonly Slot _epoch, _sum, _count, _last, _before;

    public DynamicWeightAverage(WeightingSetup setup)
    {
        var none = new double[setup.Count];
        double[] unknown = [.. none.Select(_ => double.NaN)];
        (_epoch, _sum, _count) = (Memory("epoch", 0), Memory("sum", none), Memory("count", none));
        (_last, _before) = (Memory("last", unknown), Memory("before", unknown));
    }

    public override Tensor Total(TaskStep at)
    {
        var (sum, count) = (Read(_sum), Read(_count));
        if (Read(_epoch)[0] < at.Step.Epoch)
        {
            Write(_before, Read(_last));
            Write(_last, [.. sum.Zip(count, (total, of) => total / of)]);
            (sum, count) = (new double[sum.Length], new double[sum.Length]);
            Write(_epoch, [at.Step.Epoch]);
        }
        foreach (var task in at.Present) (sum[task], count[task]) = (sum[task] + at.Values[task], count[task] + 1);
        Write(_sum, sum);
        Write(_count, count);
        var weights = Weights(Read(_last), Read(_before));
        return Sum(at, task => weights[task]);
    }

    /// <summary>From the means of the last two epochs; NaN: there is none.</summary>
    internal static double[] Weights(double[] last, double[] before)
    {
        double[] rates = [.. last.Zip(before, (a, b) => a / b is var rate && double.IsFinite(rate) ? rate : 1)];
        double[] powers = [.. rates.Select(rate => Math.Exp((rate - rates.Max()) / Temperature))];
        return [.. powers.Select(power => rates.Length * power / powers.Sum())];
    }
}
