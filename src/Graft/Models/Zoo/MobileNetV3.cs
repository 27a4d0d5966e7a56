using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>MobileNetV3 small and large (Howard et al. 2019, tables 1 and 2).</summary>
internal sealed class MobileNetV3 : PublishedBackbone
{
    private const double Epsilon = 0.001, Momentum = 0.01;

    // Window, expanded, output, squeeze-and-excitation, hard-swish, stride.
    private static readonly (int, int, int, bool, bool, int)[] s_large =
    [
        (3, 16, 16, false, false, 1), (3, 64, 24, false, false, 2), (3, 72, 24, false, false, 1), (5, 72, 40, true, false, 2),
            (5, 120, 40, true, false, 1), (5, 120, 40, true, false, 1),
        (3, 240, 80, false, true, 2), (3, 200, 80, false, true, 1), (3, 184, 80, false, true, 1), (3, 184, 80, false, true, 1),
            (3, 480, 112, true, true, 1), (3, 672, 112, true, true, 1),
        (5, 672, 160, true, true, 2), (5, 960, 160, true, true, 1), (5, 960, 160, true, true, 1),
    ];

    private static readonly (int, int, int, bool, bool, int)[] s_small =
    [
        (3, 16, 16, true, false, 2), (3, 72, 24, false, false, 2), (3, 88, 24, false, false, 1), (5, 96, 40, true, true, 2),
            (5, 240, 40, true, true, 1), (5, 240, 40, true, true, 1),
        (5, 120, 48, true, true, 1), (5, 144, 48, true, true, 1), (5, 288, 96, true, true, 2), (5, 576, 96, true, true, 1),
            (5, 576, 96, true, true, 1),
    ];

    /// <summary>Random weights.</summary>
    public MobileNetV3(bool large, int? classes = null) : base($"mobilenet_v3_{(large ? "large" : "small")}")
    {
        var rows = large ? s_large : s_small;
        var blocks = new List<Module> { new ConvNormActivation(3, 16, 3, 2, epsilon: Epsilon, momentum: Momentum, activation: x => x.Hardswish()) };
        var (inputs, from, stage) = (16, 0, 0);
        foreach (var (window, expanded, outputs, squeeze, hard, stride) in rows)
        {
            if (stride == 2) { Add(stage == 0 ? "stem" : $"s{stage}", inputs, [.. blocks[from..]]); (from, stage) = (blocks.Count, stage + 1); }
            blocks.Add(new Block(inputs, window, expanded, outputs, squeeze, hard ? x => x.Hardswish() : x => x.Relu(), stride));
            inputs = outputs;
        }
        blocks.Add(new ConvNormActivation(inputs, 6 * inputs, 1, epsilon: Epsilon, momentum: Momentum, activation: x => x.Hardswish()));
        Add($"s{stage}", 6 * inputs, [.. blocks[from..]]);
        Child("features", new Sequential([.. blocks]));
        var wide = large ? 1280 : 1024;
        var hidden = new Linear(6 * inputs, wide);
        Add("top", wide, [hidden], x => hidden.Forward(x.Mean([2, 3])).Hardswish());
        Classifier("classifier.3", classes, register: false);
        Module[] layers = [hidden, new Lambda(x => x.Hardswish()), new Dropout(0.2)];
        Child("classifier", new Sequential(UpstreamHead is { } head ? [.. layers, head] : layers));
        Finish();
    }

    private sealed class Block : Module
    {
        private readonly Sequential _layers;
        private readonly bool _shortcut;

        public Block(int inputs, int window, int expanded, int outputs, bool squeeze, Func<Tensor, Tensor> activation, int stride)
        {
            _shortcut = stride == 1 && inputs == outputs;
            var layers = new List<Module>();
            if (expanded != inputs)
                layers.Add(new ConvNormActivation(inputs, expanded, 1, epsilon: Epsilon, momentum: Momentum, activation: activation));
            layers.Add(new ConvNormActivation(expanded, expanded, window, stride, expanded, epsilon: Epsilon, momentum: Momentum,
                activation: activation));
            if (squeeze) layers.Add(new SqueezeExcitation(expanded, Widths.Divisible(expanded / 4.0), x => x.Relu(), x => x.Hardsigmoid()));
            layers.Add(new ConvNormActivation(expanded, outputs, 1, epsilon: Epsilon, momentum: Momentum));
            _layers = Child("block", new Sequential([.. layers]));
        }

        public override Tensor Forward(Tensor x) => _shortcut ? x + _layers.Forward(x) : _layers.Forward(x);
    }
}
