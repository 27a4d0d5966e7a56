using Graft.Data;
using Graft.Torch;

namespace Graft.Backbones;

/// <summary>
/// Blocks of 3×3 convolution, BatchNorm, ReLU and 2×2 max pooling: the small network of the few-shot literature (Vinyals et
/// al. 2016), for pictures of 28 to 64 pixels.
/// </summary>
public sealed class ConvNet : Backbone
{
    private readonly int[] _widths;
    private readonly int _side;

    /// <summary>Random weights.</summary>
    /// <param name="widths">Channels of each block.</param>
    /// <param name="side">Pixels of the square input.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public ConvNet(int[] widths, int side, int? classes = null)
    {
        if (side >> widths.Length < 1) throw new ArgumentException($"{widths.Length} poolings leave nothing of {side} pixels");
        (_widths, _side) = (widths, side);
        var stages = new List<Stage>();
        var inputs = 3;
        for (var k = 0; k < widths.Length; k++)
        {
            var block = Child($"block{k + 1}", new Block(inputs, widths[k]));
            stages.Add(Stage.Of($"s{k + 1}", widths[k], block));
            inputs = widths[k];
        }
        Stages = stages;
        if (classes is { } count) UpstreamHead = Child("head", new Linear(inputs, count));
        Preprocessing = Preprocessing.Small(side, Normalize.Symmetric);
    }

    /// <inheritdoc/>
    public override string Architecture => "convnet";

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages { get; }

    /// <inheritdoc/>
    public override string HeadName => "head";

    /// <inheritdoc/>
    public override string Describe() => $"convnet widths={string.Join('-', _widths)} side={_side}";

    private sealed class Block : Module
    {
        private readonly Conv2d _convolution;
        private readonly BatchNorm2d _norm;

        public Block(int inputs, int outputs)
        {
            _convolution = Child("conv", new Conv2d(inputs, outputs, 3, 1, 1, bias: false));
            _norm = Child("norm", new BatchNorm2d(outputs));
            Initialisers.KaimingNormal(_convolution.Weight);
        }

        public override Tensor Forward(Tensor x) => _norm.After(_convolution, x).Relu().MaxPool2d([2, 2]);
    }
}
