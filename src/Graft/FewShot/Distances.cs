using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Distances between embeddings.</summary>
public static class Distances
{
    /// <summary>Between rows: a: n×d, b: m×d gives n×m. Mahalanobis needs a support set: see <see cref="Mahalanobis"/>.</summary>
    public static Tensor Between(Tensor a, Tensor b, DistanceKind kind) => kind switch
    {
        DistanceKind.SquaredEuclidean => Squared(a, b),
        // The root's slope at 0 is infinite.
        DistanceKind.Euclidean => (Squared(a, b) + 1e-8).Sqrt(),
        DistanceKind.Manhattan => (a.Unsqueeze(1) - b.Unsqueeze(0)).Abs().Sum([2L]),
        DistanceKind.Cosine => 1 - Unit(a).Matmul(Unit(b).T()),
        _ => throw new ArgumentException($"{kind} is no distance between two points alone"),
    };

    private static Tensor Squared(Tensor a, Tensor b) => (a.Square().Sum([1L], true) + b.Square().Sum([1L]) - 2 * a.Matmul(b.T())).Clamp(0L, null);

    /// <summary>Rows of length 1.</summary>
    public static Tensor Unit(Tensor rows) => rows / (rows.Square().Sum([1L], true) + 1e-12).Sqrt();

    /// <summary>Means of the rows of each class: rows S×d, labels S, gives way×d.</summary>
    public static Tensor Means(Tensor rows, Tensor labels, int way)
    {
        var members = labels.OneHot(way).To(rows.Type);
        return members.T().Matmul(rows) / members.Sum([0L]).Clamp(1L, null).Unsqueeze(1);
    }

    /// <summary>
    /// Queries (Q×d) to class means, each measured with the class's own covariance: Q_c = λ Σ_c + (1 − λ) Σ + βI with
    /// λ = n_c / (n_c + 1), Σ over the whole support (Bateni et al. 2020, eq. 2 and 3). β is the mean variance, so that units do
    /// not matter.
    /// </summary>
    public static Tensor Mahalanobis(Tensor support, Tensor labels, int way, Tensor queries)
    {
        var means = Means(support, labels, way);
        var d = support.Shape[1];
        var task = Covariance(support);
        var shrink = Ops.Eye(d, d, dtype: support.Type, device: support.Device) * (task.Diagonal().Mean() + 1e-6);
        var columns = new List<Tensor>();
        for (var c = 0; c < way; c++)
        {
            long[] rows = [.. labels.ToArray<long>().Select((label, k) => (label, k)).Where(item => item.label == c).Select(item => (long)item.k)];
            var share = rows.Length / (rows.Length + 1.0);
            var own = rows.Length > 1 ? Covariance(support.IndexSelect(0, Tensor.From(rows).To(support.Device))) : task * 0;
            var q = own * share + task * (1 - share) + shrink;
            var apart = queries - means[c];
            columns.Add((apart * q.LinalgSolve(apart.T()).T()).Sum([1L]));
        }
        return Ops.Stack(columns, 1);
    }

    private static Tensor Covariance(Tensor rows)
    {
        var centred = rows - rows.Mean([0L], true);
        return centred.T().Matmul(centred) / Math.Max(1, rows.Shape[0] - 1);
    }

    /// <summary>Queries (Q×d) to the classes' means, or with the support's covariance: Q×way.</summary>
    public static Tensor ToClasses(Tensor support, Tensor labels, int way, Tensor queries, DistanceKind kind) =>
        kind == DistanceKind.Mahalanobis ? Mahalanobis(support, labels, way, queries) : Between(queries, Means(support, labels, way), kind);
}
