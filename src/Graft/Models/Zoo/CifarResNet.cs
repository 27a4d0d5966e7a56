using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// The ResNets for CIFAR-10 (He et al. 2015, section 4.2): 6n + 2 layers of 16, 32 and 64 channels, with shortcuts of option A
/// (every second position, missing channels zero). Names are those of the well-known public checkpoints.
/// </summary>
internal sealed class CifarResNet : Backbone
{
    private readonly int _depth;

    /// <summary>Random weights.</summary>
    /// <param name="depth">20, 32, 44, 56, 110: 6n + 2.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public CifarResNet(int depth, int? classes = null)
    {
        if (depth < 8 || (depth - 2) % 6 != 0) throw new GraftException($"a CIFAR ResNet has 6n + 2 layers (20, 32, 44, 56, 110), not {depth}");
        _depth = depth;
        var convolution = Child("conv1", new Conv2d(3, 16, 3, 1, 1, bias: false));
        var norm = Child("bn1", new BatchNorm2d(16));
        var stages = new List<Stage> { new("stem", 16, [convolution, norm], x => norm.After(convolution, x).Relu()) };
        var inputs = 16;
        for (var k = 1; k <= 3; k++)
        {
            var outputs = 8 << k;
            var blocks = new Module[(depth - 2) / 6];
            for (var b = 0; b < blocks.Length; b++)
            {
                blocks[b] = new Block(inputs, outputs, b == 0 && k > 1 ? 2 : 1);
                inputs = outputs;
            }
            stages.Add(Stage.Of($"s{k}", outputs, Child($"layer{k}", new Sequential(blocks))));
        }
        Stages = stages;
        if (classes is { } count) UpstreamHead = Child("linear", new Linear(64, count));
        Preprocessing = Preprocessing.Small(32, Normalize.ImageNet);
        foreach (var found in Modules().OfType<Conv2d>()) Initialisers.KaimingNormal(found.Weight);
    }

    /// <inheritdoc/>
    public override string Architecture => $"cifar_resnet{_depth}";

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages { get; }

    /// <inheritdoc/>
    public override string HeadName => "linear";

    private sealed class Block : Module
    {
        private readonly Conv2d _first, _second;
        private readonly BatchNorm2d _firstNorm, _secondNorm;
        private readonly int _added;

        public Block(int inputs, int outputs, int stride)
        {
            _first = Child("conv1", new Conv2d(inputs, outputs, 3, stride, 1, bias: false));
            _firstNorm = Child("bn1", new BatchNorm2d(outputs));
            _second = Child("conv2", new Conv2d(outputs, outputs, 3, 1, 1, bias: false));
            _secondNorm = Child("bn2", new BatchNorm2d(outputs));
            _added = outputs - inputs;
        }

        public override Tensor Forward(Tensor x)
        {
            var y = _secondNorm.After(_second, _firstNorm.After(_first, x).Relu());
            return (y + Shortcut(x)).Relu();
        }

        private Tensor Shortcut(Tensor x) => _added == 0 ? x : x.Slice(2, step: 2).Slice(3, step: 2)
            .ConstantPadNd([0, 0, 0, 0, _added / 2, _added / 2], 0);
    }
}
