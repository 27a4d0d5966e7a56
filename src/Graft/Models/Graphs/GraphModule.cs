using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>
/// Runs a piece of a graph as a module: its weights are parameters and buffers under their full names. Dropout and BatchNorm follow
/// <see cref="Module.Training"/>; a frozen BatchNorm stays in inference mode.
/// </summary>
internal sealed class GraphModule : Module, INormStatistics
{
    private readonly record struct Step(Operator Op, string Kind, object?[] Arguments, int[] Outputs);

    private sealed record Place(int Index);

    private readonly Step[] _steps;
    private readonly int _values, _output;

    /// <summary>A piece from one value to another.</summary>
    /// <param name="nodes">In the order of running; they read <paramref name="input"/>, one another, and weights.</param>
    /// <param name="input">The value that comes in.</param>
    /// <param name="output">The value that comes out.</param>
    /// <param name="weights">By name; become this module's, but for those that <paramref name="shared"/> has.</param>
    /// <param name="shapes">What the weights are.</param>
    /// <param name="shared">Weights of earlier pieces of the same graph; this piece's are added.</param>
    public GraphModule(IReadOnlyList<Node> nodes, string input, string output, IReadOnlyDictionary<string, Tensor> weights, IReadOnlyDictionary<string, WeightShape> shapes, IDictionary<string, Slot>? shared = null)
    {
        Nodes = nodes;
        shared ??= new Dictionary<string, Slot>();
        foreach (var name in nodes.SelectMany(node => node.Weights).Distinct().Where(name => !shared.ContainsKey(name)))
            shared[name] = shapes[name].Buffer ? Buffer(name, weights[name]) : Parameter(name, weights[name]);
        var places = new Dictionary<string, int> { [input] = 0 };
        foreach (var name in nodes.SelectMany(node => node.Outputs)) places[name] = places.Count;
        object? Argument(Operand operand) => operand switch
        {
            Reference reference => new Place(places[reference.Name]),
            Weight weight => shared[weight.Name],
            Literal literal => literal.Value,
            Operands list => list.Items.Select(Argument).ToArray(),
            _ => throw new ArgumentException($"unknown operand {operand}"),
        };
        _steps = [.. nodes.Select(node =>
        {
            var parts = Graph.Allowed(node.Op).Split('.', 2);
            return new Step(new Operator(parts[0], parts.Length > 1 ? parts[1] : ""), node.Kind, [.. node.Inputs.Select(Argument)],
                [.. node.Outputs.Select(name => places[name])]);
        })];
        _values = places.Count;
        _output = places[output];
    }

    /// <summary>What it runs.</summary>
    public IReadOnlyList<Node> Nodes { get; }

    /// <inheritdoc/>
    public bool Frozen { get; set; }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var values = new Tensor[_values];
        values[0] = x;
        foreach (var step in _steps)
        {
            var arguments = new object?[step.Arguments.Length];
            for (var k = 0; k < arguments.Length; k++) arguments[k] = Resolve(step.Arguments[k], values);
            switch (step.Kind)
            {
                case "aten::dropout" or "aten::feature_dropout" or "aten::alpha_dropout": arguments[2] = Training; break;
                case "aten::batch_norm": arguments[5] = Training && !Frozen; break;
                case "aten::instance_norm" when arguments[3] is not null: arguments[5] = !(Training && !Frozen); break;
            }
            var results = step.Op.Invoke(arguments);
            for (var k = 0; k < results.Length && k < step.Outputs.Length; k++) values[step.Outputs[k]] = results[k];
        }
        return values[_output];
    }

    private static object? Resolve(object? argument, Tensor[] values) => argument switch
    {
        Place place => values[place.Index],
        Slot slot => slot.Value,
        object?[] list => list.Select(item => (Tensor?)Resolve(item, values)).ToArray(),
        _ => argument,
    };
}
