using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>RegNet X and Y (Radosavovic et al. 2020, eq. 2 to 4: widths that grow in a straight line, rounded to a few).</summary>
internal sealed class RegNet : PublishedBackbone
{
    // Depth, w_0, w_a, w_m, group width; Y has squeeze-and-excitation.
    private static readonly Dictionary<string, (int Depth, int First, double Slope, double Factor, int Group)> s_shapes = new()
    {
        ["y_400mf"] = (16, 48, 27.89, 2.09, 8), ["y_800mf"] = (14, 56, 38.84, 2.4, 16), ["y_1_6gf"] = (27, 48, 20.71, 2.65, 24),
            ["y_3_2gf"] = (21, 80, 42.63, 2.66, 24),
        ["y_8gf"] = (17, 192, 76.82, 2.19, 56), ["y_16gf"] = (18, 200, 106.23, 2.48, 112), ["x_400mf"] = (22, 24, 24.48, 2.54, 16),
            ["x_800mf"] = (16, 56, 35.73, 2.28, 16),
        ["x_1_6gf"] = (18, 80, 34.01, 2.25, 24), ["x_3_2gf"] = (25, 88, 26.31, 2.25, 48), ["x_8gf"] = (23, 80, 49.56, 2.88, 120),
            ["x_16gf"] = (22, 216, 55.59, 2.1, 128),
    };

    /// <summary>Names that it can be made by.</summary>
    public static IEnumerable<string> Names => s_shapes.Keys.Select(name => $"regnet_{name}");

    /// <summary>Random weights.</summary>
    public RegNet(string name, int? classes = null) : base(name)
    {
        var shape = s_shapes[name["regnet_".Length..]];
        var squeeze = name.StartsWith("regnet_y", StringComparison.Ordinal);
        Add("stem", 32, Child("stem", new ConvNormActivation(3, 32, 3, 2, activation: x => x.Relu())));
        var trunk = Child("trunk_output", new Named());
        var (inputs, stage) = (32, 1);
        foreach (var (width, depth, group) in Runs(shape))
        {
            var block = trunk.Add($"block{stage}", new Named());
            var layers = new Module[depth];
            for (var k = 0; k < depth; k++, inputs = width) layers[k] =
                block.Add($"block{stage}-{k}", new Block(inputs, width, k == 0 ? 2 : 1, group, squeeze));
            Add($"s{stage++}", width, layers);
        }
        Classifier("fc", classes);
        Finish();
    }

    private static List<(int Width, int Depth, int Group)> Runs((int Depth, int First, double Slope, double Factor, int Group) shape)
    {
        var widths = Enumerable.Range(0, shape.Depth).Select(k => shape.First + k * shape.Slope)
            .Select(line => Math.Round(Math.Log(line / shape.First) / Math.Log(shape.Factor)))
            .Select(power => (int)Math.Round(shape.First * Math.Pow(shape.Factor, power) / 8) * 8).ToArray();
        return [.. widths.GroupBy(width => width).Select(run => (Width: run.Key, Depth: run.Count())).Select(run =>
        {
            var group = Math.Min(shape.Group, run.Width);
            return (Widths.Divisible(run.Width, group), run.Depth, group);
        })];
    }

    private sealed class Block : Module
    {
        private readonly ConvNormActivation? _shortcut;
        private readonly Bottleneck _work;

        public Block(int inputs, int outputs, int stride, int group, bool squeeze)
        {
            if (inputs != outputs || stride != 1) _shortcut = Child("proj", new ConvNormActivation(inputs, outputs, 1, stride));
            _work = Child("f", new Bottleneck(inputs, outputs, stride, group, squeeze));
        }

        public override Tensor Forward(Tensor x) => ((_shortcut?.Forward(x) ?? x) + _work.Forward(x)).Relu();
    }

    private sealed class Bottleneck : Module
    {
        private readonly Module[] _layers;

        public Bottleneck(int inputs, int outputs, int stride, int group, bool squeeze)
        {
            var a = Child("a", new ConvNormActivation(inputs, outputs, 1, activation: x => x.Relu()));
            var b = Child("b", new ConvNormActivation(outputs, outputs, 3, stride, outputs / group, activation: x => x.Relu()));
            var weigh = squeeze ? Child("se", new SqueezeExcitation(outputs, (int)Math.Round(0.25 * inputs), x => x.Relu(), x => x.Sigmoid())) : null;
            var c = Child("c", new ConvNormActivation(outputs, outputs, 1));
            _layers = weigh is null ? [a, b, c] : [a, b, weigh, c];
        }

        public override Tensor Forward(Tensor x) => _layers.Aggregate(x, (y, layer) => layer.Forward(y));
    }
}
