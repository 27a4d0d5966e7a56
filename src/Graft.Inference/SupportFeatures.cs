using System.Globalization;
using System.Numerics.Tensors;
using System.Text.Json;
using Graft.Data;

namespace Graft.Inference;

/// <summary>
/// Features of a few pictures of each class, and the rule: another picture is of the class whose mean feature is nearest (Mensink et al. 2013), or of
/// none where nothing is near. Nothing is trained; a class or a picture is added at any time.
/// </summary>
/// <param name="size">Numbers of a picture's features.</param>
/// <param name="distance">Between features.</param>
/// <param name="apart">n×m distances between rows, where they are others; null: <paramref name="distance"/>'s.</param>
internal sealed class SupportFeatures(int size, DistanceKind distance, Func<float[], float[], float[]>? apart = null)
{
    /// <summary>Of the known pictures, at most so many are to be taken for strangers.</summary>
    private const double Refused = 0.1;

    // What a sum's order changes; another machine's, or another library's, is another.
    private const double Rounding = 1e-5;

    private readonly List<string> _classes = [], _files = [];
    private readonly List<int> _labels = [];
    private float[] _rows = [], _means = [];

    /// <summary>Between features.</summary>
    public DistanceKind Distance => distance;

    /// <summary>Class names.</summary>
    public IReadOnlyList<string> Classes => _classes;

    /// <summary>The pictures.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <summary>Features of the pictures, row after row.</summary>
    public float[] Rows => _rows;

    /// <summary>Pictures of each class.</summary>
    public IReadOnlyList<int> Counts => [.. _classes.Select((_, c) => _labels.Count(label => label == c))];

    /// <summary>
    /// Farther from every class than this is none of them, or, where the set <see cref="IsRough"/>, the nearest class and unsure. Null: not known,
    /// with one class of one picture.
    /// </summary>
    public double? Threshold { get; private set; }

    /// <summary>Whether a class has one picture only: nothing tells how far others of it would lie, so that no picture is refused.</summary>
    public bool IsRough => Counts.Contains(1);

    /// <summary>Adds pictures of classes; known names are added to.</summary>
    /// <param name="data">With the classes.</param>
    /// <param name="features">Row after row.</param>
    /// <param name="indices">Which of the pictures they are of.</param>
    /// <param name="broken">The others.</param>
    /// <exception cref="GraftException">A class would be left without a picture.</exception>
    public void Add(Dataset data, float[] features, int[] indices, IReadOnlyList<BrokenPicture> broken)
    {
        for (var c = 0; c < data.Classes.Count; c++)
        {
            if (!indices.Any(k => data.Labels[k] == c) && !_classes.Contains(data.Classes[c]))
                throw new GraftException($"no picture of the class '{data.Classes[c]}' can be read{(broken.Count > 0 ? $" ({broken[0].File}: {broken[0].Error})" : "")}: every class of a support set needs at least one");
        }
        foreach (var name in data.Classes.Where(name => !_classes.Contains(name))) _classes.Add(name);
        _labels.AddRange(indices.Select(k => _classes.IndexOf(data.Classes[data.Labels[k]])));
        _files.AddRange(indices.Select(data.Name));
        _rows = [.. _rows, .. features];
        Calibrate();
    }

    /// <summary>Writes all but the features into a card.</summary>
    /// <exception cref="GraftException">The set is empty.</exception>
    public void Describe(IDictionary<string, string> card)
    {
        if (_rows.Length == 0) throw new GraftException("the support set is empty: there is nothing to save");
        (card["distance"], card["threshold"]) = ($"{distance}", Threshold?.ToString("R", CultureInfo.InvariantCulture) ?? "");
        (card["classes"], card["labels"], card["files"]) =
            (JsonSerializer.Serialize(_classes), JsonSerializer.Serialize(_labels), JsonSerializer.Serialize(_files));
    }

    /// <summary>Takes what <see cref="Describe"/> wrote, and the features.</summary>
    /// <exception cref="InvalidDataException">They do not belong together.</exception>
    public void Restore(string[] classes, int[] labels, string[] files, float[] features, string? threshold)
    {
        if (labels.Length != files.Length || features.Length != (long)labels.Length * size || labels.Any(label => label < 0
            || label >= classes.Length)) throw new InvalidDataException("its labels, files and features do not belong together");
        _classes.AddRange(classes);
        _labels.AddRange(labels);
        _files.AddRange(files);
        _rows = features;
        Calibrate();
        if (double.TryParse(threshold, NumberStyles.Float, CultureInfo.InvariantCulture, out var stated) && Threshold is { } own
            && Math.Abs(stated - own) <= Rounding * Math.Max(1, Math.Abs(own))) Threshold = stated;
    }

    private float[] Apart(float[] a, float[] b) => apart is null ? FeatureDistance.Between(a, b, size, distance) : apart(a, b);

    /// <summary>
    /// The threshold. Known pictures are held out of their class in turn, and each is also measured as a stranger, against the other classes alone.
    /// It lies where both errors together are least, or farther, where more than a tenth of the known pictures would be refused.
    /// Of a class with one picture nothing can be held out: then it lies at least as far as the classes do from one another (the median), and more
    /// where there are few such pairs; it tells only where an answer is unsure. docs/figures.md has what both are worth.
    /// </summary>
    private void Calibrate()
    {
        var (way, counts) = (_classes.Count, Counts);
        _means = FeatureDistance.Means(_rows, _labels, way, size);
        var (known, strangers) = (new List<double>(), new List<double>());
        var toMeans = Apart(_rows, _means);
        var rest = new float[size];
        for (var k = 0; k < _labels.Count; k++)
        {
            var label = _labels[k];
            if (way > 1) strangers.Add(Enumerable.Range(0, way).Where(c => c != label).Min(c => toMeans[k * way + c]));
            if (counts[label] == 1) continue;
            // The class's mean without this picture.
            var n = counts[label];
            var own = _rows[(k * size)..((k + 1) * size)];
            TensorPrimitives.Multiply(_means.AsSpan(label * size, size), n, rest);
            TensorPrimitives.Subtract(rest, own, rest);
            TensorPrimitives.Divide(rest, n - 1, rest);
            known.Add(Apart(own, rest)[0]);
        }
        Threshold = (known.Count, strangers.Count) switch
        {
            (0, _) => null,
            (_, 0) => Farther(known.Max(), 0.5),
            _ => Math.Max(new ErrorCurve(known, strangers).Best.Threshold, Reach(known)),
        };
        if (way > 1 && IsRough) Threshold = Math.Max(Threshold ?? double.MinValue, BetweenClasses());
    }

    /// <summary>Beyond it no more than a tenth of further pictures is expected; of too few to say so, a little farther than all of them.</summary>
    private static double Reach(List<double> known)
    {
        var rank = (int)Math.Ceiling((1 - Refused) * (known.Count + 1));
        return rank <= known.Count ? known.Order().ElementAt(rank - 1) : Farther(known.Max(), 0.1);
    }

    private double BetweenClasses()
    {
        var way = _classes.Count;
        var between = Apart(_means, _means);
        var firsts = Enumerable.Range(0, way);
        double[] pairs = [.. firsts.SelectMany(a => firsts.Skip(a + 1).Select(b => (double)between[a * way + b])).Order()];
        return Farther(pairs[pairs.Length / 2], 0.1 / Math.Sqrt(pairs.Length));
    }

    // A learned distance may be negative.
    private static double Farther(double distance, double share) => distance + share * Math.Abs(distance);

    /// <summary>The nearest class of each picture, or none; where the set <see cref="IsRough"/>, the nearest in any case.</summary>
    /// <param name="names">Of the pictures.</param>
    /// <param name="features">Row after row.</param>
    /// <param name="threshold">In place of the calibrated one; beyond it is none of them, rough set or not.</param>
    /// <exception cref="GraftException">The set is empty.</exception>
    public IReadOnlyList<SupportAnswer> Answer(IReadOnlyList<string> names, float[] features, double? threshold = null)
    {
        var far = ToClasses(features);
        var way = _classes.Count;
        return [.. names.Select((name, row) => Say(name, far.AsSpan(row * way, way), threshold))];
    }

    /// <summary>Distances of rows of features to every class: n×way.</summary>
    /// <exception cref="GraftException">The set is empty.</exception>
    public float[] ToClasses(float[] features) => _rows.Length > 0 ? Apart(features, _means)
        : throw new GraftException("the support set is empty: add pictures first");

    /// <summary>The answer for one picture's distances to the classes.</summary>
    public SupportAnswer Say(string name, ReadOnlySpan<float> far, double? threshold = null)
    {
        var (limit, soft, row) = (threshold ?? Threshold, threshold is null && IsRough, far.ToArray());
        var distances = _classes.Select((label, c) => (Class: label, Distance: (double)row[c])).OrderBy(pair => pair.Distance).ToArray();
        var beyond = distances[0].Distance > limit;
        return new SupportAnswer(name, beyond && !soft ? null : distances[0].Class, distances) { Unsure = beyond && soft };
    }
}
