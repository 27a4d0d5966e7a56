using Graft.Models.Graphs;
using Graft.Models.Imports.Onnx;
using Graft.Models.Zoo;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Exports;

/// <summary>A graph as an ONNX file (opset 17) with a free batch: one table from libtorch's operators to ONNX's.</summary>
internal sealed class OnnxWriter : OnnxNodes
{
    private readonly Graft.Models.Graphs.Graph _graph;
    private readonly Dictionary<string, string> _names = [];
    private Graft.Models.Graphs.Node _node = null!;

    private OnnxWriter(Graft.Models.Graphs.Graph graph) => _graph = graph;

    /// <summary>The file's bytes.</summary>
    /// <param name="graph">What to write.</param>
    /// <param name="weights">By name.</param>
    /// <param name="normalize">Put before it, for inputs of 0 … 255; null: inputs are already normalised.</param>
    /// <param name="answers">Of what task the answers come out, in place of the scores; null: the scores do.</param>
    /// <param name="metadata">Written into the file.</param>
    /// <param name="features">A value of the graph, N×d, that the file's card is to name as its features; null: it names none.</param>
    /// <exception cref="GraftException">An operator that has no counterpart.</exception>
    public static byte[] Write(Graft.Models.Graphs.Graph graph, IReadOnlyDictionary<string, TorchTensor> weights, Data.Normalize? normalize,
        Data.TargetKind? answers, IReadOnlyDictionary<string, string> metadata, string? features = null)
    {
        var writer = new OnnxWriter(graph);
        writer.Build(weights, normalize, answers);
        return writer.ToBytes(features is null ? metadata : new Dictionary<string, string>(metadata) { [ModelCard.FeaturesAt] = writer._names[features] });
    }

    private void Build(IReadOnlyDictionary<string, TorchTensor> weights, Data.Normalize? normalize, Data.TargetKind? answers)
    {
        Made.Input.Add(Info("input", _graph.Shapes[_graph.Input]));
        _names[_graph.Input] = "input";
        if (normalize is not null)
        {
            var scaled = Add("Mul", "input", Fixed([.. normalize.Std.Select(std => (float)(1 / (255 * std)))], 1, 3, 1, 1));
            _names[_graph.Input] = Add("Add", scaled, Fixed([.. normalize.Mean.Zip(normalize.Std, (mean, std) => (float)(-mean / std))], 1, 3, 1, 1));
        }
        foreach (var (name, shape) in _graph.Weights)
        {
            _names[name] = Stored(name, weights[name]);
        }
        foreach (var node in _graph.Nodes)
        {
            _node = node;
            Layer = node.Layer;
            var made = Translate();
            for (var k = 0; k < node.Outputs.Count && k < made.Length; k++) _names[node.Outputs[k]] = made[k];
        }
        var last = _names[_graph.Output];
        if (answers == Data.TargetKind.Classes) last = Add("Softmax", [last], ("axis", 1L));
        if (answers == Data.TargetKind.Labels) last = Add("Sigmoid", last);
        var output = new Models.Imports.Onnx.Node { OpType = "Identity", Name = "output" };
        output.Input.Add(last);
        output.Output.Add(answers switch { null => "scores", Data.TargetKind.Numbers => "numbers", _ => "probabilities" });
        Made.Node.Add(output);
        Made.Output.Add(Info(output.Output[0], _graph.Shapes[_graph.Output]));
    }

    private static ValueInfo Info(string name, long[] shape)
    {
        var type = new TensorType { ElemType = 1, Shape = new TensorShape() };
        for (var k = 0; k < shape.Length; k++) type.Shape.Dim.Add(
            k == 0 ? new Dimension { DimParam = "batch" } : new Dimension { DimValue = shape[k] });
        return new ValueInfo { Name = name, Type = new Models.Imports.Onnx.Type { TensorType = type } };
    }

    private GraftException No(string what) =>
        new($"{_node.Op}{(_node.Layer.Length > 0 ? $" of '{_node.Layer}'" : "")} cannot be written as ONNX: {what}");

    private object? Item(int k) => k < _node.Inputs.Count && _node.Inputs[k] is Literal literal ? literal.Value : null;

    private long[] List(int k, long[] otherwise) => Item(k) is long[] { Length: > 0 } list ? list : otherwise;

    private long Whole(int k, long otherwise) => Item(k) switch { long number => number, bool flag => flag ? 1 : 0, _ => otherwise };

    private double Real(int k, double otherwise) => Item(k) switch { double number => number, long number => number, _ => otherwise };

    private string In(int k) => _node.Inputs[k] switch
    {
        Reference reference => _names[reference.Name],
        Weight weight => _names[weight.Name],
        Literal { Value: double or long } => Fixed((float)Real(k, 0)),
        _ => throw No($"its argument {k} is of no known kind"),
    };

    private bool Given(int k) => k < _node.Inputs.Count && _node.Inputs[k] is Reference or Weight;

    private string[] Ins(int k) =>
        [.. ((Operands)_node.Inputs[k])
        .Items.Select(item => item switch { Reference reference => _names[reference.Name], Weight weight => _names[weight.Name], _ => "" })];

    private long[] Shape(int k) =>
        _node.Inputs[k] switch { Reference reference => _graph.Shapes[reference.Name], Weight weight => _graph.Weights[weight.Name].Shape, _ => [] };

    private long[] Result => _graph.Shapes[_node.Outputs[0]];

    private long Axis(int k, long otherwise = 0) => Whole(k, otherwise) is var axis && axis < 0 ? axis + Shape(0).Length : axis;

    private static long[] Twice(long[] padding) => [.. padding, .. padding];

    private string[] Translate()
    {
        switch (_node.Kind)
        {
            case "aten::conv2d" or "aten::conv1d":
                var n = Shape(1).Length - 2;
                return [Add("Conv", Given(2) ? [In(0), In(1), In(2)] : [In(0), In(1)], ("kernel_shape", Shape(1)[2..]),
                    ("strides", List(3, Ones(n))), ("pads", Twice(List(4, new long[n]))), ("dilations", List(5, Ones(n))), ("group", Whole(6, 1)))];
            case "aten::conv_transpose2d":
                return [Add("ConvTranspose", Given(2) ? [In(0), In(1), In(2)] : [In(0), In(1)], ("kernel_shape", Shape(1)[2..]),
                    ("strides", List(3, Ones(2))), ("pads", Twice(List(4, [0, 0]))), ("output_padding", List(5, [0, 0])), ("group", Whole(6, 1)),
                    ("dilations", List(7, Ones(2))))];
            case "aten::batch_norm":
                var channels = Shape(0)[1];
                var (scale, shift) = (Given(1) ? In(1) : Fixed([.. Enumerable.Repeat(1f, (int)channels)], channels),
                    Given(2) ? In(2) : Fixed(new float[channels], channels));
                return [Add("BatchNormalization", [In(0), scale, shift, In(3), In(4)], ("epsilon", Real(7, 1e-5)))];
            case "aten::linear": return [Linear(In(0), In(1), Given(2) ? In(2) : null)];
            case "aten::addmm": return [Add("Gemm", [In(1), In(2), In(0)])];
            case "aten::matmul" or "aten::bmm" or "aten::mm": return [Add("MatMul", In(0), In(1))];
            case "aten::relu": return [Add("Relu", In(0))];
            case "aten::sigmoid": return [Add("Sigmoid", In(0))];
            case "aten::tanh": return [Add("Tanh", In(0))];
            case "aten::exp": return [Add("Exp", In(0))];
            case "aten::log": return [Add("Log", In(0))];
            case "aten::sqrt": return [Add("Sqrt", In(0))];
            case "aten::rsqrt": return [Add("Reciprocal", Add("Sqrt", In(0)))];
            case "aten::reciprocal": return [Add("Reciprocal", In(0))];
            case "aten::neg": return [Add("Neg", In(0))];
            case "aten::abs": return [Add("Abs", In(0))];
            case "aten::erf": return [Add("Erf", In(0))];
            case "aten::selu": return [Add("Selu", In(0))];
            case "aten::elu": return [Add("Elu", [In(0)], ("alpha", Real(1, 1)))];
            case "aten::softplus": return [Add("Softplus", In(0))];
            case "aten::mish": return [Add("Mul", In(0), Add("Tanh", Add("Softplus", In(0))))];
            case "aten::leaky_relu": return [Add("LeakyRelu", [In(0)], ("alpha", Real(1, 0.01)))];
            case "aten::prelu": return [Add("PRelu", In(0), Shape(0)
                .Length > 2 ? Add("Reshape", In(1), Fixed([-1, .. Ones(Shape(0).Length - 2)])) : In(1))];
            case "aten::hardtanh": return [Clip(Real(1, -1), Real(2, 1))];
            case "aten::relu6": return [Clip(0, 6)];
            case "aten::clamp": return [Clip(Item(1) is null ? double.NegativeInfinity : Real(1, 0),
                Item(2) is null ? double.PositiveInfinity : Real(2, 0))];
            case "aten::hardsigmoid": return [Add("HardSigmoid", [In(0)], ("alpha", 1 / 6.0), ("beta", 0.5))];
            case "aten::hardswish": return [Add("HardSwish", In(0))];
            case "aten::silu": return [Add("Mul", In(0), Add("Sigmoid", In(0)))];
            case "aten::gelu": return [Gelu()];
            case "aten::softmax": return [Add("Softmax", [In(0)], ("axis", Axis(1)))];
            case "aten::log_softmax": return [Add("LogSoftmax", [In(0)], ("axis", Axis(1)))];
            case "aten::add": return [Add("Add", In(0), Scaled(In(1), 2))];
            case "aten::sub": return [Add("Sub", In(0), Scaled(In(1), 2))];
            case "aten::rsub": return [Add("Sub", In(1), In(0))];
            case "aten::mul": return [Add("Mul", In(0), In(1))];
            case "aten::div": return [Add("Div", In(0), In(1))];
            case "aten::pow": return [Add("Pow", In(0), In(1))];
            case "aten::square": return [Add("Mul", In(0), In(0))];
            case "aten::maximum": return [Add("Max", In(0), In(1))];
            case "aten::minimum": return [Add("Min", In(0), In(1))];
            case "aten::max_pool2d": return [Add("MaxPool", [In(0)], ("kernel_shape", List(1, [1, 1])), ("strides", List(2, List(1, [1, 1]))),
                ("pads", Twice(List(3, [0, 0]))), ("dilations", List(4, [1, 1])), ("ceil_mode", Whole(5, 0)))];
            case "aten::avg_pool2d" or "aten::avg_pool3d": return [AveragePool()];
            case "aten::adaptive_avg_pool2d": return [AdaptivePool()];
            case "aten::mean": return Item(1) is long[] over ? [Add("ReduceMean", [In(0)], ("axes", over), ("keepdims", Whole(2, 0)))]
                : throw No("a mean over everything mixes the pictures of a batch");
            case "aten::sum": return Item(1) is long[] summed ? [Add("ReduceSum", [In(0), Fixed(summed)], ("keepdims", Whole(2, 0)))]
                : throw No("a sum over everything mixes the pictures of a batch");
            case "aten::amax": return [Add("ReduceMax", [In(0)], ("axes", List(1, [])), ("keepdims", Whole(2, 0)))];
            case "aten::amin": return [Add("ReduceMin", [In(0)], ("axes", List(1, [])), ("keepdims", Whole(2, 0)))];
            case "aten::cat": return [Add("Concat", Ins(0), ("axis", Whole(1, 0) is var axis && axis < 0 ? axis + Result.Length : axis))];
            case "aten::stack": return [Add("Concat", [.. Ins(0).Select(item => Add("Unsqueeze", item, Fixed(Whole(1, 0))))], ("axis", Whole(1, 0)))];
            case "aten::flatten" or "aten::reshape" or "aten::view": return [Add("Reshape", In(0), Fixed([-1, .. Target()]))];
            case "aten::permute": return [Add("Transpose", [In(0)], ("perm", List(1, []).Select(k => k < 0 ? k + Shape(0).Length : k).ToArray()))];
            case "aten::transpose" or "aten::t": return [Transpose()];
            case "aten::unsqueeze": return [Add("Unsqueeze", In(0),
                Fixed(Whole(1, 0) is var place && place < 0 ? place + Shape(0).Length + 1 : place))];
            case "aten::squeeze": return [Item(1) is long squeezed ? Shape(0)[squeezed < 0 ? squeezed + Shape(0).Length : squeezed] == 1
                ? Add("Squeeze", In(0), Fixed(squeezed)) : In(0) : Add("Reshape", In(0), Fixed([-1, .. Result.Skip(1)]))];
            case "aten::select": return [Add("Gather", [In(0), Fixed($"scalar {Whole(2, 0)}", () => TorchTensor.From([Whole(2, 0)]).Reshape([]))],
                ("axis", Axis(1)))];
            case "aten::narrow": return [Slice(In(0), Axis(1), Whole(2, 0), Whole(2, 0) + Whole(3, 0), 1)];
            case "aten::slice": return [Slice(In(0), Axis(1), Whole(2, 0), Item(3) is long end ? end : long.MaxValue, Whole(4, 1))];
            case "aten::chunk": return Pieces(Axis(2), [.. _node.Outputs.Select(name => _graph.Shapes[name][(int)Axis(2)])]);
            case "aten::split" or "aten::split_with_sizes": return Pieces(Axis(2),
                [.. _node.Outputs.Select(name => _graph.Shapes[name][(int)Axis(2)])]);
            case "aten::unbind": return [.. _node.Outputs.Select((_, k) =>
                Add("Gather", [In(0), Fixed($"scalar {k}", () => TorchTensor.From([(long)k]).Reshape([]))], ("axis", Axis(1))))];
            case "aten::index_select": return [Add("Gather", [In(0), In(2)], ("axis", Axis(1)))];
            case "aten::flip": return [List(1, []).Aggregate(In(0), (x, at) => AddSlice(x, at, -1, long.MinValue + 1, -1))];
            case "aten::embedding": return [Add("Gather", In(0), In(1))];
            case "aten::expand_as": return [Add("Expand", In(0), Add("Shape", In(1)))];
            case "aten::expand": return [Add("Expand", In(0), Fixed([.. List(1, []).Select((size, k) => size < 0 ? 1 : size)]))];
            case "aten::constant_pad_nd": return [Pad()];
            case "aten::roll": return [List(1, []).Zip(List(2, [])).Aggregate(In(0), (x, pair) => Roll(x, pair.First, pair.Second))];
            case "aten::layer_norm": return [LayerNorm()];
            case "aten::upsample_nearest2d": return [Add("Resize", [In(0), "", Fixed(Factors(), 4)], ("mode", "nearest"),
                ("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor"))];
            case "aten::upsample_bilinear2d": return [Add("Resize", [In(0), "", Fixed(Factors(), 4)], ("mode", "linear"),
                ("coordinate_transformation_mode", Whole(2, 0) != 0 ? "align_corners" : "half_pixel"))];
            case "aten::dropout" or "aten::feature_dropout" or "aten::contiguous" or "aten::clone" or "aten::to"
                or "aten::alpha_dropout": return [In(0)];
            default: throw No("it has no counterpart in Graft's table");
        }
    }

    private static long[] Ones(int count) => [.. Enumerable.Repeat(1L, count)];

    // As factors, so that the batch stays free.
    private float[] Factors() => [1, 1, (float)Result[2] / Shape(0)[2], (float)Result[3] / Shape(0)[3]];

    private string Linear(string x, string weight, string? bias)
    {
        if (Shape(0).Length == 2) return Add("Gemm", bias is null ? [x, weight] : [x, weight, bias], ("transB", 1L));
        var product = Add("MatMul", x, Add("Transpose", [weight], ("perm", (long[])[1, 0])));
        return bias is null ? product : Add("Add", product, bias);
    }

    private string Clip(double least, double most) =>
        Add("Clip", In(0), double.IsInfinity(least) ? "" : Fixed((float)least), double.IsInfinity(most) ? "" : Fixed((float)most));

    private string Scaled(string x, int k) => Real(k, 1) is var factor && factor != 1 ? Add("Mul", x, Fixed((float)factor)) : x;

    // Hendrycks and Gimpel 2016: x · Φ(x).
    private string Gelu()
    {
        var x = In(0);
        if (Item(1) is "tanh")
        {
            var inner = Add("Mul", Add("Add", x, Add("Mul", Add("Mul", Add("Mul", x, x), x), Fixed(0.044715f))),
                Fixed((float)Math.Sqrt(2 / Math.PI)));
            return Add("Mul", Add("Mul", x, Fixed(0.5f)), Add("Add", Add("Tanh", inner), Fixed(1f)));
        }
        return Add("Mul", Add("Mul", x, Fixed(0.5f)), Add("Add", Add("Erf", Add("Mul", x, Fixed((float)Math.Sqrt(0.5)))), Fixed(1f)));
    }

    private string AveragePool()
    {
        var window = List(1, [1, 1]);
        if (Item(6) is long divisor)
        {
            // A sum over the window, over a number of one's own.
            var average = Add("AveragePool", [In(0)], ("kernel_shape", window), ("strides", List(2, window)),
                ("pads", Twice(List(3, new long[window.Length]))), ("ceil_mode", Whole(4, 0)), ("count_include_pad", 1L));
            return Add("Mul", average, Fixed((float)(window.Aggregate(1.0, (n, size) => n * size) / divisor)));
        }
        return Add("AveragePool", [In(0)], ("kernel_shape", window), ("strides", List(2, window)), ("pads", Twice(List(3, new long[window.Length]))),
            ("ceil_mode", Whole(4, 0)), ("count_include_pad", Whole(5, 1)));
    }

    private string AdaptivePool()
    {
        var (to, from) = (List(1, [1, 1]), Shape(0)[2..]);
        if (to.SequenceEqual(from)) return In(0);
        if (to.All(size => size == 1)) return Add("GlobalAveragePool", In(0));
        if (Enumerable.Range(0, 2).Any(k =>
            from[k] % to[k] != 0)) throw No($"pooling {from[0]}×{from[1]} to {to[0]}×{to[1]} has windows of several sizes");
        long[] window = [from[0] / to[0], from[1] / to[1]];
        return Add("AveragePool", [In(0)], ("kernel_shape", window), ("strides", window));
    }

    private IEnumerable<long> Target() => Result.Length > 0 && Result.Skip(1).All(size => size >= 0) ? Result.Skip(1)
        : throw No("the batch does not stand first");

    private string Transpose()
    {
        var rank = Shape(0).Length;
        long[] order = [.. Enumerable.Range(0, rank).Select(k => (long)k)];
        var (a, b) = _node.Kind == "aten::t" ? (0L, 1L) : (Axis(1), Axis(2));
        (order[a], order[b]) = (order[b], order[a]);
        return Add("Transpose", [In(0)], ("perm", order));
    }

    private string Slice(string x, long axis, long from, long to, long step) => AddSlice(x, axis, from, to, step);

    private string AddSlice(string x, long axis, long from, long to, long step) => Add("Slice", x, Fixed(from), Fixed(to), Fixed(axis), Fixed(step));

    private string[] Pieces(long axis, long[] sizes) => AddMany("Split", [In(0), Fixed(sizes)], sizes.Length, ("axis", axis));

    private string Pad()
    {
        var (sides, rank) = (List(1, []), Shape(0).Length);
        if (sides.Any(side => side < 0))
        {
            // libtorch crops by negative borders.
            var x = In(0);
            for (var k = 0; k < sides.Length / 2; k++)
            {
                var axis = rank - 1 - k;
                if (sides[2 * k] > 0 || sides[2 * k + 1] > 0) throw No("borders that both grow and shrink");
                if (sides[2 * k] < 0 || sides[2 * k + 1] < 0) x =
                    AddSlice(x, axis, -sides[2 * k], sides[2 * k + 1] < 0 ? sides[2 * k + 1] : long.MaxValue, 1);
            }
            return x;
        }
        var pads = new long[2 * rank];
        for (var k = 0; k < sides.Length / 2; k++) (pads[rank - 1 - k], pads[2 * rank - 1 - k]) = (sides[2 * k], sides[2 * k + 1]);
        return Add("Pad", In(0), Fixed(pads), Fixed((float)Real(2, 0)));
    }

    private string Roll(string x, long shift, long axis)
    {
        var size = Shape(0)[axis];
        var cut = ((-shift % size) + size) % size;
        return cut == 0 ? x : Add("Concat", [AddSlice(x, axis, cut, long.MaxValue, 1), AddSlice(x, axis, 0, cut, 1)], ("axis", axis));
    }

    private string LayerNorm()
    {
        var size = List(1, []);
        var (scale, shift) = (Given(2) ? In(2) : Fixed([.. Enumerable.Repeat(1f, (int)size[^1])], size),
            Given(3) ? In(3) : Fixed(new float[size[^1]], size));
        return Add("LayerNormalization", [In(0), scale, shift], ("axis", (long)-size.Length), ("epsilon", Real(4, 1e-5)));
    }
}
