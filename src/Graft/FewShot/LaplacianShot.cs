using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Ziko et al. 2020: the queries' labels together minimise each one's distance to its class and the disagreement of near
/// neighbours (eq. 2), by bound updates that can be done for all at once (eq. 10).
/// </summary>
/// <param name="baseMean">For centring, as in <see cref="SimpleShot"/>; d, or null.</param>
/// <param name="neighbours">Of each query that count as near.</param>
/// <param name="weight">Of agreement (λ in the paper).</param>
/// <param name="steps">At most so many updates.</param>
internal sealed class LaplacianShot(Tensor? baseMean = null, int neighbours = 3, double weight = 0.7, int steps = 20) : IFeatureRule
{
    /// <inheritdoc/>
    public string Name => "LaplacianShot";

    /// <inheritdoc/>
    public bool Transductive => true;

    /// <inheritdoc/>
    public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries)
    {
        var mean = baseMean ?? support.Mean([0L]);
        var (s, q) = (SimpleShot.Normalised(support, mean), SimpleShot.Normalised(queries, mean));
        var means = Distances.Means(s, labels, way);
        // Prototype rectification (section 3.2): the queries' own mean of each class counts too, after the shift between support and queries is taken
        // away.
        q += s.Mean([0L], true) - q.Mean([0L], true);
        var sure = (Distances.Unit(q).Matmul(Distances.Unit(means).T()) * 10).Softmax(1);
        var members = labels.OneHot(way).To(s.Type);
        means = (members.T().Matmul(s) + sure.T().Matmul(q)) / (members.Sum([0L]) + sure.Sum([0L])).Unsqueeze(1);

        var cost = Distances.Between(q, means, DistanceKind.SquaredEuclidean);
        var count = queries.Shape[0];
        var near = Math.Min(neighbours, count - 1);
        var agree = Ops.Zeros([count, count], device: q.Device);
        if (near > 0)
        {
            var apart = Distances.Between(q, q, DistanceKind.SquaredEuclidean) + Ops.Eye(count, count, device: q.Device) * 1e6;
            agree = agree.Scatter(1, apart.Topk(near, 1, false).Item2, 1L);
        }
        var y = (-cost).Softmax(1);
        for (var step = 0; step < steps; step++) y = (agree.Matmul(y) * weight - cost).Softmax(1);
        return y;
    }
}
