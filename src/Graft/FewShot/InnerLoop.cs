using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Gradient steps on a task that can themselves be differentiated: θ′ = θ − α ∇θ L(θ), again and again (Finn et al. 2017, eq.
/// 1). The module's own parameters do not change.
/// </summary>
internal static class InnerLoop
{
    /// <summary>The adapted parameters by name.</summary>
    /// <param name="module">What the loss runs.</param>
    /// <param name="names">Parameters that are adapted; the others stay.</param>
    /// <param name="steps">How many steps.</param>
    /// <param name="rate">The rate of a step for the parameter of an index: a number, or a scalar tensor that is learned.</param>
    /// <param name="loss">Of the task, by the module as it stands.</param>
    /// <param name="start">Where to start, in place of the module's own: with a leading dimension, many tasks side by side.</param>
    /// <param name="secondOrder">Keep the steps differentiable; otherwise they are taken as constants (FOMAML, section 5.2).</param>
    public static Dictionary<string, Tensor> Adapt(Module module, IReadOnlyList<string> names, int steps, Func<int, int, object> rate, Func<Tensor> loss, bool secondOrder, IReadOnlyDictionary<string, Tensor>? start = null)
    {
        using var mode = Autograd.EnableGrad();
        var own = module.NamedSlots().ToDictionary(slot => slot.Name, slot => slot.Slot.Value);
        var current = names.ToDictionary(name => name, name => start?.GetValueOrDefault(name) ?? own[name]);
        for (var step = 0; step < steps; step++)
        {
            Tensor[] values = [.. names.Select(name => current[name])];
            var gradients = module.With(current, () => Autograd.Grad(loss(), values, createGraph: secondOrder));
            var next = new Dictionary<string, Tensor>();
            for (var k = 0; k < names.Count; k++)
            {
                var moved = rate(step, k) is Tensor learned ? gradients[k] * learned : gradients[k] * (double)rate(step, k);
                next[names[k]] = values[k] - moved;
            }
            current = next;
        }
        return current;
    }
}
