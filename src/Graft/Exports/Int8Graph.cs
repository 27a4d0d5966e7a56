using System.Runtime.InteropServices;
using Google.Protobuf;
using Onnx = Graft.Models.Imports.Onnx;

namespace Graft.Exports;

/// <summary>The least and the largest number that a tensor had in calibration, those beyond the percentile cut off.</summary>
internal readonly record struct ActivationRange(float Low, float High);

/// <summary>
/// An ONNX graph with its convolutions and dense layers in eight bits, as pairs of QuantizeLinear and DequantizeLinear (QDQ), which
/// ONNX Runtime and accelerators run as whole numbers. Weights: a scale for each channel, symmetric (Krishnamoorthi 2018, section 2.2);
/// all but depthwise ones in seven of the eight bits, so that sums of pairs do not overflow on processors without VNNI. Activations: one scale and
/// one zero for a tensor, eight bits.
/// </summary>
internal sealed class Int8Graph
{
    private const int FloatType = 1, ByteType = 2, SignedByteType = 3, Int32Type = 6;

    // What passes levels on: between quantised neighbours these run as whole numbers too.
    private static readonly string[] s_passing =
        ["Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip", "Flatten", "Reshape"];

    private readonly Onnx.Model _model;
    private readonly Dictionary<string, Onnx.Tensor> _fixed;
    private readonly Dictionary<string, List<Onnx.Node>> _readers = [];
    private readonly HashSet<string> _outputs;

    /// <param name="model">Batch normalisation folded in, as ONNX Runtime's basic optimisation leaves it.</param>
    public Int8Graph(Onnx.Model model)
    {
        _model = model;
        _fixed = model.Graph.Initializer.ToDictionary(tensor => tensor.Name);
        _outputs = [.. model.Graph.Output.Select(output => output.Name)];
        foreach (var node in model.Graph.Node)
        {
            foreach (var input in node.Input.Where(name => name.Length > 0))
            {
                if (!_readers.TryGetValue(input, out var readers)) _readers[input] = readers = [];
                readers.Add(node);
            }
        }
    }

    /// <summary>Layers that can be quantised, by the name of their output, in the graph's order; whether each is depthwise.</summary>
    public IReadOnlyList<(string Name, bool Depthwise)> Layers =>
        [.. _model.Graph.Node.Where(IsLayer).Select(node => (node.Output[0], IsDepthwise(node)))];

    private bool IsLayer(Onnx.Node node) => node.OpType switch
    {
        "Conv" => _fixed.TryGetValue(node.Input[1], out var kernel) && kernel.DataType == FloatType,
        "Gemm" => _fixed.TryGetValue(node.Input[1], out var weight) && weight.DataType == FloatType && Whole(node, "transA") == 0
            && Real(node, "alpha") == 1 && Real(node, "beta") == 1,
        "MatMul" => _fixed.TryGetValue(node.Input[1], out var weight) && weight.DataType == FloatType && weight.Dims.Count == 2,
        _ => false,
    };

    private bool IsDepthwise(Onnx.Node node) => node.OpType == "Conv" && Whole(node, "group", 1) > 1 && _fixed[node.Input[1]].Dims[1] == 1;

    private static long Whole(Onnx.Node node, string name, long otherwise = 0) =>
        node.Attribute.FirstOrDefault(found => found.Name == name) is { } found ? found.I : otherwise;

    private static float Real(Onnx.Node node, string name) => node.Attribute.FirstOrDefault(found => found.Name == name) is { } found ? found.F : 1;

    /// <summary>Tensors whose ranges <see cref="Write"/> may ask for.</summary>
    public IReadOnlyList<string> Activations => [.. Plan(new HashSet<string>()).Order(StringComparer.Ordinal)];

    /// <summary>Tensors that become whole numbers, where these layers stay as they are.</summary>
    private HashSet<string> Plan(IReadOnlySet<string> keep)
    {
        var quantised = new HashSet<string>();
        foreach (var node in _model.Graph.Node)
        {
            if (IsLayer(node) && !keep.Contains(node.Output[0]))
            {
                quantised.Add(node.Input[0]);
                var output = AfterActivation(node);
                // What is read by nobody but the caller stays a number of its own.
                if (!LeadsOut(output)) quantised.Add(output);
            }
            else if (s_passing.Contains(node.OpType) && Read(node).Any() && Read(node).All(quantised.Contains) && !LeadsOut(node.Output[0]))
            {
                quantised.Add(node.Output[0]);
            }
        }
        return quantised;
    }

    private IEnumerable<string> Read(Onnx.Node node) => node.Input.Where(name => name.Length > 0 && !_fixed.ContainsKey(name));

    // A ReLU right behind a layer is part of it: the range of what comes out says where it cuts.
    private string AfterActivation(Onnx.Node node) =>
        _readers.GetValueOrDefault(node.Output[0]) is [{ OpType: "Relu" or "Clip" } only] && !_outputs.Contains(node.Output[0]) ? only.Output[0]
            : node.Output[0];

    private bool LeadsOut(string name)
    {
        while (true)
        {
            if (_outputs.Contains(name)) return true;
            if (_readers.GetValueOrDefault(name) is not [{ OpType: "Identity" or "Softmax" or "Sigmoid" } only]) return false;
            name = only.Output[0];
        }
    }

    /// <summary>The quantised file.</summary>
    /// <param name="ranges">Of every tensor of <see cref="Activations"/>.</param>
    /// <param name="keep">Layers that stay as they are, by name.</param>
    public byte[] Write(IReadOnlyDictionary<string, ActivationRange> ranges, IReadOnlySet<string> keep)
    {
        var made = _model.Clone();
        var graph = made.Graph;
        var quantised = Plan(keep);
        var nodes = new List<Onnx.Node>();
        foreach (var input in graph.Input.Where(input => quantised.Contains(input.Name))) nodes.AddRange(Pair(graph, input.Name, ranges[input.Name]));
        var spent = new HashSet<string>();
        foreach (var (node, original) in graph.Node.Zip(_model.Graph.Node))
        {
            var layer = IsLayer(node) && !keep.Contains(node.Output[0]);
            if (layer)
            {
                nodes.AddRange(Parameters(graph, node, ranges[node.Input[0]]));
                spent.UnionWith(node.Input.Skip(1).Where(name => name.Length > 0));
                for (var k = 1; k < node.Input.Count; k++) if (node.Input[k].Length > 0) node.Input[k] += $" of {node.Output[0]} dq";
            }
            for (var k = 0; k < node.Input.Count; k++) if (quantised.Contains(node.Input[k])) node.Input[k] += " dq";
            if (keep.Contains(node.Output[0]) && quantised.Contains(original.Input[0]))
            {
                // Between whole numbers, ONNX Runtime would put the weights that are kept in eight bits after all, and with one scale for all
                // channels. A clip that cuts nothing off tells it not to.
                var (scale, zero) = Levels(ranges[original.Input[0]]);
                var held = $"{original.Input[0]} for {node.Output[0]}";
                graph.Initializer.Add([Floats($"{held} low", [], [-(zero + 1) * scale]), Floats($"{held} high", [], [(256 - zero) * scale])]);
                nodes.Add(Node("Clip", held, [node.Input[0], $"{held} low", $"{held} high"]));
                node.Input[0] = held;
            }
            nodes.Add(node);
            foreach (var output in node.Output.Where(quantised.Contains)) nodes.AddRange(Pair(graph, output, ranges[output]));
        }
        graph.Node.Clear();
        graph.Node.Add(nodes);
        var read = nodes.SelectMany(node => node.Input).ToHashSet();
        foreach (var old in graph.Initializer.Where(tensor => spent.Contains(tensor.Name) && !read.Contains(tensor.Name))
            .ToList()) graph.Initializer.Remove(old);
        return made.ToByteArray();
    }

    private static (float Scale, int Zero) Levels(ActivationRange range)
    {
        // Zero is a level of its own: borders are padded with it.
        var (low, high) = (Math.Min(0, range.Low), Math.Max(0, range.High));
        var scale = Math.Max((high - low) / 255, 1e-8f);
        return (scale, Math.Clamp((int)MathF.Round(-low / scale), 0, 255));
    }

    private static Onnx.Node[] Pair(Onnx.Graph graph, string name, ActivationRange range)
    {
        var (scale, zero) = Levels(range);
        graph.Initializer.Add(Floats($"{name} scale", [], [scale]));
        graph.Initializer.Add(new Onnx.Tensor { Name = $"{name} zero", DataType = ByteType, RawData = ByteString.CopyFrom((byte)zero) });
        return [Node("QuantizeLinear", $"{name} q", [name, $"{name} scale", $"{name} zero"]),
            Node("DequantizeLinear", $"{name} dq", [$"{name} q", $"{name} scale", $"{name} zero"])];
    }

    private static Onnx.Node Node(string kind, string output, string[] inputs, long? axis = null)
    {
        var node = new Onnx.Node { OpType = kind, Name = output };
        node.Input.Add(inputs);
        node.Output.Add(output);
        if (axis is { } along) node.Attribute.Add(new Onnx.Attribute { Name = "axis", I = along, Type = 2 });
        return node;
    }

    private static Onnx.Tensor Floats(string name, long[] shape, float[] values)
    {
        var tensor = new Onnx.Tensor { Name = name, DataType = FloatType, RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(values)) };
        tensor.Dims.Add(shape);
        return tensor;
    }

    private static float[] Values(Onnx.Tensor tensor) => tensor.FloatData.Count > 0 ? [.. tensor.FloatData]
        : MemoryMarshal.Cast<byte, float>(tensor.RawData.Span).ToArray();

    /// <summary>Weights in whole numbers with a scale for each channel, and a bias in units of that scale and the input's.</summary>
    private IEnumerable<Onnx.Node> Parameters(Onnx.Graph graph, Onnx.Node node, ActivationRange input)
    {
        var weight = _fixed[node.Input[1]];
        var axis = node.OpType == "MatMul" || (node.OpType == "Gemm" && Whole(node, "transB") == 0) ? 1 : 0;
        var values = Values(weight);
        var channels = (int)weight.Dims[axis];
        var inner = (int)weight.Dims.Skip(axis + 1).Aggregate(1L, (product, size) => product * size);
        int Channel(int k) => k / inner % channels;
        var scales = new float[channels];
        var largest = IsDepthwise(node) ? 127 : 64;
        for (var k = 0; k < values.Length; k++) scales[Channel(k)] = Math.Max(scales[Channel(k)], Math.Abs(values[k]) / largest);
        var bias = node.Input.Count > 2 && node.Input[2].Length > 0 ? Values(_fixed[node.Input[2]]) : null;
        var step = Levels(input).Scale;
        for (var c = 0; c < channels; c++)
        {
            // A channel that is nearly dead: its bias, which is all of it, must still be a whole number of 32 bits in its units.
            if (bias is not null) scales[c] = Math.Max(scales[c], Math.Abs(bias[c]) / (step * (1 << 24)));
            if (!(scales[c] > 0)) scales[c] = 1;
        }
        var levels = new sbyte[values.Length];
        for (var k = 0; k < values.Length; k++) levels[k] = (sbyte)Math.Clamp(MathF.Round(values[k] / scales[Channel(k)]), -largest, largest);
        var name = $"{node.Input[1]} of {node.Output[0]}";
        var whole = new Onnx.Tensor { Name = $"{name} q", DataType = SignedByteType,
            RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes<sbyte>(levels)) };
        whole.Dims.Add(weight.Dims);
        var zeros = new Onnx.Tensor { Name = $"{name} zero", DataType = SignedByteType, RawData = ByteString.CopyFrom(new byte[channels]) };
        zeros.Dims.Add(channels);
        graph.Initializer.Add([whole, Floats($"{name} scale", [channels], scales), zeros]);
        yield return Node("DequantizeLinear", $"{name} dq", [$"{name} q", $"{name} scale", $"{name} zero"], axis);
        if (bias is null) yield break;
        name = $"{node.Input[2]} of {node.Output[0]}";
        float[] units = [.. scales.Select(scale => scale * step)];
        int[] sums = [.. bias.Select((value, c) => (int)Math.Clamp(Math.Round((double)value / units[c]), int.MinValue, int.MaxValue))];
        var added = new Onnx.Tensor { Name = $"{name} q", DataType = Int32Type, RawData = ByteString.CopyFrom(MemoryMarshal.AsBytes<int>(sums)) };
        added.Dims.Add(channels);
        var none = new Onnx.Tensor { Name = $"{name} zero", DataType = Int32Type, RawData = ByteString.CopyFrom(new byte[4 * channels]) };
        none.Dims.Add(channels);
        graph.Initializer.Add([added, Floats($"{name} scale", [channels], units), none]);
        yield return Node("DequantizeLinear", $"{name} dq", [$"{name} q", $"{name} scale", $"{name} zero"], 0);
    }
}
