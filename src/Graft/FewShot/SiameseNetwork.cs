using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>What a Siamese network's training minimises.</summary>
public enum PairLoss
{
    /// <summary>Cross-entropy of "same" by a learned, weighted L1 distance (Koch et al. 2015).</summary>
    CrossEntropy,

    /// <summary>Pairs of a class together, others a margin apart (Hadsell et al. 2006).</summary>
    Contrastive,

    /// <summary>Nearer to its own class than to another, by a margin (Schroff et al. 2015), the nearest wrong one of the batch.</summary>
    Triplet,
}

/// <summary>
/// Koch, Zemel and Salakhutdinov 2015: one network sees two pictures; "same" has the log-odds Σⱼ αⱼ |zⱼ(a) − zⱼ(b)| + β
/// (section 3.1). One-shot classification takes the support picture that is likeliest the same.
/// </summary>
internal sealed class SiameseNetwork : MetricLearner
{
    private const int Units = 128;

    private readonly PairLoss _loss;
    private readonly double _margin;
    private readonly Linear _last, _same;

    /// <param name="embedder">From pictures to embeddings; owned.</param>
    /// <param name="loss">What training minimises.</param>
    /// <param name="margin">Of the contrastive and triplet losses, for embeddings of length 1.</param>
    public SiameseNetwork(Embedder embedder, PairLoss loss = PairLoss.CrossEntropy, double margin = 0.5) : base(embedder)
    {
        (_loss, _margin) = (loss, margin);
        // The fully connected layer with sigmoid units that ends each twin (section 3.1).
        _last = Child("last", new Linear(embedder.Size, Units));
        _same = Child("same", new Linear(Units, 1));
        // Farther is less likely the same: so it starts, and may learn otherwise.
        Initialisers.Constant(_same.Weight, -0.2);
        Initialisers.Constant(_same.Bias!, 2);
    }

    /// <summary>How alike each of n pictures is to each of m: n×m log-odds of "same", or the negative distance of the other losses.</summary>
    public Tensor Alike(Tensor a, Tensor b) => _loss == PairLoss.CrossEntropy
        ? (a.Unsqueeze(1) - b.Unsqueeze(0)).Abs().Matmul(_same.Weight.T()).Squeeze(2) + _same.Bias!
        : -Distances.Between(Distances.Unit(a), Distances.Unit(b), DistanceKind.Euclidean);

    /// <inheritdoc/>
    public override Tensor Encode(Tensor pictures) => _loss == PairLoss.CrossEntropy ? _last.Forward(Embedder.Forward(pictures)).Sigmoid()
        : Embedder.Forward(pictures);

    /// <inheritdoc/>
    public override Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries)
    {
        // The mean log-odds over a class's pictures.
        return Distances.Means(Alike(queries, support).T(), labels, way).T();
    }

    /// <inheritdoc/>
    protected override Tensor Loss(Episode episode)
    {
        var z = Encode(Ops.Cat([episode.Support.Pictures, episode.Queries], 0));
        var labels = Ops.Cat([episode.Support.Targets, episode.QueryTargets], 0);
        var same = labels.Unsqueeze(1).Eq(labels.Unsqueeze(0)).To(DType.Float32);
        var other = 1 - same;
        // No picture is paired with itself. Same pairs weigh as much as different ones, of which there are many more.
        same *= 1 - Ops.Eye(labels.Count, labels.Count);
        var alike = Alike(z, z);
        return _loss switch
        {
            PairLoss.CrossEntropy => ((-alike).Softplus() * same).Sum() / (2 * same.Sum()) + (alike.Softplus() * other).Sum() / (2 * other.Sum()),
            PairLoss.Contrastive => (alike.Square() * same).Sum() / (2 * same.Sum()) + ((_margin * 2 + alike).Relu().Square() * other)
                .Sum() / (2 * other.Sum()),
            _ => Triplets(-alike, same, other),
        };
    }

    // Every same pair against the nearest picture of another class that is still farther than the pair (semi-hard), else the farthest of the nearer
    // ones.
    private Tensor Triplets(Tensor distances, Tensor same, Tensor other)
    {
        var n = distances.Shape[0];
        var pair = distances.Unsqueeze(2);
        var candidate = distances.Unsqueeze(1);
        var allowed = other.Unsqueeze(1).Expand([n, n, n]);
        var farther = allowed * candidate.Gt(pair).To(DType.Float32);
        var nearest = (candidate + (1 - farther) * 1e3).Amin([2]);
        var farthest = (candidate * allowed).Amax([2]);
        var wrong = nearest.Lt(100).Where(nearest, farthest);
        return ((distances - wrong + _margin).Relu() * same).Sum() / same.Sum();
    }
}
