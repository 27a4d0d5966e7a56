using Graft.Learning;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Support set in, scores out: what every few-shot method is.</summary>
internal interface IEpisodeLearner
{
    /// <summary>Q×way scores, the larger the likelier; queries: Q×C×H×W.</summary>
    Tensor Scores(Support support, Tensor queries);
}

/// <summary>
/// A method that is trained on episodes. It says how it scores queries; how it is trained follows from that (cross-entropy of
/// the queries) unless it says otherwise.
/// </summary>
public abstract class EpisodeLearner : Objective<EpisodeBatch>, IEpisodeLearner
{
    /// <summary>What made it: a method, its network and its settings; saved with it.</summary>
    public FewShotOptions Options { get; internal set; } = new() { Method = "" };

    /// <summary>Makes a learner of the same shape, for another thread; null: one thread has to do.</summary>
    public Func<EpisodeLearner>? Another { get; set; }

    /// <inheritdoc/>
    public abstract Tensor Scores(Support support, Tensor queries);

    /// <summary>What one episode's training minimises.</summary>
    protected virtual Tensor Loss(Episode episode) => Losses.CrossEntropy(Scores(episode.Support, episode.Queries), episode.QueryTargets);

    /// <summary>What training on several episodes minimises: the mean over them.</summary>
    protected virtual Tensor Loss(IReadOnlyList<Episode> episodes) => Ops.Stack([.. episodes.Select(Loss)]).Mean();

    /// <inheritdoc/>
    protected sealed override Tensor Loss(EpisodeBatch batch, Step step) => Loss(batch.Draw());

    /// <summary>Whether its loss takes several episodes at once, side by side, and not one after another.</summary>
    internal virtual bool BatchesEpisodes => false;

    /// <summary>What moves its parameters.</summary>
    internal virtual OptimizerRule Rule => new AdamRule();

    /// <summary>Mean accuracy over the held-out feed's first batch of episodes; learners that adapt see the queries' statistics, as in their
    /// papers.</summary>
    public sealed override Score Evaluate(Feed<EpisodeBatch> heldOut, Workers workers, CancellationToken cancel)
    {
        var batch = heldOut.Epoch(0, 0).First();
        return new Score("accuracy", EpisodeEvaluator.Evaluate(workers, batch.Sampler, batch.Numbers.Count, this is TaskLearner, cancel: cancel)
            .Accuracy, true);
    }

    /// <summary>Classes that its last layer is made for, where that is fixed.</summary>
    public virtual int? FixedWay => null;

    /// <summary>
    /// How BatchNorm treats the queries: with the statistics that training kept (inductive), or with those of the queries
    /// themselves (transductive: an answer then depends on the other queries).
    /// </summary>
    public virtual void Prepare(bool transductive)
    {
        Train(transductive);
        foreach (var norm in Modules().OfType<BatchNorm2d>()) norm.Momentum = transductive ? 0 : 0.1;
    }

    /// <inheritdoc/>
    public sealed override void PrepareInference() => Prepare(transductive: false);

    /// <inheritdoc/>
    public override void PrepareTraining()
    {
        Train();
        foreach (var norm in Modules().OfType<BatchNorm2d>()) norm.Momentum = 0.1;
    }

    /// <inheritdoc/>
    public sealed override Objective<EpisodeBatch>? Share()
    {
        if (Another is null) return null;
        using var skip = Initialisers.Skip();
        var copy = Another();
        copy.CopyFrom(State().Where(item => item.Value.Type != DType.Float32 || !item.Value.RequiresGrad).ToDictionary());
        foreach (var (own, other) in NamedSlots().Zip(copy.NamedSlots()))
        {
            if (own.Slot.IsBuffer) continue;
            other.Slot.Value.Dispose();
            other.Slot.Value = own.Slot.Value;
        }
        return copy;
    }
}
