using Graft.Graphs;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Imports;

/// <summary>
/// ONNX's operators as calls of libtorch's. Each runs for two batches while it is read: a value that does not depend on the picture is worked
/// out, one that depends on the batch's size alone for both sizes, and where the two differ the graph leaves the size free.
/// </summary>
/// <param name="builder">Runs two examples.</param>
/// <param name="opset">7 to 21.</param>
/// <param name="constants">The file's initializers.</param>
/// <param name="fixedBatch">Whether the file is written for one size of batch: sizes in it may then be the batch without saying so.</param>
internal sealed class OnnxOperators(GraphBuilder builder, long opset, IReadOnlyDictionary<string, TorchTensor> constants, bool fixedBatch)
{
    private readonly Dictionary<string, Symbol> _values = [];
    private int _fixed;
    private Onnx.Node _node = null!;
    private Symbol?[] _inputs = [];

    /// <summary>Gives a name to a value.</summary>
    public void Set(string name, Symbol symbol) => _values[name] = symbol;

    /// <summary>A finished value.</summary>
    public Symbol Output(string name) => _values.GetValueOrDefault(name) ?? throw new InvalidDataException($"no node gives the output '{name}'");

    /// <summary>Runs a node.</summary>
    public void Run(Onnx.Node node)
    {
        if (node.Domain is not ("" or "ai.onnx")) throw No($"its operator {node.Domain}.{node.OpType} is not ONNX's own");
        _node = node;
        builder.Layer = node.Name.Length > 0 ? node.Name : node.Output.Count > 0 ? node.Output[0] : "";
        _inputs = [.. node.Input.Select(name => name.Length == 0 ? null : Find(name))];
        var results = OnTurned();
        for (var k = 0; k < node.Output.Count && k < results.Length; k++) if (node.Output[k].Length > 0) _values[node.Output[k]] = results[k];
        if (_inputs.Any(input => input is { BatchAxis: >= 0 } && Inside(input) && results[0].BatchAxis == input.BatchAxis && results[0].Shape[input.BatchAxis] == input.Shape[input.BatchAxis]))
            _inside.Add(((Reference)results[0].Operand).Name);
        // A weight in another shape is a weight.
        if (node.OpType is "Reshape" or "Transpose" or "Unsqueeze" or "Squeeze" or "Flatten" or "Cast" && _inputs is [{ Operand: Weight { Name: var from } }, ..] && results[0] is { Operand: Reference, Second: null, Example: var moved })
            _values[node.Output[0]] = Held(node.Output[0], moved.Contiguous(), builder.IsBuffer(from), _ofNodes.Contains(from));
    }

    private Symbol Find(string name)
    {
        if (_values.TryGetValue(name, out var value)) return value;
        if (!constants.TryGetValue(name, out var tensor)) throw new InvalidDataException($"the node '{builder.Layer}' reads '{name}', which no node gives");
        // A number without dimensions is arithmetic's, unless a layer takes it for its weight.
        return _values[name] = Held(name, tensor, !tensor.Type.IsFloating() || tensor.Dimensions == 0, ofNode: false);
    }

    // Weights that nodes hold instead of the file's list: fixed, until a layer is seen to read them.
    private readonly HashSet<string> _ofNodes = [];
    private bool _trains;

    private Symbol Held(string name, TorchTensor tensor, bool buffer, bool ofNode)
    {
        if (ofNode) _ofNodes.Add(name);
        return builder.Weight(name, tensor, buffer);
    }

    /// <summary>An input that is a layer's weight: trained, wherever the file keeps it.</summary>
    private Symbol Trained(int k)
    {
        var found = In(k);
        if (found.Operand is Weight { Name: var name } && found.Example.Type.IsFloating()) builder.Train(name, _trains = true);
        return found;
    }

    private Symbol? MaybeTrained(int k) => Given(k) ? Trained(k) : null;

    /// <summary>An input that is a layer's running statistic.</summary>
    private Symbol Statistic(int k)
    {
        var found = In(k);
        if (found.Operand is Weight { Name: var name }) builder.Train(name, false);
        return found;
    }

    /// <summary>An input of arithmetic. A node's own numbers for each channel, added or multiplied behind a layer, are its bias or scale.</summary>
    private Symbol Term(int k)
    {
        var found = In(k);
        if (found.Operand is not Weight { Name: var name } || !In(1 - k).Batched) return found;
        // Before any layer a picture is only brought to its scale.
        if (!_trains) return Statistic(k);
        return _node.OpType is "Add" or "Mul" && _ofNodes.Contains(name) && found.Shape.Count(size => size > 1) == 1 ? Trained(k) : found;
    }

    /// <summary>
    /// Arithmetic on a picture with the channels last, before the graph turns it round: done on the picture as it was, and turned afterwards, so
    /// that no stage ends with channels last.
    /// </summary>
    private Symbol[] OnTurned()
    {
        var turned = Array.FindIndex(_inputs, input => input is { Batched: true });
        if (_node.OpType is not ("Add" or "Sub" or "Mul" or "Div" or "Cast" or "Clip" or "Relu" or "Neg") || turned < 0 || !IsTurned(_inputs[turned]!, out var source)) return Apply();
        var channels = source.Shape[1];
        if (_inputs.Where((_, k) => k != turned).Any(input => input is not null && (input.Operand is not Weight || (input.Example.Count > 1 && (input.Example.Count != channels || input.Shape[^1] != channels))))) return Apply();
        _inputs = [.. _inputs.Select((input, k) => k == turned ? source : input is { Operand: Weight { Name: var name }, Example: { Count: > 1 } each }
            ? Held($"{name}.channels", each.Reshape([channels, 1, 1]), builder.IsBuffer(name), _ofNodes.Contains(name)) : input)];
        return [Permuted(Apply()[0], s_last)];
    }

    private static readonly long[] s_last = [0, 2, 3, 1];

    private bool IsTurned(Symbol x, out Symbol source)
    {
        source = x;
        return x.Operand is Reference { Name: var name } && _permuted.TryGetValue(name, out var found) && found.Order.SequenceEqual(s_last) && (source = found.Source) is not null;
    }

    private readonly Dictionary<string, (Symbol Source, long[] Order)> _permuted = [];

    private GraftException No(string what) => new($"node '{(_node.Name.Length > 0 ? _node.Name : _node.Output.FirstOrDefault())}': {what}");

    private bool Given(int k) => k < _inputs.Length && _inputs[k] is not null;

    private Symbol In(int k) => Given(k) ? _inputs[k]! : throw new InvalidDataException($"the node '{builder.Layer}' ({_node.OpType}) lacks its input {k}");

    private Symbol? Maybe(int k) => Given(k) ? In(k) : null;

    /// <summary>Fixed whole numbers.</summary>
    private long[] Numbers(int k) => Fixed(k).ToArray<long>();

    /// <summary>Whole numbers that do not depend on the picture; −1 for those that are the batch.</summary>
    private long[] Sizes(int k)
    {
        var values = Known(k).Example.ToArray<long>();
        if (In(k).Second is not { } second) return values;
        var others = second.ToArray<long>();
        return [.. values.Select((value, at) => value == others[at] ? value : -1)];
    }

    private Symbol Known(int k) => In(k) is { Batched: false } found ? found : throw No($"the input {k} of {_node.OpType} depends on the picture, which Graft does not know");

    private TorchTensor Fixed(int k) => Known(k) is { Second: null, Example: var found } ? found : throw No($"the input {k} of {_node.OpType} depends on the batch's size, which Graft does not know");

    private Onnx.Attribute? Attribute(string name) => _node.Attribute.FirstOrDefault(attribute => attribute.Name == name);

    private long Number(string name, long otherwise) => Attribute(name)?.I ?? otherwise;

    private double Real(string name, double otherwise) => Attribute(name) is { } found ? found.F : otherwise;

    private string Text(string name, string otherwise) => Attribute(name)?.S.ToStringUtf8() ?? otherwise;

    private long[]? List(string name) => Attribute(name) is { } found ? [.. found.Ints] : null;

    /// <summary>Axes by attribute (older opsets) or by input.</summary>
    private long[]? Axes(int input, string name = "axes") => List(name) ?? (Given(input) ? Numbers(input) : null);

    private Symbol Constant(TorchTensor tensor)
    {
        while (constants.ContainsKey($"fixed.{_fixed}")) _fixed++;
        return builder.Weight($"fixed.{_fixed++}", tensor, buffer: true);
    }

    private Symbol Call(string op, params object?[] arguments) => builder.Call(op, arguments);

    private Symbol One(string op) => Call(op, In(0));

    private Symbol[] Apply()
    {
        switch (_node.OpType)
        {
            case "Constant": return [Held(_node.Output[0], ConstantValue(), buffer: true, ofNode: true)];
            // PyTorch writes weights that begin as equals once, with an Identity for each other: they are weights of their own.
            case "Identity" when In(0) is { Operand: Weight { Name: var twin } } equal: return [Held(_node.Output[0], equal.Example.Clone(), builder.IsBuffer(twin), _ofNodes.Contains(twin)) with { Second = equal.Second }];
            case "Identity" or "Dropout" or "DropoutGrad": return [In(0)];
            case "Relu": return [One("aten::relu")];
            case "Sigmoid": return [One("aten::sigmoid")];
            case "Tanh": return [One("aten::tanh")];
            case "Exp": return [One("aten::exp")];
            case "Log": return [One("aten::log")];
            case "Sqrt": return [One("aten::sqrt")];
            case "Neg": return [One("aten::neg")];
            case "Abs": return [One("aten::abs")];
            case "Erf": return [One("aten::erf")];
            case "Floor": return [One("aten::floor")];
            case "Ceil": return [One("aten::ceil")];
            case "Round": return [One("aten::round")];
            case "Sin": return [One("aten::sin")];
            case "Cos": return [One("aten::cos")];
            case "Not": return [One("aten::logical_not")];
            case "Reciprocal": return [One("aten::reciprocal")];
            case "Softplus": return [Call("aten::softplus", In(0), 1L, 20L)];
            case "Softsign": return [Call("aten::div.Tensor", In(0), Call("aten::add.Scalar", One("aten::abs"), 1.0, 1L))];
            case "HardSwish": return [One("aten::hardswish")];
            case "Mish": return [One("aten::mish")];
            case "Gelu": return [Call("aten::gelu", In(0), Text("approximate", "none"))];
            case "LeakyRelu": return [Call("aten::leaky_relu", In(0), Real("alpha", 0.01))];
            case "Elu": return [Call("aten::elu", In(0), Real("alpha", 1), 1L, 1L)];
            case "Selu": return [One("aten::selu")];
            case "HardSigmoid": return [Call("aten::clamp", Call("aten::add.Scalar", Call("aten::mul.Scalar", In(0), Real("alpha", 0.2)), Real("beta", 0.5), 1L), 0.0, 1.0)];
            case "PRelu": return [Call("aten::add.Tensor", One("aten::relu"), Call("aten::mul.Tensor", Call("aten::clamp", In(0), null, 0.0), Trained(1)), 1L)];
            case "Clip": return [Call("aten::clamp", In(0), Bound(1, "min"), Bound(2, "max"))];
            case "Softmax" or "LogSoftmax": return [Softmax(_node.OpType == "Softmax" ? "aten::softmax.int" : "aten::log_softmax.int")];
            case "Add": return [Add()];
            case "Sub": return [Call("aten::sub.Tensor", Term(0), Term(1), 1L)];
            case "Mul": return [Call("aten::mul.Tensor", Term(0), Term(1))];
            case "Div": return [In(0).Example.Type.IsFloating() || In(1).Example.Type.IsFloating() ? Call("aten::div.Tensor", Term(0), Term(1)) : Call("aten::div.Tensor_mode", In(0), In(1), "trunc")];
            case "Pow": return [Call("aten::pow.Tensor_Tensor", In(0), In(1))];
            case "Mod": return [Call("aten::remainder.Tensor", In(0), In(1))];
            case "Max" or "Min" or "Sum" or "Mean": return [Fold(_node.OpType)];
            case "Equal": return [Call("aten::eq.Tensor", In(0), In(1))];
            case "Greater": return [Call("aten::gt.Tensor", In(0), In(1))];
            case "Less": return [Call("aten::lt.Tensor", In(0), In(1))];
            case "And": return [Call("aten::logical_and", In(0), In(1))];
            case "Or": return [Call("aten::logical_or", In(0), In(1))];
            case "Where": return [Call("aten::where.self", In(0), In(1), In(2))];
            case "Cast": return [Call("aten::to.dtype", In(0), CastTo(), false, false, null)];
            case "Conv": return [Convolution()];
            case "ConvTranspose": return [Transposed()];
            case "Gemm": return [Gemm()];
            case "MatMul": return [MatMul()];
            case "BatchNormalization": return [Call("aten::batch_norm", In(0), Trained(1), Trained(2), Statistic(3), Statistic(4), false, 0.1, Real("epsilon", 1e-5), false)];
            case "InstanceNormalization": return [Call("aten::instance_norm", In(0), Trained(1), Trained(2), null, null, true, 0.1, Real("epsilon", 1e-5), false)];
            case "LayerNormalization": return [LayerNorm()];
            case "GroupNormalization": return [Call("aten::group_norm", In(0), Number("num_groups", 1), Trained(1), Trained(2), Real("epsilon", 1e-5), false)];
            case "LRN": return [Normalisation.AcrossChannels(builder, In(0), Number("size", 1), Real("alpha", 1e-4), Real("beta", 0.75), Real("bias", 1))];
            case "MaxPool": return [Pool(true)];
            case "AveragePool": return [Pool(false)];
            case "GlobalAveragePool": return [Call("aten::mean.dim", In(0), Positions(In(0)), true, null)];
            case "GlobalMaxPool": return [Call("aten::amax", In(0), Positions(In(0)), true)];
            case "Concat": return [Concat()];
            case "Split": return Split();
            case "Flatten": return [Flatten()];
            case "Reshape": return [Reshape()];
            case "Transpose": return [Transpose()];
            case "Squeeze": return [Squeeze()];
            case "Unsqueeze": return [(Axes(1) ?? []).Select(axis => axis < 0 ? axis + In(0).Shape.Length + Axes(1)!.Length : axis).Order().Aggregate(In(0), (x, axis) => Call("aten::unsqueeze", x, axis))];
            case "Slice": return [Slice()];
            case "Gather": return [Gather()];
            case "Pad": return [Pad()];
            case "Expand": return [Expand()];
            case "Tile": return [Tile()];
            case "Resize" or "Upsample": return [Resize()];
            case "DepthToSpace": return [DepthToSpace()];
            case "Shape": return [Shape()];
            case "Size": return [Constant(TorchTensor.From([In(0).Example.Count]).Reshape([])) with { Second = In(0).Second is { } other ? TorchTensor.From([other.Count]).Reshape([]) : null }];
            case "ConstantOfShape": return [ConstantOfShape()];
            case "Range": return [Constant(Ops.Arange((Scalar)Fixed(0).Item(), (Scalar)Fixed(1).Item(), (Scalar)Fixed(2).Item(), dtype: Fixed(0).Type))];
            case "ReduceMean" or "ReduceSum" or "ReduceMax" or "ReduceMin" or "ReduceProd" or "ReduceL2": return [Reduce()];
            case "ArgMax": return [Call("aten::argmax", In(0), Number("axis", 0), Number("keepdims", 1) != 0)];
            case "Einsum": return [Call("aten::einsum", Text("equation", ""), Enumerable.Range(0, _inputs.Length).Select(In).ToArray(), null)];
            default: throw No($"Graft does not know ONNX's operator {_node.OpType}");
        }
    }

    private TorchTensor ConstantValue()
    {
        if (Attribute("value")?.T is { } tensor) return OnnxReader.Tensor(tensor);
        if (Attribute("value_float") is { } real) return TorchTensor.From([real.F]).Reshape([]);
        if (Attribute("value_int") is { } whole) return TorchTensor.From([whole.I]).Reshape([]);
        if (Attribute("value_floats") is { } reals) return TorchTensor.From<float>([.. reals.Floats]);
        return Attribute("value_ints") is { } wholes ? TorchTensor.From<long>([.. wholes.Ints]) : throw No("a constant of this kind is not known");
    }

    private object? Bound(int input, string name) => Attribute(name) is { } found ? (double)found.F : Given(input) ? Fixed(input).Item() : null;

    private Symbol Softmax(string op)
    {
        if (opset >= 13) return Call(op, In(0), Number("axis", -1), null);
        var (x, axis) = (In(0), Number("axis", 1));
        if (axis < 0) axis += x.Shape.Length;
        // Before opset 13 everything from the axis on counted as one.
        if (axis == x.Shape.Length - 1 || x.Shape.Skip((int)axis + 1).All(size => size == 1)) return Call(op, x, axis, null);
        throw No("a softmax over several dimensions (opset < 13) is not known");
    }

    // A matrix product and a bias after it are a dense layer.
    private Symbol Add()
    {
        var (a, b) = (In(0), In(1));
        if (a.Operand is not Reference) (a, b) = (b, a);
        if (a.Operand is Reference { Name: var made } && b.Operand is Weight { Name: var bias } && b.Shape.Length == 1 && builder.Nodes.LastOrDefault(node => node.Outputs.Contains(made)) is { Op: "aten::linear" } linear && linear.Inputs[2] is Literal { Value: null } && b.Shape[0] == a.Shape[^1]
            && linear.Inputs is [Reference source, Weight weight, ..] && _sources.TryGetValue(made, out var input))
        {
            builder.Layer = linear.Layer;
            builder.Train(bias, true);
            return Call("aten::linear", input, builder.Weights[weight.Name], b);
        }
        return Call("aten::add.Tensor", Term(0), Term(1), 1L);
    }

    private readonly Dictionary<string, Symbol> _sources = [];

    private Symbol Linear(Symbol x, Symbol weight, Symbol? bias)
    {
        var y = Call("aten::linear", x, weight, bias);
        _sources[((Reference)y.Operand).Name] = x;
        return y;
    }

    private Symbol Turned(Symbol weight) => weight.Operand is Weight { Name: var name } ? builder.Weight(name + ".transposed", () => weight.Example.T().Contiguous()) : Call("aten::t", weight);

    private Symbol Gemm()
    {
        var (x, weight, alpha, beta) = (In(0), Trained(1), Real("alpha", 1), Real("beta", 1));
        if (Number("transA", 0) != 0) x = Call("aten::t", x);
        if (alpha == 1 && weight.Operand is Weight && (!Given(2) || (beta == 1 && In(2).Shape.Length == 1)))
            return Linear(x, Number("transB", 0) != 0 ? weight : Turned(weight), MaybeTrained(2));
        var y = Call("aten::mul.Scalar", Call("aten::matmul", x, Number("transB", 0) != 0 ? Call("aten::t", weight) : weight), alpha);
        return Given(2) ? Call("aten::add.Tensor", y, Trained(2), beta) : y;
    }

    private Symbol MatMul() => In(0).Batched && In(1).Operand is Weight && In(1).Shape.Length == 2 ? Linear(In(0), Turned(Trained(1)), null)
        : Call("aten::matmul", In(1).Batched ? Trained(0) : In(0), In(0).Batched ? Trained(1) : In(1));

    private Symbol LayerNorm()
    {
        var (x, axis) = (In(0), Number("axis", -1));
        if (axis < 0) axis += x.Shape.Length;
        return Call("aten::layer_norm", x, x.Shape[(int)axis..], Trained(1), MaybeTrained(2), Real("epsilon", 1e-5), false);
    }

    private Symbol Fold(string kind)
    {
        var sum = In(0);
        for (var k = 1; k < _inputs.Length; k++)
            sum = kind switch { "Max" => Call("aten::maximum", sum, In(k)), "Min" => Call("aten::minimum", sum, In(k)), _ => Call("aten::add.Tensor", sum, In(k), 1L) };
        return kind == "Mean" ? Call("aten::mul.Scalar", sum, 1.0 / _inputs.Length) : sum;
    }

    private DType CastTo() => Number("to", 1) switch
    {
        1 or 10 or 11 or 16 => DType.Float32, 2 => DType.UInt8, 3 => DType.Int8, 5 => DType.Int16, 6 or 7 or 12 or 13 => DType.Int64, 9 => DType.Bool,
        var other => throw No($"a cast to ONNX's element type {other} is not known"),
    };

    private static long[] Positions(Symbol x) => [.. Enumerable.Range(2, x.Shape.Length - 2).Select(k => (long)k)];

    /// <summary>Borders before and after each dimension, by pads or auto_pad.</summary>
    private (long[] Before, long[] After) Borders(Symbol x, long[] window, long[] stride, long[] dilation)
    {
        var n = window.Length;
        var kind = Text("auto_pad", "NOTSET");
        if (kind is "NOTSET" or "VALID") return kind == "NOTSET" && List("pads") is { Length: > 0 } pads && pads.Length == 2 * n ? (pads[..n], pads[n..]) : (new long[n], new long[n]);
        var total = Enumerable.Range(0, n).Select(k => Math.Max(0, ((x.Shape[2 + k] + stride[k] - 1) / stride[k] - 1) * stride[k] + dilation[k] * (window[k] - 1) + 1 - x.Shape[2 + k])).ToArray();
        long[] half = [.. total.Select(side => side / 2)], rest = [.. total.Select(side => side - side / 2)];
        return kind == "SAME_UPPER" ? (half, rest) : (rest, half);
    }

    private Symbol Bordered(Symbol x, ref long[] before, long[] after, double fill)
    {
        if (before.SequenceEqual(after)) return x;
        var first = before;
        long[] sides = [.. Enumerable.Range(0, before.Length).Reverse().SelectMany(k => new[] { first[k], after[k] })];
        before = new long[before.Length];
        return Call("aten::constant_pad_nd", x, sides, fill);
    }

    private static long[] Ones(int count) => [.. Enumerable.Repeat(1L, count)];

    private Symbol Convolution()
    {
        var (x, weight) = (In(0), Trained(1));
        var n = weight.Shape.Length - 2;
        if (n is not (1 or 2)) throw No($"a convolution over {n} dimensions is not known");
        long[] window = weight.Shape[2..], stride = List("strides") ?? Ones(n), dilation = List("dilations") ?? Ones(n);
        var (before, after) = Borders(x, window, stride, dilation);
        x = Bordered(x, ref before, after, 0);
        return Call($"aten::conv{n}d", x, weight, MaybeTrained(2), stride, before, dilation, Number("group", 1));
    }

    private Symbol Transposed()
    {
        var weight = Trained(1);
        var n = weight.Shape.Length - 2;
        long[] stride = List("strides") ?? Ones(n), dilation = List("dilations") ?? Ones(n);
        var (before, after) = Borders(In(0), weight.Shape[2..], stride, dilation);
        if (n != 2 || !before.SequenceEqual(after) || Attribute("output_shape") is not null) throw No("a transposed convolution of this kind is not known");
        return Call("aten::conv_transpose2d.input", In(0), weight, MaybeTrained(2), stride, before, List("output_padding") ?? [0, 0], Number("group", 1), dilation);
    }

    private Symbol Pool(bool most)
    {
        var x = In(0);
        long[] window = List("kernel_shape") ?? throw No("it has no kernel_shape"), stride = List("strides") ?? Ones(window.Length), dilation = List("dilations") ?? Ones(window.Length);
        if (window.Length != 2) return PoolOther(most, x, window, stride);
        var (before, after) = Borders(x, window, stride, dilation);
        var up = Number("ceil_mode", 0) != 0;
        var counted = Number("count_include_pad", 0) != 0;
        if (most) x = Bordered(x, ref before, after, -3.4e38);
        else if (!before.SequenceEqual(after) && !counted) throw No("an average over uneven borders that do not count is not known");
        else x = Bordered(x, ref before, after, 0);
        return most ? Call("aten::max_pool2d", x, window, stride, before, dilation, up) : Call("aten::avg_pool2d", x, window, stride, before, up, counted, null);
    }

    private Symbol PoolOther(bool most, Symbol x, long[] window, long[] stride)
    {
        var (before, after) = Borders(x, window, stride, Ones(window.Length));
        if (most || window.Length != 3 || before.Concat(after).Any(side => side != 0)) throw No($"pooling over {window.Length} dimensions of this kind is not known");
        return Call("aten::avg_pool3d", x, window, stride, before, false, true, null);
    }

    private Symbol[] Split()
    {
        var (x, axis) = (In(0), Number("axis", 0));
        if (axis < 0) axis += x.Shape.Length;
        var count = _node.Output.Count;
        var sizes = List("split") ?? (Given(1) ? Numbers(1) : null);
        var each = (x.Shape[axis] + count - 1) / count;
        sizes ??= [.. Enumerable.Range(0, count).Select(k => Math.Min(each, x.Shape[axis] - k * each))];
        var starts = sizes.Select((_, k) => sizes[..k].Sum()).ToArray();
        return [.. sizes.Select((size, k) => Call("aten::narrow", x, axis, starts[k], size))];
    }

    private Symbol Flatten()
    {
        var (x, axis) = (In(0), (int)Number("axis", 1));
        if (axis < 0) axis += x.Shape.Length;
        return Shaped(x, [Product(x.Shape[..axis]), Product(x.Shape[axis..])], null);
    }

    private static long Product(IEnumerable<long> sizes) => sizes.Aggregate(1L, (n, size) => n * size);

    private Symbol Reshape()
    {
        var (x, target) = (In(0), Known(1));
        var copies = Number("allowzero", 0) == 0;
        long[] Stated(TorchTensor tensor, long[] shape)
        {
            var sizes = tensor.ToArray<long>();
            if (copies) for (var k = 0; k < sizes.Length; k++) if (sizes[k] == 0) sizes[k] = shape[k];
            if (Array.IndexOf(sizes, -1) is var open and >= 0) sizes[open] = Product(shape) / Math.Max(1, -Product(sizes));
            return sizes;
        }
        var first = Stated(target.Example, x.Shape);
        if (x.Second is null) return Call("aten::reshape", x, Numbers(1).Length == first.Length ? first : Numbers(1));
        var second = Stated(target.Second ?? target.Example, x.Second.Shape);
        return Shaped(x, first, Product(second) == x.Second.Count ? second : null, said: target.Second is not null);
    }

    /// <summary>
    /// A reshape that follows the batch. In memory the batch stands behind the dimensions before it; the new dimension that begins there grows
    /// with it, so that each picture keeps the shape that the file gives it. The last dimension, what a dense layer reads, does not grow.
    /// </summary>
    /// <param name="x">What changes its shape.</param>
    /// <param name="first">The shape for the first example.</param>
    /// <param name="second">The shape that the file's numbers give for the second, where they fit it.</param>
    /// <param name="said">The file works the shape out from the batch.</param>
    private Symbol Shaped(Symbol x, long[] first, long[]? second, bool said = false)
    {
        if (!x.Batched) return second is null || first.SequenceEqual(second) ? Call("aten::reshape", x, first) : throw No("its shape depends on the batch's size, its values do not");
        var grown = second is null ? [] : Enumerable.Range(0, first.Length).Where(k => first[k] != second[k]).ToArray();
        var before = Product(x.Shape[..Math.Max(0, x.BatchAxis)]) * (Inside(x) ? x.Shape[x.BatchAxis] / builder.Batch : 1);
        var behind = Enumerable.Range(0, first.Length).Where(k => Product(first[..k]) == before && first[k] % builder.Batch == 0).ToArray();
        var alone = behind.Where(k => first[k] == builder.Batch).ToArray();
        int free;
        if (grown.Length == 1 && (said || (!fixedBatch && alone.Contains(grown[0])))) free = grown[0];
        else if (alone.Length > 0) free = alone[0];
        else if (before > 1 && grown.Length == 1) free = grown[0];
        else if (behind.Length > 0) free = behind[0] > 0 && behind[0] == first.Length - 1 ? behind[0] - 1 : behind[0];
        else throw No($"it makes {string.Join('×', first)} of {string.Join('×', x.Shape)}, and the batch has no place in it. {GraphBuilder.Advice}");
        long[] shape = [.. first];
        shape[free] = -1;
        var y = Call("aten::reshape", x, shape);
        if (before > Product(first[..free]) && before * builder.Batch == Product(first[..(free + 1)])) _inside.Add(((Reference)y.Operand).Name);
        return y;
    }

    // Values whose batch lies inside its dimension, behind what each picture has there: rows of positions × pictures.
    private readonly HashSet<string> _inside = [];

    private bool Inside(Symbol x) => x.Operand is Reference { Name: var name } && _inside.Contains(name);

    private Symbol Transpose()
    {
        var x = In(0);
        var order = List("perm") ?? [.. Enumerable.Range(0, x.Shape.Length).Reverse().Select(k => (long)k)];
        // Two that undo each other are none.
        var undone = x.Operand is Reference { Name: var name } && _permuted.TryGetValue(name, out var found) && order.Select(k => found.Order[k]).SequenceEqual(order.Order());
        return undone ? _permuted[((Reference)x.Operand).Name].Source : Permuted(x, order);
    }

    /// <summary>Dimensions in another order.</summary>
    public Symbol Permuted(Symbol x, long[] order)
    {
        var y = Call("aten::permute", x, order);
        _permuted[((Reference)y.Operand).Name] = (x, order);
        return y;
    }

    // The batch stays, however large the example's is.
    private Symbol Squeeze()
    {
        var x = In(0);
        var axes = Axes(1) ?? [.. Enumerable.Range(0, x.Shape.Length).Where(k => x.Shape[k] == 1).Select(k => (long)k)];
        return axes.Select(axis => axis < 0 ? axis + x.Shape.Length : axis).Where(axis => !x.Batched || axis != x.BatchAxis).OrderDescending().Aggregate(x, (y, axis) => Call("aten::squeeze.dim", y, axis));
    }

    private Symbol Concat()
    {
        var all = Enumerable.Range(0, _inputs.Length).Select(In).ToArray();
        var axis = Number("axis", 0);
        // A token that the file keeps for a batch of one goes to every picture.
        if (fixedBatch && all.FirstOrDefault(item => item is { Batched: true, BatchAxis: 0 }) is { } batched && axis is not 0)
            all = [.. all.Select(item => !item.Batched && item.Shape[0] == 1 ? Call("aten::add.Tensor", item, builder.ZerosLikeBatch(batched, Ones(item.Shape.Length - 1)), 1L) : item)];
        return Call("aten::cat", all, axis);
    }

    private Symbol Tile()
    {
        var (x, times) = (In(0), Sizes(1));
        if (!times.Contains(-1)) return Call("aten::repeat", x, times);
        if (x.Batched || times[0] != -1 || x.Shape[0] != 1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Tensor", Call("aten::repeat", x, (long[])[1, .. times.Skip(1)]), builder.ZerosLikeBatch(AnyBatched(), Ones(times.Length - 1)), 1L);
    }

    private Symbol AnyBatched() => _values.Values.First(value => value.Batched);

    private Symbol Slice()
    {
        var x = In(0);
        var (starts, ends) = (List("starts") ?? Numbers(1), List("ends") ?? Known(2).Example.ToArray<long>());
        var axes = Axes(3) ?? [.. Enumerable.Range(0, starts.Length).Select(k => (long)k)];
        var steps = Given(4) ? Numbers(4) : Ones(starts.Length);
        for (var k = 0; k < starts.Length; k++)
        {
            if (steps[k] == -1) { x = Call("aten::flip", x, (long[])[axes[k]]); continue; }
            if (steps[k] < 1) throw No($"a slice with the step {steps[k]} is not known");
            // All of it; of the batch as well, of which only the example's size is known.
            if (starts[k] == 0 && ends[k] >= x.Shape[axes[k] < 0 ? axes[k] + x.Shape.Length : axes[k]] && steps[k] == 1) continue;
            if (List("ends") is null) ends = Numbers(2);
            x = Call("aten::slice.Tensor", x, axes[k], starts[k], Math.Min(ends[k], long.MaxValue), steps[k]);
        }
        return x;
    }

    private Symbol Gather()
    {
        var (x, axis) = (In(0), Number("axis", 0));
        if (axis < 0) axis += x.Shape.Length;
        if (!x.Batched && In(1).Batched && axis == 0 && x.Shape.Length == 2) return Call("aten::embedding", Trained(0), In(1));
        var index = Fixed(1);
        if (index.Dimensions == 0) return Call("aten::select.int", x, axis, (long)index.Item());
        if (index.Dimensions > 1) throw No("a gather by a matrix of places is not known");
        var places = index.ToArray<long>().Select(place => place < 0 ? place + x.Shape[axis] : place).ToArray();
        return Call("aten::index_select", x, axis, Constant(TorchTensor.From(places)));
    }

    private Symbol Pad()
    {
        var x = In(0);
        var pads = List("pads") ?? Numbers(1);
        var fill = Attribute("value") is { } value ? value.F : Given(2) ? Fixed(2).Item() : 0;
        var n = pads.Length / 2;
        long[] sides = [.. Enumerable.Range(0, n).Reverse().SelectMany(k => new[] { pads[k], pads[n + k] })];
        // Dimensions from the outermost on that have no border are left off, as libtorch's reflection needs.
        var used = sides.Length;
        while (used > 2 && sides[used - 1] == 0 && sides[used - 2] == 0) used -= 2;
        return Text("mode", "constant") switch
        {
            "constant" => Call("aten::constant_pad_nd", x, sides[..used], (double)fill),
            "reflect" => Call("aten::reflection_pad2d", x, sides[..4]),
            "edge" => Call("aten::replication_pad2d", x, sides[..4]),
            var other => throw No($"a border by '{other}' is not known"),
        };
    }

    private Symbol Expand()
    {
        var (x, target) = (In(0), Sizes(1));
        if (!target.Contains(-1)) return Call("aten::add.Tensor", x, Constant(Ops.Zeros(target, dtype: x.Example.Type)), 1L);
        if (target[0] != -1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Tensor", x, builder.ZerosLikeBatch(AnyBatched(), [.. target.Skip(1)]), 1L);
    }

    private Symbol Resize()
    {
        var x = In(0);
        var scales = List("scales") is not null || Attribute("scales") is not null ? [.. Attribute("scales")!.Floats.Select(value => (double)value)]
            : _node.OpType == "Upsample" || opset == 10 ? Fixed(1).ToArray<double>() : Given(2) && Fixed(2).Count > 0 ? Fixed(2).ToArray<double>() : [];
        var sizes = scales.Length > 0 ? [.. x.Shape.Select((size, k) => (long)Math.Floor(size * scales[k]))] : Fixed(3).ToArray<long>();
        if (sizes.Length != 4 || sizes[1] != x.Shape[1]) throw No("a resize of anything but height and width is not known");
        var mode = Text("coordinate_transformation_mode", opset < 11 ? "asymmetric" : "half_pixel");
        long[] to = [sizes[2], sizes[3]];
        return (Text("mode", "nearest"), mode) switch
        {
            ("nearest", _) when to[0] % x.Shape[2] == 0 && to[1] % x.Shape[3] == 0 => Call("aten::upsample_nearest2d", x, to, null, null),
            ("nearest", "asymmetric") => Call("aten::upsample_nearest2d", x, to, null, null),
            ("linear", "align_corners") => Call("aten::upsample_bilinear2d", x, to, true, null, null),
            ("linear", "half_pixel" or "pytorch_half_pixel") => Call("aten::upsample_bilinear2d", x, to, false, null, null),
            ("cubic", "align_corners") => Call("aten::upsample_bicubic2d", x, to, true, null, null),
            ("cubic", "half_pixel" or "pytorch_half_pixel") => Call("aten::upsample_bicubic2d", x, to, false, null, null),
            var (kind, by) => throw No($"resizing by '{kind}' with '{by}' is not known"),
        };
    }

    private Symbol DepthToSpace()
    {
        if (Text("mode", "DCR") == "CRD") return Call("aten::pixel_shuffle", In(0), Number("blocksize", 1));
        var (x, side) = (In(0), Number("blocksize", 1));
        var (channels, h, w) = (x.Shape[1] / (side * side), x.Shape[2], x.Shape[3]);
        return Call("aten::reshape", Call("aten::permute", Call("aten::reshape", x, (long[])[-1, side, side, channels, h, w]), (long[])[0, 3, 4, 1, 5, 2]), (long[])[-1, channels, h * side, w * side]);
    }

    private Symbol Shape()
    {
        var x = In(0);
        var (from, to) = (Number("start", 0), Attribute("end") is { } end ? end.I : x.Shape.Length);
        if (from < 0) from += x.Shape.Length;
        if (to < 0) to += x.Shape.Length;
        var shape = x.Shape[(int)from..(int)Math.Min(to, x.Shape.Length)];
        return Constant(TorchTensor.From(shape)) with { Second = x.BatchAxis >= from && x.BatchAxis < to ? TorchTensor.From(x.Second!.Shape[(int)from..(int)Math.Min(to, x.Shape.Length)]) : null };
    }

    private Symbol ConstantOfShape()
    {
        var shape = Sizes(0);
        var value = Attribute("value")?.T is { } tensor ? OnnxReader.Tensor(tensor) : TorchTensor.From([0f]);
        if (!shape.Contains(-1)) return Constant(Ops.Zeros(shape, dtype: value.Type) + value.Reshape([]));
        if (shape[0] != -1) throw No("the batch stands elsewhere than first");
        return Call("aten::add.Scalar", builder.ZerosLikeBatch(AnyBatched(), shape[1..]), value.Item(), 1L);
    }

    private Symbol Reduce()
    {
        var x = In(0);
        var axes = Axes(1) ?? [.. Enumerable.Range(0, x.Shape.Length).Select(k => (long)k)];
        var keep = Number("keepdims", 1) != 0;
        if (axes.Length == 0) return x;
        if (x.Batched && axes.Any(axis => (axis < 0 ? axis + x.Shape.Length : axis) == x.BatchAxis)) throw No($"{_node.OpType} over the batch is not known");
        return _node.OpType switch
        {
            "ReduceMean" => Call("aten::mean.dim", x, axes, keep, null),
            "ReduceSum" => Call("aten::sum.dim_IntList", x, axes, keep, null),
            "ReduceMax" => Call("aten::amax", x, axes, keep),
            "ReduceMin" => Call("aten::amin", x, axes, keep),
            "ReduceProd" => axes.Length == 1 ? Call("aten::prod.dim_int", x, axes[0], keep, null) : throw No("a product over several dimensions is not known"),
            _ => Call("aten::sqrt", Call("aten::sum.dim_IntList", Call("aten::mul.Tensor", x, x), axes, keep, null)),
        };
    }
}
