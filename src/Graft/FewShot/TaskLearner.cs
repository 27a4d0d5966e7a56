using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A learner that trains a classifier of its own on each task's support, from a shared initialisation.</summary>
internal abstract class TaskLearner : EpisodeLearner
{
    private bool _transductive = true;

    /// <param name="backbone">Owned.</param>
    /// <param name="way">Outputs.</param>
    protected TaskLearner(Backbone backbone, int way)
    {
        Network = Child("", new TaskNetwork(backbone, way));
        FixedWay = way;
    }

    /// <summary>The classifier that is adapted.</summary>
    protected TaskNetwork Network { get; }

    /// <summary>Whether it is being meta-trained: adaptation then has to stay differentiable.</summary>
    protected bool Learning { get; private set; } = true;

    /// <inheritdoc/>
    public sealed override int? FixedWay { get; }

    /// <summary>Parameters that fit the support, by name.</summary>
    protected abstract Dictionary<string, Tensor> Adapt(Support support);

    /// <inheritdoc/>
    public sealed override Tensor Scores(Support support, Tensor queries) => Scores(support, [queries]);

    /// <summary>
    /// Adapted once, asked about several views of the queries (each Q×C×H×W): the mean of their log-probabilities, Q×way; of one
    /// view, its log-odds.
    /// </summary>
    public Tensor Scores(Support support, IReadOnlyList<Tensor> views)
    {
        if (support.Way > FixedWay) throw new GraftException($"this model tells {FixedWay} classes apart, and the support set has {support.Way}: train it with --way {support.Way}, or use a metric method, which takes any number");
        using var mode = Learning ? null : Autograd.NoGrad();
        var adapted = Adapt(support);
        return Network.With(adapted, () =>
        {
            Tensor Answer(Tensor queries) => Network.Forward(queries).Narrow(1, 0, support.Way);
            Tensor All() => views.Count == 1 ? Answer(views[0]) : Ops.Stack([.. views.Select(queries => Answer(queries).LogSoftmax(1))]).Mean([0L]);
            if (_transductive) return All();
            // The support's statistics: one run with momentum 1 leaves them in the running ones.
            var norms = Network.Modules().OfType<BatchNorm2d>().ToArray();
            foreach (var norm in norms) norm.Momentum = 1;
            using (Autograd.NoGrad()) Network.Forward(support.Pictures).Dispose();
            Network.Eval();
            var scores = All();
            Network.Train();
            foreach (var norm in norms) norm.Momentum = 0;
            return scores;
        });
    }

    /// <inheritdoc/>
    public sealed override void Prepare(bool transductive)
    {
        // Inner steps always see the statistics of the support.
        Train();
        foreach (var norm in Network.Modules().OfType<BatchNorm2d>()) norm.Momentum = 0;
        (_transductive, Learning) = (transductive, false);
    }

    /// <inheritdoc/>
    public sealed override void PrepareTraining()
    {
        base.PrepareTraining();
        (_transductive, Learning) = (true, true);
    }
}

/// <summary>A backbone with a linear layer on its embedding.</summary>
internal sealed class TaskNetwork : Module
{
    private readonly Embedder _embedder;
    private readonly Linear _head;

    internal TaskNetwork(Backbone backbone, int way)
    {
        _embedder = Child("embedder", new Embedder(backbone));
        _head = Child("head", new Linear(_embedder.Size, way));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => _head.Forward(_embedder.Forward(x));
}
