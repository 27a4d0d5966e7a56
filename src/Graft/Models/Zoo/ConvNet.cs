using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// Blocks of 3×3 convolution, BatchNorm, ReLU and 2×2 max pooling: the small network of the few-shot literature (Vinyals et
/// al. 2016), for pictures of 28 to 64 pixels. Two of its variants are published too: the last blocks without pooling (Sung
/// et al. 2018), and convolutions of stride 2 in place of all pooling (Finn et al. 2017, Omniglot).
/// </summary>
internal sealed class ConvNet : Backbone
{
    private readonly int[] _widths, _depths;
    private readonly int _side, _channels, _pools;
    private readonly bool _strided;

    /// <summary>Random weights.</summary>
    /// <param name="widths">Channels of each block.</param>
    /// <param name="side">Pixels of the square input.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    /// <param name="channels">Of the pictures: 3, or 1 for grey.</param>
    /// <param name="pools">The first so many blocks halve the picture; null: all.</param>
    /// <param name="strided">They do so by convolutions of stride 2.</param>
    /// <param name="depths">Convolutions of each block; null: one. A block of several has a shortcut around them.</param>
    public ConvNet(int[] widths, int side, int? classes = null, int channels = 3, int? pools = null, bool strided = false, int[]? depths = null)
    {
        _depths = depths ?? [.. widths.Select(_ => 1)];
        if (_depths.Length != widths.Length || _depths.Any(depth => depth < 1)) throw new GraftException($"{widths.Length} blocks take as many depths of at least 1, not {string.Join('-', _depths)}");
        (_widths, _side, _channels, _pools, _strided) = (widths, side, channels, pools ?? widths.Length, strided);
        if (!strided && side >> _pools < 1) throw new GraftException($"{_pools} poolings leave nothing of {side} pixels");
        var stages = new List<Stage>();
        var inputs = channels;
        for (var k = 0; k < widths.Length; k++)
        {
            var block = Child($"block{k + 1}", new Block(inputs, widths[k], k < _pools, strided, _depths[k]));
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
    public override BackboneSpec Spec => new("convnet",
    [
        ("widths", string.Join('-', _widths)), ("side", $"{_side}"),
        .. Unless(_channels == 3, "channels", $"{_channels}"), .. Unless(_pools == _widths.Length, "pools", $"{_pools}"),
        .. Unless(!_strided, "strided", "yes"),
        .. Unless(_depths.All(depth => depth == 1), "depths", string.Join('-', _depths)),
    ]);

    private static (string Key, string Value)[] Unless(bool usual, string key, string value) => usual ? [] : [(key, value)];

    private sealed class Block : Module
    {
        private readonly Conv2d _convolution;
        private readonly BatchNorm2d _norm;
        private readonly (Conv2d Convolution, BatchNorm2d Norm)[] _more;
        private readonly (Conv2d Convolution, BatchNorm2d Norm)? _shortcut;
        private readonly bool _pool;

        public Block(int inputs, int outputs, bool halve, bool strided, int depth)
        {
            _pool = halve && !strided;
            var stride = halve && strided ? 2 : 1;
            (Conv2d, BatchNorm2d) Pair(string suffix, int from, int window, int step)
            {
                var convolution = Child($"conv{suffix}", new Conv2d(from, outputs, window, step, window / 2, bias: false));
                Initialisers.KaimingNormal(convolution.Weight);
                return (convolution, Child($"norm{suffix}", new BatchNorm2d(outputs)));
            }
            (_convolution, _norm) = Pair("", inputs, 3, stride);
            _more = [.. Enumerable.Range(2, depth - 1).Select(k => Pair($"{k}", outputs, 3, 1))];
            if (depth > 1) _shortcut = Pair("_shortcut", inputs, 1, stride);
        }

        // The ReLU of the largest is the largest of the ReLUs, and a quarter of the work.
        public override Tensor Forward(Tensor x)
        {
            var y = _norm.After(_convolution, x);
            foreach (var (convolution, norm) in _more) y = norm.After(convolution, y.Relu());
            if (_shortcut is { } shortcut) y += shortcut.Norm.After(shortcut.Convolution, x);
            return (_pool ? y.MaxPool2d([2, 2]) : y).Relu();
        }
    }
}
