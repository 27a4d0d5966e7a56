using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Support set in, scores out: what every few-shot method is.</summary>
public interface IEpisodeLearner
{
    /// <summary>Q×way scores, the larger the likelier; queries: Q×C×H×W.</summary>
    Tensor Scores(Support support, Tensor queries);
}

/// <summary>
/// A method that is trained on episodes. It says how it scores queries; how it is trained follows from that (cross-entropy of
/// the queries) unless it says otherwise.
/// </summary>
public abstract class EpisodeLearner : Module, IEpisodeLearner
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

    /// <summary>The loss on some episodes, and its gradient by each parameter (null where it does not depend on one).</summary>
    public virtual (Tensor?[] Gradients, double Loss) Gradient(IReadOnlyList<Episode> episodes, IReadOnlyList<Tensor> parameters)
    {
        var loss = Loss(episodes);
        return (Autograd.Grad([loss], parameters, allowUnused: true), loss.Item());
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

    /// <summary>To be trained from here on.</summary>
    public virtual void PrepareTraining()
    {
        Train();
        foreach (var norm in Modules().OfType<BatchNorm2d>()) norm.Momentum = 0.1;
    }

    /// <summary>Another learner that shares this one's parameters and has buffers of its own. Do not dispose it.</summary>
    internal EpisodeLearner Share()
    {
        using var skip = Initialisers.Skip();
        var copy = Another!();
        copy.CopyFrom(State().Where(item => item.Value.Type != DType.Float32 || !item.Value.RequiresGrad).ToDictionary());
        foreach (var (own, other) in NamedSlots().Zip(copy.NamedSlots()))
        {
            if (own.Slot.IsBuffer) continue;
            other.Slot.Value.Dispose();
            other.Slot.Value = own.Slot.Value;
        }
        return copy;
    }

    /// <inheritdoc/>
    public sealed override Tensor Forward(Tensor x) => throw new NotSupportedException("a few-shot learner answers for queries by a support set: use Scores");
}
