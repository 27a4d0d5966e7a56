using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Chen et al. 2020: two views of a picture shall be nearer to each other than to every other view of the batch.</summary>
internal sealed class SimClr : PretrainMethod
{
    /// <summary>τ of eq. 1: 0.5 served CIFAR-10 best (appendix B.9).</summary>
    public const double Temperature = 0.5;

    public override string Name => "simclr";

    public override string Summary => "Two views of a picture nearer than any other two of the batch (Chen et al. 2020)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [.. Enumerable.Repeat(Augmentations.Contrastive(backbone.Preprocessing), 2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "contrast", 256, batch => Contrast.Usual(batch, large: 0.3), given => new Objective(given));

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;

        public Objective(PretrainMaterial material) : base(material) => _projector = Child("projector", new Projector(Width, [Width, 128]));

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            // One pass over both: BatchNorm's statistics are of all views, as in the paper.
            var z = Contrast.Unit(_projector.Forward(Features(Ops.Cat(batch.Views, 0))));
            return Contrast.NtXent(z, Temperature);
        }
    }
}
