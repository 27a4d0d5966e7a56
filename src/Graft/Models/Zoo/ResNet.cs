using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// ResNet (He et al. 2015, table 1, the stride in the 3×3), ResNeXt (Xie et al. 2017) by groups, and Wide ResNet (Zagoruyko and
/// Komodakis 2016) by width.
/// </summary>
internal sealed class ResNet : PublishedBackbone
{
    private static readonly Dictionary<string, (int[] Blocks, bool Bottleneck, int Groups, int Width)> s_shapes = new()
    {
        ["resnet18"] = ([2, 2, 2, 2], false, 1, 64), ["resnet34"] = ([3, 4, 6, 3], false, 1, 64), ["resnet50"] = ([3, 4, 6, 3], true, 1, 64),
        ["resnet101"] = ([3, 4, 23, 3], true, 1, 64), ["resnet152"] = ([3, 8, 36, 3], true, 1, 64),
        ["resnext50_32x4d"] = ([3, 4, 6, 3], true, 32, 4), ["resnext101_32x8d"] = ([3, 4, 23, 3], true, 32, 8),
            ["resnext101_64x4d"] = ([3, 4, 23, 3], true, 64, 4),
        ["wide_resnet50_2"] = ([3, 4, 6, 3], true, 1, 128), ["wide_resnet101_2"] = ([3, 4, 23, 3], true, 1, 128),
    };

    /// <summary>Names that it can be made by.</summary>
    public static IEnumerable<string> Names => s_shapes.Keys;

    /// <summary>The option of <see cref="SmallStem"/>.</summary>
    public const string StemKey = "stem", SmallStem = "small";

    private readonly bool _small;

    /// <summary>Random weights.</summary>
    /// <param name="name">Which of them.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    /// <param name="small">For pictures of some 32 pixels: a 3×3 convolution of stride 1 without pooling begins, in place of one that leaves a
    /// sixteenth (Chen et al. 2020, appendix B.9).</param>
    public ResNet(string name, int? classes = null, bool small = false) : base(name)
    {
        _small = small;
        var (blocks, bottleneck, groups, width) = s_shapes[name];
        var convolution = Child("conv1", small ? new Conv2d(3, 64, 3, 1, 1, bias: false) : new Conv2d(3, 64, 7, 2, 3, bias: false));
        var norm = Child("bn1", new BatchNorm2d(64));
        var pool = Lambda.MaxPool(3, 2, 1);
        Add("stem", 64, [convolution, norm], x => small ? norm.After(convolution, x).Relu() : pool.Forward(norm.After(convolution, x).Relu()));
        var inputs = 64;
        for (var k = 0; k < 4; k++)
        {
            var outputs = (64 << k) * (bottleneck ? 4 : 1);
            var layers = new Module[blocks[k]];
            for (var b = 0; b < layers.Length; b++, inputs = outputs)
            {
                var stride = b == 0 && k > 0 ? 2 : 1;
                layers[b] = bottleneck ? new Block(inputs, (64 << k) * width / 64 * groups, outputs, stride, groups)
                    : new Block(inputs, outputs, stride);
            }
            Add($"s{k + 1}", outputs, Child($"layer{k + 1}", new Sequential(layers)));
        }
        Classifier("fc", classes);
        Finish();
    }

    /// <inheritdoc/>
    public override BackboneSpec Spec => _small ? new BackboneSpec(Architecture, (StemKey, SmallStem)) : base.Spec;

    private sealed class Block : Module
    {
        private readonly (Conv2d Convolution, BatchNorm2d Norm)[] _steps;
        private readonly Sequential? _shortcut;

        /// <summary>Two 3×3.</summary>
        public Block(int inputs, int outputs, int stride)
        {
            _steps = [Step(1, inputs, outputs, 3, stride, 1), Step(2, outputs, outputs, 3, 1, 1)];
            _shortcut = Shortcut(inputs, outputs, stride);
        }

        /// <summary>1×1, 3×3, 1×1.</summary>
        public Block(int inputs, int width, int outputs, int stride, int groups)
        {
            _steps = [Step(1, inputs, width, 1, 1, 1), Step(2, width, width, 3, stride, groups), Step(3, width, outputs, 1, 1, 1)];
            _shortcut = Shortcut(inputs, outputs, stride);
        }

        private (Conv2d, BatchNorm2d) Step(int k, int inputs, int outputs, int window, int stride, int groups) =>
            (Child($"conv{k}", new Conv2d(inputs, outputs, window, stride, window / 2, groups: groups, bias: false)),
                Child($"bn{k}", new BatchNorm2d(outputs)));

        private Sequential? Shortcut(int inputs, int outputs, int stride) =>
            inputs == outputs && stride == 1 ? null
                : Child("downsample", new Sequential(new Conv2d(inputs, outputs, 1, stride, bias: false), new BatchNorm2d(outputs)));

        public override Tensor Forward(Tensor x)
        {
            var y = x;
            for (var k = 0; k < _steps.Length; k++)
            {
                y = _steps[k].Norm.After(_steps[k].Convolution, y);
                if (k < _steps.Length - 1) y = y.Relu();
            }
            var shortcut = _shortcut is null ? x : ((BatchNorm2d)_shortcut.Layers[1]).After((Conv2d)_shortcut.Layers[0], x);
            return (y + shortcut).Relu();
        }
    }
}
