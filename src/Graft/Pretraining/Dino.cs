using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Caron et al. 2021: from small views the network foretells the sharp, centred distribution that a slow teacher gives to large ones.</summary>
internal sealed class Dino : PretrainMethod
{
    // Of the student, of the teacher; the centre's and the first of the teacher's averages (section 3.1 and appendix).
    private const double StudentTemperature = 0.1, TeacherTemperature = 0.04, CentreMomentum = 0.9, Momentum = 0.99;

    private const int Outputs = 1024, Hidden = 512, Bottleneck = 128;

    public override string Name => "dino";

    public override string Summary => "From small views it foretells a slow teacher's distribution of large ones (Caron et al. 2021)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => Crops.Of(backbone);

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "self-distillation", 256, _ => Contrast.Adaptive() with { ClipNorm = 3 }, given => new Objective(given));

    /// <summary>Dense layers, unit length, then a layer whose rows have unit length too.</summary>
    private sealed class DinoHead : Module
    {
        private readonly Projector _below;
        private readonly Slot _rows;

        public DinoHead(int inputs)
        {
            _below = Child("below", new Projector(inputs, [Hidden, Bottleneck], norm: false));
            _rows = Parameter("rows", Initialisers.Normal(Ops.Empty([Outputs, Bottleneck]), 0.02));
        }

        public override Tensor Forward(Tensor x) => Contrast.Unit(_below.Forward(x)).Matmul(Contrast.Unit(_rows.Value).T());
    }

    private sealed class Objective : ViewObjective
    {
        private readonly DinoHead _head;
        private readonly Teacher _teacher;
        private readonly Slot _centre;
        private Tensor? _mean;

        public Objective(PretrainMaterial material) : base(material)
        {
            _head = Child("head", new DinoHead(Width));
            _teacher = Child("teacher", new Teacher(Backbone, _head, new DinoHead(Width)));
            _centre = Buffer("centre", Ops.Zeros([1, Outputs]));
        }

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var taught = Crops.Through(batch.Views[..2], views => _teacher.Forward(Here(views)));
            var said = Crops.Through(batch.Views, views => _head.Forward(Features(views)));
            _mean?.Dispose();
            _mean = TensorScope.Detach(Ops.Cat(taught, 0).Mean([0L], true).Detach());
            var logs = said.Select(own => (own / StudentTemperature).LogSoftmax(1)).ToArray();
            var losses = new List<Tensor>();
            for (var large = 0; large < 2; large++)
            {
                var wanted = ((taught[large] - _centre.Value) / TeacherTemperature).Softmax(1).Detach();
                for (var view = 0; view < logs.Length; view++) if (view != large) losses.Add(-(wanted * logs[view]).Sum([1L]).Mean());
            }
            return Ops.Stack(losses).Mean();
        }

        public override bool AfterStep(Step step, double loss)
        {
            _teacher.Follow(Teacher.Momentum(Momentum, step.Number, step.Total));
            using var mode = Autograd.NoGrad();
            // Eq. 4: the centre keeps one output from taking all.
            _centre.Value.LerpInPlace(_mean!, 1 - CentreMomentum);
            return true;
        }

        protected override void Dispose(bool disposing)
        {
            _mean?.Dispose();
            base.Dispose(disposing);
        }
    }
}
