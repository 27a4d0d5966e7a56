using Graft.Torch;

namespace Graft.Learning;

/// <summary>
/// What a batch costs: a method of learning. It owns the networks that it trains (as children), gives a loss for a batch, and says
/// how well it does on held-out data. <see cref="Trainer{TBatch}"/> does the rest.
/// </summary>
/// <typeparam name="TBatch">What the feed gives.</typeparam>
public abstract class Objective<TBatch> : Module
{
    /// <summary>The scalar that is minimised, the mean over the batch. Called in training mode, in a scope of its own.</summary>
    protected abstract Tensor Loss(TBatch batch, Step step);

    /// <summary>The loss on a batch and its gradient by each parameter: null where it does not depend on one. A loss that is no number has no gradients.</summary>
    public virtual (Tensor?[] Gradients, double Loss) Gradient(TBatch batch, Step step, IReadOnlyList<Tensor> parameters)
    {
        using var mode = Autograd.EnableGrad();
        var loss = Loss(batch, step);
        var value = loss.Item();
        return double.IsFinite(value) ? (Autograd.Grad([loss], parameters, allowUnused: true), value) : (new Tensor?[parameters.Count], value);
    }

    /// <summary>What trains, at which rate; by default all parameters at the rate of the optimisation.</summary>
    public virtual IReadOnlyList<ParameterGroup> Groups(Optimisation how) => [new("all", [.. Parameters()], how.Rate, how.WeightDecay)];

    /// <summary>A factor on every rate at a step, beside the schedule's.</summary>
    public virtual double RateFactor(Step step) => 1;

    /// <summary>Told after each step of the optimiser: to move a teacher, to lengthen the sequences.</summary>
    /// <returns>False: it has learned what there is to learn.</returns>
    public virtual bool AfterStep(Step step, double loss) => true;

    /// <summary>To be trained from here on.</summary>
    public virtual void PrepareTraining() => Train();

    /// <summary>To be asked from here on; the trainer leaves it so.</summary>
    public virtual void PrepareInference() => Eval();

    /// <summary>How well it does on held-out data, in inference mode; by default the mean loss.</summary>
    /// <param name="heldOut">Its epoch 0 is taken whole.</param>
    /// <param name="workers">This objective and its replicas, to share the work.</param>
    /// <param name="cancel">Stops.</param>
    public virtual Score Evaluate(Feed<TBatch> heldOut, Workers workers, CancellationToken cancel)
    {
        using var mode = Autograd.NoGrad();
        var (sum, count) = (0.0, 0L);
        foreach (var batch in heldOut.Epoch(0, 0))
        {
            using var owned = batch as IDisposable;
            using var scope = new TensorScope();
            cancel.ThrowIfCancellationRequested();
            var size = heldOut.Size(batch);
            (sum, count) = (sum + Loss(batch, new Step(0, 0, 0, 0, 0, 1)).Item() * size, count + size);
        }
        var mean = sum / Math.Max(1, count);
        return new Score("loss", mean, false, mean);
    }

    /// <summary>What between the weights and the loss was the first to hold no numbers, for a batch whose loss is none; null: it cannot tell.</summary>
    protected internal virtual string? FirstBadOutput(TBatch batch) => null;

    /// <summary>An objective that shares this one's parameters and has buffers of its own, for another thread; null: one thread has to do. It is not disposed.</summary>
    public virtual Objective<TBatch>? Share() => null;

    /// <summary>An objective takes batches, not a tensor.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override Tensor Forward(Tensor x) => throw new NotSupportedException($"{GetType().Name} is trained on batches and has no output of its own");
}
