using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>ConvNeXt (Liu et al. 2022): a convolutional network with a transformer's choices.</summary>
internal sealed class ConvNeXt : PublishedBackbone
{
    private const double Epsilon = 1e-6;

    private static readonly Dictionary<string, (int[] Depths, int Width, double Drop, int Resize)> s_shapes = new()
    {
        ["convnext_tiny"] = ([3, 3, 9, 3], 96, 0.1, 236), ["convnext_small"] = ([3, 3, 27, 3], 96, 0.4, 230),
            ["convnext_base"] = ([3, 3, 27, 3], 128, 0.5, 232),
    };

    /// <summary>Names that it can be made by.</summary>
    public static IEnumerable<string> Names => s_shapes.Keys;

    /// <summary>Random weights.</summary>
    public ConvNeXt(string name, int? classes = null) : base(name)
    {
        var (depths, width, drop, resize) = s_shapes[name];
        var features = new List<Module> { new Sequential(new Conv2d(3, width, 4, 4), new LayerNormChannels(width, Epsilon)) };
        var (done, total) = (0, depths.Sum());
        for (var k = 0; k < 4; k++)
        {
            var channels = width << k;
            if (k > 0) features.Add(new Sequential(new LayerNormChannels(channels / 2, Epsilon), new Conv2d(channels / 2, channels, 2, 2)));
            features.Add(new Sequential([.. Enumerable.Range(0, depths[k]).Select(_ => (Module)new Block(channels, drop * done++ / (total - 1.0)))]));
            Add($"s{k + 1}", channels, [.. features[^2..]]);
        }
        Child("features", new Sequential([.. features]));
        var norm = new LayerNormChannels(width * 8, Epsilon);
        Add("top", width * 8, [norm], x => norm.Forward(x.Mean([2, 3], true)));
        Classifier("classifier.2", classes, register: false);
        Child("classifier", new Sequential(UpstreamHead is { } head ? [norm, Lambda.Flatten(), head] : [norm]));
        Finish(resize);
        foreach (var convolution in Modules().OfType<Conv2d>()) Initialisers.TruncatedNormal(convolution.Weight, 0.02);
    }

    private sealed class Block : Module
    {
        private readonly Slot _scale;
        private readonly Sequential _layers;
        private readonly StochasticDepth _depth;

        public Block(int channels, double drop)
        {
            _scale = Parameter("layer_scale", Ops.Full([channels, 1, 1], 1e-6));
            _layers = Child("block", new Sequential(new Conv2d(channels, channels, 7, 1, 3, groups: channels),
                new Lambda(x => x.Permute([0, 2, 3, 1])), new LayerNorm(channels, Epsilon), new Linear(channels, 4 * channels), Lambda.Gelu(),
                new Linear(4 * channels, channels), new Lambda(x => x.Permute([0, 3, 1, 2]))));
            _depth = Child("stochastic_depth", new StochasticDepth(drop));
        }

        public override Tensor Forward(Tensor x) => _depth.Forward(_scale.Value * _layers.Forward(x)) + x;
    }
}
