using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// A few pictures of each class and a network as it is: new pictures get the class whose mean feature is nearest, or none where
/// nothing is near. Nothing is trained; a class or a picture is added at any time. Saved, it is one file with the network in it.
/// </summary>
public sealed class SupportSet : IDisposable
{
    private const string Network = "backbone.", Features = "support.features";

    private readonly SupportFeatures _known;

    /// <summary>An empty set.</summary>
    /// <param name="encoder">Owned.</param>
    /// <param name="distance">Between features.</param>
    public SupportSet(PictureEncoder encoder, DistanceKind distance = DistanceKind.Cosine)
    {
        if (distance == DistanceKind.Mahalanobis) throw new GraftException("a support set takes a distance between two features: cosine, euclidean, squared-euclidean or manhattan");
        (Encoder, _known) = (encoder, new SupportFeatures(encoder.Size, distance, (a, b) => encoder.Apart(a, b, distance)));
    }

    private SupportSet(PictureEncoder encoder, SupportFeatures known) => (Encoder, _known) = (encoder, known);

    /// <summary>Pictures to features.</summary>
    public PictureEncoder Encoder { get; }

    /// <summary>Between features.</summary>
    public DistanceKind Distance => _known.Distance;

    /// <summary>Class names.</summary>
    public IReadOnlyList<string> Classes => _known.Classes;

    /// <summary>The pictures.</summary>
    public IReadOnlyList<string> Files => _known.Files;

    /// <summary>Pictures of each class.</summary>
    public IReadOnlyList<int> Counts => _known.Counts;

    /// <summary>
    /// Farther from every class than this is none of them, or, where the set <see cref="IsRough"/>, the nearest class and unsure. Null: not known,
    /// with one class of one picture.
    /// </summary>
    public double? Threshold => _known.Threshold;

    /// <summary>Whether a class has one picture only: nothing tells how far others of it would lie, so that no picture is refused.</summary>
    public bool IsRough => _known.IsRough;

    /// <summary>Adds pictures of class folders; known names are added to.</summary>
    /// <returns>Pictures that could not be read.</returns>
    /// <exception cref="GraftException">A class would be left without a picture.</exception>
    public IReadOnlyList<BrokenPicture> Add(Dataset data)
    {
        var (features, indices, broken) = Encoder.Encode(data);
        _known.Add(data, features, indices, broken);
        return broken;
    }

    /// <summary>The nearest class of each picture, or none; where the set <see cref="IsRough"/>, the nearest in any case.</summary>
    /// <param name="files">Pictures.</param>
    /// <param name="threshold">In place of the calibrated one; beyond it is none of them, rough set or not.</param>
    /// <exception cref="GraftException">The set is empty.</exception>
    public (IReadOnlyList<SupportAnswer> Answers, IReadOnlyList<BrokenPicture> Broken) Classify(IReadOnlyList<string> files, double? threshold = null)
    {
        if (Files.Count == 0) throw new GraftException("the support set is empty: add pictures first");
        var (features, indices, broken) = Encoder.Encode(Pictures.Of(files));
        return (_known.Answer([.. indices.Select(k => files[k])], features, threshold), broken);
    }

    /// <summary>Writes the set with its network: as ONNX, which <see cref="SupportModel"/> opens without libtorch, or as safetensors.</summary>
    /// <param name="path">Ends with .onnx; any other is written as safetensors.</param>
    /// <exception cref="GraftException">The set is empty, or its network cannot be written so.</exception>
    public void Save(string path)
    {
        if (IsOnnx(path))
        {
            if (Encoder.Network is not { } network) throw new GraftException($"{path}: only a pretrained network that ONNX Runtime runs is written as .onnx. Name the set .safetensors");
            SupportCard.Save(path, network.File(), network.Card, _known);
            return;
        }
        if (Encoder.Model is null && Encoder.Backbone is null) throw new GraftException($"{path}: the set came from an ONNX file, whose network is written as .onnx alone. Name it so");
        var (state, card) = Encoder.Model is { } model ? (model.Learner.State(), model.Describe()) : Describe(Encoder.Backbone!);
        card["format"] = ModelCard.Support;
        _known.Describe(card);
        using var scope = new TensorScope();
        var tensors = state.ToDictionary(item => Network + item.Key, item => item.Value);
        tensors[Features] = Tensor.From(_known.Rows, Files.Count, Encoder.Size);
        new ModelFile(card, tensors, path).Write();
    }

    private static bool IsOnnx(string path) => path.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase);

    private static (IReadOnlyDictionary<string, Tensor> Tensors, Dictionary<string, string> Metadata) Describe(Backbone backbone) =>
        (backbone.State().Where(item => !item.Key.StartsWith(backbone.HeadName + ".", StringComparison.Ordinal)).ToDictionary(),
         new(backbone.Spec.Options) { ["architecture"] = backbone.Architecture, ["preprocessing"] = backbone.Preprocessing.ToJson(),
             ["upstream"] = ModelCard.Text(backbone.Provenance) });

    /// <summary>Whether a file is a saved support set.</summary>
    public static bool Is(string path) => ModelFile.FormatOf(path) == ModelCard.Support;

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="GraftException">It is damaged.</exception>
    public static SupportSet Load(string path, FeatureCache? cache = null)
    {
        if (IsOnnx(path) && SupportModel.Is(path)) return ModelFile.Guard(path, () => OfOnnx(path, cache));
        // What is damaged or missing is told where all of it is read.
        return OfKept(path, cache) ?? ModelFile.Open(path, ModelCard.Support, file => From(file, cache));
    }

    private static SupportSet OfOnnx(string path, FeatureCache? cache)
    {
        var card = new Dictionary<string, string>(OnnxCard.Read(path));
        var network = new FeatureNetwork(card, () => new OnnxNetwork(path), () => File.ReadAllBytes(path), cache);
        return new SupportSet(PictureEncoder.Of(network, Path.GetFileName(path)), SupportCard.Read(card, network.Size));
    }

    /// <summary>The set of a file whose network the cache has; null: it has not, or the file must be looked at whole.</summary>
    private static SupportSet? OfKept(string path, FeatureCache? cache)
    {
        if (cache is null || !Is(path)) return null;
        try
        {
            var file = new ModelFile(Safetensors.ReadMetadata(path), new Dictionary<string, Tensor>(), path);
            if (file.Card.ContainsKey("method") || PictureEncoder.Kept(KeyOf(file), Path.GetFileName(path), () => Opened(path), cache) is not { } encoder
                || Safetensors.Floats(path, Features) is not { Shape: [var rows, var size] } features || size != encoder.Size) return null;
            return Restored(file, encoder, features.Values, rows);
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or JsonException or GraftException or ArgumentException)
        {
            return null;
        }
    }

    // The network's part of the file alone: sets that grow keep their network.
    private static string KeyOf(ModelFile file)
    {
        string[] own = ["distance", "threshold", "classes", "labels", "files"];
        var card = file.Card.Where(entry => !own.Contains(entry.Key)).OrderBy(entry => entry.Key, StringComparer.Ordinal);
        return FeatureNetworks.KeyOf($"{Safetensors.Digest(file.Path, Network)} {JsonSerializer.Serialize(card.ToDictionary())}");
    }

    private static Backbone Opened(string path) => ModelFile.Open(path, ModelCard.Support, Frozen);

    private static Backbone Frozen(ModelFile file)
    {
        var backbone = file.Backbone();
        backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
        backbone.Eval();
        return backbone;
    }

    private static SupportSet From(ModelFile file, FeatureCache? cache)
    {
        var encoder = file.Card.ContainsKey("method") ? PictureEncoder.Of(FewShotModel.From(file with { Tensors = file.Part(Network) }), file.Path)
            : PictureEncoder.Of(KeyOf(file), Path.GetFileName(file.Path), () => (Frozen(file), []), cache);
        try
        {
            using var features = file.Tensors[Features].Contiguous();
            if (features.Shape is not [var rows, var size] || size != encoder.Size) throw Apart(file);
            return Restored(file, encoder, features.ToArray<float>(), rows);
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    private static SupportSet Restored(ModelFile file, PictureEncoder encoder, float[] features, long rows)
    {
        var set = new SupportSet(encoder, Enum.Parse<DistanceKind>(file.Required("distance")));
        var (classes, labels, files) = (file.Required<string[]>("classes"), file.Required<int[]>("labels"), file.Required<string[]>("files"));
        if (labels.Length != rows) throw Apart(file);
        set._known.Restore(classes, labels, files, features, file.Card.GetValueOrDefault("threshold"));
        return set;
    }

    private static GraftException Apart(ModelFile file) => new($"{file.Path}: its labels, files and features do not belong together");

    /// <inheritdoc/>
    public void Dispose() => Encoder.Dispose();
}
