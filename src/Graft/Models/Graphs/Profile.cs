using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models.Graphs;

/// <summary>What a stage costs and sees.</summary>
/// <param name="Name">Of the stage.</param>
/// <param name="Shape">Of its output for one picture.</param>
/// <param name="Parameters">How many numbers its parameters are.</param>
/// <param name="MultiplyAdds">For one picture, of convolutions, dense layers and products of matrices.</param>
/// <param name="ReceptiveField">Pixels of the input, along a side, that one position can depend on; null: the whole picture.</param>
/// <param name="Stride">Pixels of the input between neighbouring positions; null where there are none.</param>
internal sealed record StageProfile(string Name, long[] Shape, long Parameters, long MultiplyAdds, long? ReceptiveField, long? Stride);

/// <summary>Counts operations and follows the receptive field (Araujo et al. 2019, eq. 2) through each stage's traced graph.</summary>
internal static class Profile
{
    // What a position sees: so many pixels, at such a distance from the next; a field of −1 is everything.
    private readonly record struct View(long Field, long Jump)
    {
        public static View Whole => new(-1, -1);

        public View Through(long window, long stride, long dilation) => Field < 0 ? this : new(Field + (window - 1) * dilation * Jump, Jump * stride);

        public static View Join(View a, View b) => a.Field < 0 || b.Field < 0 ? Whole : new(Math.Max(a.Field, b.Field), Math.Max(a.Jump, b.Jump));
    }

    /// <summary>A stage by itself, so that a trace owns its weights alone.</summary>
    private sealed class Part : Module
    {
        private readonly Stage _stage;

        public Part(Stage stage)
        {
            _stage = stage;
            for (var k = 0; k < stage.Modules.Count; k++) Child($"{k}", stage.Modules[k]);
        }

        public override Tensor Forward(Tensor x) => _stage.Forward(x);
    }

    /// <summary>One row for each stage.</summary>
    public static IReadOnlyList<StageProfile> Of(Backbone backbone)
    {
        backbone.Eval();
        foreach (var norm in backbone.Modules().OfType<INormStatistics>()) norm.Frozen = false;
        long[] shape = [3, backbone.Preprocessing.Height, backbone.Preprocessing.Width];
        var view = new View(1, 1);
        var rows = new List<StageProfile>();
        foreach (var stage in backbone.Stages)
        {
            var graph = ScriptGraph.Of(new Part(stage), stage.Forward, shape).Graph;
            long Size(string value) => graph.Shapes[value].Aggregate(1L, (n, size) => n * Math.Abs(size));
            var views = new Dictionary<string, View> { [graph.Input] = view };
            long operations = 0;
            foreach (var node in graph.Nodes)
            {
                operations += MultiplyAdds(graph, node, Size);
                var seen = node.Reads.Where(views.ContainsKey).Select(name => views[name]).ToArray();
                if (seen.Length == 0) continue;
                var after = Through(graph, node, seen.Aggregate(View.Join));
                foreach (var output in node.Outputs) views[output] = after;
            }
            view = views[graph.Output];
            shape = graph.Shapes[graph.Output][1..];
            rows.Add(new StageProfile(stage.Name, shape, stage.ParameterCount, operations, view.Field < 0 ? null : view.Field,
                view.Field < 0 ? null : view.Jump));
        }
        return rows;
    }

    private static long[] WeightShape(Graph graph, Node node, int at) => node.Inputs[at] switch
    {
        Weight weight => graph.Weights[weight.Name].Shape,
        Reference reference => graph.Shapes[reference.Name],
        _ => [],
    };

    private static long MultiplyAdds(Graph graph, Node node, Func<string, long> size) => node.Kind switch
    {
        "aten::conv2d" or "aten::conv1d" or "aten::linear" => size(node.Outputs[0]) * WeightShape(graph, node, 1).Skip(1)
            .Aggregate(1L, (n, d) => n * d),
        "aten::matmul" or "aten::bmm" or "aten::mm" => size(node.Outputs[0]) * Math.Abs(WeightShape(graph, node, 0)[^1]),
        "aten::addmm" => size(node.Outputs[0]) * Math.Abs(WeightShape(graph, node, 1)[^1]),
        _ => 0,
    };

    private static View Through(Graph graph, Node node, View view)
    {
        long[] Numbers(int at) => node.Inputs.Count > at && node.Inputs[at] is Literal { Value: long[] list } ? list : [];
        static long Most(long[] list, long otherwise) => list.Length == 0 ? otherwise : list.Max();
        switch (node.Kind)
        {
            case "aten::conv2d": return view.Through(WeightShape(graph, node, 1)[2..].Max(), Most(Numbers(3), 1), Most(Numbers(5), 1));
            case "aten::max_pool2d": return view.Through(Most(Numbers(1), 1), Most(Numbers(2), Most(Numbers(1), 1)), Most(Numbers(4), 1));
            case "aten::avg_pool2d": return view.Through(Most(Numbers(1), 1), Most(Numbers(2), Most(Numbers(1), 1)), 1);
            // Channels alone weigh by means of the whole picture, but a position still shows what lies around it: the field is that of the content.
            case "aten::mean" or "aten::adaptive_avg_pool2d" or "aten::linear" or "aten::flatten" when graph.Shapes[node.Outputs[0]]
                .Length < 3: return View.Whole;
            case "aten::matmul" or "aten::bmm" or "aten::softmax": return View.Whole;
            default: return view;
        }
    }
}
