using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Nichol, Achiam and Schulman 2018: train on a task for some steps, then move the initialisation a little towards where that
/// ended: φ ← φ + ε (φ̃ − φ) (algorithm 1). No gradient of a gradient is taken. The inner optimiser is Adam without momentum
/// (β₁ = 0), whose state starts anew with every task.
/// </summary>
internal sealed class Reptile : TaskLearner
{
    private const double Decay = 0.999, Epsilon = 1e-8;

    private readonly double _rate;
    private readonly int _steps, _testSteps, _batch;
    private readonly IReadOnlyList<string> _names;

    /// <param name="backbone">Owned.</param>
    /// <param name="way">Classes of every task.</param>
    /// <param name="innerRate">Of Adam within a task.</param>
    /// <param name="steps">Inner steps in training (k in the paper).</param>
    /// <param name="testSteps">Inner steps at test.</param>
    /// <param name="batch">Pictures of an inner step.</param>
    public Reptile(Backbone backbone, int way, double innerRate = 1e-3, int steps = 5, int testSteps = 50, int batch = 10) : base(backbone, way)
    {
        (_rate, _steps, _testSteps, _batch) = (innerRate, steps, testSteps, batch);
        _names = [.. Network.NamedParameters().Select(found => found.Name)];
    }

    // ε is the rate of a plain step: any other optimiser would take φ − φ̃ for a gradient, which it is not.
    internal override OptimizerRule Rule => new SgdRule(Momentum: 0);

    /// <inheritdoc/>
    protected override Dictionary<string, Tensor> Adapt(Support support) => Descend(support, _testSteps, 0).Parameters;

    private (Dictionary<string, Tensor> Parameters, double Loss) Descend(Support support, int steps, long seed)
    {
        var own = Network.NamedSlots().ToDictionary(slot => slot.Name, slot => slot.Slot.Value);
        using var grad = Autograd.EnableGrad();
        using var outer = new TensorScope();
        Tensor[] values = [.. _names.Select(name => own[name].Detach().Clone())];
        foreach (var value in values) value.RequiresGrad = true;
        Tensor[] squares = [.. values.Select(value => value.Detach().ZerosLike())];
        var current = _names.Zip(values).ToDictionary(pair => pair.First, pair => pair.Second);
        var (order, at, pass, total) = (Array.Empty<int>(), 0, 0, 0.0);
        for (var step = 0; step < steps; step++)
        {
            using var scope = new TensorScope();
            if (at >= order.Length) (order, at) = (new Rng(seed, 5, pass++).Permutation(support.Labels.Length), 0);
            var chosen = order.Skip(at).Take(_batch).Select(k => (long)k).ToArray();
            at += chosen.Length;
            var (x, y) = chosen.Length == support.Labels.Length ? (support.Pictures, support.Targets)
                : (support.Pictures.IndexSelect(0, Tensor.From(chosen)), Tensor.From(Array.ConvertAll(chosen, k => support.Labels[k])));
            var loss = Network.With(current, () => Losses.CrossEntropy(Network.Forward(x), y));
            var gradients = Autograd.Grad(loss, values);
            total += loss.Item();
            using var mode = Autograd.NoGrad();
            Ops.ForeachMulInPlace(squares, Decay);
            Ops.ForeachAddcmulInPlace(squares, gradients, gradients, 1 - Decay);
            var root = Ops.ForeachSqrt(squares);
            Ops.ForeachDivInPlace(root, Math.Sqrt(1 - Math.Pow(Decay, step + 1)));
            Ops.ForeachAddInPlace(root, Epsilon);
            Ops.ForeachAddcdivInPlace(values, gradients, root, -_rate);
        }
        return (_names.Zip(values).ToDictionary(pair => pair.First, pair => outer.Keep(pair.Second.Detach())), total / steps);
    }

    /// <summary>φ − φ̃, the mean over the tasks: what an optimiser at rate ε takes for a gradient. All of an episode's pictures are the
    /// task.</summary>
    public override (Tensor?[] Gradients, double Loss) Gradient(EpisodeBatch batch, Step step, IReadOnlyList<Tensor> parameters)
    {
        var episodes = batch.Draw();
        var names = NamedParameters().Select(found => found.Name).ToArray();
        var sums = new Tensor?[parameters.Count];
        var total = 0.0;
        foreach (var episode in episodes)
        {
            var task = new Support(Ops.Cat([episode.Support.Pictures, episode.Queries], 0), [.. episode.Support.Labels, .. episode.QueryLabels],
                episode.Support.Way);
            var (found, loss) = Descend(task, _steps, episode.Seed);
            total += loss / episodes.Length;
            using var mode = Autograd.NoGrad();
            for (var k = 0; k < names.Length; k++)
            {
                var moved = (parameters[k] - found[names[k]]) / episodes.Length;
                sums[k] = sums[k] is { } sum ? sum + moved : moved;
            }
        }
        return (sums, total);
    }
}
