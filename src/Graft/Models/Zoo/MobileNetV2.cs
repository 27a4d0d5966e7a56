using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// MobileNetV2 (Sandler et al. 2018, table 2) with torchvision's tensor names. Stages end where the resolution or the work
/// changes: 112², 56², 28², 14² twice, 7², and the 1,280 features.
/// </summary>
internal sealed class MobileNetV2 : Backbone
{
    // Table 2: expansion t, channels c, repeats n, stride s.
    private static readonly (int Expansion, int Channels, int Repeats, int Stride)[] s_rows =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

    private static readonly (string Name, int To)[] s_stages = [("stem", 2), ("s1", 4), ("s2", 7), ("s3", 11), ("s4", 14), ("s5", 18), ("top", 19)];

    private readonly bool _same;

    /// <summary>Random weights.</summary>
    /// <param name="same">TensorFlow's padding in place of torchvision's.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public MobileNetV2(bool same = false, int? classes = null)
    {
        _same = same;
        var blocks = new List<Module> { Unit(3, 32, 3, 2, 1, same) };
        var channels = new List<int> { 32 };
        var inputs = 32;
        foreach (var (expansion, outputs, repeats, stride) in s_rows)
        {
            for (var k = 0; k < repeats; k++)
            {
                blocks.Add(new InvertedResidual(inputs, outputs, k == 0 ? stride : 1, expansion, same));
                channels.Add(inputs = outputs);
            }
        }
        blocks.Add(Unit(inputs, 1280, 1, 1, 1, same));
        channels.Add(1280);
        Child("features", new Sequential([.. blocks]));
        if (classes is { } count)
        {
            UpstreamHead = new Linear(1280, count);
            Child("classifier", new Sequential(new Dropout(0.2), UpstreamHead));
        }
        var stages = new List<Stage>();
        var from = 0;
        foreach (var (name, to) in s_stages)
        {
            stages.Add(Stage.Of(name, channels[to - 1], [.. blocks[from..to]]));
            from = to;
        }
        Stages = stages;
        Preprocessing = Preprocessing.Evaluation(256, 224, same ? Normalize.Symmetric : Normalize.ImageNet);
        foreach (var convolution in Modules().OfType<Conv2d>()) Initialisers.KaimingNormal(convolution.Weight, fanOut: true);
    }

    /// <inheritdoc/>
    public override string Architecture => "mobilenet_v2";

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages { get; }

    /// <inheritdoc/>
    public override string HeadName => "classifier.1";

    /// <inheritdoc/>
    public override BackboneSpec Spec => new("mobilenet_v2", ("padding", _same ? "same" : "torch"));

    private static ConvNormActivation Unit(int inputs, int outputs, int window, int stride, int groups, bool same) =>
        new(inputs, outputs, window, stride, groups, same, activation: x => x.Hardtanh(0.0, 6.0));

    /// <summary>Expand by 1×1, filter each channel by 3×3, project by 1×1; added to its input where the shapes agree.</summary>
    private sealed class InvertedResidual : Module
    {
        private readonly ConvNormActivation? _expand;
        private readonly ConvNormActivation _depthwise;
        private readonly Conv2d _project;
        private readonly BatchNorm2d _norm;
        private readonly bool _shortcut;

        public InvertedResidual(int inputs, int outputs, int stride, int expansion, bool same)
        {
            var hidden = inputs * expansion;
            _shortcut = stride == 1 && inputs == outputs;
            if (expansion != 1) _expand = Unit(inputs, hidden, 1, 1, 1, same);
            _depthwise = Unit(hidden, hidden, 3, stride, hidden, same);
            _project = new Conv2d(hidden, outputs, 1, bias: false);
            _norm = new BatchNorm2d(outputs);
            Module[] parts = _expand is null ? [_depthwise, _project, _norm] : [_expand, _depthwise, _project, _norm];
            Child("conv", new Sequential(parts));
        }

        public override Tensor Forward(Tensor x)
        {
            var y = _norm.After(_project, _depthwise.Forward(_expand?.Forward(x) ?? x));
            return _shortcut ? x + y : y;
        }
    }
}
