using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
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
internal sealed record BackboneCard(string Name, string Summary, string Paper, int Side, long Parameters, long MultiplyAdds, string Url,
    string Sha256, string Licence, string Published, string Padding)
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
        : Resize > 0 ? new Preprocessing(Side, Side, [new Resize(Resize, Filter), new CenterCrop(Side)], new Normalize(Mean, Std))
            : Data.Preprocessing.Small(Side, new Normalize(Mean, Std));
}

/// <summary>The architectures by name, and how a checkpoint tells which one it is.</summary>
internal static class BackboneCatalogue
{
    private static readonly JsonSerializerOptions s_json =
        new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) } };

    /// <summary>One card for each architecture.</summary>
    public static IReadOnlyList<BackboneCard> Cards => s_cards.Value;

    private static readonly Lazy<BackboneCard[]> s_cards = new(() =>
        JsonSerializer.Deserialize<BackboneCard[]>(typeof(BackboneCatalogue).Assembly.GetManifestResourceStream("cards/cards.json")!, s_json)!);

    // A network, or a family of them: what its names look like, and what makes it.
    private static readonly (string Names, Func<BackboneSpec, int?, Backbone> Make)[] s_rows =
    [
        ("mobilenet_v2", (spec, classes) => new MobileNetV2(spec["padding"] == "same", classes)),
        ("convnet", (spec, classes) => new ConvNet(spec.Numbers("widths") ?? [32, 64, 96, 128], spec.Number("side", 32), classes,
            spec.Number("channels", 3), spec["pools"] is null ? null : spec.Number("pools", 0), spec["strided"] == "yes", spec.Numbers("depths"))),
        ("mlp", (spec, classes) => new Mlp(spec.Numbers("widths") ?? [300, 100, 50, 50, 50],
            spec.Number("side", 28), spec.Number("channels", 1), classes, spec["activation"] ?? "selu")),
        ("alexnet", (_, classes) => new AlexNet(classes)),
        ("squeezenet1_[01]", (spec, classes) => new SqueezeNet(spec.Name["squeezenet".Length..].Replace('_', '.'), classes)),
        ("googlenet", (_, classes) => new GoogLeNet(classes)),
        ("inception_v3", (_, classes) => new InceptionV3(classes)),
        ("mobilenet_v3_(small|large)", (spec, classes) => new MobileNetV3(spec.Name.EndsWith("large", StringComparison.Ordinal), classes)),
        ("vgg1[1369](_bn)?", (spec, classes) => new Vgg(int.Parse(spec.Name[3..5]), spec.Name.EndsWith("_bn", StringComparison.Ordinal), classes)),
        ("densenet(121|161|169|201)", (spec, classes) => new DenseNet(int.Parse(spec.Name["densenet".Length..]), classes)),
        ("shufflenet_v2_x(0_5|1_0|1_5|2_0)", (spec, classes) => new ShuffleNetV2(spec.Name["shufflenet_v2_".Length..], classes)),
        ("efficientnet_b[0-7]", (spec, classes) => new EfficientNet(spec.Name[^1] - '0', classes)),
        (string.Join('|', ResNet.Names), (spec, classes) => new ResNet(spec.Name, classes, spec[ResNet.StemKey] == ResNet.SmallStem)),
        (string.Join('|', RegNet.Names), (spec, classes) => new RegNet(spec.Name, classes)),
        (string.Join('|', ConvNeXt.Names), (spec, classes) => new ConvNeXt(spec.Name, classes)),
        (string.Join('|', SwinTransformer.Names), (spec, classes) => new SwinTransformer(spec.Name, classes)),
        (string.Join('|', VisionTransformer.Names), (spec, classes) => new VisionTransformer(spec.Name, spec.Number("side", 224), classes)),
        (VisionTransformer.FreeName, (spec, classes) => new VisionTransformer(VisionTransformer.FreeName, spec.Number("side", 32), classes,
            (spec.Number("patch", 4), spec.Number("layers", 6), spec.Number("heads", 3), spec.Number("width", 192)))),
        ("bert|roberta|distilbert|electra|albert|words", (spec, _) => spec["vocabulary"] is null
            ? throw new GraftException($"{spec.Name} begins with a vocabulary, and has no shape without one: give the folder of an encoder with --weights")
            : new TextEncoder(EncoderShape.Of(spec))),
        ("cifar_resnet[0-9]{1,4}", (spec, classes) => new CifarResNet(int.Parse(spec.Name["cifar_resnet".Length..]), classes)),
    ];

    /// <summary>A backbone with random weights.</summary>
    /// <param name="spec">Its name as on its card, and options: padding; side, widths, channels for the small networks.</param>
    /// <param name="classes">Outputs of its own classifier, or null for none.</param>
    /// <exception cref="GraftException">No such architecture.</exception>
    public static Backbone Create(BackboneSpec spec, int? classes = null)
    {
        var make = Maker(spec.Name) ?? throw UnknownName.Of("backbone", spec.Name, Cards.Select(card => card.Name), NextCommand.Of("models", "list"));
        var made = make(spec, classes);
        if (spec["side"] is null && spec["padding"] != "same"
            && Cards.FirstOrDefault(card => card.Name == spec.Name)?.Preprocessing is { } stated) made.Preprocessing = stated;
        return made;
    }

    /// <summary>Whether a row makes it.</summary>
    internal static bool Knows(string name) => Maker(name) is not null;

    private static Func<BackboneSpec, int?, Backbone>? Maker(string name) =>
        s_rows.FirstOrDefault(row => Regex.IsMatch(name, $@"\A({row.Names})\z")).Make;

    /// <summary>The same, by a name and options.</summary>
    public static Backbone Create(string name, int? classes = null, IReadOnlyDictionary<string, string>? options = null) =>
        Create(options is null ? new BackboneSpec(name) : new BackboneSpec(name, options), classes);

    /// <summary>A digest of the names and shapes of tensors, those of a classifier, of counters and of auxiliary classifiers left out.</summary>
    public static string Signature(IEnumerable<KeyValuePair<string, long[]>> shapes, string headName)
    {
        string[] aside = [headName + ".", "aux1.", "aux2.", "AuxLogits."];
        var lines = shapes.Where(item => !aside.Any(prefix => item.Key.StartsWith(prefix, StringComparison.Ordinal))
            && !item.Key.EndsWith("num_batches_tracked", StringComparison.Ordinal)
            && !item.Key.EndsWith("relative_position_index", StringComparison.Ordinal))
            .Select(item => item.Key.EndsWith("pos_embedding", StringComparison.Ordinal) ? item.Key : $"{item.Key} {string.Join('x', item.Value)}")
                .Order(StringComparer.Ordinal);
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
