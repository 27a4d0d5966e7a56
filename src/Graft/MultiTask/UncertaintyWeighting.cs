using Graft.Data;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Kendall, Gal and Cipolla 2018, eq. 7 and 10: Σ L/σ² + log σ, of numbers L/2σ² + log σ; learned are s = log σ², from 0 on, for which the
/// paper finds the training steadier.
/// </summary>
internal sealed class UncertaintyWeighting : Weighting
{
    private readonly Slot _logVariances;
    private readonly double[] _shares;

    public UncertaintyWeighting(WeightingSetup setup)
    {
        _logVariances = Parameter("log_variances", Ops.Zeros([setup.Count]));
        _shares = [.. setup.Kinds.Select(kind => kind == TargetKind.Numbers ? 0.5 : 1)];
    }

    public override Tensor Total(TaskStep at)
    {
        var s = _logVariances.Value;
        return at.Present.Select(task => at.Loss(task) * _shares[task] * (-s[task]).Exp() + s[task] * 0.5).Aggregate((a, b) => a + b);
    }
}
