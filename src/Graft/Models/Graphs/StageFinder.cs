namespace Graft.Models.Graphs;

/// <summary>A stage of a graph: the nodes after the one before it, up to one value.</summary>
internal sealed record GraphStage(string Name, int From, int To, string Output, int Channels);

/// <summary>Where a graph can be cut into stages, and where its own classifier begins.</summary>
internal static class StageFinder
{
    private static readonly HashSet<string> s_pooling =
        ["aten::adaptive_avg_pool2d", "aten::avg_pool2d", "aten::mean", "aten::flatten", "aten::view", "aten::reshape", "aten::squeeze", "aten::dropout", "aten::feature_dropout", "aten::contiguous", "aten::permute"];

    private static readonly HashSet<string> s_shapeless = ["aten::dropout", "aten::feature_dropout", "aten::flatten", "aten::squeeze"];

    /// <summary>The nodes and values after which nothing but one value is still to be read.</summary>
    private static List<(int Node, string Value)> Cuts(Graph graph)
    {
        var last = new Dictionary<string, int> { [graph.Output] = graph.Nodes.Count };
        for (var k = 0; k < graph.Nodes.Count; k++) foreach (var name in graph.Nodes[k].Reads) last[name] = k;
        last[graph.Output] = graph.Nodes.Count;
        var cuts = new List<(int, string)>();
        var live = new HashSet<string> { graph.Input };
        for (var k = 0; k < graph.Nodes.Count; k++)
        {
            foreach (var name in graph.Nodes[k].Outputs.Where(last.ContainsKey)) live.Add(name);
            live.RemoveWhere(name => last.GetValueOrDefault(name, -1) <= k);
            // What depends on weights alone can be computed again on the other side, but is not: such a value stays in the way.
            if (live.Count == 1 && live.First() is var only && only != graph.Input && graph.Shapes[only] is [-1, ..]) cuts.Add((k, only));
        }
        return cuts;
    }

    /// <summary>The layer that gives the scores: its node, and the node after which the features lie.</summary>
    public static (int Head, string Features)? Head(Graph graph)
    {
        var made = graph.Nodes.SelectMany((node, k) => node.Outputs.Select(name => (name, k))).ToDictionary(item => item.name, item => item.k);
        var at = graph.Output;
        while (made.TryGetValue(at, out var k))
        {
            var node = graph.Nodes[k];
            if (node.Kind == "aten::linear" && node.Inputs is [Reference { Name: var features }, Weight, ..] && graph.Shapes[features]
                .Length == 2) return (k, features);
            if (node.Inputs is not [Reference { Name: var before }, ..]
                || !(node.Kind is "aten::softmax" or "aten::log_softmax" || s_shapeless.Contains(node.Kind))) return null;
            at = before;
        }
        return null;
    }

    /// <summary>Stages of the nodes before <paramref name="end"/>: a resolution each; then each dense layer; tokens in quarters.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="end">The first node that belongs to the classifier.</param>
    /// <param name="features">What the classifier reads.</param>
    public static List<GraphStage> Find(Graph graph, int end, string features)
    {
        // Five dimensions are the middle of a shuffle of channels, not a place to stand on.
        var cuts = Cuts(graph).Where(cut => cut.Node < end && (graph.Shapes[cut.Value].Length <= 4 || cut.Value == features)).ToList();
        if (cuts.Count == 0 || cuts[^1].Value != features) throw new GraftException("the network has no place where one value alone goes on to its classifier: it cannot be cut into stages");
        var chosen = new List<(int Node, string Value)>();
        string? Kind((int Node, string Value) cut) => graph.Shapes[cut.Value] switch
        {
            [_, _, var h, var w] => $"{h}×{w}",
            [_, var tokens, _] => $"{tokens} tokens",
            _ => null,
        };
        for (var k = 0; k < cuts.Count; k++)
        {
            var (kind, next) = (Kind(cuts[k]), k + 1 < cuts.Count ? Kind(cuts[k + 1]) : "end");
            // Dense layers: a stage ends where the next one begins, so after the activation.
            var ends = k == cuts.Count - 1 || (kind is null ? graph.Nodes[cuts[k].Node + 1].Kind == "aten::linear" : kind != next);
            if (ends) chosen.Add(cuts[k]);
        }
        chosen = [.. chosen.SelectMany((cut, k) =>
            Kind(cut)?.EndsWith("tokens", StringComparison.Ordinal) == true ? Quarters(cuts, Kind, cut) : [cut])];
        Trim(graph, chosen);
        var stages = new List<GraphStage>();
        var from = 0;
        foreach (var (node, value) in chosen)
        {
            var shape = graph.Shapes[value];
            stages.Add(new GraphStage($"s{stages.Count}", from, node + 1, value, (int)(shape.Length == 3 ? shape[2] : shape[1])));
            from = node + 1;
        }
        return stages;
    }

    // A run of equal blocks over tokens: the ends of its quarters.
    private static IEnumerable<(int Node, string Value)> Quarters(List<(int Node, string Value)> cuts, Func<(int, string), string?> kind,
        (int Node, string Value) last)
    {
        var run = cuts.Where(cut => cut.Node <= last.Node && kind(cut) == kind(last)).ToList();
        return run.Count < 8 ? [last] : Enumerable.Range(1, 4).Select(k => k == 4 ? last : run[run.Count * k / 4 - 1]);
    }

    // A stage without parameters joins the one behind it; at the end, what only averages over positions is what pooling does anyhow.
    private static void Trim(Graph graph, List<(int Node, string Value)> chosen)
    {
        for (var k = chosen.Count - 1; k >= 0 && chosen.Count > 1; k--)
        {
            var from = k == 0 ? 0 : chosen[k - 1].Node + 1;
            var nodes = graph.Nodes.Skip(from).Take(chosen[k].Node + 1 - from).ToArray();
            if (nodes.Any(node => node.Weights.Any(name => !graph.Weights[name].Buffer))) continue;
            if (k < chosen.Count - 1) { chosen.RemoveAt(k); continue; }
            var (before, after) = (graph.Shapes[chosen[k - 1].Value], graph.Shapes[chosen[k].Value]);
            var averages = before.Length == 4 && nodes.All(node => s_pooling.Contains(node.Kind))
                && nodes.Any(node => node.Kind is "aten::adaptive_avg_pool2d" or "aten::avg_pool2d" or "aten::mean")
                && after.Skip(1).Aggregate(1L, (n, size) => n * size) == before[1];
            chosen.RemoveAt(averages ? k : k - 1);
        }
    }
}
