using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>EfficientNet B0 to B7 (Tan and Le 2019, table 1 and eq. 3: depth, width and resolution grow together).</summary>
internal sealed class EfficientNet : PublishedBackbone
{
    // Table 1: expansion, window, stride, input, output, layers.
    private static readonly (int, int, int, int, int, int)[] s_rows =
        [(1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3), (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4),
            (6, 3, 1, 192, 320, 1)];

    // Width and depth multipliers, dropout, resize, crop.
    private static readonly (double Width, double Depth, double Dropout, int Resize, int Crop)[] s_scales =
        [(1, 1, 0.2, 256, 224), (1, 1.1, 0.2, 256, 240), (1.1, 1.2, 0.3, 288, 288), (1.2, 1.4, 0.3, 320, 300), (1.4, 1.8, 0.4, 384, 380),
            (1.6, 2.2, 0.4, 456, 456), (1.8, 2.6, 0.5, 528, 528), (2, 3.1, 0.5, 600, 600)];

    /// <summary>Random weights.</summary>
    /// <param name="size">0 … 7.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public EfficientNet(int size, int? classes = null) : base($"efficientnet_b{size}")
    {
        var (width, depth, dropout, resize, crop) = s_scales[size];
        var (epsilon, momentum) = size < 5 ? (1e-5, 0.1) : (0.001, 0.01);
        Func<Tensor, Tensor> silu = x => x.Silu();
        var total = s_rows.Sum(row => (int)Math.Ceiling(row.Item6 * depth));
        var first = Widths.Divisible(32 * width);
        var features = new List<Module> { new ConvNormActivation(3, first, 3, 2, epsilon: epsilon, momentum: momentum, activation: silu) };
        var channels = new List<int> { first };
        var done = 0;
        foreach (var (expansion, window, stride, inputs, outputs, layers) in s_rows)
        {
            var (from, to) = (Widths.Divisible(inputs * width), Widths.Divisible(outputs * width));
            var blocks = new Module[(int)Math.Ceiling(layers * depth)];
            for (var k = 0; k < blocks.Length; k++, from = to) blocks[k] =
                new Block(expansion, window, k == 0 ? stride : 1, from, to, 0.2 * done++ / total, epsilon, momentum, silu);
            features.Add(new Sequential(blocks));
            channels.Add(to);
        }
        features.Add(new ConvNormActivation(channels[^1], 4 * channels[^1], 1, epsilon: epsilon, momentum: momentum, activation: silu));
        channels.Add(4 * channels[^1]);
        Child("features", new Sequential([.. features]));
        (string, int, int)[] stages = [("stem", 0, 2), ("s1", 2, 3), ("s2", 3, 4), ("s3", 4, 5), ("s4", 5, 6), ("s5", 6, 8), ("top", 8, 9)];
        foreach (var (stage, start, end) in stages) Add(stage, channels[end - 1], [.. features[start..end]]);
        Classifier("classifier.1", classes, register: false);
        if (UpstreamHead is { } head) Child("classifier", new Sequential(new Dropout(dropout), head));
        Finish(resize, crop);
    }

    private sealed class Block : Module
    {
        private readonly Sequential _layers;
        private readonly StochasticDepth _depth;
        private readonly bool _shortcut;

        public Block(int expansion, int window, int stride, int inputs, int outputs, double drop, double epsilon, double momentum,
            Func<Tensor, Tensor> silu)
        {
            _shortcut = stride == 1 && inputs == outputs;
            var wide = Widths.Divisible(inputs * expansion);
            var layers = new List<Module>();
            if (wide != inputs) layers.Add(new ConvNormActivation(inputs, wide, 1, epsilon: epsilon, momentum: momentum, activation: silu));
            layers.Add(new ConvNormActivation(wide, wide, window, stride, wide, epsilon: epsilon, momentum: momentum, activation: silu));
            layers.Add(new SqueezeExcitation(wide, Math.Max(1, inputs / 4), silu, x => x.Sigmoid()));
            layers.Add(new ConvNormActivation(wide, outputs, 1, epsilon: epsilon, momentum: momentum));
            _layers = Child("block", new Sequential([.. layers]));
            _depth = Child("stochastic_depth", new StochasticDepth(drop));
        }

        public override Tensor Forward(Tensor x) => _shortcut ? _depth.Forward(_layers.Forward(x)) + x : _layers.Forward(x);
    }
}
