using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

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

    /// <summary>A digest of the names and shapes of tensors, those of a classifier, of counters and of auxiliary classifiers left out.</summary>
    public static string Signature(IEnumerable<KeyValuePair<string, long[]>> shapes, string headName)
    {
        string[] aside = [headName + ".", "aux1.", "aux2.", "AuxLogits."];
        var lines = shapes.Where(item => !aside.Any(prefix => item.Key.StartsWith(prefix, StringComparison.Ordinal)) && !item.Key.EndsWith("num_batches_tracked", StringComparison.Ordinal) && !item.Key.EndsWith("relative_position_index", StringComparison.Ordinal))
            .Select(item => item.Key.EndsWith("pos_embedding", StringComparison.Ordinal) ? item.Key : $"{item.Key} {string.Join('x', item.Value)}").Order(StringComparer.Ordinal);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', lines))))[..12];
    }

    /// <summary>The architecture whose tensors have these names and shapes; null: none that is known.</summary>
    internal static string? Recognise(IReadOnlyDictionary<string, Tensor> state)
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
