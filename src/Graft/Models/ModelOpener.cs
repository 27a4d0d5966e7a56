using Graft.Data;
using Graft.Inference.Words;
using Graft.Models.Checkpoints;
using Graft.Models.Graphs;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>From a path or a name to a network: whatever format its file has.</summary>
public static class ModelOpener
{
    /// <summary>An untrained network, a graph that a file's metadata hold included.</summary>
    /// <param name="spec">What makes it.</param>
    /// <param name="classes">Outputs of its own classifier, or null for none.</param>
    /// <exception cref="GraftException">No such architecture.</exception>
    public static Backbone Create(BackboneSpec spec, int? classes = null) =>
        spec.Name == GraphBackbone.ArchitectureName ? GraphBackbone.Of(spec) : BackboneCatalogue.Create(spec, classes);

    /// <summary>Loads a checkpoint into the architecture that it is of; a file that holds a whole network, as that network; a run, as its
    /// network.</summary>
    /// <param name="path">safetensors (or the index of several), .pt, .pth, .th, .bin; .h5, .keras, .caffemodel, .onnx, TorchScript; a run's
    /// folder; word vectors (.vec, .txt, .bin).</param>
    /// <param name="name">The architecture, where the checkpoint does not tell.</param>
    /// <param name="size">Pixels of the square input, where the network takes several.</param>
    /// <returns>The backbone, and what was noticed while its tensors were matched.</returns>
    /// <exception cref="GraftException">It does not tell, or its tensors do not fit.</exception>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Load(string path, string? name = null, int? size = null)
    {
        var (backbone, notes, _) = LoadNamed(SavedRun.FileOf(ModelHub.Resolve(path)), name, size);
        return (backbone, notes);
    }

    /// <summary>The same, with the input that is asked for; where neither that nor the file says what pictures go through, the last note says what
    /// was taken.</summary>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Load(string path, string? name, InputOptions input)
    {
        path = SavedRun.FileOf(ModelHub.Resolve(path));
        var (loaded, notes, guessed) = LoadNamed(path, name, input.Size);
        if (loaded is TextEncoder)
        {
            if (input != new InputOptions()) throw Bounds.Refuse($"{path} reads text: --labels, --scale, --mean, --std, --channels and --size are for pictures");
            return (loaded, notes);
        }
        var backbone = input.Apply(loaded);
        return (backbone, guessed && !input.Normalizes ? [.. notes, InputOptions.Guess(Path.GetFileName(path), backbone.Preprocessing)] : notes);
    }

    /// <summary>The same, for those who have pictures alone.</summary>
    /// <exception cref="GraftException">It reads text.</exception>
    internal static (Backbone Backbone, IReadOnlyList<string> Notes) LoadForPictures(string path, InputOptions? input = null)
    {
        var loaded = Load(path, null, input ?? new InputOptions());
        if (loaded.Backbone is not TextEncoder) return loaded;
        loaded.Backbone.Dispose();
        throw new GraftException($"{path} reads text, and this is for networks that see pictures, such as resnet18-imagenet");
    }

    private static (Backbone Backbone, IReadOnlyList<string> Notes, bool Guessed) LoadNamed(string path, string? name, int? size) =>
        ModelFile.Guard(path, () => LoadChecked(path, name, size));

    private static (Backbone Backbone, IReadOnlyList<string> Notes, bool Guessed) LoadChecked(string path, string? name, int? size)
    {
        if (WordFile.Is(path)) return (WordEncoder.Open(path, out var remarks), remarks, false);
        if (File.Exists(path) && EncoderFiles.Owns(path))
        {
            var (encoder, noticed) = EncoderFiles.Open(path);
            return (encoder, noticed, false);
        }
        if (!path.EndsWith(".index.json", StringComparison.Ordinal) && ModelFiles.Open(path, size) is { } whole) return whole;
        var (file, note) = SavedRun.AsNetwork(ModelFile.Read(path));
        var options = new Dictionary<string, string>(file.Card);
        if (size is { } side) options["side"] = $"{side}";
        // A graph's names are its own; those of other projects are brought to torchvision's.
        var state = file.Spec?.Name == GraphBackbone.ArchitectureName ? file.Tensors : Renames.Apply(CheckpointMatcher.Bare(file.Tensors));
        name ??= file.Spec?.Name ?? BackboneCatalogue.Recognise(state)
            ?? throw new GraftException($"{path}: its tensors ({string.Join(", ", state.Keys.Take(3))}, …) are of no architecture that is known. Name the right one with --backbone: {NextCommand.Of("models", "list")} shows all");
        using var skip = Initialisers.Skip();
        if (EncoderShape.Knows(name)) return (ModelFile.Encoder(file with { Tensors = state }), note is null ? [] : [note], false);
        var headName = BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == name)?.Head ?? "head";
        var classes = state.TryGetValue(headName + ".weight", out var head) && head.Dimensions is 2 or 4 ? (int?)head.Shape[0] : null;
        var backbone = Create(BackboneSpec.Of(name, options), classes);
        if (state.TryGetValue("encoder.pos_embedding", out var positions) && backbone.State().GetValueOrDefault("encoder.pos_embedding") is { } own
            && own.Shape[1] != positions.Shape[1])
            state = new Dictionary<string, Tensor>(state) { ["encoder.pos_embedding"] = VisionTransformer.Interpolate(positions, own.Shape[1]) };
        var match = CheckpointMatcher.Load(backbone, state, path);
        var card = BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == name);
        backbone.Provenance = ModelCard.Origin(path, file.Card, card?.Licence ?? "",
            classes is { } n ? $"{n} classes ({Path.GetFileNameWithoutExtension(path)})" : Path.GetFileNameWithoutExtension(path));
        backbone.TaskCard = ModelCard.Task(file.Card);
        backbone.ClassNames = ModelCard.Classes(file.Card, backbone.UpstreamClasses);
        var guessed = false;
        if (ModelCard.Preprocessing(file.Card) is { } saved) backbone.Preprocessing = saved;
        else if (file.Card.GetValueOrDefault("input")?.Contains("x/127.5-1", StringComparison.Ordinal) == true) backbone.Preprocessing =
            backbone.Preprocessing with { Normalize = Normalize.Symmetric };
        else if (HuggingFaceCard.Preprocessing(path, backbone.Preprocessing) is { } published) backbone.Preprocessing = published;
        // A published file is what its card speaks of.
        else guessed = card is not { Sha256.Length: > 0, Preprocessing: not null }
            || !backbone.Provenance.Sha256.StartsWith(card.Sha256, StringComparison.OrdinalIgnoreCase);
        return (backbone, note is null ? match : [.. match, note], guessed);
    }
}
