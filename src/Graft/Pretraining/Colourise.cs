using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// Zhang, Isola and Efros 2016: the colours of a picture from its grey levels, as classes of a and b of CIE Lab at a quarter of the size, rare ones
/// weighing more (eq. 2 to 4; simplified: squares of 16 as classes, each pixel in one of them). The network is given the grey picture in all three
/// channels, so that it takes colours later.
/// </summary>
internal sealed class Colourise : PretrainMethod
{
    public override string Name => "colourise";

    public override string Summary => "Tells a picture's colours from its grey levels (Zhang et al. 2016, simplified)";

    public override void Check(Backbone backbone)
    {
        if (backbone is Mlp or VisionTransformer || !RebuildingObjective.HasMap(backbone))
            throw new GraftException($"colourise reads the map of the last convolution, and {backbone.Architecture} ends with none: give --backbone convnet or resnet18");
    }

    public override void Check(PretrainMaterial material)
    {
        if (PictureStart.AreGrey(material.Items))
            throw new GraftException($"the pictures of {material.Options.Data} have no colours to tell: give others, or choose another --method, such as denoising");
        PictureStart.RequireDifferent(material);
    }

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [Augmentations.Plain(backbone.Preprocessing)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var how = new Optimisation
        {
            Optimizer = new AdamRule(Decoupled: true), Rate = 1e-3, WeightDecay = 1e-3, Epochs = 50, Schedule = new CosineSchedule { WarmUp = 0.05 },
        };
        return
        [
            new PretrainPhase<ViewBatch>("colours", How(material, how), given => (new Objective(given), given.Views(Batch(given, 128), Views(given.Backbone)))),
        ];
    }

    private sealed class Objective : ViewObjective
    {
        // Classes are squares of so many units of a and b, from −Most to Most.
        private const int Step = 16, PerAxis = 14, Classes = PerAxis * PerAxis, Sampled = 256, HeadWidth = 128;

        private const double Most = 104, Uniform = 0.5;

        private readonly Conv2d _first, _last;
        private readonly Slot _weights, _mean, _std;
        private readonly long[] _size;

        public Objective(PretrainMaterial material) : base(material)
        {
            TorchRuntime.ManualSeed(new Rng(material.Options.Seed, 9).NextSeed());
            var usual = Backbone.Preprocessing;
            _size = [Math.Max(1, usual.Height / 4), Math.Max(1, usual.Width / 4)];
            _first = Child("first", new Conv2d(Width, HeadWidth, 3, padding: 1));
            _last = Child("last", new Conv2d(HeadWidth, Classes, 1));
            Tensor Channels(double[] values) => Tensor.From(Array.ConvertAll(values, value => (float)value), 1, 3, 1, 1);
            (_mean, _std) = (Buffer("mean", Channels(usual.Normalize.Mean)), Buffer("std", Channels(usual.Normalize.Std)));
            _weights = Buffer("weights", Rarity(material));
        }

        /// <summary>Eq. 4: one over the share of a class, half of it evened out, scaled so that a pixel weighs 1 in the mean.</summary>
        private Tensor Rarity(PretrainMaterial material)
        {
            using var scope = new TensorScope();
            var step = Math.Max(1, material.Usable.Length / Sampled);
            int[] some = [.. material.Usable.Where((_, k) => k % step == 0).Take(Sampled)];
            var seen = ClassesOf(Loader.Inputs(material.Pictures!, some, Backbone.Preprocessing, true, _ => new Rng(0))).Flatten(0).ToArray<long>();
            var share = new double[Classes];
            foreach (var one in seen) share[one] += 1.0 / seen.Length;
            var weights = Array.ConvertAll(share, p => 1 / ((1 - Uniform) * p + Uniform / Classes));
            var mean = share.Zip(weights, (p, weight) => p * weight).Sum();
            return scope.Keep(Tensor.From(Array.ConvertAll(weights, weight => (float)(weight / mean))));
        }

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var pictures = Here(batch.First);
            var map = Backbone.Forward(Grey(pictures), 0, Backbone.Stages.Count).X;
            var scores = _last.Forward(_first.Forward(map).Relu().UpsampleBilinear2dTo(_size, false));
            var (n, height, width) = (scores.Shape[0], scores.Shape[2], scores.Shape[3]);
            return Losses.CrossEntropy(scores.Permute([0, 2, 3, 1]).Reshape([n * height * width, Classes]),
                ClassesOf(pictures).Flatten(0), _weights.Value);
        }

        private Tensor Levels(Tensor pictures) => (pictures * _std.Value + _mean.Value).Clamp(0.0, 1.0);

        /// <summary>The luma in all three channels, normalised as pictures are.</summary>
        private Tensor Grey(Tensor pictures)
        {
            var levels = Levels(pictures);
            var luma = levels.Narrow(1, 0, 1) * 0.299 + levels.Narrow(1, 1, 1) * 0.587 + levels.Narrow(1, 2, 1) * 0.114;
            return (luma - _mean.Value) / _std.Value;
        }

        /// <summary>The class of each place at a quarter of the size: N×H/4×W/4.</summary>
        private Tensor ClassesOf(Tensor pictures)
        {
            using var mode = Autograd.NoGrad();
            var (a, b) = Lab.ColoursOf(Levels(pictures).Contiguous().AdaptiveAvgPool2d(_size));
            Tensor Place(Tensor value) => ((value + Most) / Step).Floor().Clamp(0.0, PerAxis - 1.0);
            return (Place(a) * PerAxis + Place(b)).To(DType.Int64);
        }
    }
}

/// <summary>CIE Lab with the white of D65, of sRGB.</summary>
internal static class Lab
{
    /// <summary>a and b, each N×H×W, of levels 0 … 1, N×3×H×W.</summary>
    public static (Tensor A, Tensor B) ColoursOf(Tensor levels)
    {
        var linear = levels.Gt(0.04045).Where(((levels + 0.055) / 1.055).Pow((Scalar)2.4), levels / 12.92);
        var (red, green, blue) = (linear.Select(1, 0), linear.Select(1, 1), linear.Select(1, 2));
        Tensor Of(double r, double g, double b, double white)
        {
            var t = (red * r + green * g + blue * b) / white;
            return t.Gt(216.0 / 24389).Where(t.Clamp(1e-9).Pow((Scalar)(1.0 / 3)), (t * (24389.0 / 27) + 16) / 116);
        }
        var (x, y, z) = (Of(0.4124564, 0.3575761, 0.1804375, 0.95047), Of(0.2126729, 0.7151522, 0.0721750, 1),
            Of(0.0193339, 0.1191920, 0.9503041, 1.08883));
        return ((x - y) * 500, (y - z) * 200);
    }
}
