using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>A classifier whose dense layers have become convolutions: it runs over pictures of any size and gives a map of scores.</summary>
public sealed class ConvolutionalNetwork : Module
{
    private readonly GraphModule _module;

    internal ConvolutionalNetwork(Graph graph, IReadOnlyDictionary<string, Tensor> weights, Preprocessing preprocessing)
    {
        Preprocessing = preprocessing;
        var changed = new Dictionary<string, Tensor>(weights.Select(item => KeyValuePair.Create(item.Key, item.Value)));
        var renamed = new Dictionary<string, string>();
        var volumes = new Dictionary<string, long[]>();
        var nodes = new List<Node>();
        var shapes = graph.Weights.ToDictionary(item => item.Key, item => item.Value);
        string Real(string name) => renamed.GetValueOrDefault(name, name);
        foreach (var node in graph.Nodes)
        {
            var moved = node with { Inputs = [.. node.Inputs.Select(operand => operand is Reference reference ? new Reference(Real(reference.Name)) : operand)] };
            var input = node.Inputs is [Reference { Name: var first }, ..] ? first : "";
            // N×C×H×W flattened: the layer that reads it has a window of H×W.
            if (node.Kind is "aten::flatten" or "aten::reshape" or "aten::view" && graph.Shapes[input].Length == 4 && graph.Shapes[node.Outputs[0]].Length == 2)
            {
                renamed[node.Outputs[0]] = Real(input);
                volumes[node.Outputs[0]] = graph.Shapes[input];
                continue;
            }
            // Pooling to the size that the volume has anyhow does nothing at the network's own size; on a larger picture it would undo the map.
            if (node.Kind == "aten::adaptive_avg_pool2d" && graph.Shapes[input].SequenceEqual(graph.Shapes[node.Outputs[0]]))
            {
                renamed[node.Outputs[0]] = Real(input);
                continue;
            }
            if (node.Kind == "aten::linear")
            {
                var name = node.Weights.First();
                var weight = changed[name];
                var volume = volumes.GetValueOrDefault(input) ?? [-1, weight.Shape[1], 1, 1];
                using (Autograd.NoGrad()) changed[name] = weight.Reshape([weight.Shape[0], volume[1], volume[2], volume[3]]);
                shapes[name] = shapes[name] with { Shape = changed[name].Shape };
                nodes.Add(node with { Op = "aten::conv2d", Inputs = [moved.Inputs[0], moved.Inputs[1], moved.Inputs[2], new Literal((long[])[1, 1]), new Literal((long[])[0, 0]), new Literal((long[])[1, 1]), new Literal(1L)] });
                continue;
            }
            if (node.Inputs.OfType<Reference>().Any(reference => volumes.ContainsKey(reference.Name)) && node.Kind is not ("aten::relu" or "aten::dropout"))
                throw new GraftException($"between flattening and its dense layers the network calls {node.Kind}: it cannot be made convolutional");
            // What acts on each number by itself hands the volume on.
            if (volumes.TryGetValue(input, out var passed)) volumes[node.Outputs[0]] = passed;
            nodes.Add(moved);
        }
        if (nodes.Count(node => node.Kind == "aten::conv2d") == graph.Nodes.Count(node => node.Kind == "aten::conv2d")) throw new GraftException("the network has no dense layers behind a flattened volume: it runs over larger pictures as it is");
        _module = Child("", new GraphModule(nodes, graph.Input, Real(graph.Output), changed.Where(item => nodes.SelectMany(node => node.Weights).Contains(item.Key)).ToDictionary(item => item.Key, item => TensorScope.Detach(item.Value.Detach().Clone())), shapes));
        Eval();
    }

    /// <summary>What its input has gone through; the size is the network's own, and may be larger.</summary>
    public Preprocessing Preprocessing { get; }

    /// <summary>N×3×H×W to N×classes×h×w scores, one for each place of the network's window.</summary>
    public override Tensor Forward(Tensor x) => _module.Forward(x);
}
