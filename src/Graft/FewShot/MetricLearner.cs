using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A learner that compares embeddings: the network runs once for each picture, whatever it is compared with.</summary>
public abstract class MetricLearner : EpisodeLearner
{
    /// <summary>Around an embedder, which it owns.</summary>
    protected MetricLearner(Embedder embedder) => Embedder = Child("embedder", embedder);

    /// <summary>From pictures to embeddings.</summary>
    public Embedder Embedder { get; }

    /// <summary>What is compared: N×C×H×W pictures to N×… numbers, each picture's by itself.</summary>
    public virtual Tensor Encode(Tensor pictures) => Embedder.Forward(pictures);

    /// <summary>Whether what is compared is a vector, so that any distance can take the place of the method's own.</summary>
    public virtual bool EncodesVectors => true;

    /// <summary>Scores from what <see cref="Encode"/> gave: S×…, S whole numbers, Q×… to Q×way.</summary>
    public abstract Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries);

    /// <summary>
    /// Support and queries in one run: with BatchNorm in training mode, they are normalised together, as the papers do.
    /// </summary>
    public override Tensor Scores(Support support, Tensor queries)
    {
        var (z, q) = Both(support, queries);
        return FromEmbeddings(z, support.Targets, support.Way, q);
    }

    /// <summary>
    /// How often an episode is scored with other pictures as its support: embeddings are the dear part, and which picture of a
    /// class happens to be its support is most of the noise. 1: as drawn.
    /// </summary>
    public virtual int Exchanges => 1;

    /// <summary>Cross-entropy of the queries, the mean over <see cref="Exchanges"/>.</summary>
    protected override Tensor Loss(Episode episode)
    {
        if (Exchanges == 1) return base.Loss(episode);
        var z = Encode(Ops.Cat([episode.Support.Pictures, episode.Queries], 0));
        long[] labels = [.. episode.Support.Labels, .. episode.QueryLabels];
        var way = episode.Support.Way;
        var members = Enumerable.Range(0, way).Select(c => Enumerable.Range(0, labels.Length).Where(k => labels[k] == c).ToArray()).ToArray();
        var (shot, each) = (episode.Support.Labels.Length / way, labels.Length / way);
        var losses = new List<Tensor>();
        for (var turn = 0; turn < Math.Min(Exchanges, each / shot); turn++)
        {
            bool Shown(int place) => place / shot == turn;
            long[] Chosen(bool support) => [.. members.SelectMany(own => own.Where((_, place) => Shown(place) == support)).Select(k => (long)k)];
            var (support, query) = (Chosen(true), Chosen(false));
            var scores = FromEmbeddings(z.IndexSelect(0, Tensor.From(support)), Tensor.From(Array.ConvertAll(support, k => labels[k])), way, z.IndexSelect(0, Tensor.From(query)));
            losses.Add(Losses.CrossEntropy(scores, Tensor.From(Array.ConvertAll(query, k => labels[k]))));
        }
        return Ops.Stack(losses).Mean();
    }

    /// <summary>Both encoded, in one run.</summary>
    protected (Tensor Support, Tensor Queries) Both(Support support, Tensor queries)
    {
        var z = Encode(Ops.Cat([support.Pictures, queries], 0));
        return (z.Narrow(0, 0, support.Labels.Length), z.Narrow(0, support.Labels.Length, queries.Shape[0]));
    }
}
