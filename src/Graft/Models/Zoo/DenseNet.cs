using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>DenseNet (Huang et al. 2017, table 1): each layer reads the outputs of all before it.</summary>
internal sealed class DenseNet : PublishedBackbone
{
    private static readonly Dictionary<int, (int Growth, int[] Blocks, int First)> s_shapes = new()
    {
        [121] = (32, [6, 12, 24, 16], 64), [161] = (48, [6, 12, 36, 24], 96), [169] = (32, [6, 12, 32, 32], 64), [201] = (32, [6, 12, 48, 32], 64),
    };

    /// <summary>Random weights.</summary>
    public DenseNet(int depth, int? classes = null) : base($"densenet{depth}")
    {
        var (growth, blocks, channels) = s_shapes[depth];
        var features = Child("features", new Named());
        var convolution = features.Add("conv0", new Conv2d(3, channels, 7, 2, 3, bias: false));
        var norm = features.Add("norm0", new BatchNorm2d(channels));
        Add("stem", channels, [convolution, norm], x => norm.After(convolution, x).Relu().MaxPool2d([3, 3], [2, 2], [1, 1]));
        for (var k = 0; k < 4; k++)
        {
            var layers = new List<Module>();
            if (k > 0) layers.Add(features.Add($"transition{k}", new Transition(channels, channels /= 2)));
            var block = features.Add($"denseblock{k + 1}", new Named());
            for (var b = 0; b < blocks[k]; b++, channels += growth) layers.Add(block.Add($"denselayer{b + 1}", new Layer(channels, growth)));
            if (k < 3) { Add($"s{k + 1}", channels, [.. layers]); continue; }
            var last = features.Add("norm5", new BatchNorm2d(channels));
            Add("s4", channels, [.. layers, last, Lambda.Relu()]);
        }
        Classifier("classifier", classes);
        Finish();
    }

    private sealed class Layer : Module
    {
        private readonly BatchNorm2d _first, _second;
        private readonly Conv2d _narrow, _wide;

        public Layer(int inputs, int growth)
        {
            _first = Child("norm1", new BatchNorm2d(inputs));
            _narrow = Child("conv1", new Conv2d(inputs, 4 * growth, 1, bias: false));
            _second = Child("norm2", new BatchNorm2d(4 * growth));
            _wide = Child("conv2", new Conv2d(4 * growth, growth, 3, 1, 1, bias: false));
        }

        public override Tensor Forward(Tensor x) => Ops.Cat([x, _wide.Forward(_second.After(_narrow, _first.Forward(x).Relu()).Relu())], 1);
    }

    private sealed class Transition : Module
    {
        private readonly BatchNorm2d _norm;
        private readonly Conv2d _convolution;

        public Transition(int inputs, int outputs)
        {
            _norm = Child("norm", new BatchNorm2d(inputs));
            _convolution = Child("conv", new Conv2d(inputs, outputs, 1, bias: false));
        }

        public override Tensor Forward(Tensor x) => _convolution.Forward(_norm.Forward(x).Relu()).AvgPool2d([2, 2], [2, 2]);
    }
}
