using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>
/// CoSENT (Su 2022): pairs with a higher score get a higher cosine, whatever the scores' units:
/// log(1 + Σ exp(λ (cos_j − cos_i))) over the pairs of the batch whose score i is above that of j, λ = 20.
/// </summary>
internal sealed class CosentObjective(Backbone backbone, Phase phase, int featureStage, Device device = default)
    : PairObjective(backbone, phase, featureStage, device)
{
    private const double Lambda = 20;

    protected override Tensor Loss(Tensor u, Tensor v, Tensor targets, Step step)
    {
        var cosines = Ops.CosineSimilarity(u, v) * Lambda;
        var differences = cosines.Unsqueeze(0) - cosines.Unsqueeze(1);
        var notAbove = targets.Unsqueeze(1).Le(targets.Unsqueeze(0));
        var terms = differences.MaskedFill(notAbove, -1e12).Flatten(0);
        return Ops.Cat([terms, terms.Narrow(0, 0, 1) * 0], 0).Logsumexp([0]);
    }
}
