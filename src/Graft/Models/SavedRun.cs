using System.Globalization;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Checkpoints;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>What runs end with, as upstreams for others: their networks under the names that architectures give.</summary>
internal static class SavedRun
{
    /// <summary>The model in a run's folder; any other path as it is.</summary>
    /// <exception cref="GraftException">A folder without one.</exception>
    public static string FileOf(string path)
    {
        if (!Directory.Exists(path)) return path;
        if (EncoderFiles.In(path) is { } weights) return weights;
        if (RunFolder.Models.Select(name => Path.Combine(path, name)).FirstOrDefault(File.Exists) is { } found) return found;
        throw new GraftException(File.Exists(Path.Combine(path, "run.json"))
            ? $"{path} has no {RunFolder.Models[0]}: its training did not finish. Go on with: {NextCommand.Of([.. (RunFolder.GoesOn(path) ?? "graft train").Split(' ')[1..], "--resume", path])}"
            : $"{path} is no run folder (it has neither run.json nor {RunFolder.Models[0]}): it is {ForeignFile.Folder(path)}");
    }

    /// <summary>
    /// A file that Graft saved as one network: what stands under <c>backbone.</c> under the architecture's own names, and a linear head on the
    /// last stage as its classifier, the temperature in its weights. Any other checkpoint as it is.
    /// </summary>
    /// <returns>The network, and what was left out.</returns>
    /// <exception cref="GraftException">It is saved by Graft and holds no network of pictures.</exception>
    public static (ModelFile Network, string? Note) AsNetwork(ModelFile saved) => saved.Format switch
    {
        ModelCard.Classifier => OfClassifier(saved),
        ModelCard.FewShot => (OfFewShot(saved), null),
        ModelCard.MultiTask => (OfMultiTask(saved), "its heads are of several tasks: the backbone alone is taken"),
        ModelCard.Support => throw OfSupport(),
        _ => (saved, null),
    };

    /// <summary>A support set in place of weights.</summary>
    internal static GraftException OfSupport() =>
        new("it is a set of graft fewshot classify, which is given with --support: the weights of its network are what it was made with");

    private static (ModelFile, string?) OfClassifier(ModelFile saved)
    {
        var tensors = saved.Part("backbone.");
        var metadata = new Dictionary<string, string>(saved.Card) { ["format"] = ModelCard.Network };
        var (kind, stage) = (saved.Required("head"), saved.Required("stage"));
        string? aside = null;
        using (Initialisers.Skip())
        using (var body = ModelOpener.Create(BackboneSpec.Of(saved.Required("architecture"), metadata)))
        {
            if (saved.Tensors.GetValueOrDefault("head.weight") is not { Dimensions: 2 } weight
                || saved.Tensors.GetValueOrDefault("head.bias") is not { } bias) aside = "is not linear";
            else if (stage != body.Stages[^1].Name) aside = $"stands on its stage {stage}";
            else if (Joined(body, metadata,
                weight.Shape[0]) is not { } name) aside = $"has no place in {body.Architecture}, whose own classifier is no dense layer";
            else
            {
                var temperature = double.Parse(saved.Required("temperature"), CultureInfo.InvariantCulture);
                using var mode = Autograd.NoGrad();
                (tensors[$"{name}.weight"], tensors[$"{name}.bias"]) =
                    (TensorScope.Detach(weight * temperature), TensorScope.Detach(bias * temperature));
            }
        }
        if (aside is not null) metadata.Remove("classes");
        return (saved with { Tensors = tensors, Card = metadata },
            aside is null ? null : $"its head ({kind.ToLowerInvariant()}) {aside}: the backbone alone is taken");
    }

    /// <summary>The name that the head gets as the network's own classifier; null where the architecture has no such place.</summary>
    private static string? Joined(Backbone body, Dictionary<string, string> metadata, long classes)
    {
        if (body is GraphBackbone { Graph: var graph })
        {
            var whole = GraphBackbone.WithHead(graph, classes, out var layer);
            using var made = new GraphBackbone(whole, whole.Zeros(), body.Preprocessing);
            if (!made.Stages.Select(stage => (stage.Name, stage.Channels))
                .SequenceEqual(body.Stages.Select(stage => (stage.Name, stage.Channels)))) return null;
            (metadata["graph"], metadata["ends"]) = (whole.ToJson(), "scores");
            return layer;
        }
        using var with = ModelOpener.Create(body.Spec, (int)classes);
        return with.UpstreamHead is null ? null : with.HeadName;
    }

    private static ModelFile OfMultiTask(ModelFile saved)
    {
        var metadata = new Dictionary<string, string>(saved.Card) { ["format"] = ModelCard.Network };
        foreach (var key in new[] { "classes", "tasks", "output" }) metadata.Remove(key);
        return saved with { Tensors = saved.Part("backbone."), Card = metadata };
    }

    private static ModelFile OfFewShot(ModelFile saved)
    {
        var method = saved.Card.GetValueOrDefault("method");
        if (!saved.Card.ContainsKey("architecture"))
            throw new GraftException($"it was trained by graft fewshot with the method '{method}', whose file holds no network that gives features of a picture: give the weights that it began with, or a run of protonet, matching, relation, local or siamese");
        var tensors = saved.Part("embedder.");
        var metadata = new Dictionary<string, string>(saved.Card) { ["format"] = ModelCard.Network };
        if (metadata.GetValueOrDefault("grey") == "yes" && ModelCard.Preprocessing(metadata) is { } stated
            && !stated.Steps.Any(step => step is Grayscale))
            metadata["preprocessing"] = (stated with { Steps = [new Grayscale(), .. stated.Steps] }).ToJson();
        if (metadata["architecture"] == "convnet" && metadata.GetValueOrDefault("channels") == "1")
        {
            // An upstream sees three channels: of a grey picture they are equal, and a third of the weight on each gives the same.
            metadata.Remove("channels");
            using var mode = Autograd.NoGrad();
            foreach (var (name, weight) in tensors.Where(item => item.Key.StartsWith("block1.", StringComparison.Ordinal)
                && item.Value is { Dimensions: 4 }).ToList())
                tensors[name] = TensorScope.Detach((weight / 3.0).Expand([weight.Shape[0], 3, weight.Shape[2], weight.Shape[3]]).Contiguous());
        }
        return saved with { Tensors = tensors, Card = metadata };
    }

}
