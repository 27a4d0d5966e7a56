using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// A classifier on features that are already there, from a frozen backbone: support features S×d and labels in, scores for the
/// queries (Q×d) out.
/// </summary>
internal interface IFeatureRule
{
    /// <summary>In tables.</summary>
    string Name { get; }

    /// <summary>Whether a query's answer depends on the other queries.</summary>
    bool Transductive { get; }

    /// <summary>Q×way scores, the larger the likelier.</summary>
    Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries);
}

/// <summary>The rules by name.</summary>
internal static class FeatureRules
{
    /// <summary>Every rule with its settings of the papers; the mean is of base features, for <see cref="SimpleShot"/>'s centring, or null.</summary>
    public static IReadOnlyList<IFeatureRule> All(Tensor? baseMean = null) =>
        [new NearestMean(), new SimpleShot(baseMean), new LinearProbe(), new TransductiveFineTuning(), new LaplacianShot(baseMean)];
}

/// <summary>Nearest class mean of raw features, by any distance (Mensink et al. 2013).</summary>
internal sealed class NearestMean(DistanceKind distance = DistanceKind.Euclidean) : IFeatureRule
{
    /// <inheritdoc/>
    public string Name => "nearest mean";

    /// <inheritdoc/>
    public bool Transductive => false;

    /// <inheritdoc/>
    public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries) => -Distances.ToClasses(support, labels, way, queries, distance);
}
