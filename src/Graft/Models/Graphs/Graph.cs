using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>What a node takes: another value, a weight, or something fixed.</summary>
internal abstract record Operand;

/// <summary>The graph's input, or a node's output.</summary>
internal sealed record Reference(string Name) : Operand;

/// <summary>A parameter or buffer of the graph, by its full name.</summary>
internal sealed record Weight(string Name) : Operand;

/// <summary>A fixed argument: null, bool, long, double, string, long[], double[] or bool[].</summary>
internal sealed record Literal(object? Value) : Operand;

/// <summary>A list of tensors.</summary>
internal sealed record Operands(IReadOnlyList<Operand> Items) : Operand;

/// <summary>One call of a libtorch operator.</summary>
/// <param name="Layer">The layer that it belongs to, as the source names it, such as <c>features.3</c>; may be empty.</param>
/// <param name="Op">Such as <c>aten::conv2d</c> or <c>aten::add.Tensor</c>.</param>
/// <param name="Inputs">By position.</param>
/// <param name="Outputs">Names of the results.</param>
internal sealed record Node(string Layer, string Op, IReadOnlyList<Operand> Inputs, IReadOnlyList<string> Outputs)
{
    /// <summary>The operator without its overload, such as <c>aten::add</c>.</summary>
    public string Kind => Op.Split('.')[0];

    /// <summary>Names of the values that it reads.</summary>
    public IEnumerable<string> Reads => Inputs.SelectMany(References);

    /// <summary>Names of the weights that it reads, in order.</summary>
    public IEnumerable<string> Weights => Inputs.SelectMany(input => input is Operands list ? list.Items : [input]).OfType<Weight>()
        .Select(weight => weight.Name);

    private static IEnumerable<string> References(Operand operand) => operand switch
    {
        Reference reference => [reference.Name],
        Operands list => list.Items.SelectMany(References),
        _ => [],
    };
}

/// <summary>What a weight is, without its values.</summary>
/// <param name="Shape">Sizes.</param>
/// <param name="Type">Of its elements.</param>
/// <param name="Buffer">Whether no gradient reaches it.</param>
internal sealed record WeightShape(long[] Shape, DType Type, bool Buffer);

/// <summary>
/// A network as data: calls of libtorch's operators in the order of running, from one input to one output. Every import and every
/// trace becomes one; surgery, export and saving work on it. Shapes are those of one example; the batch is free.
/// </summary>
/// <param name="Input">The input's name.</param>
/// <param name="Nodes">In the order of running.</param>
/// <param name="Output">The result's name.</param>
/// <param name="Shapes">Of values, the batch as −1.</param>
/// <param name="Weights">What its nodes read beside one another's results, in the order of first use.</param>
internal sealed record Graph(string Input,
    IReadOnlyList<Node> Nodes, string Output, IReadOnlyDictionary<string, long[]> Shapes, IReadOnlyDictionary<string, WeightShape> Weights)
{
    /// <summary>Layers that own weights or are named by their source, in the order of running.</summary>
    public IReadOnlyList<string> Layers => [.. Nodes.Select(node => node.Layer).Where(layer => layer.Length > 0).Distinct()];

    /// <summary>Without nodes whose results nobody reads, and without what only they read.</summary>
    public Graph Pruned()
    {
        var needed = new HashSet<string> { Output };
        var kept = new List<Node>();
        foreach (var node in Nodes.Reverse())
        {
            if (!node.Outputs.Any(needed.Contains)) continue;
            kept.Add(node);
            needed.UnionWith(node.Reads);
        }
        kept.Reverse();
        return this with
        {
            Nodes = kept,
            Weights = kept.SelectMany(node => node.Weights).Distinct().ToDictionary(name => name, name => Weights[name]),
            Shapes = kept.SelectMany(node => node.Outputs).Prepend(Input).Where(Shapes.ContainsKey).ToDictionary(name => name, name => Shapes[name]),
        };
    }

    /// <summary>Up to a value.</summary>
    public Graph UpTo(string value) => (this with { Output = value }).Pruned();

    /// <summary>Weights of zero.</summary>
    public Dictionary<string, Tensor> Zeros() =>
        Weights.ToDictionary(weight => weight.Key, weight => TensorScope.Detach(Ops.Zeros(weight.Value.Shape, dtype: weight.Value.Type)));

    /// <summary>As text that <see cref="FromJson"/> reads.</summary>
    public string ToJson() => new JsonObject
    {
        ["input"] = Input, ["output"] = Output,
        ["nodes"] = new JsonArray([.. Nodes.Select(node =>
            new JsonArray(node.Layer, node.Op, new JsonArray([.. node.Inputs.Select(Write)]),
            new JsonArray([.. node.Outputs.Select(name => (JsonNode)name)])))]),
        ["shapes"] = new JsonObject(Shapes.Select(shape =>
            KeyValuePair.Create(shape.Key, (JsonNode?)new JsonArray([.. shape.Value.Select(size => (JsonNode)size)])))),
        ["weights"] = new JsonObject(Weights.Select(weight =>
            KeyValuePair.Create(weight.Key,
            (JsonNode?)new JsonArray((int)weight.Value.Type, weight.Value.Buffer,
            new JsonArray([.. weight.Value.Shape.Select(size => (JsonNode)size)]))))),
    }.ToJsonString();

    private static JsonObject Write(Operand operand) => operand switch
    {
        Reference reference => new JsonObject { ["v"] = reference.Name },
        Weight weight => new JsonObject { ["w"] = weight.Name },
        Operands list => new JsonObject { ["l"] = new JsonArray([.. list.Items.Select(Write)]) },
        Literal { Value: null } => [],
        Literal { Value: bool flag } => new JsonObject { ["b"] = flag },
        Literal { Value: long number } => new JsonObject { ["i"] = number },
        Literal { Value: double number } => new JsonObject { ["f"] = number.ToString("R") },
        Literal { Value: string text } => new JsonObject { ["s"] = text },
        Literal { Value: long[] numbers } => new JsonObject { ["il"] = new JsonArray([.. numbers.Select(number => (JsonNode)number)]) },
        Literal { Value: double[] numbers } =>
            new JsonObject { ["fl"] = new JsonArray([.. numbers.Select(number => (JsonNode)number.ToString("R"))]) },
        Literal { Value: bool[] flags } => new JsonObject { ["bl"] = new JsonArray([.. flags.Select(flag => (JsonNode)flag)]) },
        _ => throw new InvalidOperationException($"a graph holds no {operand}"),
    };

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="GraftException">It is no graph, or names an operator that no network needs.</exception>
    public static Graph FromJson(string text)
    {
        try
        {
            var root = JsonNode.Parse(text)!;
            var nodes = root["nodes"]!.AsArray()
                .Select(node => new Node((string)node![0]!, Allowed((string)node[1]!), [.. node[2]!.AsArray().Select(item => Read(item!))],
                [.. node[3]!.AsArray().Select(name => (string)name!)])).ToArray();
            return new Graph((string)root["input"]!, nodes, (string)root["output"]!, root["shapes"]!.AsObject()
                .ToDictionary(shape => shape.Key, shape => shape.Value!.AsArray().Select(size => (long)size!).ToArray()),
                root["weights"]!.AsObject().ToDictionary(weight => weight.Key,
                    weight => new WeightShape(weight.Value![2]!.AsArray().Select(size => (long)size!).ToArray(), (DType)(int)weight.Value![0]!,
                    (bool)weight.Value![1]!)));
        }
        catch (Exception reason) when (reason is JsonException or NullReferenceException or InvalidOperationException or FormatException
            or ArgumentOutOfRangeException)
        {
            throw new GraftException($"the graph in the file cannot be read: {reason.Message}", reason);
        }
    }

    // libtorch's inner operators check little of what they are given; these do, or come from its own traces.
    private static readonly HashSet<string> s_inner =
        ["aten::_convolution", "aten::_softmax", "aten::_log_softmax", "aten::_native_multi_head_attention", "aten::_transformer_encoder_layer_fwd"];

    /// <summary>Operators that read files, reach memory by strides or skip their checks are not for files to call.</summary>
    internal static string Allowed(string op)
    {
        var kind = op.Split('.')[0];
        var inner = kind.StartsWith("aten::_", StringComparison.Ordinal) && !s_inner.Contains(kind);
        return kind.StartsWith("aten::", StringComparison.Ordinal) && !inner
            && kind is not ("aten::from_file" or "aten::set" or "aten::set_" or "aten::set_data" or "aten::as_strided" or "aten::as_strided_"
            or "aten::resize_" or "aten::resize_as_")
            ? op : throw new GraftException($"the graph calls {op}, which no network needs: refused");
    }

    private static Operand Read(JsonNode item)
    {
        var map = item.AsObject();
        if (map.Count == 0) return new Literal(null);
        var (kind, value) = map.First();
        return kind switch
        {
            "v" => new Reference((string)value!),
            "w" => new Weight((string)value!),
            "l" => new Operands([.. value!.AsArray().Select(found => Read(found!))]),
            "b" => new Literal((bool)value!),
            "i" => new Literal((long)value!),
            "f" => new Literal(double.Parse((string)value!)),
            "s" => new Literal((string)value!),
            "il" => new Literal(value!.AsArray().Select(number => (long)number!).ToArray()),
            "fl" => new Literal(value!.AsArray().Select(number => double.Parse((string)number!)).ToArray()),
            "bl" => new Literal(value!.AsArray().Select(flag => (bool)flag!).ToArray()),
            _ => throw new FormatException($"no operand is a '{kind}'"),
        };
    }
}
