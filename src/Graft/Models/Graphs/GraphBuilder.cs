using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>A value while a graph is built: its name, and what it is for the example.</summary>
/// <param name="Operand">How nodes name it.</param>
/// <param name="Example">Its value for the example input.</param>
/// <param name="Batched">Whether it depends on the input.</param>
public sealed record Symbol(Operand Operand, Tensor Example, bool Batched)
{
    /// <summary>Sizes for the example, the batch among them.</summary>
    public long[] Shape => Example.Shape;
}

/// <summary>
/// Writes a graph call by call, and runs each call on an example as it is written: so every shape is known, and what does not run
/// is found where it stands.
/// </summary>
/// <param name="batch">Pictures in the example.</param>
public sealed class GraphBuilder(long batch) : IDisposable
{
    private readonly TensorScope _scope = new();
    private readonly IDisposable _mode = Autograd.NoGrad();
    private readonly List<Node> _nodes = [];
    private readonly Dictionary<string, long[]> _shapes = [];
    private readonly Dictionary<string, Symbol> _weights = [];
    private readonly HashSet<string> _buffers = [];
    private readonly Dictionary<string, Operator> _operators = [];
    private string _input = "x";
    private int _next;

    /// <summary>Pictures in the example.</summary>
    public long Batch => batch;

    /// <summary>The layer that the next nodes belong to.</summary>
    public string Layer { get; set; } = "";

    /// <summary>Weights by name.</summary>
    public IReadOnlyDictionary<string, Symbol> Weights => _weights;

    /// <summary>The nodes so far.</summary>
    public IReadOnlyList<Node> Nodes => _nodes;

    /// <summary>The input: an example of this shape, the batch first.</summary>
    public Symbol Input(long[] shape, DType type = DType.Float32)
    {
        var example = type == DType.Float32 ? Ops.Linspace(-1.0, 1.0, (int)shape.Aggregate(batch, (n, size) => checked(n * size))).View([batch, .. shape]) : Ops.Zeros([batch, .. shape], dtype: type);
        _shapes[_input] = [-1, .. shape];
        return new Symbol(new Reference(_input), example, true);
    }

    /// <summary>A weight under a name; the same name gives the same weight.</summary>
    public Symbol Weight(string name, Func<Tensor> value, bool buffer = false)
    {
        if (_weights.TryGetValue(name, out var known)) return known;
        if (buffer) _buffers.Add(name);
        return _weights[name] = new Symbol(new Weight(name), TensorScope.Detach(value()), false);
    }

    /// <summary>A weight under a name.</summary>
    public Symbol Weight(string name, Tensor value, bool buffer = false) => Weight(name, () => value, buffer);

    /// <summary>Calls an operator with one result. Arguments: <see cref="Symbol"/>, Symbol[], null, bool, numbers, text, long[], double[].</summary>
    public Symbol Call(string op, params object?[] arguments) => CallMany(op, arguments)[0];

    /// <summary>Calls an operator.</summary>
    /// <exception cref="GraftException">There is no such operator, or it refuses its arguments: the layer and libtorch's words.</exception>
    public Symbol[] CallMany(string op, params object?[] arguments)
    {
        if (!_operators.TryGetValue(op, out var found))
        {
            var parts = Graph.Allowed(op).Split('.', 2);
            _operators[op] = found = new Operator(parts[0], parts.Length > 1 ? parts[1] : "");
        }
        Tensor[] results;
        try
        {
            results = found.Invoke([.. arguments.Select(Concrete)]);
        }
        catch (TorchException reason)
        {
            throw new GraftException($"{(Layer.Length > 0 ? $"layer '{Layer}': " : "")}{reason.Message}", reason);
        }
        var batched = arguments.Any(argument => argument is Symbol { Batched: true } || (argument is Symbol?[] list && list.Any(item => item?.Batched == true)));
        var symbols = new Symbol[results.Length];
        for (var k = 0; k < results.Length; k++)
        {
            var name = $"v{_next++}";
            symbols[k] = new Symbol(new Reference(name), results[k], batched);
            if (!results[k].IsDisposed) _shapes[name] = [.. results[k].Shape.Select((size, at) => batched && at == 0 && size == batch ? -1 : size)];
        }
        _nodes.Add(new Node(Layer, op, [.. arguments.Select(Operand)], [.. symbols.Select(symbol => ((Reference)symbol.Operand).Name)]));
        return symbols;
    }

    private static object? Concrete(object? argument) => argument switch
    {
        Symbol symbol => symbol.Example,
        Symbol?[] list => list.Select(item => item?.Example).ToArray(),
        _ => argument,
    };

    private static Operand Operand(object? argument) => argument switch
    {
        Symbol symbol => symbol.Operand,
        Symbol?[] list => new Operands([.. list.Select(item => item?.Operand ?? new Literal(null))]),
        int number => new Literal((long)number),
        float number => new Literal((double)number),
        DType type => new Literal((long)type),
        MemoryFormat format => new Literal((long)format),
        null or bool or long or double or string or long[] or double[] or bool[] => new Literal(argument),
        _ => throw new ArgumentException($"a graph takes no {argument.GetType().Name}"),
    };

    /// <summary>A tensor of zeros, one row a picture, that follows the batch: for first states and the like.</summary>
    public Symbol ZerosLikeBatch(Symbol input, params long[] rest)
    {
        var first = Call("aten::narrow", Call("aten::flatten.using_ints", input, 1L, -1L), 1L, 0L, 1L);
        if (input.Example.Type != DType.Float32) first = Call("aten::to.dtype", first, DType.Float32);
        var column = Call("aten::view", Call("aten::mul.Scalar", first, 0.0), (long[])[-1, .. rest.Select(_ => 1L)]);
        return rest.All(size => size == 1) ? column : Call("aten::expand", column, (long[])[-1, .. rest], false);
    }

    /// <summary>Frees an example that nothing needs any more.</summary>
    public static void Forget(Symbol symbol) => symbol.Example.Dispose();

    /// <summary>The finished graph and its weights, which belong to the caller.</summary>
    public (Graph Graph, IReadOnlyDictionary<string, Tensor> Weights) Build(Symbol output)
    {
        if (output.Operand is not Reference { Name: var name }) throw new GraftException("the network's output does not depend on its input");
        var shapes = _weights.ToDictionary(weight => weight.Key, weight => new WeightShape(weight.Value.Shape, weight.Value.Example.Type, _buffers.Contains(weight.Key)));
        var graph = new Graph(_input, _nodes, name, _shapes, shapes).Pruned();
        return (graph, graph.Weights.Keys.ToDictionary(weight => weight, weight => _weights[weight].Example));
    }

    /// <summary>Frees the examples.</summary>
    public void Dispose()
    {
        _mode.Dispose();
        _scope.Dispose();
    }
}
