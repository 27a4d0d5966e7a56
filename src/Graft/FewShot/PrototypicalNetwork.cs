using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Snell, Swersky and Zemel 2017: a class is the mean of its embedded support (eq. 1), a query's score the negative distance to
/// it (eq. 2). Trained with more classes in an episode than at test (section 3.1), it does better.
/// </summary>
/// <param name="embedder">From pictures to embeddings; owned.</param>
/// <param name="distance">A Bregman divergence by the paper's argument (section 2.3): squared Euclidean.</param>
internal sealed class PrototypicalNetwork(Embedder embedder, DistanceKind distance = DistanceKind.SquaredEuclidean) : MetricLearner(embedder)
{
    // Cosines lie within ±1: a softmax of them would stay flat.
    private const double CosineScale = 10;

    /// <inheritdoc/>
    public override int Exchanges => 6;

    /// <inheritdoc/>
    public override Tensor FromEmbeddings(Tensor support, Tensor labels, int way, Tensor queries) =>
        Distances.ToClasses(support, labels, way, queries, distance) * (distance == DistanceKind.Cosine ? -CosineScale : -1);
}
