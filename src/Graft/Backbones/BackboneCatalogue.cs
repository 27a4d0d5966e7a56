using System.Text.Json;
using Graft.Checkpoints;
using Graft.Data;
using Graft.Torch;

namespace Graft.Backbones;

/// <summary>What is known of an architecture without its weights.</summary>
public sealed record BackboneCard(string Name, string Summary, string Paper, string Input, string Weights, string Licence, string Published);

/// <summary>The architectures by name, and how a checkpoint tells which one it is.</summary>
public static class BackboneCatalogue
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    /// <summary>One card for each architecture.</summary>
    public static IReadOnlyList<BackboneCard> Cards { get; } =
    [
        .. typeof(BackboneCatalogue).Assembly.GetManifestResourceNames().Where(name => name.StartsWith("cards/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)
            .Select(name => JsonSerializer.Deserialize<BackboneCard>(typeof(BackboneCatalogue).Assembly.GetManifestResourceStream(name)!, s_json)!),
    ];

    /// <summary>A backbone with random weights.</summary>
    /// <param name="name">As on its card.</param>
    /// <param name="classes">Outputs of its own classifier, or null for none.</param>
    /// <param name="options">padding: same; side, widths, channels for the small networks.</param>
    /// <exception cref="GraftException">No such architecture.</exception>
    public static Backbone Create(string name, int? classes = null, IReadOnlyDictionary<string, string>? options = null)
    {
        string? Option(string key) => options?.GetValueOrDefault(key);
        int Number(string key, int fallback) => int.TryParse(Option(key), out var value) ? value : fallback;
        int[] Widths(params int[] fallback) => Option("widths") is { } text ? [.. text.Split('-').Select(int.Parse)] : fallback;
        return name switch
        {
            "graph" => Graphs.GraphBackbone.FromOptions(options),
            "mobilenet_v2" => new MobileNetV2(Option("padding") == "same", classes),
            "convnet" => new ConvNet(Widths(32, 64, 96, 128), Number("side", 32), classes),
            "mlp" => new Mlp(Widths(300, 100, 50, 50, 50), Number("side", 28), Number("channels", 1), classes),
            _ when name.StartsWith("cifar_resnet", StringComparison.Ordinal) && int.TryParse(name["cifar_resnet".Length..], out var depth) => new CifarResNet(depth, classes),
            _ => throw new GraftException($"there is no backbone '{name}'. There are: {string.Join(", ", Cards.Select(card => card.Name))}"),
        };
    }

    /// <summary>Loads a checkpoint into the architecture that it is of.</summary>
    /// <param name="path">safetensors, .pt, .pth, .th or .bin.</param>
    /// <param name="name">The architecture, where the checkpoint does not tell.</param>
    /// <returns>The backbone, and what was noticed while its tensors were matched.</returns>
    /// <exception cref="GraftException">It does not tell, or its tensors do not fit.</exception>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Load(string path, string? name = null)
    {
        var checkpoint = Checkpoint.Read(path);
        var state = CheckpointMatcher.Bare(checkpoint.Tensors);
        name ??= checkpoint.Metadata.GetValueOrDefault("architecture") ?? Recognise(state)
            ?? throw new GraftException($"{path}: its tensors ({string.Join(", ", state.Keys.Take(3))}, …) are of no architecture that is known. Name one with --backbone: {string.Join(", ", Cards.Select(card => card.Name))}");
        using var skip = Initialisers.Skip();
        string headName;
        using (var probe = Create(name, null, checkpoint.Metadata)) headName = probe.HeadName;
        var classes = state.TryGetValue(headName + ".weight", out var head) && head.Dimensions == 2 ? (int?)head.Shape[0] : null;
        var backbone = Create(name, classes, checkpoint.Metadata);
        var match = CheckpointMatcher.Load(backbone, state, path);
        if (checkpoint.Metadata.GetValueOrDefault("preprocessing") is { } saved) backbone.Preprocessing = JsonSerializer.Deserialize<Preprocessing>(saved, s_json)!;
        else if (checkpoint.Metadata.GetValueOrDefault("input")?.Contains("x/127.5-1", StringComparison.Ordinal) == true) backbone.Preprocessing = backbone.Preprocessing with { Normalize = Normalize.Symmetric };
        var card = Cards.FirstOrDefault(card => card.Name == name);
        backbone.Provenance = new Provenance(Path.GetFileName(path), checkpoint.Metadata.GetValueOrDefault("licence") ?? card?.Licence ?? "", checkpoint.Sha256(),
            checkpoint.Metadata.GetValueOrDefault("domain") ?? (classes is { } n ? $"{n} classes ({Path.GetFileNameWithoutExtension(path)})" : Path.GetFileNameWithoutExtension(path)));
        return (backbone, match);
    }

    private static string? Recognise(IReadOnlyDictionary<string, Tensor> state)
    {
        if (state.ContainsKey("features.18.0.weight") && state.ContainsKey("features.1.conv.0.0.weight")) return "mobilenet_v2";
        if (state.TryGetValue("conv1.weight", out var stem) && stem.Shape is [16, 3, 3, 3] && state.ContainsKey("layer3.0.conv1.weight"))
            return $"cifar_resnet{2 + 6 * Enumerable.Range(0, 99).TakeWhile(k => state.ContainsKey($"layer1.{k}.conv1.weight")).Count()}";
        if (state.ContainsKey("block1.conv.weight")) return "convnet";
        return state.ContainsKey("dense1.weight") ? "mlp" : null;
    }
}
