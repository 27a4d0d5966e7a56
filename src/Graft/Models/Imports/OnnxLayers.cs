using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Models.Imports;

// Dense layers, convolutions, pooling, softmax and sums.
internal sealed partial class OnnxOperators
{
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
}
