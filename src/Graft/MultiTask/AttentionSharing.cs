using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Liu, Johns and Davison 2019 (MTAN), eq. 1 to 3, on dense layers in place of convolutions: of each shared layer p a task takes a ⊙ p, a = σ(h(g([u;
/// f(â)]))), u the layer's input and â what the task took of the layer before.
/// </summary>
internal sealed class AttentionSharing : Sharing
{
    private const int Depth = 2;

    private readonly Linear[] _layers;
    private readonly (Linear Squeeze, Linear Mask)[,] _attention;
    private readonly Linear[,] _onward;
    private readonly int _tasks;

    public AttentionSharing(int inputs, int units, int tasks)
    {
        (_tasks, Outputs) = (tasks, units);
        _layers = [.. Enumerable.Range(0, Depth).Select(d => Child($"layer{d}", new Linear(d == 0 ? inputs : units, units)))];
        (_attention, _onward) = (new (Linear, Linear)[Depth, tasks], new Linear[Depth, tasks]);
        var squeezed = Math.Max(1, units / 4);
        for (var t = 0; t < tasks; t++)
        {
            for (var d = 0; d < Depth; d++)
            {
                var reads = d == 0 ? inputs : 2 * units;
                _attention[d, t] = (Child($"task{t}.squeeze{d}", new Linear(reads, squeezed)),
                    Child($"task{t}.mask{d}", new Linear(squeezed, units)));
                if (d > 0) _onward[d, t] = Child($"task{t}.onward{d}", new Linear(units, units));
            }
        }
    }

    public override int Outputs { get; }

    public override Tensor[] Of(Tensor features)
    {
        var (u, taken) = (features, new Tensor[_tasks]);
        for (var d = 0; d < Depth; d++)
        {
            var p = _layers[d].Forward(u).Relu();
            for (var t = 0; t < _tasks; t++)
            {
                var read = d == 0 ? u : Ops.Cat([u, _onward[d, t].Forward(taken[t]).Relu()], 1);
                taken[t] = _attention[d, t].Mask.Forward(_attention[d, t].Squeeze.Forward(read).Relu()).Sigmoid() * p;
            }
            u = p;
        }
        return taken;
    }
}
