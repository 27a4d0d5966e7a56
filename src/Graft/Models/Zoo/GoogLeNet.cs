using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>GoogLeNet (Szegedy et al. 2015, table 1) with BatchNorm, as torchvision has it; the auxiliary classifiers of training are left
/// out.</summary>
internal sealed class GoogLeNet : PublishedBackbone
{
    /// <summary>Random weights.</summary>
    public GoogLeNet(int? classes = null) : base("googlenet")
    {
        var pool = (long window) => new Lambda(x => x.MaxPool2d([window, window], [2, 2], ceilMode: true));
        Module Block(string name, int inputs, params int[] widths) => Child($"inception{name}", new Inception(inputs, widths));
        Add("stem", 64, Child("conv1", new Unit(3, 64, [7, 7], 2, [3, 3])), pool(3));
        Add("s1", 192, Child("conv2", new Unit(64, 64, [1, 1])), Child("conv3", new Unit(64, 192, [3, 3], 1, [1, 1])), pool(3));
        Add("s2", 480, Block("3a", 192, 64, 96, 128, 16, 32, 32), Block("3b", 256, 128, 128, 192, 32, 96, 64), pool(3));
        Add("s3", 832, Block("4a", 480, 192, 96, 208, 16, 48, 64), Block("4b", 512, 160, 112, 224, 24, 64, 64),
            Block("4c", 512, 128, 128, 256, 24, 64, 64), Block("4d", 512, 112, 144, 288, 32, 64, 64),
            Block("4e", 528, 256, 160, 320, 32, 128, 128), pool(2));
        Add("s4", 1024, Block("5a", 832, 256, 160, 320, 32, 128, 128), Block("5b", 832, 384, 192, 384, 48, 128, 128));
        Classifier("fc", classes);
        Finish(normalize: Normalize.Symmetric);
    }

    /// <summary>Convolution, BatchNorm (ε = 0.001), ReLU: torchvision's BasicConv2d.</summary>
    internal sealed class Unit : Module
    {
        private readonly Conv2d _convolution;
        private readonly BatchNorm2d _norm;

        public Unit(int inputs, int outputs, long[] window, int stride = 1, long[]? padding = null)
        {
            _convolution = Child("conv", new Conv2d(inputs, outputs, window, stride, padding ?? [0, 0], bias: false));
            _norm = Child("bn", new BatchNorm2d(outputs, 0.001));
        }

        public override Tensor Forward(Tensor x) => _norm.After(_convolution, x).Relu();
    }

    private sealed class Inception : Module
    {
        private readonly Module[] _branches;

        public Inception(int inputs, int[] w) => _branches =
        [
            Child("branch1", new Unit(inputs, w[0], [1, 1])),
            Child("branch2", new Sequential(new Unit(inputs, w[1], [1, 1]), new Unit(w[1], w[2], [3, 3], 1, [1, 1]))),
            // 3×3 where the paper has 5×5: so were the public weights trained.
            Child("branch3", new Sequential(new Unit(inputs, w[3], [1, 1]), new Unit(w[3], w[4], [3, 3], 1, [1, 1]))),
            Child("branch4", new Sequential(Lambda.MaxPool(3, 1, 1), new Unit(inputs, w[5], [1, 1]))),
        ];

        public override Tensor Forward(Tensor x) => Ops.Cat([.. _branches.Select(branch => branch.Forward(x))], 1);
    }
}
