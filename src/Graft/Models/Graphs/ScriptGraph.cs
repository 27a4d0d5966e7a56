using System.Text.Json;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>
/// TorchScript's graph made a <see cref="Graph"/>: numbers and lists that it computes on the way (sizes, views' shapes) are worked out
/// for an example, sizes that are the batch stay free, and what changes a tensor in place gives a new one.
/// </summary>
internal sealed class ScriptGraph
{
    // The example's batch: a number that no network has as a size of anything else.
    private const long Marker = 11;

    private sealed record Size(long Value, bool OfBatch);

    private long Batch => _builder.Batch;

    private readonly GraphBuilder _builder;
    private readonly JsonElement _root;
    private readonly Tensor[] _constants;
    private readonly IReadOnlyDictionary<string, Tensor> _state;
    private readonly IReadOnlySet<string> _buffers;
    private readonly Dictionary<string, object?> _values = [];

    private ScriptGraph(GraphBuilder builder, JsonElement root, Tensor[] constants,
        IReadOnlyDictionary<string, Tensor> state, IReadOnlySet<string> buffers) =>
        (_builder, _root, _constants, _state, _buffers) = (builder, root, constants, state, buffers);

    /// <summary>Reads the graph of a trace or an archive; its weights are those of the script.</summary>
    /// <param name="script">With one input.</param>
    /// <param name="shape">Of the input, without the batch.</param>
    /// <exception cref="GraftException">It branches on data, or calls what is not an operator.</exception>
    public static (Graph Graph, IReadOnlyDictionary<string, Tensor> Weights) Read(Script script, params long[] shape) => Read(script, Marker, shape);

    private static (Graph Graph, IReadOnlyDictionary<string, Tensor> Weights) Read(Script script, long batch, long[] shape)
    {
        var (json, constants) = script.Graph();
        using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 512 });
        using var builder = new GraphBuilder(batch);
        var (state, buffers) = script.State();
        return new ScriptGraph(builder, document.RootElement, constants, state, buffers).Run(shape);
    }

    /// <summary>A backbone's whole function, its own classifier included where it has one.</summary>
    public static (Graph Graph, IReadOnlyDictionary<string, Tensor> Weights) Of(Module module, Func<Tensor, Tensor> forward, params long[] shape)
    {
        using var scope = new TensorScope();
        using var script = Script.Trace(module, inputs => [forward(inputs[0])], Ops.Zeros([1, .. shape]));
        // Graft's own modules never ask for the batch's size, so any will do.
        return Read(script, 1, shape);
    }

    private (Graph, IReadOnlyDictionary<string, Tensor>) Run(long[] shape)
    {
        var inputs = Names(_root.GetProperty("inputs"));
        if (inputs.Length != 2) throw new GraftException($"its forward takes {inputs.Length - 1} inputs, not one picture");
        _values[inputs[0]] = "";
        _values[inputs[1]] = _builder.Input(shape);
        var last = LastReads();
        var at = 0;
        foreach (var node in _root.GetProperty("nodes").EnumerateArray())
        {
            Step(node);
            if (last.TryGetValue(at++, out var done)) foreach (var name in done) Forget(name);
        }
        var output = _values[Names(_root.GetProperty("outputs"))[0]];
        while (output is List<object?> { Count: > 0 } list) output = list[0];
        return _builder.Build(output as Symbol ?? throw new GraftException("its forward gives no tensor"));
    }

    // Examples of a large batch are freed as soon as nothing reads them.
    private Dictionary<int, List<string>> LastReads()
    {
        var last = new Dictionary<string, int>();
        var at = 0;
        foreach (var node in _root.GetProperty("nodes").EnumerateArray())
        {
            var direct = !node.GetProperty("kind").GetString()!.StartsWith("prim::", StringComparison.Ordinal);
            foreach (var name in Reads(node)) last[name] = direct ? at : int.MaxValue;
            at++;
        }
        foreach (var name in Names(_root.GetProperty("outputs"))) last[name] = int.MaxValue;
        return last.Where(item => item.Value != int.MaxValue).GroupBy(item => item.Value)
            .ToDictionary(group => group.Key, group => group.Select(item => item.Key).ToList());
    }

    private static IEnumerable<string> Reads(JsonElement node) => Names(node.GetProperty("in")).Concat(node.TryGetProperty("blocks", out var blocks)
        ? blocks.EnumerateArray().SelectMany(block => block.GetProperty("nodes").EnumerateArray().SelectMany(Reads)
            .Concat(Names(block.GetProperty("outputs")))) : []);

    private void Forget(string name)
    {
        if (_values[name] is not Symbol { Batched: true } symbol || symbol.Operand is not Reference reference || reference.Name == "x") return;
        // A view's memory is its base's: disposing a handle frees nothing that another still holds.
        if (_values.Count(value => ReferenceEquals(value.Value, symbol)) == 1) GraphBuilder.Forget(symbol);
        _values[name] = null;
    }

    private static string[] Names(JsonElement list) => [.. list.EnumerateArray().Select(name => name.GetString()!)];

    private void Step(JsonElement node)
    {
        var kind = node.GetProperty("kind").GetString()!;
        var inputs = Names(node.GetProperty("in"));
        var outputs = Names(node.GetProperty("out"));
        object? In(int k) => _values[inputs[k]];
        switch (kind)
        {
            case "prim::Constant": _values[outputs[0]] = Constant(node.GetProperty("value")); return;
            case "prim::GetAttr": _values[outputs[0]] = Attribute((string)In(0)!, node.GetProperty("name").GetString()!); return;
            case "prim::ListConstruct" or "prim::TupleConstruct": _values[outputs[0]] = inputs.Select((_, k) => In(k)).ToList(); return;
            case "prim::ListUnpack" or "prim::TupleUnpack":
                var items = (List<object?>)In(0)!;
                for (var k = 0; k < outputs.Length; k++) _values[outputs[k]] = items[k];
                return;
            case "prim::NumToTensor" or "aten::Int" or "aten::ScalarImplicit" or "aten::IntImplicit" or "aten::detach" or "aten::contiguous"
                or "aten::alias" or "aten::lift_fresh" or "prim::data" or "aten::requires_grad_":
                _values[outputs[0]] = In(0);
                return;
            case "aten::size":
                var of = (Symbol)In(0)!;
                _values[outputs[0]] = inputs.Length > 1 ? SizeOf(of, (int)Number(In(1))) : Enumerable.Range(0, of.Shape.Length)
                    .Select(k => (object?)SizeOf(of, k)).ToList();
                return;
            case "aten::dim": _values[outputs[0]] = (long)((Symbol)In(0)!).Shape.Length; return;
            case "aten::len": _values[outputs[0]] = In(0) is List<object?> counted ? counted.Count : ((Symbol)In(0)!).Shape[0]; return;
            case "aten::__getitem__" when In(0) is List<object?> list:
                var index = (int)Number(In(1));
                _values[outputs[0]] = list[index < 0 ? index + list.Count : index];
                return;
            case "prim::If" when In(0) is not Symbol:
                // Decided by sizes or options, which are known here.
                var block = node.GetProperty("blocks")[In(0) is true or > 0L ? 0 : 1];
                foreach (var inner in block.GetProperty("nodes").EnumerateArray()) Step(inner);
                var given = Names(block.GetProperty("outputs"));
                for (var k = 0; k < outputs.Length; k++) _values[outputs[k]] = _values[given[k]];
                return;
            case "prim::RaiseException":
                throw new GraftException("its code refuses the example picture of this size: give its own with --size");
            case "prim::is_cuda" or "prim::is_nested": _values[outputs[0]] = false; return;
            case "aten::format": _values[outputs[0]] = ""; return;
            case "prim::Uninitialized": _values[outputs[0]] = null; return;
            case "prim::profile" or "aten::warn": return;
        }
        if (!kind.StartsWith("aten::", StringComparison.Ordinal))
            throw new GraftException($"its graph has {kind}, which depends on what comes in at run time. Save it with torch.jit.trace, which records one straight way through");
        var overload = node.TryGetProperty("overload", out var found) ? found.GetString()! : "";
        var arguments = inputs.Select((_, k) => In(k)).ToArray();
        if (!arguments.Any(argument => argument is Symbol || (argument is List<object?> list && list.Any(item => item is Symbol)))
            && kind is not ("aten::zeros" or "aten::ones" or "aten::arange" or "aten::full" or "aten::tensor"))
        {
            _values[outputs[0]] = Arithmetic(kind, arguments);
            return;
        }
        var results = Call(kind, overload, arguments);
        for (var k = 0; k < outputs.Length; k++) _values[outputs[k]] = outputs.Length == 1 && IsList(kind) ? results.Cast<object?>().ToList()
            : results[k];
    }

    private static bool IsList(string kind) => kind is "aten::split" or "aten::split_with_sizes" or "aten::chunk" or "aten::unbind"
        or "aten::tensor_split" or "aten::meshgrid" or "aten::broadcast_tensors";

    private Symbol[] Call(string kind, string overload, object?[] arguments)
    {
        // What writes into its first argument gives a new tensor, and every name of the old one then means the new one.
        var inPlace = kind.EndsWith('_') && !kind.EndsWith("__", StringComparison.Ordinal);
        var op = (inPlace ? kind[..^1] : kind) + (overload.Length > 0 ? $".{overload}" : "");
        // What joins two values belongs to no layer; what changes one belongs to the layer before it.
        _builder.Layer = LayerOf(arguments)
            ?? (arguments.OfType<Symbol>().Count(symbol => symbol.Batched) == 1
            && !arguments.Any(argument => argument is List<object?> list && list.Any(item => item is Symbol)) ? _builder.Layer : "");
        if (kind is "aten::_convolution") (op, arguments) = Convolution(arguments);
        if (kind is "aten::expand" or "aten::zeros"
            && arguments.Any(argument => argument is List<object?> sizes && sizes.Any(size => size is Size { OfBatch: true })))
            return [OverBatch(kind, arguments)];
        var ready = arguments.Select(argument => Ready(kind, argument)).ToArray();
        if (kind is "aten::to" && overload == "device") return [(Symbol)arguments[0]!];
        var results = kind is "aten::view" or "aten::reshape"
            ? [_builder.Call(op, ready[0], FreeBatch((Symbol)arguments[0]!, (List<object?>)arguments[1]!))] : _builder.CallMany(op, ready);
        if (inPlace && arguments[0] is Symbol old) foreach (var name in _values.Where(value => ReferenceEquals(value.Value, old))
            .Select(value => value.Key).ToList()) _values[name] = results[0];
        return results;
    }

    /// <summary>aten::_convolution as the conv1d, conv2d or their transposes that it stands for.</summary>
    private static (string Op, object?[] Arguments) Convolution(object?[] given)
    {
        var dimensions = ((Symbol)given[1]!).Shape.Length - 2;
        return (bool)given[6]!
            ? ($"aten::conv_transpose{dimensions}d{(dimensions == 1 ? "" : ".input")}",
                [given[0], given[1], given[2], given[3], given[4], given[7], given[8], given[5]])
            : ($"aten::conv{dimensions}d", [given[0], given[1], given[2], given[3], given[4], given[5], given[8]]);
    }

    /// <summary>The shape of a view with −1 for the batch.</summary>
    private long[] FreeBatch(Symbol of, List<object?> sizes)
    {
        var shape = sizes.Select(Number).ToArray();
        var free = sizes.FindIndex(size => size is Size { OfBatch: true });
        if (free < 0 && of.Batched && shape.Length > 0 && shape[0] > 0 && shape[0] % Batch == 0 && Batch > 1) free = 0;
        if (free < 0) return shape;
        var unknown = Array.IndexOf(shape, -1);
        if (unknown >= 0) shape[unknown] = of.Shape.Aggregate(1L, (n, size) => n * size) / -shape.Aggregate(1L, (n, size) => n * size);
        shape[free] = -1;
        return shape;
    }

    /// <summary>expand(B, …) and zeros(B, …) for whatever batch comes.</summary>
    private Symbol OverBatch(string kind, object?[] arguments)
    {
        var input = (Symbol)_values[Names(_root.GetProperty("inputs"))[1]]!;
        var sizes = (List<object?>)arguments[kind == "aten::zeros" ? 0 : 1]!;
        if (sizes[0] is not Size { OfBatch: true }) throw new GraftException($"its graph calls {kind} with the batch elsewhere than first");
        if (kind == "aten::zeros") return _builder.ZerosLikeBatch(input, [.. sizes.Skip(1).Select(Number)]);
        var from = (Symbol)arguments[0]!;
        var column = _builder.ZerosLikeBatch(input, [.. sizes.Skip(1).Select(_ => 1L)]);
        return _builder.Call("aten::add.Tensor", from, column, 1L);
    }

    private object? Ready(string kind, object? argument) => argument switch
    {
        Size size => size.OfBatch ? throw new GraftException($"its graph gives the batch's size to {kind}: it runs for one batch size only")
            : size.Value,
        List<object?> list when list.Count > 0 && list.All(item => item is Symbol or null) => list.Cast<Symbol?>().ToArray(),
        List<object?> list when list.Any(item => item is double) => list.Select(item => Convert.ToDouble(item is Size size ? size.Value : item))
            .ToArray(),
        List<object?> list when list.Count > 0 && list.All(item => item is bool) => list.Select(item => (bool)item!).ToArray(),
        List<object?> list => list.Select(item => item is Symbol symbol ? (long)symbol.Example.Item() : Number(item)).ToArray(),
        _ => argument,
    };

    private static long Number(object? value) => value switch
    {
        long number => number,
        Size size => size.Value,
        double number => (long)number,
        bool flag => flag ? 1 : 0,
        Symbol symbol => (long)symbol.Example.Item(),
        _ => throw new GraftException($"its graph has {value ?? "nothing"} where a whole number should stand"),
    };

    private Size SizeOf(Symbol of, int dimension)
    {
        var at = dimension < 0 ? dimension + of.Shape.Length : dimension;
        var value = of.Shape[at];
        return new Size(value, of.Batched && Batch > 1 && (value == Batch || (at == 0 && value % Batch == 0)));
    }

    private static object? Arithmetic(string kind, object?[] given)
    {
        if (given.Length > 0 && given[0] is double or float || (given.Length > 1 && given[1] is double))
        {
            double a = Convert.ToDouble(given[0] is Size s ? s.Value : given[0]), b = given.Length > 1
                ? Convert.ToDouble(given[1] is Size t ? t.Value : given[1]) : 0;
            return kind switch
            {
                "aten::add" => a + b, "aten::sub" => a - b, "aten::mul" => a * b, "aten::div" => a / b, "aten::pow" =>
                    Math.Pow(a, b), "aten::sqrt" => Math.Sqrt(a), "aten::neg" => -a, "aten::Float" => a,
                "aten::floor" => (long)Math.Floor(a), "aten::ceil" => (long)Math.Ceiling(a), "aten::Int" => (long)a,
                "aten::lt" => a < b, "aten::gt" => a > b, "aten::le" => a <= b, "aten::ge" => a >= b, "aten::eq" => a.Equals(b), "aten::ne" =>
                    !a.Equals(b),
                _ => throw new GraftException($"its graph computes {kind} of numbers, which is not known"),
            };
        }
        long Value(int k) => Number(given[k]);
        bool Batch(int k) => k < given.Length && given[k] is Size { OfBatch: true };
        return kind switch
        {
            "aten::mul" => new Size(Value(0) * Value(1), Batch(0) || Batch(1)),
            "aten::floordiv" or "aten::floor_divide" or "aten::div" => new Size(Value(0) / Value(1), Batch(0) && !Batch(1)),
            "aten::add" => new Size(Value(0) + Value(1), false),
            "aten::sub" => new Size(Value(0) - Value(1), false),
            "aten::remainder" => new Size(Value(0) % Value(1), false),
            "aten::neg" => -Value(0),
            "aten::sqrt" => Math.Sqrt(Value(0)),
            "aten::Float" => (double)Value(0),
            "aten::floor" or "aten::ceil" => Value(0),
            "aten::Bool" => Value(0) != 0,
            "aten::eq" => Equals(given[0], given[1]) || (given[0] is not string && Value(0) == Value(1)),
            "aten::ne" => given[0] is string ? !Equals(given[0], given[1]) : Value(0) != Value(1),
            "aten::lt" => Value(0) < Value(1), "aten::gt" => Value(0) > Value(1), "aten::le" => Value(0) <= Value(1), "aten::ge" =>
                Value(0) >= Value(1),
            "aten::__not__" => Value(0) == 0,
            "aten::__is__" => given[0] is null == given[1] is null,
            "aten::__isnot__" => given[0] is null != given[1] is null,
            "aten::min" or "prim::min" => Math.Min(Value(0), Value(1)),
            "aten::max" or "prim::max" => Math.Max(Value(0), Value(1)),
            _ => throw new GraftException($"its graph computes {kind} of numbers, which is not known"),
        };
    }

    private object? Constant(JsonElement value)
    {
        var item = value.EnumerateObject().First();
        return item.Name switch
        {
            "none" => null,
            "tensor" => Fixed(item.Value.GetInt32()),
            "int" => item.Value.GetInt64(),
            "float" => item.Value.ValueKind == JsonValueKind.String ? double.Parse(item.Value.GetString()!) : item.Value.GetDouble(),
            "bool" => item.Value.GetBoolean(),
            "string" => item.Value.GetString(),
            "list" => item.Value.EnumerateArray().Select(Constant).ToList(),
            _ => throw new GraftException($"its graph has a constant of the kind {item.Value}"),
        };
    }

    private object Fixed(int number)
    {
        var tensor = _constants[number];
        return _builder.Weight($"constant.{number}", () => tensor, buffer: true);
    }

    private object? Attribute(string parent, string name)
    {
        var full = parent.Length == 0 ? name : $"{parent}.{name}";
        if (_state.TryGetValue(full, out var tensor)) return _builder.Weight(full, () => tensor, _buffers.Contains(full)
            || !tensor.Type.IsFloating());
        // A part with weights below it; anything else is an attribute that is None, such as the bias of a layer without one.
        return _state.Keys.Any(name => name.StartsWith(full + ".", StringComparison.Ordinal)) ? full : null;
    }

    private static string? LayerOf(object?[] arguments) => arguments.OfType<Symbol>().Select(symbol => symbol.Operand).OfType<Weight>()
        .Select(weight => weight.Name)
        .Where(name => name.Contains('.', StringComparison.Ordinal) && !name.StartsWith("constant.", StringComparison.Ordinal))
            .Select(name => name[..name.LastIndexOf('.')]).FirstOrDefault();
}
