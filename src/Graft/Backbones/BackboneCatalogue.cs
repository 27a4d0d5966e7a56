using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Checkpoints;
using Graft.Data;
using Graft.Torch;

namespace Graft.Backbones;

/// <summary>What is known of an architecture without its weights: a row of Cards/cards.json.</summary>
/// <param name="Name">To ask for it by.</param>
/// <param name="Summary">In a few words.</param>
/// <param name="Paper">Where it was published.</param>
/// <param name="Side">Pixels of the square input.</param>
/// <param name="Parameters">With the classifier of the public weights; 0 where it depends on options.</param>
/// <param name="MultiplyAdds">For one picture of that size, up to the features.</param>
/// <param name="Url">Of the public weights, or empty.</param>
/// <param name="Sha256">Of that file, as far as its publisher tells: the first eight digits, or all.</param>
/// <param name="Licence">Of the weights.</param>
/// <param name="Published">The accuracy that their publisher states.</param>
/// <param name="Padding">torch, or same (TensorFlow's).</param>
public sealed record BackboneCard(string Name, string Summary, string Paper, int Side, long Parameters, long MultiplyAdds, string Url, string Sha256, string Licence, string Published, string Padding)
{
    /// <summary>The shorter side is resized to this before the middle is cut out; 0: resized straight to the input.</summary>
    public int Resize { get; init; }

    /// <summary>bilinear or bicubic.</summary>
    public Filter Filter { get; init; } = Filter.Bilinear;

    /// <summary>Of the channels, on the scale of 0 … 1.</summary>
    public double[]? Mean { get; init; }

    /// <summary>Of the channels, on the scale of 0 … 1.</summary>
    public double[]? Std { get; init; }

    /// <summary>The name of the public weights' classifier.</summary>
    public string Head { get; init; } = "";

    /// <summary>A digest of the names and shapes of its tensors below the classifier: what a checkpoint is recognised by.</summary>
    public string Signature { get; init; } = "";

    /// <summary>More about where weights are.</summary>
    public string Weights { get; init; } = "";

    /// <summary>Whether torchvision has it under the same name.</summary>
    public bool Torchvision { get; init; }

    /// <summary>What the public weights' input has gone through; null where the card does not say.</summary>
    public Preprocessing? Preprocessing => Mean is null || Std is null ? null
        : Resize > 0 ? new Preprocessing(Side, Side, [new Resize(Resize, Filter), new CenterCrop(Side)], new Normalize(Mean, Std)) : Data.Preprocessing.Small(Side, new Normalize(Mean, Std));
}

/// <summary>The architectures by name, and how a checkpoint tells which one it is.</summary>
public static class BackboneCatalogue
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) } };

    /// <summary>One card for each architecture.</summary>
    public static IReadOnlyList<BackboneCard> Cards => s_cards.Value;

    private static readonly Lazy<BackboneCard[]> s_cards = new(() =>
        JsonSerializer.Deserialize<BackboneCard[]>(typeof(BackboneCatalogue).Assembly.GetManifestResourceStream("cards/cards.json")!, s_json)!);

    /// <summary>A backbone with random weights.</summary>
    /// <param name="name">As on its card.</param>
    /// <param name="classes">Outputs of its own classifier, or null for none.</param>
    /// <param name="options">padding: same; side, widths, channels for the small networks.</param>
    /// <exception cref="GraftException">No such architecture.</exception>
    public static Backbone Create(string name, int? classes = null, IReadOnlyDictionary<string, string>? options = null)
    {
        var made = Make(name, classes, options);
        if (options?.ContainsKey("side") != true && options?.GetValueOrDefault("padding") != "same" && Cards.FirstOrDefault(card => card.Name == name)?.Preprocessing is { } stated) made.Preprocessing = stated;
        return made;
    }

    private static Backbone Make(string name, int? classes, IReadOnlyDictionary<string, string>? options)
    {
        string? Option(string key) => options?.GetValueOrDefault(key);
        int Number(string key, int fallback) => int.TryParse(Option(key), out var value) ? value : fallback;
        int[] Widths(params int[] fallback) => Option("widths") is { } text ? [.. text.Split('-').Select(int.Parse)] : fallback;
        return name switch
        {
            "graph" => Graphs.GraphBackbone.FromOptions(options),
            "mobilenet_v2" => new MobileNetV2(Option("padding") == "same", classes),
            "convnet" => new ConvNet(Widths(32, 64, 96, 128), Number("side", 32), classes, Number("channels", 3), Option("pools") is null ? null : Number("pools", 0), Option("strided") == "yes", Option("depths") is { } depths ? [.. depths.Split('-').Select(int.Parse)] : null),
            "mlp" => new Mlp(Widths(300, 100, 50, 50, 50), Number("side", 28), Number("channels", 1), classes),
            "alexnet" => new AlexNet(classes),
            "squeezenet1_0" or "squeezenet1_1" => new SqueezeNet(name["squeezenet".Length..].Replace('_', '.'), classes),
            "googlenet" => new GoogLeNet(classes),
            "inception_v3" => new InceptionV3(classes),
            "mobilenet_v3_small" or "mobilenet_v3_large" => new MobileNetV3(name.EndsWith("large", StringComparison.Ordinal), classes),
            "vgg11" or "vgg13" or "vgg16" or "vgg19" or "vgg11_bn" or "vgg13_bn" or "vgg16_bn" or "vgg19_bn" => new Vgg(int.Parse(name[3..5]), name.EndsWith("_bn", StringComparison.Ordinal), classes),
            "densenet121" or "densenet161" or "densenet169" or "densenet201" => new DenseNet(int.Parse(name["densenet".Length..]), classes),
            "shufflenet_v2_x0_5" or "shufflenet_v2_x1_0" or "shufflenet_v2_x1_5" or "shufflenet_v2_x2_0" => new ShuffleNetV2(name["shufflenet_v2_".Length..], classes),
            "efficientnet_b0" or "efficientnet_b1" or "efficientnet_b2" or "efficientnet_b3" or "efficientnet_b4" or "efficientnet_b5" or "efficientnet_b6" or "efficientnet_b7" => new EfficientNet(name[^1] - '0', classes),
            _ when ResNet.Names.Contains(name) => new ResNet(name, classes),
            _ when RegNet.Names.Contains(name) => new RegNet(name, classes),
            _ when ConvNeXt.Names.Contains(name) => new ConvNeXt(name, classes),
            _ when SwinTransformer.Names.Contains(name) => new SwinTransformer(name, classes),
            _ when VisionTransformer.Names.Contains(name) => new VisionTransformer(name, Number("side", 224), classes),
            _ when name.StartsWith("cifar_resnet", StringComparison.Ordinal) && int.TryParse(name["cifar_resnet".Length..], out var depth) => new CifarResNet(depth, classes),
            _ => throw UnknownName.Of("backbone", name, Cards.Select(card => card.Name), NextCommand.Of("models", "list")),
        };
    }

    /// <summary>Loads a checkpoint into the architecture that it is of; a file that holds a whole network, as that network.</summary>
    /// <param name="path">safetensors (or the index of several), .pt, .pth, .th, .bin; .h5, .keras, .caffemodel, .onnx, TorchScript.</param>
    /// <param name="name">The architecture, where the checkpoint does not tell.</param>
    /// <param name="size">Pixels of the square input, where the network takes several.</param>
    /// <returns>The backbone, and what was noticed while its tensors were matched.</returns>
    /// <exception cref="GraftException">It does not tell, or its tensors do not fit.</exception>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Load(string path, string? name = null, int? size = null)
    {
        path = Hub.ModelHub.Resolve(path);
        try
        {
            return LoadChecked(path, name, size);
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or OverflowException or ArgumentException or TorchException)
        {
            throw new GraftException($"{path}: what it says of itself is damaged ({reason.Message})", reason);
        }
        catch (GraftException reason) when (!reason.Message.Contains(path, StringComparison.Ordinal))
        {
            throw new GraftException($"{path}: {reason.Message}", reason);
        }
    }

    private static (Backbone Backbone, IReadOnlyList<string> Notes) LoadChecked(string path, string? name, int? size)
    {
        if (!path.EndsWith(".index.json", StringComparison.Ordinal) && ModelFiles.Open(path, size) is { } whole) return whole;
        var checkpoint = Checkpoint.Read(path);
        var options = new Dictionary<string, string>(checkpoint.Metadata);
        if (size is { } side) options["side"] = $"{side}";
        var state = Renames.Apply(CheckpointMatcher.Bare(checkpoint.Tensors));
        name ??= checkpoint.Metadata.GetValueOrDefault("architecture") ?? Recognise(state)
            ?? throw new GraftException($"{path}: its tensors ({string.Join(", ", state.Keys.Take(3))}, …) are of no architecture that is known. Name the right one with --backbone: {NextCommand.Of("models", "list")} shows all");
        using var skip = Initialisers.Skip();
        var headName = Cards.FirstOrDefault(card => card.Name == name)?.Head ?? "head";
        var classes = state.TryGetValue(headName + ".weight", out var head) && head.Dimensions is 2 or 4 ? (int?)head.Shape[0] : null;
        var backbone = Create(name, classes, options);
        if (state.TryGetValue("encoder.pos_embedding", out var positions) && backbone.State().GetValueOrDefault("encoder.pos_embedding") is { } own && own.Shape[1] != positions.Shape[1])
            state = new Dictionary<string, Tensor>(state) { ["encoder.pos_embedding"] = VisionTransformer.Interpolate(positions, own.Shape[1]) };
        var match = CheckpointMatcher.Load(backbone, state, path);
        if (checkpoint.Metadata.GetValueOrDefault("preprocessing") is { } saved) backbone.Preprocessing = Preprocessing.FromJson(saved);
        else if (checkpoint.Metadata.GetValueOrDefault("input")?.Contains("x/127.5-1", StringComparison.Ordinal) == true) backbone.Preprocessing = backbone.Preprocessing with { Normalize = Normalize.Symmetric };
        else if (Hub.HuggingFaceCard.Preprocessing(path, backbone.Preprocessing) is { } published) backbone.Preprocessing = published;
        var card = Cards.FirstOrDefault(card => card.Name == name);
        backbone.Provenance = Provenance.OfFile(path, checkpoint.Metadata.GetValueOrDefault("licence") ?? card?.Licence ?? "",
            checkpoint.Metadata.GetValueOrDefault("domain") ?? (classes is { } n ? $"{n} classes ({Path.GetFileNameWithoutExtension(path)})" : Path.GetFileNameWithoutExtension(path)));
        return (backbone, match);
    }

    /// <summary>A digest of the names and shapes of tensors, those of a classifier, of counters and of auxiliary classifiers left out.</summary>
    public static string Signature(IEnumerable<KeyValuePair<string, long[]>> shapes, string headName)
    {
        string[] aside = [headName + ".", "aux1.", "aux2.", "AuxLogits."];
        var lines = shapes.Where(item => !aside.Any(prefix => item.Key.StartsWith(prefix, StringComparison.Ordinal)) && !item.Key.EndsWith("num_batches_tracked", StringComparison.Ordinal) && !item.Key.EndsWith("relative_position_index", StringComparison.Ordinal))
            .Select(item => item.Key.EndsWith("pos_embedding", StringComparison.Ordinal) ? item.Key : $"{item.Key} {string.Join('x', item.Value)}").Order(StringComparer.Ordinal);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', lines))))[..12];
    }

    private static string? Recognise(IReadOnlyDictionary<string, Tensor> state)
    {
        var shapes = state.ToDictionary(item => item.Key, item => item.Value.Shape);
        foreach (var heads in Cards.Where(card => card.Signature.Length > 0).GroupBy(card => card.Head))
        {
            var signature = Signature(shapes, heads.Key);
            if (heads.FirstOrDefault(card => card.Signature == signature) is { } found) return found.Name;
        }
        if (state.TryGetValue("conv1.weight", out var stem) && stem.Shape is [16, 3, 3, 3] && state.ContainsKey("layer3.0.conv1.weight"))
            return $"cifar_resnet{2 + 6 * Enumerable.Range(0, 99).TakeWhile(k => state.ContainsKey($"layer1.{k}.conv1.weight")).Count()}";
        if (state.ContainsKey("block1.conv.weight")) return "convnet";
        return state.ContainsKey("dense1.weight") ? "mlp" : null;
    }
}
