using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>Σ w L with weights that were given, scaled to sum to the number of tasks; equal ones where none were.</summary>
internal sealed class FixedWeighting(WeightingSetup setup) : Weighting
{
    private readonly double[] _weights = setup.Given is { } given ? [.. given.Select(weight => weight * given.Count / given.Sum())]
        : [.. setup.Kinds.Select(_ => 1.0)];

    public override Tensor Total(TaskStep at) => Sum(at, task => _weights[task]);
}
