using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models.Exports;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Classification;

/// <summary>A classifier of sentences as a frozen network.</summary>
internal static class TextNetworks
{
    /// <summary>By ONNX Runtime; by libtorch where that is asked for, or on a graphics processor.</summary>
    public static TextNetwork Of(Classifier model, Device device)
    {
        var encoder = (TextEncoder)model.Backbone;
        if (device.IsCuda || Engine.Wanted == EngineKind.Torch)
            return new TorchTextNetwork(encoder, ids => model.Forward(ids),
                model.Head is CosineHead ? encoder.Stages[model.Stage].Channels : model.Classes.Count, device);
        // Probabilities come out, as a classifier's own function gives them.
        return new OnnxTextNetwork(Write(model, probabilities: true, new Dictionary<string, string>()), encoder.Provenance.Source,
            encoder.Shape.Separator);
    }

    /// <summary>The model as an ONNX file.</summary>
    /// <param name="model">Of sentences.</param>
    /// <param name="probabilities">Softmax or sigmoid inside.</param>
    /// <param name="card">Written into it.</param>
    public static byte[] Write(Classifier model, bool probabilities, IReadOnlyDictionary<string, string> card)
    {
        var head = model.Head ?? throw new GraftException("a text encoder has no classifier of its own");
        if (head is CosineHead) return EncoderWriter.WithHead((TextEncoder)model.Backbone, model.Stage, [], 1, null, "vectors", card);
        using var folded = head is LinearHead linear && (linear.Temperature != 1 || linear.Units is not null) ? linear.Folded() : null;
        var layers = (folded ?? head).State();
        string[] names = head is LinearHead ? [""] : ["layers.0.", "layers.3."];
        var answer = !probabilities || model.Task == Data.TargetKind.Numbers ? null : model.Task == Data.TargetKind.Labels ? "Sigmoid" : "Softmax";
        return EncoderWriter.WithHead((TextEncoder)model.Backbone, model.Stage,
            [.. names.Select(name => (layers[name + "weight"], layers[name + "bias"]))],
            head is LinearHead ? 1 : head.Temperature, answer, model.Task == Data.TargetKind.Numbers ? "numbers" : probabilities ? "probabilities"
                : "scores", card);
    }
}
