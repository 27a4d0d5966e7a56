using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>He et al. 2022: masked autoencoders. Most squares of a picture are hidden; the encoder sees the others, a decoder rebuilds all.</summary>
internal sealed class Mae : PretrainMethod
{
    private const double UsuallyHidden = 0.75;

    public override string Name => "mae";

    public override string Summary => "A Transformer rebuilds the three quarters of a picture's squares that it does not see (He et al. 2022)";

    public override string? UsualBackbone => VisionTransformer.FreeName;

    public override void Check(Backbone backbone)
    {
        if (backbone is VisionTransformer) return;
        throw new GraftException($"mae hides squares from a Transformer of pictures, and {backbone.Architecture} is none: give --backbone vit, vit_b_16 or "
            + "deit_tiny_16. For a network of convolutions there is --method denoising");
    }

    public override void Check(PretrainMaterial material) => PictureStart.RequireDifferent(material);

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [Augmentations.Plain(backbone.Preprocessing, 0.2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var batch = Batch(material, 128);
        // The paper's, but for the rate: of batches of 4096 it is 2.4e-3 there, and small networks on small batches bear more than its part.
        var how = new Optimisation
        {
            Optimizer = new AdamRule(0.9, 0.95, Decoupled: true), Rate = 1e-3, WeightDecay = 0.05, Epochs = 200,
            Schedule = new CosineSchedule { WarmUp = 0.05 },
        };
        return
        [
            new PretrainPhase<ViewBatch>("masked", How(material, how), 
                given => (new Objective(given, given.Options.Reconstruction.Hidden ?? UsuallyHidden), given.Views(batch, Views(given.Backbone)))),
        ];
    }

    /// <summary>Mean squared error of the hidden squares' pixels, each square normalised by its own mean and deviation (section 3).</summary>
    internal sealed class Objective : ViewObjective
    {
        private const int DecoderWidth = 128, DecoderHeads = 4, DecoderLayers = 2;

        private readonly int _patch, _kept;
        private readonly Linear _narrow, _pixels;
        private readonly Slot _mask, _places;
        private readonly VisionTransformer.Layer[] _decoder;
        private readonly LayerNorm _norm;

        public Objective(PretrainMaterial material, double hidden) : base(material)
        {
            var backbone = (VisionTransformer)material.Backbone;
            TorchRuntime.ManualSeed(new Rng(material.Options.Seed, 9).NextSeed());
            _patch = backbone.Patch;
            Squares = (backbone.Side / _patch) * (backbone.Side / _patch);
            _kept = Math.Clamp((int)Math.Round(Squares * (1 - hidden)), 1, Squares - 1);
            _narrow = Child("narrow", new Linear(Width, DecoderWidth));
            _mask = Parameter("mask", Initialisers.Normal(Ops.Empty([1, 1, DecoderWidth]), 0.02));
            _places = Buffer("places", Waves(backbone.Side / _patch));
            _decoder = [.. Enumerable.Range(0, DecoderLayers).Select(k =>
                Child($"decoder{k}", new VisionTransformer.Layer(DecoderWidth, DecoderHeads)))];
            _norm = Child("norm", new LayerNorm(DecoderWidth, 1e-6));
            _pixels = Child("pixels", new Linear(DecoderWidth, 3 * _patch * _patch));
        }

        /// <summary>Of a picture.</summary>
        public int Squares { get; }

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var pictures = Here(batch.First);
            var n = pictures.Shape[0];
            var order = Ops.Rand([n, Squares]).Argsort(1).To(pictures.Device);
            var rebuilt = Decode(Encode(pictures, order), order);
            var target = Targets(pictures);
            var off = (rebuilt - target).Square().Mean([2L]);
            // Places in the order at or behind the last that is seen.
            var isHidden = order.Argsort(1).Ge(_kept).To(off.Type);
            return (off * isHidden).Sum() / (n * (Squares - _kept));
        }

        /// <summary>The encoder's output for the squares that come first in each picture's order, and the class token before them:
        /// N×(1 + kept)×C. The others do not enter it.</summary>
        public Tensor Encode(Tensor pictures, Tensor order)
        {
            var tokens = Backbone.Stages[0].Run(pictures).X;
            var index = order.Narrow(1, 0, _kept).Unsqueeze(2).Expand([-1, -1, tokens.Shape[2]]);
            var seen = Ops.Cat([tokens.Narrow(1, 0, 1), tokens.Narrow(1, 1, Squares).Gather(1, index)], 1);
            return Backbone.Forward(seen, 1, Backbone.Stages.Count).X;
        }

        private Tensor Decode(Tensor encoded, Tensor order)
        {
            var x = _narrow.Forward(encoded);
            var n = x.Shape[0];
            var all = Ops.Cat([x.Narrow(1, 1, _kept), _mask.Value.Expand([n, Squares - _kept, -1])], 1);
            var back = order.Argsort(1).Unsqueeze(2).Expand([-1, -1, DecoderWidth]);
            x = Ops.Cat([x.Narrow(1, 0, 1), all.Gather(1, back) + _places.Value], 1);
            foreach (var layer in _decoder) x = layer.Forward(x);
            return _pixels.Forward(_norm.Forward(x.Narrow(1, 1, Squares)));
        }

        /// <summary>N×3×H×W to N×squares×pixels, each square with mean 0 and variance 1.</summary>
        private Tensor Targets(Tensor pictures)
        {
            var side = pictures.Shape[2] / _patch;
            var squares = pictures.Reshape([-1, 3, side, _patch, side, _patch]).Permute([0, 2, 4, 3, 5, 1])
                .Reshape([-1, Squares, 3L * _patch * _patch]);
            var centred = squares - squares.Mean([2L], true);
            return centred / (centred.Square().Mean([2L], true) + 1e-6).Sqrt();
        }

        /// <summary>Fixed positions, half of the numbers for the row, half for the column, as sines and cosines (Vaswani et al. 2017, 3.5).</summary>
        private static Tensor Waves(int side)
        {
            const int Quarter = DecoderWidth / 4;
            var values = new float[side * side * DecoderWidth];
            for (var place = 0; place < side * side; place++)
            {
                for (var k = 0; k < Quarter; k++)
                {
                    var frequency = Math.Pow(10000, -(double)k / Quarter);
                    var (row, column) = (place / side * frequency, place % side * frequency);
                    double[] four = [Math.Sin(row), Math.Cos(row), Math.Sin(column), Math.Cos(column)];
                    for (var part = 0; part < 4; part++) values[place * DecoderWidth + part * Quarter + k] = (float)four[part];
                }
            }
            return Tensor.From(values, 1, side * side, DecoderWidth);
        }
    }
}
