using System.Globalization;
using System.Text.Json;
using Graft.Backbones;
using Graft.Checkpoints;
using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>An answer for one picture.</summary>
/// <param name="File">The picture.</param>
/// <param name="Label">The nearest class, or null: none of these.</param>
/// <param name="Distances">To every class, the nearest first.</param>
public sealed record SupportAnswer(string File, string? Label, IReadOnlyList<(string Class, double Distance)> Distances);

/// <summary>
/// A few pictures of each class and a network as it is: new pictures get the class whose mean feature is nearest, or none where
/// nothing is near. Nothing is trained; a class or a picture is added at any time. Saved, it is one file with the network in it.
/// </summary>
public sealed class SupportSet : IDisposable
{
    /// <summary>Views of each picture that stand in for other pictures of its class, when the threshold is set.</summary>
    private const int Views = 4;

    private const string Format = ModelCard.Support, Network = "backbone.";

    private readonly List<string> _classes = [], _files = [];
    private readonly List<int> _labels = [];
    private Tensor? _features, _views;
    private Tensor? _means;

    /// <summary>An empty set.</summary>
    /// <param name="encoder">Owned.</param>
    /// <param name="distance">Between features.</param>
    public SupportSet(PictureEncoder encoder, DistanceKind distance = DistanceKind.Cosine)
    {
        if (distance == DistanceKind.Mahalanobis) throw new GraftException("a support set takes a distance between two features: cosine, euclidean, squared-euclidean or manhattan");
        (Encoder, Distance) = (encoder, distance);
    }

    /// <summary>Pictures to features.</summary>
    public PictureEncoder Encoder { get; }

    /// <summary>Between features.</summary>
    public DistanceKind Distance { get; }

    /// <summary>Class names.</summary>
    public IReadOnlyList<string> Classes => _classes;

    /// <summary>The pictures.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <summary>Pictures of each class.</summary>
    public IReadOnlyList<int> Counts => [.. _classes.Select((_, c) => _labels.Count(label => label == c))];

    /// <summary>Farther from every class than this is none of them; null: not known, with one class and one picture alone.</summary>
    public double? Threshold { get; private set; }

    /// <summary>Adds pictures of class folders; known names are added to.</summary>
    /// <returns>Pictures that could not be read.</returns>
    /// <exception cref="GraftException">A class would be left without a picture.</exception>
    public IReadOnlyList<BrokenPicture> Add(Dataset data)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (features, indices, broken) = Encoder.Encode(data);
        for (var c = 0; c < data.Classes.Count; c++)
        {
            if (!indices.Any(k => data.Labels[k] == c) && !_classes.Contains(data.Classes[c]))
                throw new GraftException($"no picture of the class '{data.Classes[c]}' can be read{(broken.Count > 0 ? $" ({broken[0].File}: {broken[0].Error})" : "")}: every class of a support set needs at least one");
        }
        var (views, _, _) = Encoder.Encode(data.Subset(indices), Views);
        foreach (var name in data.Classes.Where(name => !_classes.Contains(name))) _classes.Add(name);
        _labels.AddRange(indices.Select(k => _classes.IndexOf(data.Classes[data.Labels[k]])));
        _files.AddRange(indices.Select(data.Name));
        var grouped = views.View([Views, indices.Length, -1]).Transpose(0, 1).Contiguous();
        (_features, _views) = (Append(_features, features), Append(_views, grouped));
        Calibrate();
        return broken;
    }

    private static Tensor Append(Tensor? rows, Tensor more)
    {
        using (rows) return TensorScope.Detach(rows is null ? more : Ops.Cat([rows, more], 0));
    }

    private Tensor Means(Tensor features, IReadOnlyList<int> labels) => FewShot.Distances.Means(features, Tensor.From([.. labels.Select(label => (long)label)]), _classes.Count);

    /// <summary>
    /// The threshold: known pictures are held out in turn (where a class has one only, views of it stand in for others), and each
    /// is also measured as a stranger, against the other classes alone. The threshold is where both errors together are least.
    /// </summary>
    private void Calibrate()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        _means?.Dispose();
        _means = TensorScope.Detach(Means(_features!, _labels));
        var (own, strangers) = (new List<double>(), new List<double>());
        var counts = Counts;
        var toMeans = Encoder.Apart(_features!, _means, Distance).ToArray<float>();
        for (var k = 0; k < _labels.Count; k++)
        {
            var label = _labels[k];
            if (_classes.Count > 1) strangers.Add(Enumerable.Range(0, _classes.Count).Where(c => c != label).Min(c => toMeans[k * _classes.Count + c]));
            if (counts[label] > 1)
            {
                // The class's mean without this picture.
                var n = counts[label];
                var rest = (_means[label] * (double)n - _features![k]) / (double)(n - 1);
                own.Add(Encoder.Apart(_features[k].Unsqueeze(0), rest.Unsqueeze(0), Distance).Item());
            }
            else
            {
                own.AddRange(Encoder.Apart(_views![k], _means[label].Unsqueeze(0), Distance).Flatten(0).ToArray<double>());
            }
        }
        if (strangers.Count == 0)
        {
            // One class: as far as its own pictures are from it, and half as much again.
            Threshold = own.Count > 0 ? own.Max() * 1.5 : null;
            return;
        }
        Threshold = new ErrorCurve(own, strangers).Best.Threshold;
        // Views are more alike than other pictures of a class: where some stand in for those, be as lax as half of the strangers.
        if (counts.Any(count => count == 1)) Threshold = Math.Max(Threshold.Value, strangers.Order().ElementAt(strangers.Count / 2));
    }

    /// <summary>The nearest class of each picture, or none.</summary>
    /// <param name="files">Pictures.</param>
    /// <param name="threshold">In place of the calibrated one.</param>
    public (IReadOnlyList<SupportAnswer> Answers, IReadOnlyList<BrokenPicture> Broken) Classify(IReadOnlyList<string> files, double? threshold = null)
    {
        if (_means is null) throw new GraftException("the support set is empty: add pictures first");
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (features, indices, broken) = Encoder.Encode(Pictures.Of(files));
        if (indices.Length == 0) return ([], broken);
        var apart = Encoder.Apart(features, _means, Distance).ToArray<float>();
        var limit = threshold ?? Threshold;
        var answers = indices.Select((index, row) =>
        {
            var distances = _classes.Select((name, c) => (Class: name, Distance: (double)apart[row * _classes.Count + c])).OrderBy(pair => pair.Distance).ToArray();
            return new SupportAnswer(files[index], limit is null || distances[0].Distance <= limit ? distances[0].Class : null, distances);
        });
        return ([.. answers], broken);
    }

    /// <summary>Writes the set with its network.</summary>
    /// <exception cref="GraftException">The set is empty.</exception>
    public void Save(string path)
    {
        if (_features is null) throw new GraftException("the support set is empty: there is nothing to save");
        var (network, metadata) = Encoder.Model is { } model ? (model.Learner.State(), model.Describe()) : Describe(Encoder.Backbone!);
        var tensors = network.ToDictionary(item => Network + item.Key, item => item.Value);
        (tensors["support.features"], tensors["support.views"]) = (_features, _views!.Contiguous());
        (metadata["format"], metadata["distance"], metadata["threshold"]) = (Format, Distance.ToString(), Threshold?.ToString("R", CultureInfo.InvariantCulture) ?? "");
        (metadata["classes"], metadata["labels"], metadata["files"]) = (JsonSerializer.Serialize(_classes), JsonSerializer.Serialize(_labels), JsonSerializer.Serialize(_files));
        Safetensors.Write(path, tensors, metadata);
    }

    private static (IReadOnlyDictionary<string, Tensor> Tensors, Dictionary<string, string> Metadata) Describe(Backbone backbone) =>
        (backbone.State().Where(item => !item.Key.StartsWith(backbone.HeadName + ".", StringComparison.Ordinal)).ToDictionary(),
         new(backbone.Options) { ["architecture"] = backbone.Architecture, ["preprocessing"] = backbone.Preprocessing.ToJson(), ["upstream"] = JsonSerializer.Serialize(backbone.Provenance, JsonSerializerOptions.Web) });

    /// <summary>Whether a file is a saved support set.</summary>
    public static bool Is(string path)
    {
        try
        {
            return File.Exists(path) && path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) && Safetensors.ReadMetadata(path).GetValueOrDefault("format") == Format;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="GraftException">It is damaged.</exception>
    public static SupportSet Load(string path, Transfer.FeatureCache? cache = null)
    {
        try
        {
            var checkpoint = Checkpoint.Read(path);
            string Meta(string key) => checkpoint.Metadata.GetValueOrDefault(key) ?? throw new GraftException($"{path} is no support set: its metadata has no '{key}'");
            if (Meta("format") != Format) throw new GraftException($"{path} is of the format '{Meta("format")}', and not a support set");
            var network = checkpoint.Tensors.Where(item => item.Key.StartsWith(Network, StringComparison.Ordinal)).ToDictionary(item => item.Key[Network.Length..], item => item.Value);
            var encoder = checkpoint.Metadata.ContainsKey("method") ? PictureEncoder.Of(FewShotModel.From(checkpoint.Metadata, network, path), path) : Backbone();
            var set = new SupportSet(encoder, Enum.Parse<DistanceKind>(Meta("distance")));
            try
            {
                set._classes.AddRange(JsonSerializer.Deserialize<string[]>(Meta("classes"))!);
                set._labels.AddRange(JsonSerializer.Deserialize<int[]>(Meta("labels"))!);
                set._files.AddRange(JsonSerializer.Deserialize<string[]>(Meta("files"))!);
                (set._features, set._views) = (checkpoint.Tensors["support.features"], checkpoint.Tensors["support.views"]);
                if (set._features.Shape is not [var rows, var size] || rows != set._labels.Count || set._files.Count != rows || size != encoder.Size || set._views.Shape is not [var viewed, Views, var other] || viewed != rows || other != size || set._labels.Any(label => label < 0 || label >= set._classes.Count))
                    throw new GraftException($"{path}: its labels, files and features do not belong together");
                set.Calibrate();
                return set;
            }
            catch
            {
                set.Dispose();
                throw;
            }

            PictureEncoder Backbone()
            {
                using var skip = Initialisers.Skip();
                var backbone = BackboneCatalogue.Create(Meta("architecture"), null, checkpoint.Metadata);
                backbone.Preprocessing = Preprocessing.FromJson(Meta("preprocessing"));
                backbone.Provenance = JsonSerializer.Deserialize<Provenance>(Meta("upstream"), JsonSerializerOptions.Web)!;
                CheckpointMatcher.Load(backbone, network, path);
                backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
                backbone.Eval();
                return PictureEncoder.Of(backbone, cache);
            }
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or OverflowException or ArgumentException or TorchException or KeyNotFoundException)
        {
            throw new GraftException($"{path}: what it says of itself is damaged ({reason.Message})", reason);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Encoder.Dispose();
        _features?.Dispose();
        _views?.Dispose();
        _means?.Dispose();
    }
}
