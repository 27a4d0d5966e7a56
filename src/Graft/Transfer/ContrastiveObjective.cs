using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>
/// Items of one class together, of two classes apart: the squared error of the cosine of their vectors against 1 or 0. It is the first phase of
/// SetFit (Tunstall et al. 2022, section 3.1; the loss is the cosine similarity loss of Reimers and Gurevych 2019, section 3).
/// </summary>
internal sealed class ContrastiveObjective(Backbone backbone, Phase phase, int featureStage, Device device = default)
    : PairObjective(backbone, phase, featureStage, device)
{
    protected override Tensor Loss(Tensor u, Tensor v, Tensor targets, Step step)
    {
        var cosines = Ops.CosineSimilarity(u, v);
        step.Count("right", (cosines.Detach() - 0.5).Sign().Eq((targets - 0.5).Sign()).Sum().Item(), targets.Count);
        return cosines.MseLoss(targets, Reduction.Mean);
    }
}
