using System.Runtime.InteropServices;
using System.Text.Json;
using Graft.Data;

namespace Graft.Inference;

/// <summary>
/// A few pictures of each class with the network that looks at them, opened from one file that <c>graft fewshot classify --save FILE.onnx</c> wrote,
/// without libtorch. A picture gets the class whose mean feature is nearest, or none where nothing is near. Pictures and classes can be added.
/// </summary>
public sealed class SupportModel : Model<SupportAnswer>
{
    private readonly SupportFeatures _known;
    private readonly string _file;
    private readonly IReadOnlyDictionary<string, string> _card;
    private readonly int _size;

    private SupportModel(OnnxNetwork network, Preprocessing preprocessing, string file, int size, SupportFeatures known)
        : base(network, preprocessing) => (_file, _card, _size, _known) = (file, network.Card, size, known);

    /// <summary>Class names.</summary>
    public IReadOnlyList<string> Classes => _known.Classes;

    /// <summary>Pictures of each class.</summary>
    public IReadOnlyList<int> Counts => _known.Counts;

    /// <summary>The pictures.</summary>
    public IReadOnlyList<string> Files => _known.Files;

    /// <summary>Between features.</summary>
    public DistanceKind Distance => _known.Distance;

    /// <summary>
    /// Farther from every class than this is none of them, or, where the set <see cref="IsRough"/>, the nearest class and unsure. Null: not known,
    /// with one class of one picture.
    /// </summary>
    public double? Threshold => _known.Threshold;

    /// <summary>Whether a class has one picture only: nothing tells how far others of it would lie, so that no picture is refused.</summary>
    public bool IsRough => _known.IsRough;

    /// <summary>Opens a file that <see cref="Save"/> or <c>graft fewshot classify --save FILE.onnx</c> wrote.</summary>
    /// <exception cref="GraftException">It is none, or it is damaged.</exception>
    public static SupportModel Open(string path)
    {
        if (!Is(path)) throw new GraftException($"{path} is no support set in an ONNX file: make one with {NextCommand.Of("fewshot", "classify")} --support DIR --weights FILE --save {NextCommand.Quoted("set.onnx")}");
        var network = new OnnxNetwork(path);
        try
        {
            var size = SupportCard.Size(network.Card, network.Outputs);
            return new SupportModel(network, SupportCard.Preprocessing(network.Card), path, size, SupportCard.Read(network.Card, size));
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or ArgumentException)
        {
            network.Dispose();
            throw new GraftException($"{path}: what it says of itself is damaged ({reason.Message})", reason);
        }
    }

    /// <summary>Whether a file is such a set.</summary>
    public static bool Is(string path) => path.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) && OnnxCard.FormatOf(path) == SupportCard.Format;

    /// <inheritdoc/>
    public override SupportAnswer Say(string name, ReadOnlySpan<float> row) => Say(name, row, null);

    /// <summary>The answer with a threshold in place of the calibrated one; beyond it is none of the classes, rough set or not.</summary>
    public SupportAnswer Say(string name, ReadOnlySpan<float> row, double? threshold) =>
        _known.Answer([name], row[(Network.Outputs - _size)..].ToArray(), threshold)[0];

    /// <summary>Adds pictures of class folders; known names are added to.</summary>
    /// <returns>Pictures that could not be read.</returns>
    /// <exception cref="GraftException">A class would be left without a picture.</exception>
    public IReadOnlyList<BrokenPicture> Add(Dataset data)
    {
        var (rows, indices, broken) = AnswerAll(data);
        var features = new float[indices.Length * _size];
        for (var k = 0; k < indices.Length; k++)
            rows.AsSpan((k + 1) * Network.Outputs - _size, _size).CopyTo(features.AsSpan(k * _size));
        _known.Add(data, features, indices, broken);
        return broken;
    }

    /// <summary>The same as a model among others, for what predicts and serves: its numbers are the distances to the classes.</summary>
    internal PictureModel AsPictureModel() => new(new SupportNetwork(Network, _known, _size), Preprocessing,
        new AnswerCard(TargetKind.Classes, Classes) { Support = _known }) { Architecture = _card.GetValueOrDefault("architecture") ?? "" };

    /// <summary>Writes the set with its network.</summary>
    public void Save(string path) => SupportCard.Save(path, File.ReadAllBytes(_file), _card, _known);
}

/// <summary>From pictures to their distances to the classes of a support set.</summary>
/// <param name="features">Owned from here on.</param>
/// <param name="known">The set; nothing is added from here on.</param>
/// <param name="size">Numbers of a picture's features, which are the last that the network gives.</param>
internal sealed class SupportNetwork(FrozenNetwork features, SupportFeatures known, int size) : FrozenNetwork
{
    public override int Height => features.Height;

    public override int Width => features.Width;

    public override int Outputs => known.Classes.Count;

    public override string Engine => features.Engine;

    public override int Batch => features.Batch;

    public override int Lanes => features.Lanes;

    public override void Run(Memory<float> inputs, int count, Memory<float> outputs)
    {
        var (all, last) = (new float[count * features.Outputs], new float[count * size]);
        features.Run(inputs, count, all);
        for (var k = 0; k < count; k++) all.AsSpan((k + 1) * features.Outputs - size, size).CopyTo(last.AsSpan(k * size));
        known.ToClasses(last).CopyTo(outputs);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) features.Dispose();
    }
}

/// <summary>What a support set's ONNX file says of itself. The features are the last numbers of the network's output.</summary>
internal static class SupportCard
{
    /// <summary>The key <c>format</c>.</summary>
    public const string Format = "graft-support-1";

    /// <summary>The key of how many numbers a picture's features are.</summary>
    public const string FeaturesKey = "features";

    private const string RowsKey = "support";

    /// <summary>Numbers of a picture's features.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static int Size(IReadOnlyDictionary<string, string> card, int outputs) =>
        int.TryParse(card.GetValueOrDefault(FeaturesKey), out var size) && size > 0 && size <= outputs ? size
            : throw new InvalidDataException($"its features are not the last of {outputs} numbers");

    /// <summary>What pictures go through before the network.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static Preprocessing Preprocessing(IReadOnlyDictionary<string, string> card) => OnnxCard.Preprocessing(card)
        ?? throw new InvalidDataException("its preprocessing is missing");

    /// <summary>The set.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static SupportFeatures Read(IReadOnlyDictionary<string, string> card, int size)
    {
        string Needed(string key) => card.GetValueOrDefault(key) ?? throw new InvalidDataException($"its '{key}' is missing");
        T Json<T>(string key) => JsonSerializer.Deserialize<T>(Needed(key)) ?? throw new InvalidDataException($"its '{key}' is null");
        if (!Enum.TryParse<DistanceKind>(Needed("distance"), out var distance) || distance == DistanceKind.Mahalanobis)
            throw new InvalidDataException($"its distance '{Needed("distance")}' is none between two features");
        var known = new SupportFeatures(size, distance);
        var bytes = Convert.FromBase64String(Needed(RowsKey));
        if (bytes.Length % sizeof(float) != 0) throw new InvalidDataException("its features are cut off");
        known.Restore(Json<string[]>("classes"), Json<int[]>("labels"), Json<string[]>("files"), [.. MemoryMarshal.Cast<byte, float>(bytes)],
            card.GetValueOrDefault("threshold"));
        return known;
    }

    /// <summary>Writes a set with its network.</summary>
    /// <param name="path">Where to.</param>
    /// <param name="network">An ONNX file's bytes.</param>
    /// <param name="card">What it says of itself.</param>
    /// <param name="known">The set.</param>
    public static void Save(string path, byte[] network, IReadOnlyDictionary<string, string> card, SupportFeatures known)
    {
        var more = new Dictionary<string, string>(card) { ["format"] = Format };
        known.Describe(more);
        more[RowsKey] = Convert.ToBase64String(MemoryMarshal.AsBytes(known.Rows.AsSpan()));
        AtomicFile.Write(path, stream => OnnxCard.Write(stream, network, more));
    }
}
