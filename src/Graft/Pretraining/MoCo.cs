using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>He et al. 2020, with the projector and the views of version 2 (Chen et al. 2020b): the pictures of earlier batches, as a slow teacher saw
/// them, are what a view is told from.</summary>
internal sealed class MoCo : PretrainMethod
{
    // τ, m and the queue as in the authors' demonstration on CIFAR-10, which is smaller than ImageNet's 65,536.
    private const double Temperature = 0.1, Momentum = 0.99;

    private const int Queue = 4096, Width = 128;

    public override string Name => "moco";

    public override string Summary => "A view told from a queue of earlier pictures, seen by a slow teacher (He et al. 2020; version 2)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [.. Enumerable.Repeat(Augmentations.Contrastive(backbone.Preprocessing), 2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "contrast", 256, batch => Contrast.Usual(batch), given => new Objective(given));

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;
        private readonly Teacher _teacher;
        private readonly Slot _queue;
        private Tensor? _keys;

        public Objective(PretrainMaterial material) : base(material)
        {
            _projector = Child("projector", new Projector(base.Width, [base.Width, MoCo.Width], norm: false));
            _teacher = Child("teacher", new Teacher(Backbone, _projector, new Projector(base.Width, [base.Width, MoCo.Width], norm: false)));
            using var mode = Autograd.NoGrad();
            _queue = Buffer("queue", Contrast.Unit(Ops.Empty([Queue, MoCo.Width]).NormalInPlace(0, 1)));
        }

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var q = Contrast.Unit(_projector.Forward(Features(batch.Views[0])));
            var k = Contrast.Unit(_teacher.Forward(Here(batch.Views[1])));
            _keys?.Dispose();
            _keys = TensorScope.Detach(k.Detach());
            // Eq. 1: the positive key first.
            var scores = Ops.Cat([(q * k).Sum([1L], true), q.Matmul(_queue.Value.T())], 1) / Temperature;
            return Losses.CrossEntropy(scores, Ops.Zeros([q.Shape[0]], dtype: DType.Int64).To(q.Device));
        }

        public override bool AfterStep(Step step, double loss)
        {
            _teacher.Follow(Momentum);
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            // First in, first out.
            var keep = Math.Max(0, Queue - _keys!.Shape[0]);
            _queue.Value.CopyInPlace(Ops.Cat([_keys.Narrow(0, 0, Queue - keep), _queue.Value.Narrow(0, 0, keep)], 0));
            return true;
        }

        protected override void Dispose(bool disposing)
        {
            _keys?.Dispose();
            base.Dispose(disposing);
        }
    }
}
