using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Radford et al. 2016: a generator draws pictures from noise, the backbone tells them from real ones, and its layers are what is kept. Two
/// players in one objective: each has its own loss, and both move at every step.</summary>
internal sealed class Dcgan : PretrainMethod
{
    private const int Noise = 100, First = 4;

    public override string Name => "dcgan";

    public override string Summary => "Real pictures told from those that a generator draws against it (DCGAN, Radford et al. 2016)";

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [Augmentations.Plain(backbone.Preprocessing, 0.8)];

    public override void Check(Backbone backbone)
    {
        var side = backbone.Preprocessing.Width;
        if (side < 16 || side > 256 || (side & (side - 1)) != 0 || backbone.Preprocessing.Height != side)
            throw new GraftException($"dcgan draws squares of 16, 32, 64, 128 or 256 pixels, and {backbone.Architecture} takes {side}×{backbone.Preprocessing.Height}: give --size 32, or 64");
    }

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var batch = Batch(material, 64);
        // Section 3: Adam at 0.0002 with β₁ = 0.5.
        var how = new Optimisation { Optimizer = new AdamRule(Beta1: 0.5), Rate = 2e-4, Epochs = 50, Schedule = new ConstantSchedule() };
        return
        [
            new PretrainPhase<ViewBatch>("adversaries", How(material, how), given => (new Objective(given), given.Views(batch, Views(given.Backbone)))),
        ];
    }

    /// <summary>N×100 to N×3×S×S: a dense layer to 4×4, then doubled again and again with a convolution after each, and a tanh.</summary>
    private sealed class Generator : Module
    {
        private readonly Linear _dense;
        private readonly BatchNorm2d _norm;
        private readonly (Conv2d Convolution, BatchNorm2d? Norm)[] _steps;
        private readonly int _width;

        public Generator(int side)
        {
            var doublings = (int)Math.Log2(side / First);
            _width = Math.Min(256, 32 << doublings);
            _dense = Child("dense", new Linear(Noise, _width * First * First));
            _norm = Child("norm", new BatchNorm2d(_width));
            _steps = new (Conv2d, BatchNorm2d?)[doublings];
            var channels = _width;
            for (var k = 0; k < doublings; k++)
            {
                var outputs = k == doublings - 1 ? 3 : Math.Max(32, channels / 2);
                _steps[k] = (Child($"conv{k + 1}", new Conv2d(channels, outputs, 3, 1, 1)), k == doublings - 1 ? null : Child($"norm{k + 1}", new BatchNorm2d(outputs)));
                channels = outputs;
            }
        }

        public override Tensor Forward(Tensor x)
        {
            var y = _norm.Forward(_dense.Forward(x).View([-1, _width, First, First])).Relu();
            foreach (var (convolution, norm) in _steps)
            {
                y = convolution.Forward(y.UpsampleNearest2dTo([2 * y.Shape[2], 2 * y.Shape[3]]));
                y = norm is null ? y.Tanh() : norm.Forward(y).Relu();
            }
            return y;
        }
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Generator _generator;
        private readonly Linear _head;
        private readonly Tensor _scale, _shift;

        public Objective(PretrainMaterial material) : base(material)
        {
            _generator = Child("generator", new Generator(Backbone.Preprocessing.Width));
            _head = Child("head", new Linear(Width, 1));
            // From tanh's −1 … 1 to what the backbone takes for levels of 0 … 255.
            var normalize = Backbone.Preprocessing.Normalize;
            static Tensor Row(IEnumerable<double> values) => TensorScope.Detach(Tensor.From([.. values.Select(value => (float)value)]).View([1, 3, 1, 1]));
            _scale = Row(normalize.Std.Select(std => 0.5 / std));
            _shift = Row(normalize.Mean.Zip(normalize.Std, (mean, std) => (0.5 - mean) / std));
        }

        private Tensor Judged(Tensor x) => _head.Forward(Backbone.Forward(x)).Flatten(0);

        public override (Tensor?[] Gradients, double Loss) Gradient(ViewBatch batch, Step step, IReadOnlyList<Tensor> parameters)
        {
            using var mode = Autograd.EnableGrad();
            var real = Here(batch.First);
            var n = real.Shape[0];
            var drawn = _generator.Forward(Ops.Empty([n, Noise]).NormalInPlace(0, 1).To(real.Device)) * Here(_scale) + Here(_shift);
            // Real and drawn go through apart: in one batch their BatchNorm statistics would give them away.
            var (good, bad) = (Judged(real), Judged(drawn.Detach()));
            step.Count("right", good.Detach().Gt(0).Sum().Item() + bad.Detach().Lt(0).Sum().Item(), 2 * n);
            // One-sided label smoothing (Salimans et al. 2016, section 3.4) keeps the judge from being too sure.
            var judge = (good.BinaryCrossEntropyWithLogits(good.OnesLike() * 0.9) + bad.BinaryCrossEntropyWithLogits(bad.ZerosLike())) / 2.0;
            // The non-saturating loss (Goodfellow et al. 2014, section 3), through the judge as it is now.
            var fooled = Judged(drawn).BinaryCrossEntropyWithLogits(bad.OnesLike());
            var value = judge.Item() + fooled.Item();
            if (!double.IsFinite(value)) return (new Tensor?[parameters.Count], value);
            var own = _generator.Parameters().ToHashSet(ReferenceEqualityComparer.Instance);
            Tensor[] drawing = [.. parameters.Where(own.Contains)], judging = [.. parameters.Where(parameter => !own.Contains(parameter))];
            var (ofDrawing, ofJudging) = (Autograd.Grad([fooled], drawing, allowUnused: true), Autograd.Grad([judge], judging, allowUnused: true));
            var (d, j) = (0, 0);
            return ([.. parameters.Select(parameter => own.Contains(parameter) ? ofDrawing[d++] : ofJudging[j++])], value);
        }

        protected override Tensor Loss(ViewBatch batch, Step step) => throw new NotSupportedException("two players have two losses");

        protected override void Dispose(bool disposing)
        {
            _scale.Dispose();
            _shift.Dispose();
            base.Dispose(disposing);
        }
    }
}
