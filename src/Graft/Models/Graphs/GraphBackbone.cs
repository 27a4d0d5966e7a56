using System.Security.Cryptography;
using System.Text;
using Graft.Data;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>
/// A backbone that is a <see cref="Graph"/>: what an import, a trace or surgery gives. Stages are found where one value alone
/// goes on: at changes of resolution, at dense layers, at quarters of a run of tokens.
/// </summary>
public sealed class GraphBackbone : Backbone
{
    internal const string ArchitectureName = "graph";

    private readonly string _name;
    private readonly string _digest;
    private readonly Graph _body;

    /// <summary>Takes a graph with its classifier, if it has one.</summary>
    /// <param name="graph">From N×C×H×W to scores or features; a softmax behind scores is taken off.</param>
    /// <param name="weights">By name; belong to the backbone from here on.</param>
    /// <param name="preprocessing">What its input has gone through.</param>
    /// <param name="name">To call it by.</param>
    /// <param name="headless">The graph gives features: no layer of it is a classifier.</param>
    internal GraphBackbone(Graph graph, IReadOnlyDictionary<string, Tensor> weights, Preprocessing preprocessing, string name = "graph",
        bool headless = false)
    {
        Graph = graph = headless ? graph : WithoutSoftmax(graph);
        (_name, Preprocessing, Headless) = (name, preprocessing, headless);
        _digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(graph.ToJson())))[..16];
        var head = headless ? null : StageFinder.Head(graph);
        var (end, features) = head is { } found ? (found.Head, found.Features) : (graph.Nodes.Count, graph.Output);
        var shared = new Dictionary<string, Slot>();
        var stages = new List<Stage>();
        var input = graph.Input;
        var parts = StageFinder.Find(graph, end, features);
        foreach (var part in parts)
        {
            var module = Child("", new GraphModule([.. graph.Nodes.Skip(part.From).Take(part.To - part.From)], input, part.Output, weights,
                graph.Weights, shared));
            stages.Add(new Stage(part.Name, part.Channels, [module], module.Forward));
            input = part.Output;
        }
        Stages = stages;
        HeadName = "head";
        if (head is { } cut)
        {
            var node = graph.Nodes[cut.Head];
            var names = node.Weights.ToArray();
            HeadName = node.Layer;
            var (classes, size) = ((int)weights[names[0]].Shape[0], (int)weights[names[0]].Shape[1]);
            using (Initialisers.Skip()) UpstreamHead = Child(HeadName, new Linear(size, classes, names.Length > 1));
            using var mode = Autograd.NoGrad();
            UpstreamHead.Weight.CopyInPlace(weights[names[0]]);
            if (names.Length > 1) UpstreamHead.Bias!.CopyInPlace(weights[names[1]]);
        }
        _body = headless ? graph : graph.UpTo(features);
    }

    /// <summary>The whole of it, the classifier included.</summary>
    internal Graph Graph { get; }

    /// <summary>Whether it ends with features, not with scores.</summary>
    internal bool Headless { get; }

    /// <inheritdoc/>
    public override string Architecture => ArchitectureName;

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages { get; }

    /// <inheritdoc/>
    public override string HeadName { get; }

    /// <inheritdoc/>
    public override bool CanClassify => !Headless;

    /// <inheritdoc/>
    public override int? UpstreamClasses => Headless ? null : UpstreamHead is null ? FeatureSize : base.UpstreamClasses;

    /// <inheritdoc/>
    public override Tensor Classify(Tensor x) => UpstreamHead is not null || Headless ? base.Classify(x) : Forward(x);

    /// <summary>What it is called.</summary>
    internal string Name => _name;

    /// <summary>Every weight by the graph's names, the classifier's among them.</summary>
    internal IReadOnlyDictionary<string, Tensor> Weights
    {
        get
        {
            var state = State();
            if (UpstreamHead is null) return state;
            // The classifier's own names are its layer's; a foreign file may call them anything.
            var names = Graph.Nodes[StageFinder.Head(Graph)!.Value.Head].Weights.ToArray();
            foreach (var (own, name) in new[] { "weight", "bias" }.Zip(names))
            {
                var head = state[$"{HeadName}.{own}"];
                state.Remove($"{HeadName}.{own}");
                state[name] = head;
            }
            return state;
        }
    }

    /// <inheritdoc/>
    public override BackboneSpec Spec =>
        field ??= new(ArchitectureName, ("name", _name.Replace(' ', '_').Replace('=', '_')), ("digest", _digest), ("graph", _body.ToJson()));

    /// <summary>One that a file's metadata describe, with weights of zero.</summary>
    /// <param name="spec">graph, name; ends: scores where the graph ends with its classifier.</param>
    /// <exception cref="GraftException">There is no graph, or it cannot be read.</exception>
    internal static GraphBackbone Of(BackboneSpec spec)
    {
        var graph = Graph.FromJson(spec["graph"] ?? throw new GraftException("the file names the architecture 'graph' and holds no graph"));
        return new GraphBackbone(graph, graph.Zeros(), Preprocessing.Small((int)graph.Shapes[graph.Input][^1], Normalize.ImageNet), spec["name"]
            ?? "graph", spec["ends"] != "scores");
    }

    /// <summary>A body with a dense layer on its pooled output, as the classifier that its own weights make it.</summary>
    /// <param name="body">From pictures to features.</param>
    /// <param name="classes">Outputs.</param>
    /// <param name="layer">The name of the new layer, under which its weight and bias stand.</param>
    internal static Graph WithHead(Graph body, long classes, out string layer)
    {
        layer = "graft_head";
        var (nodes, shapes, features) = (body.Nodes.ToList(), new Dictionary<string, long[]>(body.Shapes), body.Output);
        var shape = shapes[features];
        if (shape.Length > 2)
        {
            // As Pool does it.
            var over = shape.Length == 4 ? new long[] { 2, 3 } : [1];
            nodes.Add(new Node("", "aten::mean.dim", [new Reference(features), new Literal(over), new Literal(false), new Literal(null)],
                [features = "graft_pooled"]));
            shapes[features] = [-1, shape.Length == 4 ? shape[1] : shape[2]];
        }
        nodes.Add(new Node(layer, "aten::linear", [new Reference(features), new Weight($"{layer}.weight"), new Weight($"{layer}.bias")],
            ["graft_scores"]));
        shapes["graft_scores"] = [-1, classes];
        var weights = new Dictionary<string, WeightShape>(body.Weights) { [$"{layer}.weight"] =
            new([classes, shapes[features][1]], DType.Float32, false), [$"{layer}.bias"] = new([classes], DType.Float32, false) };
        return body with { Nodes = nodes, Output = "graft_scores", Shapes = shapes, Weights = weights };
    }

    /// <inheritdoc/>
    protected override Backbone CreateSame()
    {
        using var mode = Autograd.NoGrad();
        return new GraphBackbone(Graph, Weights.ToDictionary(weight => weight.Key, weight => TensorScope.Detach(weight.Value.Detach().Clone())),
            Preprocessing, _name, Headless);
    }

    /// <summary>Any backbone as a graph with the same names, by a trace: what surgery works on.</summary>
    internal static GraphBackbone From(Backbone backbone)
    {
        if (backbone is GraphBackbone already) return (GraphBackbone)already.Clone();
        backbone.Eval();
        foreach (var norm in backbone.Modules().OfType<INormStatistics>()) norm.Frozen = false;
        var classify = backbone.CanClassify;
        var (graph, weights) = ScriptGraph.Of(backbone, classify ? backbone.Classify : backbone.Forward, 3, backbone.Preprocessing.Height,
            backbone.Preprocessing.Width);
        return new GraphBackbone(graph, weights.ToDictionary(weight => weight.Key, weight => TensorScope.Detach(weight.Value.Clone())),
            backbone.Preprocessing, backbone.Architecture, !classify) { Provenance = backbone.Provenance, ClassNames = backbone.ClassNames };
    }

    /// <summary>The same graph on an input of another size: its shapes are worked out anew.</summary>
    internal static GraphBackbone Through(GraphBackbone backbone, int side)
    {
        using var builder = new GraphBuilder(1);
        var input = builder.Input([3, side, side]);
        var output = Surgery.Replay(builder, backbone.Graph, backbone.Weights.ToDictionary(weight => weight.Key, weight => weight.Value.Detach()),
            new Dictionary<string, Symbol> { [backbone.Graph.Input] = input }, backbone.Graph.Output);
        var (graph, weights) = builder.Build(output);
        return new GraphBackbone(graph, weights.ToDictionary(weight => weight.Key, weight => TensorScope.Detach(weight.Value.Clone())),
            backbone.Preprocessing, backbone.Name, backbone.Headless) { Provenance = backbone.Provenance, ClassNames = backbone.ClassNames };
    }

    private static Graph WithoutSoftmax(Graph graph)
    {
        while (graph.Nodes.Count > 1 && graph.Nodes[^1] is { Kind: "aten::softmax" or "aten::log_softmax",
            Inputs: [Reference { Name: var before }, ..] } last && last.Outputs[0] == graph.Output)
            graph = (graph with { Nodes = [.. graph.Nodes.SkipLast(1)], Output = before }).Pruned();
        return graph;
    }
}
