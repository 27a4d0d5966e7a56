using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>A value while a graph is built: its name, and what it is for the example.</summary>
/// <param name="Operand">How nodes name it.</param>
/// <param name="Example">Its value for the example input.</param>
/// <param name="Batched">Whether it depends on the input.</param>
internal sealed record Symbol(Operand Operand, Tensor Example, bool Batched)
{
    /// <summary>Its value for an example of another batch, where the builder runs two and it depends on the batch.</summary>
    public Tensor? Second { get; init; }

    /// <summary>Sizes for the example, the batch among them.</summary>
    public long[] Shape => Example.Shape;

    /// <summary>The dimension that grows with the batch; −1 where there is none, or only one example.</summary>
    public int BatchAxis => Second is null ? -1
        : Enumerable.Range(0, Math.Min(Shape.Length, Second.Shape.Length)).FirstOrDefault(k => Shape[k] != Second.Shape[k], -1);
}

/// <summary>
/// Writes a graph call by call, and runs each call on an example as it is written: so every shape is known, and what does not run
/// is found where it stands.
/// </summary>
/// <param name="batch">Pictures in the example.</param>
/// <param name="twice">Runs each call on a larger batch as well, which shows exactly where the batch goes and that its pictures stay apart.</param>
internal sealed class GraphBuilder(long batch, bool twice = false) : IDisposable
{
    // The second example: one picture before those of the first, one behind them.
    private readonly long _second = batch + 2;

    /// <summary>What to do about a network that cannot run for other batches.</summary>
    internal const string Advice = "Export it with a batch that is left open (PyTorch: dynamic_axes)";

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
        var example = type == DType.Float32 ? Ops.Linspace(-1.0, 1.0, (int)shape.Aggregate(batch, (n, size) => checked(n * size)))
            .View([batch, .. shape]) : Ops.Zeros([batch, .. shape], dtype: type);
        _shapes[_input] = [-1, .. shape];
        var one = example.Narrow(0, 0, 1);
        return new Symbol(new Reference(_input), example, true) { Second = twice ? Ops.Cat([one.Flip([shape.Length]), example, one.Neg()]) : null };
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

    /// <summary>Whether a gradient reaches a weight after all.</summary>
    public void Train(string name, bool trains)
    {
        if (trains) _buffers.Remove(name);
        else _buffers.Add(name);
    }

    /// <summary>Whether no gradient reaches a weight.</summary>
    public bool IsBuffer(string name) => _buffers.Contains(name);

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
        var read = arguments.SelectMany(argument => argument is Symbol?[] list ? list : [argument as Symbol]).OfType<Symbol>().ToArray();
        var batched = read.Any(symbol => symbol.Batched);
        if (batched && read.Any(symbol => !symbol.Batched && symbol.Second is not null))
            throw new GraftException($"{Place}the batch's size is used as a number: it runs for one batch size only. {Advice}");
        var results = Invoke(found, arguments, symbol => symbol.Example, first: true);
        var seconds = read.Any(symbol => symbol.Second is not null)
            ? Invoke(found, arguments, symbol => symbol.Second ?? symbol.Example, first: false) : null;
        var symbols = new Symbol[results.Length];
        for (var k = 0; k < results.Length; k++)
        {
            var name = $"v{_next++}";
            symbols[k] = new Symbol(new Reference(name), results[k], batched) { Second = batched || !Same(results[k], seconds?[k]) ? seconds?[k]
                : null };
            if (!results[k].IsDisposed) _shapes[name] = batched ? OfAnyBatch(symbols[k]) : results[k].Shape;
        }
        _nodes.Add(new Node(Layer, op, [.. arguments.Select(Operand)], [.. symbols.Select(symbol => ((Reference)symbol.Operand).Name)]));
        return symbols;
    }

    private static bool Same(Tensor a, Tensor? b) => b is null
        || (a.Shape.SequenceEqual(b.Shape) && a.ToArray<double>().SequenceEqual(b.ToArray<double>()));

    private string Place => Layer.Length > 0 ? $"layer '{Layer}': " : "";

    private Tensor[] Invoke(Operator op, object?[] arguments, Func<Symbol, Tensor> example, bool first)
    {
        try
        {
            return op.Invoke([.. arguments.Select(argument => argument switch
            {
                Symbol symbol => example(symbol),
                Symbol?[] list => list.Select(item => item is null ? null : example(item)).ToArray(),
                _ => argument,
            })]);
        }
        catch (TorchException reason)
        {
            throw new GraftException(first ? $"{Place}{reason.Message}"
                : $"{Place}it runs for a batch of {batch} alone ({reason.Message}). {Advice}", reason);
        }
    }

    // −1 for the batch; where it is folded into another dimension, what one picture has of it.
    private long[] OfAnyBatch(Symbol symbol)
    {
        if (symbol.Second is null) return [.. symbol.Shape.Select((size, at) => at == 0 && size == batch ? -1 : size)];
        var other = symbol.Second.Shape;
        if (other.Length != symbol.Shape.Length)
            throw new GraftException($"{Place}it gives {symbol.Shape.Length} dimensions for a batch of {batch}, {other.Length} for a batch of {_second}");
        return [.. symbol.Shape.Select((size, at) => size == other[at] ? size : at == 0 && size == batch
            && other[at] == _second ? -1 : size / batch)];
    }

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

    /// <summary>How many numbers train in what these values need.</summary>
    public long Parameters(IEnumerable<Symbol> values)
    {
        var needed = values.Select(value => value.Operand).OfType<Reference>().Select(reference => reference.Name).ToHashSet();
        var weights = new HashSet<string>();
        foreach (var node in _nodes.AsEnumerable().Reverse().Where(node => node.Outputs.Any(needed.Contains)))
        {
            needed.UnionWith(node.Reads);
            weights.UnionWith(node.Weights);
        }
        return weights.Where(name => !_buffers.Contains(name)).Sum(name => _weights[name].Example.Count);
    }

    /// <summary>The finished graph and its weights, which belong to the caller.</summary>
    public (Graph Graph, IReadOnlyDictionary<string, Tensor> Weights) Build(Symbol output)
    {
        if (output.Operand is not Reference { Name: var name }) throw new GraftException("the network's output does not depend on its input");
        if (twice) Check(output);
        var shapes = _weights.ToDictionary(weight => weight.Key,
            weight => new WeightShape(weight.Value.Shape, weight.Value.Example.Type, _buffers.Contains(weight.Key)));
        var graph = new Graph(_input, _nodes, name, _shapes, shapes).Pruned();
        return (graph, graph.Weights.Keys.ToDictionary(weight => weight, weight => _weights[weight].Example));
    }

    // The pictures that both examples share must give the same in either company.
    private void Check(Symbol output)
    {
        if (output.BatchAxis != 0 || output.Shape[0] != batch || output.Second!.Shape[0] != _second)
        {
            string alone = string.Join('×', output.Shape), together = string.Join('×', (output.Second ?? output.Example).Shape);
            throw new GraftException($"its output is {alone} for a batch of {batch} and {together} for a batch of {_second}: not a row for each picture. {Advice}");
        }
        var (first, same) = (output.Example.To(DType.Float32), output.Second.Narrow(0, 1, batch).To(DType.Float32));
        if ((first - same).Abs().Max().Item() > 1e-3 * Math.Max(1, first.Abs().Max().Item()))
            throw new GraftException($"its graph mixes the pictures of a batch: it was written for a batch of {batch} alone. {Advice}");
    }

    /// <summary>Frees the examples.</summary>
    public void Dispose()
    {
        _mode.Dispose();
        _scope.Dispose();
    }
}
