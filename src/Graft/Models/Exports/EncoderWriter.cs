using Graft.Models.Imports.Onnx;
using Graft.Models.Zoo;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Exports;

/// <summary>
/// A text encoder as an ONNX file with free batch and length, under Hugging Face's names for the inputs: input_ids, attention_mask and, where two
/// sentences are told apart, token_type_ids. Written from its layers and not from a trace, which would fix the length.
/// </summary>
internal sealed class EncoderWriter : OnnxNodes
{
    private const int Int64 = 7, Float32 = 1;

    private readonly EncoderShape _shape;
    private readonly EncoderNames _names;
    private readonly Dictionary<string, TorchTensor> _state;
    private readonly List<int> _ends;
    private string _mask = "", _bias = "";

    private EncoderWriter(TextEncoder encoder)
    {
        (_shape, _names, _state) = (encoder.Shape, encoder.Names, encoder.State());
        var groups = encoder.Stages.Count - 1;
        _ends = [.. Enumerable.Range(1, groups).Select(k => _shape.Layers * k / groups)];
    }

    /// <summary>Every stage's pooled output, one after another: N×(stages × width).</summary>
    public static byte[] AllPooled(TextEncoder encoder)
    {
        var writer = new EncoderWriter(encoder);
        writer.Output(writer.Add("Concat", [.. writer.Run(encoder.Stages.Count - 1)], ("axis", 1L)), "pooled",
            encoder.Stages.Count * encoder.Shape.Width);
        return writer.ToBytes(new Dictionary<string, string>());
    }

    /// <summary>A head of dense layers, ReLU between them, on a stage's pooled output.</summary>
    /// <param name="encoder">Below the head.</param>
    /// <param name="stage">That it stands on.</param>
    /// <param name="layers">outputs × inputs, and outputs; none: the pooled output itself comes out.</param>
    /// <param name="temperature">What the scores are multiplied by.</param>
    /// <param name="answer">Softmax or Sigmoid, put behind the scores; null: the scores come out.</param>
    /// <param name="output">What the output is called.</param>
    /// <param name="card">Written into the file.</param>
    public static byte[] WithHead(TextEncoder encoder, int stage, IReadOnlyList<(TorchTensor Weight, TorchTensor Bias)> layers,
        double temperature, string? answer, string output, IReadOnlyDictionary<string, string> card)
    {
        var writer = new EncoderWriter(encoder);
        var scores = writer.Run(stage)[^1];
        for (var k = 0; k < layers.Count; k++)
        {
            if (k > 0) scores = writer.Add("Relu", scores);
            scores = writer.Add("Gemm", [scores, writer.Stored($"head.{k}.weight", layers[k].Weight),
                writer.Stored($"head.{k}.bias", layers[k].Bias)],
                ("transB", 1L));
        }
        if (temperature != 1) scores = writer.Add("Mul", scores, writer.Fixed((float)temperature));
        if (answer is not null) scores = answer == "Softmax" ? writer.Add("Softmax", [scores], ("axis", 1L)) : writer.Add(answer, scores);
        writer.Output(scores, output, layers.Count > 0 ? (int)layers[^1].Bias.Count : encoder.Shape.Width);
        return writer.ToBytes(card);
    }

    /// <summary>Every stage's pooled output, up to one.</summary>
    private List<string> Run(int stage)
    {
        string Input(string name)
        {
            Made.Input.Add(Info(name, Int64, ["batch", "tokens"]));
            return name;
        }
        var ids = Input("input_ids");
        var there = Input("attention_mask");
        _mask = Add("Cast", [there], ("to", (long)Float32));
        if (_shape.Kind == EncoderShape.Words) return [Pool(Add("Gather", Weight(_names.Words), ids))];
        _bias = Add("Mul", Add("Sub", Add("Unsqueeze", _mask, Fixed(1L, 2L)), Fixed(1f)), Fixed(1e9f));
        Layer = "embeddings";
        var x = Add("Gather", Weight(_names.Words), ids);
        x = Add("Add", x, Places(ids, there));
        if (_shape.Types > 1) x = Add("Add", x, Add("Gather", Weight(_names.Types), Input("token_type_ids")));
        else if (_shape.Types == 1) x = Add("Add", x, Weight(_names.Types));
        x = Norm(x, _names.First);
        if (_state.ContainsKey(_names.Project + ".weight")) x = Dense(x, _names.Project);
        List<string> pooled = [Pool(x)];
        for (var (k, layer) = (0, 0); k < stage; k++)
        {
            for (; layer < _ends[k]; layer++) x = Encode(x, string.Format(System.Globalization.CultureInfo.InvariantCulture, _names.Layer, layer)
                + ".");
            pooled.Add(Pool(x));
        }
        return pooled;
    }

    private string Places(string ids, string there)
    {
        if (_shape.Kind == "roberta")
            return Add("Gather", Weight(_names.Places),
                Add("Add", Add("Mul", Add("CumSum", there, Fixed("axis 1", () => TorchTensor.From([1L]).Reshape([]))), there),
                Fixed((long)_shape.Pad)));
        var length = Add("Slice", Add("Shape", ids), Fixed(1L), Fixed(2L));
        return Add("Slice", Weight(_names.Places), Fixed(0L), length, Fixed(0L));
    }

    private string Encode(string x, string layer)
    {
        Layer = layer.TrimEnd('.');
        var (heads, size) = ((long)_shape.Heads, (long)_shape.Width / _shape.Heads);
        string Parted(string name, params long[] order) =>
            Add("Transpose", [Add("Reshape", Dense(x, layer + name), Fixed(0, 0, heads, size))], ("perm", order));
        var scores = Add("MatMul", Parted(_names.Query, 0, 2, 1, 3), Parted(_names.Key, 0, 2, 3, 1));
        scores = Add("Add", Add("Mul", scores, Fixed((float)Math.Pow(size, -0.5))), _bias);
        var seen = Add("MatMul", Add("Softmax", [scores], ("axis", -1L)), Parted(_names.Value, 0, 2, 1, 3));
        seen = Add("Reshape", Add("Transpose", [seen], ("perm", (long[])[0, 2, 1, 3])), Fixed(0, 0, _shape.Width));
        x = Norm(Add("Add", Dense(seen, layer + _names.Out), x), layer + _names.AttentionNorm);
        var inner = Act(Dense(x, layer + _names.Up));
        return Norm(Add("Add", Dense(inner, layer + _names.Down), x), layer + _names.Norm);
    }

    private string Act(string x) => _shape.Activation switch
    {
        "relu" => Add("Relu", x),
        "gelu_new" => Add("Mul", Add("Mul", x, Fixed(0.5f)), Add("Add", Add("Tanh", Add("Mul",
            Add("Add", x, Add("Mul", Add("Mul", Add("Mul", x, x), x), Fixed(0.044715f))), Fixed((float)Math.Sqrt(2 / Math.PI)))), Fixed(1f))),
        // In the order in which ONNX Runtime knows it for one operator.
        _ => Add("Mul", Add("Mul", x, Add("Add", Add("Erf", Add("Div", x, Fixed((float)Math.Sqrt(2)))), Fixed(1f))), Fixed(0.5f)),
    };

    private string Pool(string x)
    {
        switch (_shape.Pooling)
        {
            case "first": return Add("Squeeze", Add("Slice", x, Fixed(0L), Fixed(1L), Fixed(1L)), Fixed(1L));
            case "max":
                var low = Add("Mul", Add("Sub", Add("Unsqueeze", _mask, Fixed(2L)), Fixed(1f)), Fixed(1e9f));
                return Add("ReduceMax", [Add("Add", x, low)], ("axes", (long[])[1]), ("keepdims", 0L));
            default:
                var mask = Add("Unsqueeze", _mask, Fixed(2L));
                var sum = Add("ReduceSum", [Add("Mul", x, mask), Fixed(1L)], ("keepdims", 0L));
                return Add("Div", sum, Add("ReduceSum", [mask, Fixed(1L)], ("keepdims", 0L)));
        }
    }

    private string Norm(string x, string name) =>
        Add("LayerNormalization", [x, Weight(name), Bias(name)], ("axis", -1L), ("epsilon", _shape.Epsilon));

    private string Dense(string x, string name) => Add("Add", Add("MatMul", x, Kept(name + ".weight", transposed: true)), Bias(name));

    private string Weight(string name) => Kept(name + ".weight");

    private string Bias(string name) => Kept(name + ".bias");

    // ALBERT's layers share theirs.
    private readonly HashSet<string> _kept = [];

    private string Kept(string name, bool transposed = false)
    {
        if (!_kept.Add(name)) return name;
        using var scope = new TensorScope();
        return Stored(name, transposed ? _state[name].Detach().T().Contiguous() : _state[name]);
    }

    private void Output(string from, string name, int width)
    {
        var node = new Node { OpType = "Identity", Name = name };
        node.Input.Add(from);
        node.Output.Add(name);
        Made.Node.Add(node);
        Made.Output.Add(Info(name, Float32, ["batch"], width));
    }

    private static ValueInfo Info(string name, int type, string[] free, params long[] rest)
    {
        var shape = new TensorShape();
        shape.Dim.AddRange(free.Select(dim => new Dimension { DimParam = dim }));
        shape.Dim.AddRange(rest.Select(size => new Dimension { DimValue = size }));
        return new ValueInfo { Name = name, Type = new Models.Imports.Onnx.Type { TensorType = new TensorType { ElemType = type, Shape = shape } } };
    }
}
