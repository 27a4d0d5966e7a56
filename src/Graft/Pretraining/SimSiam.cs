using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Chen and He 2021: BYOL without the teacher. That no gradient goes to the view that is foretold is what keeps it from collapse.</summary>
internal sealed class SimSiam : PretrainMethod
{
    private const int Width = 512, Bottleneck = 128;

    public override string Name => "simsiam";

    public override string Summary => "From one view it foretells its own vector of the other, which is held still (Chen and He 2021)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [.. Enumerable.Repeat(Augmentations.Contrastive(backbone.Preprocessing), 2)];

    // 0.03 for a batch of 256 (appendix D, CIFAR-10).
    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "foretelling", 256, batch => Contrast.Usual(batch, 0.06), given => new Objective(given));

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector, _predictor;

        public Objective(PretrainMaterial material) : base(material)
        {
            _projector = Child("projector", new Projector(base.Width, [SimSiam.Width, SimSiam.Width], normLast: true));
            _predictor = Child("predictor", new Projector(SimSiam.Width, [Bottleneck, SimSiam.Width]));
        }

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var (z1, z2) = (_projector.Forward(Features(batch.Views[0])), _projector.Forward(Features(batch.Views[1])));
            // Algorithm 1: half of each, negative cosines; 1 more of each, so that the least is 0.
            return (Contrast.Apart(_predictor.Forward(z1), z2.Detach()) + Contrast.Apart(_predictor.Forward(z2), z1.Detach())) / 4.0;
        }
    }
}
