using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>An answer for one picture.</summary>
/// <param name="File">The picture.</param>
/// <param name="Label">The nearest class, or null: none of these.</param>
/// <param name="Distances">To every class, the nearest first.</param>
public sealed record SupportAnswer(string File, string? Label, IReadOnlyList<(string Class, double Distance)> Distances)
{
    /// <summary>Whether the nearest class is far, in a set that is too small to say "none of these": see <see cref="SupportSet.IsRough"/>.</summary>
    public bool Unsure { get; init; }
}

/// <summary>
/// A few pictures of each class and a network as it is: new pictures get the class whose mean feature is nearest, or none where
/// nothing is near. Nothing is trained; a class or a picture is added at any time. Saved, it is one file with the network in it.
/// </summary>
public sealed class SupportSet : IDisposable
{
    /// <summary>Of the known pictures, at most so many are to be taken for strangers.</summary>
    private const double Refused = 0.1;

    private const string Network = "backbone.";

    private readonly List<string> _classes = [], _files = [];
    private readonly List<int> _labels = [];
    private Tensor? _features, _means;

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

    /// <summary>
    /// Farther from every class than this is none of them, or, where the set <see cref="IsRough"/>, the nearest class and unsure. Null: not known,
    /// with one class of one picture.
    /// </summary>
    public double? Threshold { get; private set; }

    /// <summary>Whether a class has one picture only: nothing tells how far others of it would lie, so that no picture is refused.</summary>
    public bool IsRough => Counts.Contains(1);

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
        foreach (var name in data.Classes.Where(name => !_classes.Contains(name))) _classes.Add(name);
        _labels.AddRange(indices.Select(k => _classes.IndexOf(data.Classes[data.Labels[k]])));
        _files.AddRange(indices.Select(data.Name));
        _features = Append(_features, features);
        Calibrate();
        return broken;
    }

    private static Tensor Append(Tensor? rows, Tensor more)
    {
        using (rows) return TensorScope.Detach(rows is null ? more : Ops.Cat([rows, more], 0));
    }

    private Tensor Means(Tensor features, IReadOnlyList<int> labels) =>
        FewShot.Distances.Means(features, Tensor.From([.. labels.Select(label => (long)label)]), _classes.Count);

    /// <summary>
    /// The threshold. Known pictures are held out of their class in turn, and each is also measured as a stranger, against the other classes alone.
    /// It lies where both errors together are least, or farther, where more than a tenth of the known pictures would be refused.
    /// Of a class with one picture nothing can be held out: then it lies at least as far as the classes do from one another (the median), and more
    /// where there are few such pairs; it tells only where an answer is unsure. docs/figures.md has what both are worth.
    /// </summary>
    private void Calibrate()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        _means?.Dispose();
        _means = TensorScope.Detach(Means(_features!, _labels));
        var (known, strangers) = (new List<double>(), new List<double>());
        var (way, counts) = (_classes.Count, Counts);
        var toMeans = Encoder.Apart(_features!, _means, Distance).ToArray<float>();
        for (var k = 0; k < _labels.Count; k++)
        {
            var label = _labels[k];
            if (way > 1) strangers.Add(Enumerable.Range(0, way).Where(c => c != label).Min(c => toMeans[k * way + c]));
            if (counts[label] == 1) continue;
            // The class's mean without this picture.
            var n = counts[label];
            var rest = (_means[label] * (double)n - _features![k]) / (double)(n - 1);
            known.Add(Encoder.Apart(_features[k].Unsqueeze(0), rest.Unsqueeze(0), Distance).Item());
        }
        Threshold = (known.Count, strangers.Count) switch
        {
            (0, _) => null,
            (_, 0) => Farther(known.Max(), 0.5),
            _ => Math.Max(new ErrorCurve(known, strangers).Best.Threshold, Reach(known)),
        };
        if (way > 1 && IsRough) Threshold = Math.Max(Threshold ?? double.MinValue, BetweenClasses(_means));
    }

    /// <summary>Beyond it no more than a tenth of further pictures is expected; of too few to say so, a little farther than all of them.</summary>
    private static double Reach(List<double> known)
    {
        var rank = (int)Math.Ceiling((1 - Refused) * (known.Count + 1));
        return rank <= known.Count ? known.Order().ElementAt(rank - 1) : Farther(known.Max(), 0.1);
    }

    private double BetweenClasses(Tensor means)
    {
        var way = _classes.Count;
        var apart = Encoder.Apart(means, means, Distance).ToArray<float>();
        var firsts = Enumerable.Range(0, way);
        double[] pairs = [.. firsts.SelectMany(a => firsts.Skip(a + 1).Select(b => (double)apart[a * way + b])).Order()];
        return Farther(pairs[pairs.Length / 2], 0.1 / Math.Sqrt(pairs.Length));
    }

    // A learned distance may be negative.
    private static double Farther(double distance, double share) => distance + share * Math.Abs(distance);

    /// <summary>The nearest class of each picture, or none; where the set <see cref="IsRough"/>, the nearest in any case.</summary>
    /// <param name="files">Pictures.</param>
    /// <param name="threshold">In place of the calibrated one; beyond it is none of them, rough set or not.</param>
    public (IReadOnlyList<SupportAnswer> Answers, IReadOnlyList<BrokenPicture> Broken) Classify(IReadOnlyList<string> files, double? threshold = null)
    {
        if (_means is null) throw new GraftException("the support set is empty: add pictures first");
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (features, indices, broken) = Encoder.Encode(Pictures.Of(files));
        if (indices.Length == 0) return ([], broken);
        var apart = Encoder.Apart(features, _means, Distance).ToArray<float>();
        var (limit, soft) = (threshold ?? Threshold, threshold is null && IsRough);
        var answers = indices.Select((index, row) =>
        {
            var distances = _classes.Select((name, c) => (Class: name, Distance: (double)apart[row * _classes.Count + c]))
                .OrderBy(pair => pair.Distance).ToArray();
            var far = distances[0].Distance > limit;
            return new SupportAnswer(files[index], far && !soft ? null : distances[0].Class, distances) { Unsure = far && soft };
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
        tensors["support.features"] = _features;
        (metadata["format"], metadata["distance"], metadata["threshold"]) =
            (ModelCard.Support, Distance.ToString(), Threshold?.ToString("R", CultureInfo.InvariantCulture) ?? "");
        (metadata["classes"], metadata["labels"], metadata["files"]) =
            (JsonSerializer.Serialize(_classes), JsonSerializer.Serialize(_labels), JsonSerializer.Serialize(_files));
        new ModelFile(metadata, tensors, path).Write();
    }

    private static (IReadOnlyDictionary<string, Tensor> Tensors, Dictionary<string, string> Metadata) Describe(Backbone backbone) =>
        (backbone.State().Where(item => !item.Key.StartsWith(backbone.HeadName + ".", StringComparison.Ordinal)).ToDictionary(),
         new(backbone.Spec.Options) { ["architecture"] = backbone.Architecture, ["preprocessing"] = backbone.Preprocessing.ToJson(),
             ["upstream"] = ModelCard.Text(backbone.Provenance) });

    /// <summary>Whether a file is a saved support set.</summary>
    public static bool Is(string path) => ModelFile.FormatOf(path) == ModelCard.Support;

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <exception cref="GraftException">It is damaged.</exception>
    public static SupportSet Load(string path, FeatureCache? cache = null) => ModelFile.Open(path, ModelCard.Support, file => From(file, cache));

    private static SupportSet From(ModelFile file, FeatureCache? cache)
    {
        var encoder = file.Card.ContainsKey("method") ? PictureEncoder.Of(FewShotModel.From(file with { Tensors = file.Part(Network) }), file.Path)
            : Of(file.Backbone());
        var set = new SupportSet(encoder, Enum.Parse<DistanceKind>(file.Required("distance")));
        try
        {
            set._classes.AddRange(file.Required<string[]>("classes"));
            set._labels.AddRange(file.Required<int[]>("labels"));
            set._files.AddRange(file.Required<string[]>("files"));
            set._features = file.Tensors["support.features"];
            if (set._features.Shape is not [var rows, var size] || rows != set._labels.Count || set._files.Count != rows || size != set.Encoder.Size
                || set._labels.Any(label => label < 0 || label >= set._classes.Count))
                throw new GraftException($"{file.Path}: its labels, files and features do not belong together");
            set.Calibrate();
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }

        PictureEncoder Of(Backbone backbone)
        {
            backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
            backbone.Eval();
            return PictureEncoder.Of(backbone, cache);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Encoder.Dispose();
        _features?.Dispose();
        _means?.Dispose();
    }
}
