using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Misra et al. 2016, eq. 1, on dense layers: each task has layers of its own, and after each a unit mixes the tasks' outputs, x̃ᵢ = Σⱼ αᵢⱼ xⱼ; α
/// begins with 0.9 for the own and divides 0.1 among the others, as the paper does.
/// </summary>
internal sealed class CrossStitch : Sharing
{
    private const int Depth = 2;
    private const double Own = 0.9;

    private readonly Linear[,] _layers;
    private readonly Slot[] _stitches;
    private readonly int _tasks;

    public CrossStitch(int inputs, int units, int tasks)
    {
        (_tasks, Outputs, _layers) = (tasks, units, new Linear[Depth, tasks]);
        for (var d = 0; d < Depth; d++)
        {
            for (var t = 0; t < tasks; t++) _layers[d, t] = Child($"layer{d}.task{t}", new Linear(d == 0 ? inputs : units, units));
        }
        float Start(int i, int j) => tasks == 1 ? 1 : (float)(i == j ? Own : (1 - Own) / (tasks - 1));
        float[] start = [.. Enumerable.Range(0, tasks * tasks).Select(k => Start(k / tasks, k % tasks))];
        _stitches = [.. Enumerable.Range(0, Depth).Select(d => Parameter($"stitch{d}", Tensor.From(start, tasks, tasks)))];
    }

    public override int Outputs { get; }

    public override Tensor[] Of(Tensor features)
    {
        Tensor[] x = [.. Enumerable.Repeat(features, _tasks)];
        for (var d = 0; d < Depth; d++)
        {
            Tensor[] y = [.. x.Select((own, t) => _layers[d, t].Forward(own).Relu())];
            var alpha = _stitches[d].Value;
            x = [.. Enumerable.Range(0, _tasks).Select(i => y.Select((other, j) => other * alpha[i][j]).Aggregate((a, b) => a + b))];
        }
        return x;
    }
}
