using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Grill et al. 2020: from one view the network foretells what a slow teacher makes of the other. There are no pictures to be told
/// apart.</summary>
internal sealed class Byol : PretrainMethod
{
    // For 300 epochs and fewer a teacher that follows faster served best (appendix F.1): 0.99, where 1,000 epochs take 0.996.
    private const double Momentum = 0.99;

    private const int Hidden = 1024, Width = 256;

    public override string Name => "byol";

    public override string Summary => "From one view it foretells what a slow teacher makes of the other (Grill et al. 2020)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) =>
        [Augmentations.Contrastive(backbone.Preprocessing, blur: 1), Augmentations.Contrastive(backbone.Preprocessing, blur: 0.1, solarize: 0.2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "foretelling", 256, batch => Contrast.Usual(batch, large: 0.2), given => new Objective(given));

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector, _predictor;
        private readonly Teacher _teacher;

        public Objective(PretrainMaterial material) : base(material)
        {
            _projector = Child("projector", new Projector(base.Width, [Hidden, Byol.Width]));
            _predictor = Child("predictor", new Projector(Byol.Width, [Hidden, Byol.Width]));
            _teacher = Child("teacher", new Teacher(Backbone, _projector, new Projector(base.Width, [Hidden, Byol.Width])));
        }

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            Tensor Foretold(Tensor view) => _predictor.Forward(_projector.Forward(Features(view)));
            // Eq. 2, both ways round; a mean, where the paper adds the two.
            return (Contrast.Apart(Foretold(batch.Views[0]), _teacher.Forward(Here(batch.Views[1])))
                + Contrast.Apart(Foretold(batch.Views[1]), _teacher.Forward(Here(batch.Views[0])))) / 2.0;
        }

        public override bool AfterStep(Step step, double loss)
        {
            _teacher.Follow(Teacher.Momentum(Momentum, step.Number, step.Total));
            return true;
        }
    }
}
