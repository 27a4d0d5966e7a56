using Graft.Data;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>How the weights of the first convolution become those of another number of channels.</summary>
public enum ChannelRule
{
    /// <summary>Summed over the channels: grey pictures give what they gave as RGB.</summary>
    Sum,

    /// <summary>Repeated in turn, and scaled so that equal channels give the same.</summary>
    Repeat,

    /// <summary>Each new channel has the mean of the old ones.</summary>
    Mean,
}

/// <summary>
/// Operations on networks. Each takes a backbone of any origin, works on a copy of its graph, and leaves it as it is. Layers are
/// named as <see cref="Graph.Layers"/> lists them.
/// </summary>
public static class Surgery
{
    /// <summary>Ends after a layer: what follows it, the classifier too, is gone.</summary>
    public static GraphBackbone CutAfter(Backbone backbone, string layer)
    {
        var (graph, weights, source) = Open(backbone);
        var last = Last(graph, layer);
        // An activation right behind the layer belongs to it.
        var end = graph.Nodes[last].Outputs[0];
        for (var k = last + 1; k < graph.Nodes.Count && graph.Nodes[k] is { Layer: var owner, Outputs: [var made], Inputs: [Reference { Name: var read }, ..] } node && read == end && (owner == layer || owner.Length == 0) && !node.Weights.Any() && graph.Shapes[made].SequenceEqual(graph.Shapes[end]) && Uses(graph, end) == 1; k++) end = made;
        return Make(graph.UpTo(end), weights, source, headless: true);
    }

    /// <summary>Takes a layer out; what read its output reads its input.</summary>
    /// <exception cref="GraftException">It has several inputs or outputs, or changes the shape.</exception>
    public static GraphBackbone Drop(Backbone backbone, string layer)
    {
        var (graph, weights, source) = Open(backbone);
        var (from, to, input, output) = Segment(graph, layer);
        if (!graph.Shapes[input].SequenceEqual(graph.Shapes[output])) throw new GraftException($"'{layer}' turns {Text(graph, input)} into {Text(graph, output)}: what follows could not read its input. Replace it, or cut before it");
        var nodes = graph.Nodes.Where((_, k) => k < from || k > to).Select(node => node with { Inputs = [.. node.Inputs.Select(operand => Renamed(operand, output, input))] }).ToArray();
        return Make((graph with { Nodes = nodes, Output = graph.Output == output ? input : graph.Output }).Pruned(), weights, source);
    }

    /// <summary>Puts new layers in the place of one.</summary>
    /// <param name="backbone">Stays as it is.</param>
    /// <param name="layer">What goes.</param>
    /// <param name="module">What comes: from the same input to the same shape, or what follows must be able to read it.</param>
    /// <param name="name">Of the new weights.</param>
    public static GraphBackbone Replace(Backbone backbone, string layer, Module module, string? name = null)
    {
        var (graph, weights, source) = Open(backbone);
        var (from, to, input, output) = Segment(graph, layer);
        return Splice(graph, weights, source, from, to + 1, input, output, module, name ?? layer);
    }

    /// <summary>Puts new layers behind one.</summary>
    public static GraphBackbone InsertAfter(Backbone backbone, string layer, Module module, string name)
    {
        var (graph, weights, source) = Open(backbone);
        var (_, to, _, output) = Segment(graph, layer);
        return Splice(graph, weights, source, to + 1, to + 1, output, output, module, name);
    }

    /// <summary>Starting values for the weights of layers (a name, or all whose names begin with it and a dot), as torch would draw them.</summary>
    public static GraphBackbone Reinitialise(Backbone backbone, params string[] layers)
    {
        var made = GraphBackbone.From(backbone);
        using var mode = Autograd.NoGrad();
        foreach (var layer in layers)
        {
            var mine = made.Weights.Where(weight => weight.Key.StartsWith(layer + ".", StringComparison.Ordinal)).ToArray();
            if (mine.Length == 0) throw Unknown(made.Graph, layer);
            foreach (var (name, tensor) in mine)
            {
                var matrix = mine.FirstOrDefault(item => item.Key == name[..name.LastIndexOf('.')] + ".weight").Value;
                if (!tensor.Type.IsFloating()) continue;
                if (tensor.Dimensions > 1) Initialisers.Default(tensor);
                else if (name.EndsWith("running_var", StringComparison.Ordinal) || (name.EndsWith("weight", StringComparison.Ordinal) && tensor.Dimensions == 1)) tensor.FillInPlace((Scalar)1.0);
                else if (name.EndsWith("bias", StringComparison.Ordinal) && matrix is { Dimensions: > 1 }) Initialisers.Uniform(tensor, 1 / Math.Sqrt((double)matrix.Count / matrix.Shape[0]));
                else tensor.ZeroInPlace();
            }
        }
        return made;
    }

    /// <summary>The same shape with starting values everywhere.</summary>
    public static GraphBackbone CloneShape(Backbone backbone)
    {
        var made = GraphBackbone.From(backbone);
        var layers = made.Weights.Keys.Where(name => name.Contains('.', StringComparison.Ordinal)).Select(name => name[..name.LastIndexOf('.')]).Distinct().ToArray();
        using var again = Reinitialise(made, layers);
        var fresh = (GraphBackbone)again.Clone();
        made.Dispose();
        fresh.Provenance = Provenance.Random;
        return fresh;
    }

    /// <summary>A classifier of another number of classes in the place of its own, with starting values.</summary>
    public static GraphBackbone NewHead(Backbone backbone, int classes)
    {
        Bounds.Whole("--classes", classes, 1);
        var (graph, weights, source) = Open(backbone);
        if (StageFinder.Head(graph) is not { } head) throw new GraftException("the network has no dense layer as its classifier: cut it with --cut and train a head on it");
        var node = graph.Nodes[head.Head];
        var names = node.Weights.ToArray();
        var features = graph.Weights[names[0]].Shape[1];
        using var linear = new Linear(features, classes, names.Length > 1);
        weights[names[0]] = TensorScope.Detach(linear.Weight.Detach().Clone());
        if (names.Length > 1) weights[names[1]] = TensorScope.Detach(linear.Bias!.Detach().Clone());
        source.ClassNames = null;
        return Again(graph, weights, source);
    }

    /// <summary>Another number of input channels.</summary>
    public static GraphBackbone InputChannels(Backbone backbone, int channels, ChannelRule rule)
    {
        if (channels is not (1 or 3)) throw Bounds.Refuse($"--input-channels {channels}: pictures have one channel (grey) or three (RGB)");
        var (graph, weights, source) = Open(backbone);
        var first = graph.Nodes.FirstOrDefault(node => node.Kind == "aten::conv2d") ?? throw new GraftException("the network has no convolution that its input goes through");
        var name = first.Weights.First();
        var old = weights[name];
        var now = old.Shape[1];
        if (now == channels) return Make(graph, weights, source);
        using (Autograd.NoGrad())
        {
            var changed = rule switch
            {
                ChannelRule.Sum when channels == 1 => old.Sum([1L], true),
                ChannelRule.Sum => throw new GraftException("weights of one channel cannot be summed into three: use repeat"),
                ChannelRule.Mean => old.Mean([1L], true).Expand([old.Shape[0], channels, old.Shape[2], old.Shape[3]]),
                _ => Ops.Cat([.. Enumerable.Range(0, channels).Select(k => old.Narrow(1, k % now, 1))], 1) * ((double)now / channels),
            };
            weights[name] = TensorScope.Detach(changed.Contiguous());
        }
        // Graft's pictures have three channels; a grey network takes the first of three equal ones.
        var nodes = graph.Nodes.ToList();
        var at = nodes.IndexOf(first);
        var read = ((Reference)first.Inputs[0]).Name;
        if (channels == 1)
        {
            nodes[at] = first with { Inputs = [new Reference("grey"), .. first.Inputs.Skip(1)] };
            nodes.Insert(at, new Node("input", "aten::narrow", [new Reference(read), new Literal(1L), new Literal(0L), new Literal(1L)], ["grey"]));
        }
        else if (nodes.FirstOrDefault(node => node.Layer == "input" && node.Kind == "aten::narrow") is { } narrow)
        {
            nodes[at] = first with { Inputs = [narrow.Inputs[0], .. first.Inputs.Skip(1)] };
        }
        var steps = source.Preprocessing.Steps.Where(step => step is not Grayscale);
        return Again(graph with { Nodes = nodes }, weights, source, source.Preprocessing with { Steps = channels == 1 ? [new Grayscale(), .. steps] : [.. steps] });
    }

    /// <summary>Channels in the order blue, green, red, as networks of OpenCV's and Caffe's world take them.</summary>
    public static GraphBackbone BlueFirst(Backbone backbone)
    {
        var (graph, weights, source) = Open(backbone);
        var nodes = graph.Nodes.Select(node => node with { Inputs = [.. node.Inputs.Select(operand => Renamed(operand, graph.Input, "blue-first"))] }).ToList();
        nodes.Insert(0, new Node("input", "aten::flip", [new Reference(graph.Input), new Literal(new long[] { 1 })], ["blue-first"]));
        return Again(graph with { Nodes = nodes }, weights, source);
    }

    /// <summary>
    /// Dense layers as convolutions (cs231n, "Converting FC layers to CONV layers"): the first reads the whole pooling volume with a window of
    /// its size, the others are 1×1. On the network's own size the scores are the same; on a larger picture it gives a map of scores, one for
    /// each place of the window.
    /// </summary>
    /// <returns>N×classes×H×W scores; <see cref="Backbone.Classify"/> of it is not pooled.</returns>
    public static ConvolutionalNetwork Convolutional(Backbone backbone)
    {
        var (graph, weights, source) = Open(backbone);
        return new ConvolutionalNetwork(graph, weights, source.Preprocessing);
    }

    /// <summary>For another size of input: the network is traced again at that size, learned positions interpolated.</summary>
    public static GraphBackbone InputSize(Backbone backbone, int side)
    {
        Bounds.Whole("--size", side, 8, Preprocessing.SideLimit);
        var bigger = backbone is VisionTransformer transformer ? Resized(transformer, side) : backbone.Clone();
        bigger.Preprocessing = bigger.Preprocessing.AtSize(side);
        try
        {
            return bigger is GraphBackbone graph ? GraphBackbone.Through(graph, side) : GraphBackbone.From(bigger);
        }
        catch (TorchException reason)
        {
            throw new GraftException($"the network does not run on {side}×{side}: {reason.Message}", reason);
        }
    }

    private static Backbone Resized(VisionTransformer backbone, int side)
    {
        var made = new VisionTransformer(backbone.Architecture, side, backbone.UpstreamClasses) { Preprocessing = backbone.Preprocessing, Provenance = backbone.Provenance, ClassNames = backbone.ClassNames };
        var state = backbone.State();
        state["encoder.pos_embedding"] = VisionTransformer.Interpolate(state["encoder.pos_embedding"], made.State()["encoder.pos_embedding"].Shape[1]);
        made.CopyFrom(state);
        return made;
    }

    private static (Graph Graph, Dictionary<string, Tensor> Weights, GraphBackbone Source) Open(Backbone backbone)
    {
        var copy = GraphBackbone.From(backbone);
        return (copy.Graph, copy.Weights.ToDictionary(weight => weight.Key, weight => weight.Value.Detach()), copy);
    }

    private static GraphBackbone Make(Graph graph, Dictionary<string, Tensor> weights, GraphBackbone source, bool headless = false, Preprocessing? preprocessing = null) =>
        new(graph, graph.Weights.Keys.ToDictionary(name => name, name => TensorScope.Detach(weights[name].Detach().Clone())), preprocessing ?? source.Preprocessing, source.Name, headless || source.Headless) { Provenance = source.Provenance, ClassNames = source.ClassNames };

    /// <summary>Runs a changed graph anew on an example, so that its shapes are those that it now has.</summary>
    private static GraphBackbone Again(Graph graph, Dictionary<string, Tensor> weights, GraphBackbone source, Preprocessing? preprocessing = null)
    {
        using var builder = new GraphBuilder(1);
        var input = builder.Input(graph.Shapes[graph.Input][1..]);
        var output = Replay(builder, graph, weights, new Dictionary<string, Symbol> { [graph.Input] = input }, graph.Output);
        var (made, found) = builder.Build(output);
        return Make(made, found.ToDictionary(), source, preprocessing: preprocessing);
    }

    /// <summary>Calls a graph's nodes once more in a builder.</summary>
    internal static Symbol Replay(GraphBuilder builder, Graph graph, IReadOnlyDictionary<string, Tensor> weights, Dictionary<string, Symbol> values, string output)
    {
        object? Argument(Operand operand) => operand switch
        {
            Reference reference => values[reference.Name],
            Weight weight => builder.Weight(weight.Name, () => weights[weight.Name], graph.Weights.TryGetValue(weight.Name, out var shape) && shape.Buffer),
            Operands list => list.Items.Select(item => (Symbol?)Argument(item)).ToArray(),
            Literal literal => literal.Value,
            _ => null,
        };
        foreach (var node in graph.Nodes)
        {
            builder.Layer = node.Layer;
            var results = builder.CallMany(node.Op, [.. node.Inputs.Select(Argument)]);
            for (var k = 0; k < node.Outputs.Count && k < results.Length; k++) values[node.Outputs[k]] = results[k];
        }
        return values[output];
    }

    private static GraphBackbone Splice(Graph graph, Dictionary<string, Tensor> weights, GraphBackbone source, int from, int to, string input, string output, Module module, string name)
    {
        module.Eval();
        var (part, own) = ScriptGraph.Of(module, module.Forward, graph.Shapes[input][1..]);
        string New(string value) => value == part.Input ? input : $"{name}/{value}";
        Operand Moved(Operand operand) => operand switch
        {
            Reference reference => new Reference(New(reference.Name)),
            Weight weight => new Weight($"{name}.{weight.Name}"),
            Operands list => new Operands([.. list.Items.Select(Moved)]),
            _ => operand,
        };
        foreach (var (key, tensor) in own) weights[$"{name}.{key}"] = tensor.Detach();
        var inserted = part.Nodes.Select(node => node with { Layer = node.Layer.Length > 0 ? $"{name}.{node.Layer}" : name, Inputs = [.. node.Inputs.Select(Moved)], Outputs = [.. node.Outputs.Select(New)] });
        var end = New(part.Output);
        var nodes = graph.Nodes.Take(from).Concat(inserted).Concat(graph.Nodes.Skip(to).Select(node => node with { Inputs = [.. node.Inputs.Select(operand => Renamed(operand, output, end))] })).ToArray();
        var all = graph.Weights.Concat(part.Weights.Select(weight => KeyValuePair.Create($"{name}.{weight.Key}", weight.Value))).GroupBy(item => item.Key).ToDictionary(group => group.Key, group => group.Last().Value);
        try
        {
            return Again(graph with { Nodes = nodes, Weights = all, Output = graph.Output == output ? end : graph.Output }, weights, source);
        }
        catch (GraftException reason)
        {
            throw new GraftException($"what follows '{name}' cannot read its output: {reason.Message}", reason);
        }
    }

    private static int Uses(Graph graph, string value) => graph.Nodes.Count(node => node.Reads.Contains(value));

    private static int Last(Graph graph, string layer)
    {
        for (var k = graph.Nodes.Count - 1; k >= 0; k--) if (Belongs(graph.Nodes[k], layer)) return k;
        throw Unknown(graph, layer);
    }

    private static bool Belongs(Node node, string layer) => node.Layer == layer || node.Layer.StartsWith(layer + ".", StringComparison.Ordinal) || node.Layer.StartsWith(layer + "/", StringComparison.Ordinal);

    /// <summary>The nodes of a layer, what comes in and what goes out.</summary>
    private static (int From, int To, string Input, string Output) Segment(Graph graph, string layer)
    {
        var to = Last(graph, layer);
        var from = graph.Nodes.ToList().FindIndex(node => Belongs(node, layer));
        var inside = Enumerable.Range(from, to - from + 1).Select(k => graph.Nodes[k]).ToArray();
        var made = inside.SelectMany(node => node.Outputs).ToHashSet();
        var inputs = inside.SelectMany(node => node.Reads).Where(name => !made.Contains(name)).Distinct().ToArray();
        var outputs = made.Where(name => name == graph.Output || graph.Nodes.Where((_, k) => k < from || k > to).Any(node => node.Reads.Contains(name))).ToArray();
        return inputs.Length == 1 && outputs.Length == 1 ? (from, to, inputs[0], outputs[0]) : throw new GraftException($"'{layer}' has {inputs.Length} inputs and {outputs.Length} outputs: it cannot be taken by itself");
    }

    private static Operand Renamed(Operand operand, string from, string to) => operand switch
    {
        Reference reference when reference.Name == from => new Reference(to),
        Operands list => new Operands([.. list.Items.Select(item => Renamed(item, from, to))]),
        _ => operand,
    };

    private static string Text(Graph graph, string value) => string.Join('×', graph.Shapes[value].Skip(1));

    private static GraftException Unknown(Graph graph, string layer) => new(UnknownName.Sentence($"the network has no layer '{layer}'", layer, graph.Layers.SelectMany(Outer).Distinct(), $"{NextCommand.Of("graft")} MODEL"));

    // layer1.0.conv1 can be asked for as layer1 and layer1.0 too.
    private static IEnumerable<string> Outer(string layer)
    {
        var parts = layer.Split('.');
        return Enumerable.Range(1, parts.Length).Select(count => string.Join('.', parts[..count]));
    }
}
