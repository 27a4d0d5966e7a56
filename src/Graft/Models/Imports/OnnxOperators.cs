using Graft.Models.Graphs;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Imports;

/// <summary>
/// ONNX's operators as calls of libtorch's. Each runs for two batches while it is read: a value that does not depend on the picture is worked
/// out, one that depends on the batch's size alone for both sizes, and where the two differ the graph leaves the size free.
/// </summary>
/// <param name="builder">Runs two examples.</param>
/// <param name="opset">7 to 21.</param>
/// <param name="constants">The file's initializers.</param>
/// <param name="fixedBatch">Whether the file is written for one size of batch: sizes in it may then be the batch without saying so.</param>
internal sealed partial class OnnxOperators(GraphBuilder builder, long opset, IReadOnlyDictionary<string, TorchTensor> constants, bool fixedBatch)
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
        if (_inputs.Any(input => input is not null && Inside(input) && SameRows(input, results[0]))) _inside.Add(((Reference)results[0].Operand)
            .Name);
        // A weight in another shape is a weight.
        if (node.OpType is "Reshape" or "Transpose" or "Unsqueeze" or "Squeeze" or "Flatten" or "Cast"
            && _inputs is [{ Operand: Weight { Name: var from } }, ..]
            && results[0] is { Operand: Reference, Second: null, Example: var moved })
            _values[node.Output[0]] = Held(node.Output[0], moved.Contiguous(), builder.IsBuffer(from), _ofNodes.Contains(from));
    }

    private Symbol Find(string name)
    {
        if (_values.TryGetValue(name, out var value)) return value;
        if (!constants.TryGetValue(name,
            out var tensor)) throw new InvalidDataException($"the node '{builder.Layer}' reads '{name}', which no node gives");
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
        var arithmetic = _node.OpType is "Add" or "Sub" or "Mul" or "Div" or "Cast" or "Clip" or "Relu" or "Neg";
        if (!arithmetic || turned < 0 || !IsTurned(_inputs[turned]!, out var source)) return Apply();
        var channels = source.Shape[1];
        bool ForEachChannel(Symbol found) => found.Operand is Weight
            && (found.Example.Count == 1 || (found.Example.Count == channels && found.Shape[^1] == channels));
        if (_inputs.Where((_, k) => k != turned).Any(input => input is not null && !ForEachChannel(input))) return Apply();
        _inputs = [.. _inputs.Select((input, k) =>
            k == turned ? source : input is { Operand: Weight { Name: var name }, Example: { Count: > 1 } each }
            ? Held($"{name}.channels", each.Reshape([channels, 1, 1]), builder.IsBuffer(name), _ofNodes.Contains(name)) : input)];
        return [Permuted(Apply()[0], s_last)];
    }

    private static readonly long[] s_last = [0, 2, 3, 1];

    private bool IsTurned(Symbol x, out Symbol source)
    {
        source = x;
        return x.Operand is Reference { Name: var name } && _permuted.TryGetValue(name, out var found) && found.Order.SequenceEqual(s_last)
            && (source = found.Source) is not null;
    }

    private readonly Dictionary<string, (Symbol Source, long[] Order)> _permuted = [];

    private GraftException No(string what) => new($"node '{(_node.Name.Length > 0 ? _node.Name : _node.Output.FirstOrDefault())}': {what}");

    private bool Given(int k) => k < _inputs.Length && _inputs[k] is not null;

    private Symbol In(int k) => Given(k) ? _inputs[k]!
        : throw new InvalidDataException($"the node '{builder.Layer}' ({_node.OpType}) lacks its input {k}");

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

    private Symbol Known(int k) => In(k) is { Batched: false } found ? found
        : throw No($"the input {k} of {_node.OpType} depends on the picture, which Graft does not know");

    private TorchTensor Fixed(int k) => Known(k) is { Second: null, Example: var found } ? found
        : throw No($"the input {k} of {_node.OpType} depends on the batch's size, which Graft does not know");

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
            case "Identity" when In(0) is { Operand: Weight { Name: var twin } } equal: return [Held(_node.Output[0], equal.Example.Clone(),
                builder.IsBuffer(twin), _ofNodes.Contains(twin)) with { Second = equal.Second }];
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
            case "HardSigmoid": return [Call("aten::clamp",
                Call("aten::add.Scalar", Call("aten::mul.Scalar", In(0), Real("alpha", 0.2)), Real("beta", 0.5), 1L), 0.0, 1.0)];
            case "PRelu": return [Call("aten::add.Tensor", One("aten::relu"),
                Call("aten::mul.Tensor", Call("aten::clamp", In(0), null, 0.0), Trained(1)), 1L)];
            case "Clip": return [Call("aten::clamp", In(0), Bound(1, "min"), Bound(2, "max"))];
            case "Softmax" or "LogSoftmax": return [Softmax(_node.OpType == "Softmax" ? "aten::softmax.int" : "aten::log_softmax.int")];
            case "Add": return [Add()];
            case "Sub": return [Call("aten::sub.Tensor", Term(0), Term(1), 1L)];
            case "Mul": return [Call("aten::mul.Tensor", Term(0), Term(1))];
            case "Div": return [In(0).Example.Type.IsFloating() || In(1).Example.Type.IsFloating() ? Call("aten::div.Tensor", Term(0), Term(1))
                : Call("aten::div.Tensor_mode", In(0), In(1), "trunc")];
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
            case "BatchNormalization": return [Call("aten::batch_norm", In(0), Trained(1), Trained(2), Statistic(3), Statistic(4), false, 0.1,
                Real("epsilon", 1e-5), false)];
            case "InstanceNormalization": return [Call("aten::instance_norm", In(0), Trained(1), Trained(2), null, null, true, 0.1,
                Real("epsilon", 1e-5), false)];
            case "LayerNormalization": return [LayerNorm()];
            case "GroupNormalization": return [Call("aten::group_norm", In(0), Number("num_groups", 1), Trained(1), Trained(2),
                Real("epsilon", 1e-5), false)];
            case "LRN": return [Normalisation.AcrossChannels(builder, In(0), Number("size", 1), Real("alpha", 1e-4), Real("beta", 0.75),
                Real("bias", 1))];
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
            case "Unsqueeze": return [(Axes(1) ?? []).Select(axis => axis < 0 ? axis + In(0).Shape.Length + Axes(1)!.Length : axis).Order()
                .Aggregate(In(0), (x, axis) => Call("aten::unsqueeze", x, axis))];
            case "Slice": return [Slice()];
            case "Gather": return [Gather()];
            case "Pad": return [Pad()];
            case "Expand": return [Expand()];
            case "Tile": return [Tile()];
            case "Resize" or "Upsample": return [Resize()];
            case "DepthToSpace": return [DepthToSpace()];
            case "Shape": return [Shape()];
            case "Size": return [Constant(TorchTensor.From([In(0).Example.Count]).Reshape([])) with { Second = In(0).Second is { } other
                ? TorchTensor.From([other.Count]).Reshape([]) : null }];
            case "ConstantOfShape": return [ConstantOfShape()];
            case "Range": return [Constant(
                Ops.Arange((Scalar)Fixed(0).Item(), (Scalar)Fixed(1).Item(), (Scalar)Fixed(2).Item(), dtype: Fixed(0).Type))];
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
}
