using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Exports;

/// <summary>What a model is written as.</summary>
public enum ExportFormat
{
    /// <summary>Tensors, with the architecture and the preprocessing in the header.</summary>
    Safetensors,

    /// <summary>A state dict for torch.load.</summary>
    PyTorch,

    /// <summary>An archive for torch.jit.load.</summary>
    TorchScript,

    /// <summary>ONNX, opset 17, the batch free.</summary>
    Onnx,
}

/// <summary>Writes models in the formats that other programs read.</summary>
public static class Exporter
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    /// <summary>Writes a finished classifier.</summary>
    /// <param name="model">Of a run, or a pretrained network with its own classifier.</param>
    /// <param name="path">Where to.</param>
    /// <param name="format">As what.</param>
    /// <param name="normalize">ONNX and TorchScript: the file takes levels of 0 … 255 and normalises them itself.</param>
    /// <param name="softmax">ONNX and TorchScript: probabilities come out, not scores.</param>
    public static void Write(Classifier model, string path, ExportFormat format, bool normalize = false, bool softmax = false)
    {
        var preprocessing = model.Backbone.Preprocessing;
        var card = new Dictionary<string, string>
        {
            ["classes"] = JsonSerializer.Serialize(model.Classes), ["preprocessing"] = preprocessing.ToJson(), ["architecture"] = model.Backbone.Architecture,
            ["upstream"] = JsonSerializer.Serialize(model.Backbone.Provenance, s_json), ["input"] = normalize ? "N×3×H×W levels of 0 … 255, RGB" : "N×3×H×W, normalised as preprocessing says",
        };
        foreach (var norm in model.Backbone.Modules().OfType<INormStatistics>()) norm.Frozen = false;
        using var whole = new ClassifierModule(model);
        Tensor Function(Tensor x)
        {
            var scores = whole.Forward(normalize ? Normalized(x, preprocessing.Normalize) : x);
            return softmax ? scores.Softmax(1) : scores;
        }
        switch (format)
        {
            case ExportFormat.Safetensors when model.Head is not null: model.Save(path, card); break;
            case ExportFormat.Safetensors: Save(model.Backbone, path, card); break;
            case ExportFormat.PyTorch: PyTorchWriter.Write(path, model.Head is null ? model.Backbone.State() : whole.State()); break;
            case ExportFormat.TorchScript:
                using (new TensorScope())
                using (var script = Script.Trace(whole, inputs => [Function(inputs[0])], Ops.Zeros([1, 3, preprocessing.Height, preprocessing.Width])))
                    AtomicFile.Replace(path, script.Save);
                break;
            case ExportFormat.Onnx:
                var (graph, weights) = ScriptGraph.Of(whole, whole.Forward, 3, preprocessing.Height, preprocessing.Width);
                var bytes = OnnxWriter.Write(graph, weights, normalize ? preprocessing.Normalize : null, softmax, card);
                AtomicFile.Write(path, stream => stream.Write(bytes));
                break;
        }
    }

    /// <summary>Writes a backbone, its own classifier included, so that <c>--weights</c> reads it.</summary>
    public static void Save(Backbone backbone, string path, IReadOnlyDictionary<string, string>? card = null)
    {
        var metadata = new Dictionary<string, string>(card ?? new Dictionary<string, string>())
        {
            ["architecture"] = backbone.Architecture, ["preprocessing"] = backbone.Preprocessing.ToJson(), ["licence"] = backbone.Provenance.Licence, ["domain"] = backbone.Provenance.Domain,
        };
        foreach (var (key, value) in backbone.Options) metadata[key] = value;
        if (backbone is GraphBackbone graph) (metadata["graph"], metadata["ends"]) = (graph.Graph.ToJson(), graph.Headless ? "features" : "scores");
        Safetensors.Write(path, backbone.State(), metadata);
    }

    private static Tensor Normalized(Tensor x, Normalize normalize)
    {
        Tensor Row(IEnumerable<double> values) => Tensor.From([.. values.Select(value => (float)value)]).View([1, 3, 1, 1]);
        return x * Row(normalize.Std.Select(std => 1 / (255 * std))) + Row(normalize.Mean.Zip(normalize.Std, (mean, std) => -mean / std));
    }
}
