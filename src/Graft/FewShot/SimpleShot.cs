using Graft.Inference;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Wang et al. 2019: features minus the mean feature of other pictures, scaled to length 1, then the nearest class mean (CL2N,
/// section 3). Where no other pictures are at hand, the mean is the support's.
/// </summary>
/// <param name="baseMean">Mean feature of the classes that came before: d, or null.</param>
internal sealed class SimpleShot(Tensor? baseMean = null) : IFeatureRule
{
    /// <inheritdoc/>
    public string Name => "SimpleShot";

    /// <inheritdoc/>
    public bool Transductive => false;

    /// <summary>Centred and of length 1.</summary>
    public static Tensor Normalised(Tensor features, Tensor mean) => Distances.Unit(features - mean);

    /// <inheritdoc/>
    public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries)
    {
        var mean = baseMean ?? support.Mean([0L]);
        return -Distances.ToClasses(Normalised(support, mean), labels, way, Normalised(queries, mean), DistanceKind.Euclidean);
    }
}
