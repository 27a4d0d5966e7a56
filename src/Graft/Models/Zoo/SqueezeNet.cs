using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>SqueezeNet 1.0 and 1.1 (Iandola et al. 2016). Its own classifier is a 1×1 convolution with a ReLU, averaged over the positions.</summary>
internal sealed class SqueezeNet : PublishedBackbone
{
    private readonly Conv2d? _scores;

    /// <summary>Random weights.</summary>
    /// <param name="version">1.0 or 1.1.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public SqueezeNet(string version, int? classes = null) : base($"squeezenet{version.Replace('.', '_')}")
    {
        var pool = () => new Lambda(x => x.MaxPool2d([3, 3], [2, 2], ceilMode: true));
        Module[] features = version == "1.0"
            ?
            [
                new Conv2d(3, 96, 7, 2), Lambda.Relu(), pool(), new Fire(96, 16, 64), new Fire(128, 16, 64), new Fire(128, 32, 128), pool(),
                    new Fire(256, 32, 128), new Fire(256, 48, 192),
                new Fire(384, 48, 192), new Fire(384, 64, 256), pool(), new Fire(512, 64, 256),
            ]
            :
            [
                new Conv2d(3, 64, 3, 2), Lambda.Relu(), pool(), new Fire(64, 16, 64), new Fire(128, 16, 64), pool(), new Fire(128, 32, 128),
                    new Fire(256, 32, 128), pool(), new Fire(256, 48, 192),
                new Fire(384, 48, 192), new Fire(384, 64, 256), new Fire(512, 64, 256),
            ];
        Child("features", new Sequential(features));
        int[] ends = version == "1.0" ? [3, 7, 12, 13] : [3, 6, 9, 13];
        int[] channels = version == "1.0" ? [96, 256, 512, 512] : [64, 128, 256, 512];
        for (var (k, from) = (0, 0); k < ends.Length; from = ends[k++]) Add(k == 0 ? "stem" : $"s{k}", channels[k], features[from..ends[k]]);
        Classifier("classifier.1", null);
        if (classes is { } count) Child("classifier", new Sequential(new Dropout(), _scores = new Conv2d(512, count, 1)));
        Finish();
    }

    /// <inheritdoc/>
    public override bool CanClassify => _scores is not null;

    /// <inheritdoc/>
    public override int? UpstreamClasses => (int?)_scores?.Weight.Shape[0];

    /// <inheritdoc/>
    public override Tensor Classify(Tensor x) => _scores is null ? base.Classify(x) : _scores.Forward(Forward(x, 0, Stages.Count)).Relu()
        .Mean([2, 3]);

    private sealed class Fire : Module
    {
        private readonly Conv2d _squeeze, _narrow, _wide;

        public Fire(int inputs, int squeezed, int expanded)
        {
            _squeeze = Child("squeeze", new Conv2d(inputs, squeezed, 1));
            _narrow = Child("expand1x1", new Conv2d(squeezed, expanded, 1));
            _wide = Child("expand3x3", new Conv2d(squeezed, expanded, 3, 1, 1));
        }

        public override Tensor Forward(Tensor x)
        {
            x = _squeeze.Forward(x).Relu();
            return Ops.Cat([_narrow.Forward(x).Relu(), _wide.Forward(x).Relu()], 1);
        }
    }
}
