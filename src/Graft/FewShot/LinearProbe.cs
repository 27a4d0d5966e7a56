using Graft.Heads;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Multinomial logistic regression on the support's features, of length 1 (Tian et al. 2020, section 3.1), solved to a tolerance
/// by the second-order method that every softmax head of Graft's is.
/// </summary>
/// <param name="c">The weight of the data against the penalty.</param>
internal sealed class LinearProbe(double c = 10) : IFeatureRule
{
    /// <inheritdoc/>
    public string Name => "linear probe";

    /// <inheritdoc/>
    public bool Transductive => false;

    /// <inheritdoc/>
    public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries)
    {
        // No cross-validation: with one picture of each class there is nothing to hold out.
        var fitted = HeadFitter.Fit(Distances.Unit(support), [.. labels.ToArray<long>().Select(label => (int)label)], way,
            new HeadOptions { C = c, Folds = 1 });
        using var head = fitted.Head;
        return head.Forward(Distances.Unit(queries));
    }
}
