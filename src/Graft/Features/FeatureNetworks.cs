using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Zoo;

namespace Graft.Features;

/// <summary>
/// Pretrained networks of any format as ONNX files that give features. libtorch traces a network once; the cache knows the file that comes of it by
/// the weights' own bytes, so that the next process opens it and never loads libtorch.
/// </summary>
/// <param name="cache">Keeps them, beside features; null: nothing is kept.</param>
internal sealed class FeatureNetworks(FeatureCache? cache)
{
    /// <summary>The key <c>format</c>.</summary>
    public const string Format = "graft-features-1";

    /// <summary>The key of what the network computes, as features are kept under it.</summary>
    public const string FunctionKey = "function";

    /// <summary>The key of how many numbers it gives.</summary>
    public const string OutputsKey = "outputs";

    /// <summary>What the cache knows the network of a file by: its bytes, how pictures are said to go in, and this version of Graft, which decides how
    /// the file is read. Null: the network lies in several files, and is opened anew each time.</summary>
    public static string? KeyOf(string file, InputOptions input)
    {
        if (!File.Exists(file) || Path.GetExtension(file).ToLowerInvariant() is ".json" or ".caffemodel" or ".prototxt") return null;
        var beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, "preprocessor_config.json");
        return KeyOf($"{file} {DigestOf(file)} {(File.Exists(beside) ? DigestOf(beside) : "")} {JsonSerializer.Serialize(input)}");
    }

    /// <summary>The same, where a text says all that the network depends on.</summary>
    public static string KeyOf(string network) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(
        $"{Format} {typeof(FeatureNetworks).Module.ModuleVersionId} {OnnxNetwork.EngineName} {network}")))[..32];

    private static string DigestOf(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private string Place(string key) => Path.Combine(cache!.Root, $"{key}.onnx");

    /// <summary>The network that is kept under a key; null: there is none, or another engine is wanted.</summary>
    /// <param name="key">Of <see cref="KeyOf(string, InputOptions)"/>.</param>
    /// <param name="open">Opens the weights, should the file turn out to be damaged.</param>
    public FeatureNetwork? Find(string? key, Func<Backbone> open)
    {
        if (key is null || cache is null || Engine.Wanted == EngineKind.Torch || !File.Exists(Place(key))) return null;
        var place = Place(key);
        OnnxNetwork Open()
        {
            try
            {
                return new OnnxNetwork(place);
            }
            catch (GraftException)
            {
                using var backbone = open();
                return Onnx(backbone, out _);
            }
        }
        try
        {
            var card = OnnxCard.Read(place);
            var found = new FeatureNetwork(card, Open, () => File.ReadAllBytes(place), cache);
            FrozenNetworks.TryDo(() => File.SetLastWriteTimeUtc(place, DateTime.UtcNow));
            return found;
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return null; // made again
        }
    }

    /// <summary>Makes the network that gives a backbone's features, and keeps it; null: ONNX Runtime cannot run it, or libtorch is wanted.</summary>
    /// <param name="key">To keep it under; null: it is not kept.</param>
    /// <param name="backbone">Stays the caller's.</param>
    /// <param name="notes">What was noticed when it was opened.</param>
    /// <exception cref="GraftException">ONNX Runtime is asked for by name, and cannot.</exception>
    public FeatureNetwork? Make(string? key, Backbone backbone, IReadOnlyList<string> notes)
    {
        var function = FeatureExtractor.NetworkName(backbone, FeatureExtractor.PooledName, backbone.Preprocessing);
        if (Engine.Wanted == EngineKind.Torch || (Engine.Wanted == EngineKind.Auto && new FrozenNetworks(cache).Refusal(function) is not null))
            return null;
        OnnxNetwork network;
        Func<byte[]> file;
        try
        {
            network = Onnx(backbone, out file);
        }
        catch (EngineException) when (Engine.Wanted == EngineKind.Auto)
        {
            return null;
        }
        catch (EngineException reason)
        {
            throw FrozenNetworks.Asked(reason);
        }
        var card = new Dictionary<string, string>
        {
            ["format"] = Format, [FunctionKey] = function, ["preprocessing"] = backbone.Preprocessing.ToJson(),
            [SupportCard.FeaturesKey] = $"{backbone.FeatureSize}", [OutputsKey] = $"{network.Outputs}", ["architecture"] = backbone.Architecture,
            ["licence"] = backbone.Provenance.Licence, ["upstream"] = ModelCard.Text(backbone.Provenance),
            [NotesKey] = JsonSerializer.Serialize(notes),
        };
        Keep(key, file, card);
        return new FeatureNetwork(card, () => network, file, cache);
    }

    /// <summary>The network below the head of an ONNX file that Graft wrote, kept like the others; null: ONNX Runtime is not to run it.</summary>
    /// <param name="key">To keep it under; null: it is not kept.</param>
    /// <param name="file">Of <see cref="ProgramFeatures.FileOf"/>.</param>
    /// <exception cref="GraftException">It is damaged.</exception>
    public FeatureNetwork? Cut(string? key, string file) => Engine.Wanted == EngineKind.Torch ? null : ModelFile.Guard(file, () =>
    {
        var (model, card) = ProgramFeatures.Cut(file);
        Keep(key, () => model, card);
        return new FeatureNetwork(card, () => new OnnxNetwork(model, file), () => model, cache);
    });

    private void Keep(string? key, Func<byte[]> file, IReadOnlyDictionary<string, string> card)
    {
        if (cache is null || key is null) return;
        FrozenNetworks.TryDo(() =>
        {
            var bytes = file();
            if (cache.MakeRoom(bytes.Length)) AtomicFile.Write(Place(key), stream => OnnxCard.Write(stream, bytes, card));
        });
    }

    private const string NotesKey = "notes";

    /// <summary>What was noticed when its weights were opened.</summary>
    public static IReadOnlyList<string> NotesOf(FeatureNetwork network) =>
        network.Card.TryGetValue(NotesKey, out var text) ? JsonSerializer.Deserialize<string[]>(text) ?? [] : [];

    private OnnxNetwork Onnx(Backbone backbone, out Func<byte[]> file) => new FrozenNetworks(cache).Onnx(
        FeatureExtractor.NetworkName(backbone, FeatureExtractor.PooledName, backbone.Preprocessing), backbone, FeatureExtractor.AllPooled(backbone),
        backbone.Preprocessing.Height, backbone.Preprocessing.Width, out file);
}
