using System.Text.Json;
using Graft.Classification;
using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Exports;
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

/// <summary>Writes models in the formats that other programs read, and that <see cref="Classifier.Open(string, InputOptions?)"/> reads again with the
/// same answers.</summary>
public static class Exporter
{
    /// <summary>Writes a finished classifier.</summary>
    /// <param name="model">Of a run, or a pretrained network with its own classifier.</param>
    /// <param name="path">Where to.</param>
    /// <param name="format">As what.</param>
    /// <param name="normalize">ONNX and TorchScript: the file takes levels of 0 … 255 and normalises them itself.</param>
    /// <param name="softmax">ONNX and TorchScript: probabilities come out, not scores; numbers are numbers either way.</param>
    /// <returns>What to know about the file.</returns>
    public static IReadOnlyList<string> Write(Classifier model, string path, ExportFormat format, bool normalize = false, bool softmax = false)
    {
        foreach (var norm in model.Backbone.Modules().OfType<INormStatistics>()) norm.Frozen = false;
        switch (format)
        {
            case ExportFormat.Safetensors when model.Head is not null: model.Save(path, Describe(model)); return [];
            case ExportFormat.Safetensors: new ModelFile(Describe(model), model.Backbone.State(), path).Write(); return [];
            case ExportFormat.PyTorch: return [WritePyTorch(model, path)];
        }
        var card = Describe(model);
        if (model.Backbone is TextEncoder encoder) return WriteText(model, encoder, path, format, softmax, card);
        var preprocessing = model.Backbone.Preprocessing;
        // A file of several labels whose sigmoid is inside already has no other put on it.
        var inside = model.Head is null && model.Task == TargetKind.Labels && card.GetValueOrDefault("output") == "probabilities";
        var sigmoid = softmax && model.Task == TargetKind.Labels && !inside;
        (card["format"], card["input"], card["output"]) =
            (ModelCard.Program, normalize ? ModelCard.Levels : ModelCard.Normalised, model.Task == TargetKind.Numbers ? "numbers" : softmax
            || inside ? "probabilities" : "scores");
        // With the temperature in the weights, the last layer stays a dense one, which readers take for the classifier.
        using var folded = model.Head is LinearHead head && (head.Temperature != 1 || head.Units is not null) ? head.Folded() : null;
        using var whole = new ClassifierModule(folded is null ? model : new Classifier(model.Backbone, folded, model.Stage, model.Classes));
        if (format == ExportFormat.Onnx)
        {
            var (graph, weights) = ScriptGraph.Of(whole, whole.Forward, 3, preprocessing.Height, preprocessing.Width);
            var bytes = OnnxWriter.Write(graph, weights, normalize ? preprocessing.Normalize : null, softmax && !inside ? model.Task : null, card,
                FeaturesOf(model, graph));
            AtomicFile.Write(path, stream => stream.Write(bytes));
            return [];
        }
        Tensor Function(Tensor x)
        {
            var scores = whole.Forward(normalize ? Normalized(x, preprocessing.Normalize) : x);
            return sigmoid ? scores.Sigmoid() : softmax && model.Task == TargetKind.Classes ? scores.Softmax(1) : scores;
        }
        using (new TensorScope())
        using (var script = Script.Trace(whole, inputs => [Function(inputs[0])], Ops.Zeros([1, 3, preprocessing.Height, preprocessing.Width])))
            AtomicFile.Replace(path, beside => script.Save(beside, (ArchiveCard.Name, ArchiveCard.ToText(card))));
        return [];
    }

    private static IReadOnlyList<string> WriteText(Classifier model, TextEncoder encoder, string path, ExportFormat format, bool softmax,
        Dictionary<string, string> card)
    {
        if (format != ExportFormat.Onnx) throw new GraftException("a model of sentences is written as onnx or safetensors: TorchScript would fix the length of what it reads");
        (card["format"], card["input"], card["output"]) = (ModelCard.Program, "N×T numbers of tokens",
            model.Task switch { TargetKind.Numbers => "numbers", TargetKind.Similarity => "vectors", _ => softmax ? "probabilities" : "scores" });
        if (model.Card.Pair is { } pair) card[PairScore.Key] = pair.ToCard();
        card["separator"] = $"{encoder.Shape.Separator}";
        var bytes = TextNetworks.Write(model, softmax, card);
        AtomicFile.Write(path, stream => stream.Write(bytes));
        return [];
    }

    /// <summary>The value that a linear head on the last stage reads; null: there is no such head.</summary>
    private static string? FeaturesOf(Classifier model, Graph graph)
    {
        if (model.Head is null ? model.Backbone.UpstreamHead is null : model.Head is not LinearHead || model.Stage != model.Backbone.Stages.Count - 1)
            return null;
        return StageFinder.Head(graph) is { Features: var found }
            && graph.Shapes[found] is [_, var size] && size == model.Backbone.FeatureSize ? found : null;
    }

    /// <summary>Writes a backbone, its own classifier included, so that <c>--weights</c> reads it.</summary>
    public static void Save(Backbone backbone, string path) => Save(backbone, path, null);

    /// <summary>The same; <paramref name="more"/> adds to its card.</summary>
    internal static void Save(Backbone backbone, string path, IReadOnlyDictionary<string, string>? more)
    {
        var card = Describe(backbone, backbone.ClassNames);
        foreach (var (key, value) in more ?? new Dictionary<string, string>()) card[key] = value;
        new ModelFile(card, backbone.State(), path).Write();
    }

    private static Dictionary<string, string> Describe(Classifier model)
    {
        var card = Describe(model.Backbone, model.Classes);
        foreach (var (key, value) in model.About) card[key] = value;
        // A network that came with a card of several labels or numbers keeps it.
        foreach (var key in new[] { "task", "thresholds", "residuals", "output" })
        {
            if (model.Head is null && model.Backbone.TaskCard?.GetValueOrDefault(key) is { } kept) card[key] = kept;
        }
        return model.Head is null ? card : model.Describe(card);
    }

    private static Dictionary<string, string> Describe(Backbone backbone, IReadOnlyList<string>? classes)
    {
        var card = new Dictionary<string, string>
        {
            ["format"] = ModelCard.Network, ["architecture"] = backbone.Architecture, ["preprocessing"] = backbone.Preprocessing.ToJson(),
                ["upstream"] = ModelCard.Text(backbone.Provenance),
            ["licence"] = backbone.Provenance.Licence, ["domain"] = backbone.Provenance.Domain,
        };
        if (classes is not null) card["classes"] = JsonSerializer.Serialize(classes);
        foreach (var (key, value) in backbone.Spec.Options) card[key] = value;
        if (backbone is TextEncoder encoder) (card["tokenizer"], card["tokens"]) = (encoder.Tokenizer.ToCard(), $"{encoder.MostTokens}");
        if (backbone is GraphBackbone graph) (card["graph"], card["ends"]) = (graph.Graph.ToJson(), graph.Headless ? "features" : "scores");
        return card;
    }

    /// <summary>One network under its architecture's names, where the head can be its classifier; else the backbone and the head apart.</summary>
    private static string WritePyTorch(Classifier model, string path)
    {
        var card = Describe(model);
        var saved = new ModelFile(card, model.Head is null ? model.Backbone.State() : model.Tensors(), path);
        var (network, aside) = SavedRun.AsNetwork(saved);
        var written = aside is null ? network : saved;
        PyTorchWriter.Write(path, written.Tensors, written.Card);
        return Torchvision(model, path, aside);
    }

    private static string Torchvision(Classifier model, string path, string? aside)
    {
        var (backbone, name) = (model.Backbone, model.Backbone.Architecture);
        var why = aside is not null ? aside.Split(':')[0]
            : BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == name) is not { Torchvision: true } ? backbone is GraphBackbone
                ? "it is a graph of its own" : $"{name} is not among its networks"
            : backbone.Spec["padding"] == "same" ? "its convolutions are padded as TensorFlow does it" : null;
        if (why is not null)
        {
            var naming = aside is not null ? "backbone.… and head.…" : backbone is GraphBackbone ? "as in the graph" : $"as Graft's {name}";
            return $"torchvision does not know this network ({why}): its tensors are named {naming}, and Graft reads the file";
        }
        var classes = (model.Head is null ? backbone.UpstreamClasses : null) ?? model.Classes.Count;
        var more = name is "googlenet" or "inception_v3" ? ", aux_logits=False, init_weights=False" : backbone.Spec["side"] is { } side
            ? $", image_size={side}" : "";
        return $"torchvision takes it: torchvision.models.{name}(num_classes={classes}{more}).load_state_dict(torch.load('{Path.GetFileName(path)}'))";
    }

    private static Tensor Normalized(Tensor x, Normalize normalize)
    {
        Tensor Row(IEnumerable<double> values) => Tensor.From([.. values.Select(value => (float)value)]).View([1, 3, 1, 1]);
        return x * Row(normalize.Std.Select(std => 1 / (255 * std))) + Row(normalize.Mean.Zip(normalize.Std, (mean, std) => -mean / std));
    }
}
