using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Inference;

/// <summary>A class and how probable it is.</summary>
public sealed record RankedLabel(string Label, double Probability)
{
    /// <summary>ants 98.7%.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Label} {100 * Probability:0.0}%");
}

/// <summary>A prediction for one picture.</summary>
/// <param name="File">The picture.</param>
/// <param name="Label">The most probable class.</param>
/// <param name="Probability">Of that class.</param>
/// <param name="Top">The five most probable classes, the first of them <paramref name="Label"/>.</param>
public sealed record Prediction(string File, string Label, double Probability, IReadOnlyList<RankedLabel> Top)
{
    /// <summary>Of a model of several labels: those that it says, the most probable first. <see cref="Label"/> then names them all, <see cref="Top"/> ranks every label.</summary>
    public IReadOnlyList<RankedLabel>? Labels { get; init; }

    /// <summary>Of a model of numbers: them. <see cref="Label"/> then is their text, and there is no probability.</summary>
    public IReadOnlyList<PredictedNumber>? Numbers { get; init; }

    /// <summary>ant.jpg: ants 98.7%.</summary>
    public override string ToString() => Labels is null && Numbers is null ? $"{File}: {new RankedLabel(Label, Probability)}" : $"{File}: {Label}";
}

/// <summary>A number that was predicted.</summary>
/// <param name="Name">The column's.</param>
/// <param name="Value">In the column's own units.</param>
/// <param name="Low">Lower end of the interval that nine of ten true numbers lie in, judged by pictures that were held out in training; null: none were.</param>
/// <param name="High">Upper end.</param>
public sealed record PredictedNumber(string Name, double Value, double? Low, double? High)
{
    /// <summary>cells 17.2 (13.1 to 21.6).</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} {Value:G4}{(Low is { } low && High is { } high ? string.Create(CultureInfo.InvariantCulture, $" ({low:G4} to {high:G4})") : "")}");
}

/// <summary>
/// A finished model in one file: a backbone up to a stage, a head, the class names and the preprocessing. What a run ends
/// with, and what is shipped.
/// </summary>
public sealed class Classifier : IDisposable
{
    /// <summary>The file's name within a run folder.</summary>
    public const string FileName = RunFolder.Model;

    private static readonly string[] s_about = ["licence", "domain", "data_fingerprint", "seed", "strategy"];

    /// <param name="backbone">Owned from here on.</param>
    /// <param name="head">Owned from here on; null: the classifier that the backbone was trained with.</param>
    /// <param name="stage">The head stands on this stage's pooled output.</param>
    /// <param name="classes">Names.</param>
    public Classifier(Backbone backbone, Head? head, int stage, IReadOnlyList<string> classes)
    {
        (Backbone, Head, Stage, Classes) = (backbone, head, stage, classes);
        backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
        backbone.Eval();
        head?.Eval();
    }

    /// <summary>A pretrained network as it is, with its own classifier.</summary>
    /// <param name="backbone">Owned from here on.</param>
    /// <param name="classes">Names in the order of its outputs; null: their numbers.</param>
    /// <exception cref="GraftException">It has no classifier, or the names are not as many as its outputs.</exception>
    public static Classifier Upstream(Backbone backbone, IReadOnlyList<string>? classes = null)
    {
        if (!backbone.CanClassify || backbone.UpstreamClasses is not { } outputs) throw new GraftException($"{backbone.Provenance.Source} has no classifier of its own: train one with {NextCommand.Of("train")} DATA --weights {NextCommand.Quoted(backbone.Provenance.Source)}");
        var card = backbone.TaskCard;
        // One score is the odds of the second of two classes.
        var count = card is null ? Math.Max(2, outputs) : outputs;
        if (classes is not null && classes.Count != count) throw new GraftException($"{classes.Count} class names are given, and {backbone.Provenance.Source} has {outputs} outputs");
        classes ??= backbone.ClassNames?.Count == count ? backbone.ClassNames : null;
        return new Classifier(backbone, null, backbone.Stages.Count - 1, classes ?? [.. Enumerable.Range(0, count).Select(k => $"{k}")]) { Thresholds = ThresholdsOf(card, count), Residuals = ResidualsOf(card, count) };
    }

    /// <summary>The network below the head.</summary>
    public Backbone Backbone { get; }

    /// <summary>The head; null: the backbone's own.</summary>
    public Head? Head { get; }

    /// <summary>The stage that the head stands on.</summary>
    public int Stage { get; }

    /// <summary>Class names in the order of the outputs.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>What it tells: one class, several labels, numbers. <see cref="Classes"/> then names the labels or the columns.</summary>
    public TargetKind Task => Head?.Kind.Task() ?? Backbone.TaskCard?.GetValueOrDefault("task") switch { "labels" => TargetKind.Labels, "numbers" => TargetKind.Numbers, _ => TargetKind.Classes };

    /// <summary>Of several labels: from which probability on each is said; null: a half.</summary>
    public IReadOnlyList<double>? Thresholds { get; init; }

    /// <summary>Of numbers: between what residuals nine of ten lie, for each column; null: not known.</summary>
    public IReadOnlyList<double[]>? Residuals { get; init; }

    private static double[]? ThresholdsOf(IReadOnlyDictionary<string, string>? card, int count) =>
        card?.GetValueOrDefault("thresholds") is not { } text ? null
        : JsonSerializer.Deserialize<double[]>(text) is { } found && found.Length == count ? found : throw new InvalidDataException($"its thresholds are not {count} numbers");

    private static double[][]? ResidualsOf(IReadOnlyDictionary<string, string>? card, int count) =>
        card?.GetValueOrDefault("residuals") is not { } text ? null
        : JsonSerializer.Deserialize<double[][]>(text) is { } found && found.Length == count && found.All(pair => pair is { Length: 2 }) ? found : throw new InvalidDataException($"its residuals are not {count} pairs of numbers");

    /// <summary>What was noticed when it was opened, such as a preprocessing that its file does not say.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>What its file says of how it was made: licence, domain, data, seed, strategy. It goes into what is exported.</summary>
    internal IReadOnlyDictionary<string, string> About { get; private init; } = new Dictionary<string, string>();

    /// <summary>N×3×H×W inputs to N×classes probabilities, N×labels probabilities, or N×columns numbers.</summary>
    public Tensor Forward(Tensor inputs) => Head is null ? UpstreamAnswers(inputs) : Head.Answers(Backbone.Pool(Backbone.Forward(inputs, 0, Stage + 1)));

    private Tensor UpstreamAnswers(Tensor inputs)
    {
        var scores = Backbone.Classify(inputs).Flatten(1);
        if (Task == TargetKind.Numbers) return scores;
        if (Task == TargetKind.Labels) return Backbone.TaskCard!.GetValueOrDefault("output") == "probabilities" ? scores : scores.Sigmoid();
        return scores.Shape[1] == 1 ? Ops.Cat([1 - scores.Sigmoid(), scores.Sigmoid()], 1) : scores.Softmax(1);
    }

    /// <summary>Writes the model; <paramref name="card"/> adds to its metadata.</summary>
    public void Save(string path, IReadOnlyDictionary<string, string>? card = null) => Safetensors.Write(path, Tensors(), Describe(card));

    /// <summary>All but the tensors: what a file says of itself.</summary>
    internal Dictionary<string, string> Describe(IReadOnlyDictionary<string, string>? card = null)
    {
        if (Head is null) throw new GraftException("a pretrained network with its own classifier is saved by graft export, not as a run");
        var metadata = new Dictionary<string, string>(card ?? new Dictionary<string, string>())
        {
            ["format"] = ModelCard.Classifier, ["architecture"] = Backbone.Architecture, ["classes"] = JsonSerializer.Serialize(Classes),
            ["preprocessing"] = Backbone.Preprocessing.ToJson(), ["head"] = Head.Kind.ToString(), ["stage"] = Backbone.Stages[Stage].Name,
            ["temperature"] = Head.Temperature.ToString("R", System.Globalization.CultureInfo.InvariantCulture), ["upstream"] = ModelCard.Text(Backbone.Provenance),
        };
        if (Task != TargetKind.Classes) metadata["task"] = Task.ToString().ToLowerInvariant();
        if (Thresholds is not null) metadata["thresholds"] = JsonSerializer.Serialize(Thresholds);
        if (Residuals is not null) metadata["residuals"] = JsonSerializer.Serialize(Residuals);
        foreach (var (key, value) in Backbone.Options) metadata[key] = value;
        return metadata;
    }

    /// <summary>The backbone's below <c>backbone.</c>, the head's below <c>head.</c>.</summary>
    internal Dictionary<string, Tensor> Tensors()
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in Backbone.State().Where(item => !item.Key.StartsWith(Backbone.HeadName + ".", StringComparison.Ordinal))) tensors["backbone." + name] = tensor;
        foreach (var (name, tensor) in Head!.State()) tensors["head." + name] = tensor;
        return tensors;
    }

    /// <summary>A run, a model of Graft's, or any pretrained network with its own classifier.</summary>
    /// <param name="path">A run folder or a file.</param>
    /// <param name="input">How a pretrained network wants its pictures, and its classes' names.</param>
    public static Classifier Open(string path, InputOptions? input = null)
    {
        input ??= new InputOptions();
        input.Validate();
        path = SavedRun.FileOf(ModelHub.Resolve(path));
        if (!File.Exists(path) || IsSaved(path))
        {
            if (input != new InputOptions()) throw new GraftException($"{path} is a model of Graft's, which knows its classes and its preprocessing: leave --labels, --scale, --mean, --std, --channels and --size off");
            return Load(path);
        }
        var (backbone, notes) = ModelOpener.Load(path, null, input);
        var model = Upstream(backbone, input.Labels is { } labels ? ReadLabels(labels) : null);
        model.Notes = notes;
        return model;
    }

    private static string[] ReadLabels(string path)
    {
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file of class names");
        return [.. TextDecoder.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0)];
    }

    private static bool IsSaved(string path)
    {
        try
        {
            Span<byte> first = stackalloc byte[2];
            using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 2, throwOnEndOfStream: false)];
            var card = path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) ? Safetensors.ReadMetadata(path) : first is [(byte)'P', (byte)'K'] ? ArchiveCard.Read(path) : null;
            return card?.GetValueOrDefault("format") == ModelCard.Classifier;
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException)
        {
            return false;
        }
    }

    /// <summary>Loads a model from a run folder or a file.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public static Classifier Load(string runOrFile)
    {
        var path = SavedRun.FileOf(runOrFile);
        if (!File.Exists(path)) throw new GraftException($"{runOrFile}: there is no such run or model");
        try
        {
            return Build(Checkpoint.Read(path), path);
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or OverflowException or ArgumentException or TorchException)
        {
            throw new GraftException($"{path}: what it says of itself is damaged ({reason.Message})", reason);
        }
    }

    private static Classifier Build(Checkpoint checkpoint, string path)
    {
        string Meta(string key) => checkpoint.Metadata.GetValueOrDefault(key) ?? throw new GraftException($"{path} is no model that Graft saved: its metadata has no '{key}'. Train on it with --weights {NextCommand.Quoted(path)}");
        if (Meta("format") != ModelCard.Classifier) throw new GraftException($"{path} is of the format '{Meta("format")}', which this version does not read");
        var classes = JsonSerializer.Deserialize<string[]>(Meta("classes"))!;
        using var skip = Initialisers.Skip();
        var backbone = ModelOpener.Create(Meta("architecture"), null, checkpoint.Metadata);
        backbone.Preprocessing = Preprocessing.FromJson(Meta("preprocessing"));
        backbone.Provenance = ModelCard.Upstream(checkpoint.Metadata) ?? throw new InvalidDataException("its upstream is missing");
        var stage = backbone.Stages.ToList().FindIndex(found => found.Name == Meta("stage"));
        var head = Head.Create(Enum.Parse<HeadKind>(Meta("head")), backbone.Stages[stage].Channels, classes.Length);
        head.Temperature = double.Parse(Meta("temperature"), System.Globalization.CultureInfo.InvariantCulture);
        IReadOnlyDictionary<string, Tensor> Part(string prefix) => checkpoint.Tensors.Where(item => item.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(item => item.Key[prefix.Length..], item => item.Value);
        CheckpointMatcher.Load(backbone, Part("backbone."), path);
        CheckpointMatcher.Load(head, Part("head."), path);
        return new Classifier(backbone, head, stage, classes) { Thresholds = ThresholdsOf(checkpoint.Metadata, classes.Length), Residuals = ResidualsOf(checkpoint.Metadata, classes.Length), About = s_about.Where(checkpoint.Metadata.ContainsKey).ToDictionary(key => key, key => checkpoint.Metadata[key]) };
    }

    private static byte[] Bytes(string file)
    {
        try
        {
            return File.ReadAllBytes(file);
        }
        catch (Exception reason) when (reason is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new PictureException("there is no such file", reason);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            throw new PictureException($"cannot be read ({reason.Message.TrimEnd('.')})", reason);
        }
    }

    /// <summary>Predicts one picture.</summary>
    /// <exception cref="PictureException">It cannot be read.</exception>
    public unsafe Prediction Predict(string file)
    {
        using var picture = Picture.Decode(Bytes(file), Backbone.Preprocessing);
        // One picture is too little work to share: a second thread only waits.
        var threads = TorchRuntime.Threads;
        TorchRuntime.Threads = 1;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var (width, height) = (Backbone.Preprocessing.Width, Backbone.Preprocessing.Height);
        var input = Ops.Empty([1, 3, height, width], memoryFormat: MemoryFormat.ChannelsLast);
        var rng = new Rng(0);
        TransformRunner.Run(picture, Backbone.Preprocessing, ref rng, false, (float*)input.Data);
        var probabilities = Forward(input).ToArray<float>();
        TorchRuntime.Threads = threads;
        return Say(file, probabilities);
    }

    /// <summary>An answer in words.</summary>
    /// <param name="file">The picture.</param>
    /// <param name="answers">Of each class, label or column.</param>
    /// <param name="top">Classes that are ranked.</param>
    public Prediction Say(string file, IReadOnlyList<float> answers, int top = 5)
    {
        if (Task == TargetKind.Numbers)
        {
            PredictedNumber[] numbers = [.. answers.Select((value, k) => new PredictedNumber(Classes[k], value, value + Residuals?[k][0], value + Residuals?[k][1]))];
            return new Prediction(file, string.Join("; ", numbers.Select(number => $"{number}")), double.NaN, []) { Numbers = numbers };
        }
        var ranked = answers.Select((p, k) => (Index: k, Label: new RankedLabel(Classes[k], p))).OrderByDescending(item => item.Label.Probability).ToArray();
        if (Task == TargetKind.Labels)
        {
            RankedLabel[] said = [.. ranked.Where(item => item.Label.Probability >= (Thresholds?[item.Index] ?? 0.5)).Select(item => item.Label)];
            return new Prediction(file, string.Join("; ", said.Select(item => item.Label)), double.NaN, [.. ranked.Select(item => item.Label)]) { Labels = said };
        }
        RankedLabel[] first = [.. ranked.Take(top).Select(item => item.Label)];
        return new Prediction(file, first[0].Label, first[0].Probability, first);
    }

    /// <summary>What it says of every readable picture of a dataset: N×outputs, row after row.</summary>
    public (float[] Probabilities, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Predict(Dataset data, Torch.Device device = default, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        // Not into the cache: a trained backbone's features serve nobody else.
        var extractor = new FeatureExtractor(Backbone, null, device);
        var extraction = Head is null ? extractor.Outputs(data, Backbone.Preprocessing, Classes.Count, UpstreamAnswers, progress, cancel) : extractor.Pooled(data, Backbone.Preprocessing, progress: progress, cancel: cancel);
        var probabilities = (Head is null ? extraction.Rows : Head.Answers(extraction.Stage(Backbone, Stage))).ToArray<float>();
        extraction.Rows.Dispose();
        return (probabilities, extraction.Indices, extraction.Broken);
    }

    /// <summary>Labelled pictures in the order of this model's classes. A network whose classes have no names takes the dataset's own, in their order.</summary>
    /// <exception cref="GraftException">Other classes, or more of them.</exception>
    public Dataset Open(string data, string? split = null)
    {
        if (Task != TargetKind.Classes) return DatasetReader.OpenWithClasses(data, Classes, split, Task);
        if (Head is not null || Classes.Select((name, k) => name == $"{k}").Contains(false)) return DatasetReader.OpenWithClasses(data, Classes, split);
        var parts = DatasetReader.OpenParts(data, null, TargetKind.Classes);
        var set = parts.Part("train") is { } train ? ClassNames.Match(parts.Pick(split), train.Classes) : parts.Pick(split);
        if (set.Classes.Count > Classes.Count) throw new GraftException($"{data} has {set.Classes.Count} classes and the network {Classes.Count} outputs: name the outputs with --labels FILE");
        return set.Classes.SequenceEqual(Classes) ? set : set.Relabel(label => label, [.. set.Classes, .. Classes.Skip(set.Classes.Count)]);
    }

    /// <summary>Measures on labelled pictures, whatever it tells.</summary>
    /// <exception cref="GraftException">None of them can be read.</exception>
    public (TaskMetrics Metrics, float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Judge(Dataset data, Torch.Device device = default, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        if (Task == TargetKind.Classes) return Evaluate(data, device, progress, cancel);
        var (answers, indices, broken) = Predict(data, device, progress, cancel);
        if (indices.Length == 0) throw NoneReadable(data, broken);
        return (TaskMetrics.Of(answers, data.Targets.Subset(indices), Thresholds), answers, indices, broken);
    }

    private static GraftException NoneReadable(Dataset data, IReadOnlyList<BrokenPicture> broken) =>
        new($"none of the {data.Count} labelled pictures can be read{(broken.Count > 0 ? $". The first: {broken[0].File}: {broken[0].Error}" : "")}");

    /// <summary>Metrics on labelled pictures of a model that tells classes.</summary>
    /// <exception cref="GraftException">None of them can be read.</exception>
    public (Metrics Metrics, float[] Probabilities, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Evaluate(Dataset data, Torch.Device device = default, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var (probabilities, indices, broken) = Predict(data, device, progress, cancel);
        if (indices.Length == 0) throw NoneReadable(data, broken);
        return (Metrics.Of(probabilities, [.. indices.Select(k => data.Labels[k])], data.Classes.Count == Classes.Count ? data.Classes : Classes), probabilities, indices, broken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Backbone.Dispose();
        Head?.Dispose();
    }
}
