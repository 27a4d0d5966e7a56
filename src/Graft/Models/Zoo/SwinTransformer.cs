using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// Swin (Liu et al. 2021): attention within windows of 7×7 that shift from layer to layer, and merging of 2×2 patches between the
/// stages. Stages give N×C×H×W.
/// </summary>
internal sealed class SwinTransformer : PublishedBackbone
{
    private const int Window = 7;

    private static readonly Dictionary<string, (int Width, int[] Depths, int[] Heads, double Drop, int Resize)> s_shapes = new()
    {
        ["swin_t"] = (96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2, 232), ["swin_s"] = (96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3, 246),
            ["swin_b"] = (128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5, 238),
    };

    /// <summary>Names that it can be made by.</summary>
    public static IEnumerable<string> Names => s_shapes.Keys;

    /// <summary>Random weights.</summary>
    public SwinTransformer(string name, int? classes = null) : base(name)
    {
        var (width, depths, heads, drop, resize) = s_shapes[name];
        var project = new Conv2d(3, width, 4, 4);
        var features = new List<Module> { new Sequential(project, new Lambda(ChannelsLast), new LayerNorm(width)) };
        var (done, total) = (0, depths.Sum());
        for (var k = 0; k < 4; k++)
        {
            var channels = width << k;
            if (k > 0) features.Add(new PatchMerging(channels / 2));
            features.Add(new Sequential([.. Enumerable.Range(0, depths[k])
                .Select(b => (Module)new Block(channels, heads[k], b % 2 == 0 ? 0 : Window / 2, drop * done++ / (total - 1.0)))]));
            var parts = features[^2..].ToArray();
            var first = k == 0;
            if (k < 3) Add($"s{k + 1}", channels, parts, x => ChannelsFirst(parts[1].Forward(parts[0].Forward(first ? x : ChannelsLast(x)))));
        }
        Child("features", new Sequential([.. features]));
        var last = features[^2..].ToArray();
        var norm = Child("norm", new LayerNorm(width * 8));
        Add("s4", width * 8, [.. last, norm], x => ChannelsFirst(norm.Forward(last[1].Forward(last[0].Forward(ChannelsLast(x))))));
        Classifier("head", classes);
        Finish(resize);
        foreach (var dense in Modules().OfType<Linear>()) Initialisers.TruncatedNormal(dense.Weight, 0.02);
    }

    private static Tensor ChannelsLast(Tensor x) => x.Permute([0, 2, 3, 1]);

    private static Tensor ChannelsFirst(Tensor x) => x.Permute([0, 3, 1, 2]);

    /// <summary>Section 3.1: 2×2 neighbours joined, then half of their channels.</summary>
    private sealed class PatchMerging : Module
    {
        private readonly LayerNorm _norm;
        private readonly Linear _reduce;

        public PatchMerging(int channels)
        {
            _reduce = Child("reduction", new Linear(4 * channels, 2 * channels, bias: false));
            _norm = Child("norm", new LayerNorm(4 * channels));
        }

        public override Tensor Forward(Tensor x)
        {
            var (height, width) = (x.Shape[1], x.Shape[2]);
            if (height % 2 + width % 2 > 0) x = x.ConstantPadNd([0, 0, 0, width % 2, 0, height % 2], 0);
            Tensor Part(int row, int column) => x.Slice(1, row, step: 2).Slice(2, column, step: 2);
            return _reduce.Forward(_norm.Forward(Ops.Cat([Part(0, 0), Part(1, 0), Part(0, 1), Part(1, 1)], -1)));
        }
    }

    /// <summary>Eq. 3: attention in windows, then two dense layers, each after a norm and beside a shortcut.</summary>
    private sealed class Block : Module
    {
        private readonly LayerNorm _first, _second;
        private readonly WindowAttention _attention;
        private readonly Sequential _dense;
        private readonly StochasticDepth _depth;

        public Block(int channels, int heads, int shift, double drop)
        {
            _first = Child("norm1", new LayerNorm(channels));
            _attention = Child("attn", new WindowAttention(channels, heads, shift));
            _depth = Child("stochastic_depth", new StochasticDepth(drop));
            _second = Child("norm2", new LayerNorm(channels));
            _dense = Child("mlp", new Sequential(new Linear(channels, 4 * channels), Lambda.Gelu(), new Dropout(0),
                new Linear(4 * channels, channels)));
        }

        public override Tensor Forward(Tensor x)
        {
            x += _depth.Forward(_attention.Forward(_first.Forward(x)));
            return x + _depth.Forward(_dense.Forward(_second.Forward(x)));
        }
    }

    /// <summary>Eq. 4: softmax(QKᵀ/√d + B) V in each window; where windows were shifted, only between what was near before.</summary>
    private sealed class WindowAttention : Module
    {
        private readonly Linear _qkv, _out;
        private readonly Slot _table, _index;
        private readonly int _channels, _heads, _shift;

        public WindowAttention(int channels, int heads, int shift)
        {
            (_channels, _heads, _shift) = (channels, heads, shift);
            const int Span = 2 * Window - 1, Places = Window * Window;
            _table = Parameter("relative_position_bias_table", Initialisers.TruncatedNormal(Ops.Empty([Span * Span, heads]), 0.02));
            var index = new long[Places * Places];
            for (var a = 0; a < Places; a++)
                for (var b = 0; b < Places; b++) index[a * Places + b] = (a / Window - b / Window + Window - 1) * Span + a % Window - b % Window
                    + Window - 1;
            _index = Buffer("relative_position_index", Tensor.From(index));
            _qkv = Child("qkv", new Linear(channels, 3 * channels));
            _out = Child("proj", new Linear(channels, channels));
        }

        public override Tensor Forward(Tensor x)
        {
            var (height, width) = (x.Shape[1], x.Shape[2]);
            long padRight = (Window - width % Window) % Window, padBottom = (Window - height % Window) % Window;
            if (padRight + padBottom > 0) x = x.ConstantPadNd([0, 0, 0, padRight, 0, padBottom], 0);
            var (h, w) = (height + padBottom, width + padRight);
            // A window that spans the whole side has nothing to shift.
            long down = Window >= h ? 0 : _shift, across = Window >= w ? 0 : _shift;
            if (down + across > 0) x = x.Roll([-down, -across], [1, 2]);
            long windows = h / Window * (w / Window), places = Window * Window;
            x = x.View([-1, h / Window, Window, w / Window, Window, _channels]).Permute([0, 1, 3, 2, 4, 5]).Reshape([-1, places, _channels]);
            var parts = _qkv.Forward(x).Reshape([-1, places, 3, _heads, _channels / _heads]).Permute([2, 0, 3, 1, 4]);
            var attention = (parts.Select(0, 0) * Math.Pow(_channels / _heads, -0.5)).Matmul(parts.Select(0, 1).Transpose(-2, -1));
            attention += _table.Value.IndexSelect(0, _index.Value).View([places, places, _heads]).Permute([2, 0, 1]).Unsqueeze(0);
            if (down + across > 0)
                attention = (attention.View([-1, windows, _heads, places, places]) + Mask(h, w, down, across, x.Device)
                    .View([1, windows, 1, places, places])).View([-1, _heads, places, places]);
            x = _out.Forward(attention.Softmax(-1).Matmul(parts.Select(0, 2)).Transpose(1, 2).Reshape([-1, places, _channels]));
            x = x.View([-1, h / Window, w / Window, Window, Window, _channels]).Permute([0, 1, 3, 2, 4, 5]).Reshape([-1, h, w, _channels]);
            if (down + across > 0) x = x.Roll([down, across], [1, 2]);
            return padRight + padBottom > 0 ? x.Narrow(1, 0, height).Narrow(2, 0, width) : x;
        }

        private static Tensor Mask(long h, long w, long down, long across, Device device)
        {
            long Region(long at, long size, long shift) => at < size - Window ? 0 : at < size - shift ? 1 : 2;
            const int Places = Window * Window;
            var (rows, columns) = (h / Window, w / Window);
            var mask = new float[rows * columns * Places * Places];
            long Kind(long window, int place) => 3 * Region(window / columns * Window + place / Window, h, down)
                + Region(window % columns * Window + place % Window, w, across);
            for (long window = 0; window < rows * columns; window++)
                for (var a = 0; a < Places; a++)
                    for (var b = 0; b < Places; b++)
                        if (Kind(window, a) != Kind(window, b)) mask[(window * Places + a) * Places + b] = -100;
            return Tensor.From(mask, rows * columns, Places, Places).To(device);
        }
    }
}
