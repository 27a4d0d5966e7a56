using System.Text.Json;
using Graft.Backbones;
using Graft.Checkpoints;
using Graft.Data;
using Graft.Heads;
using Graft.Torch;

namespace Graft.Training;

/// <summary>A prediction for one picture.</summary>
public sealed record Prediction(string File, string Label, double Probability, IReadOnlyList<(string Label, double Probability)> Top);

/// <summary>
/// A finished model in one file: a backbone up to a stage, a head, the class names and the preprocessing. What a run ends
/// with, and what is shipped.
/// </summary>
public sealed class Classifier : IDisposable
{
    /// <summary>The file's name within a run folder.</summary>
    public const string FileName = "model.safetensors";

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    /// <param name="backbone">Owned from here on.</param>
    /// <param name="head">Owned from here on.</param>
    /// <param name="stage">The head stands on this stage's pooled output.</param>
    /// <param name="classes">Names.</param>
    public Classifier(Backbone backbone, Head head, int stage, IReadOnlyList<string> classes)
    {
        (Backbone, Head, Stage, Classes) = (backbone, head, stage, classes);
        backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
        backbone.Eval();
        head.Eval();
    }

    /// <summary>The network below the head.</summary>
    public Backbone Backbone { get; }

    /// <summary>The head.</summary>
    public Head Head { get; }

    /// <summary>The stage that the head stands on.</summary>
    public int Stage { get; }

    /// <summary>Class names in the order of the outputs.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>N×3×H×W inputs to N×classes probabilities.</summary>
    public Tensor Forward(Tensor inputs) => Head.Probabilities(Backbone.Pool(Backbone.Forward(inputs, 0, Stage + 1)));

    /// <summary>Writes the model; <paramref name="card"/> adds to its metadata.</summary>
    public void Save(string path, IReadOnlyDictionary<string, string>? card = null)
    {
        var metadata = new Dictionary<string, string>(card ?? new Dictionary<string, string>())
        {
            ["format"] = "graft-classifier-1", ["architecture"] = Backbone.Architecture, ["classes"] = JsonSerializer.Serialize(Classes),
            ["preprocessing"] = JsonSerializer.Serialize(Backbone.Preprocessing, s_json), ["head"] = Head.Kind.ToString(), ["stage"] = Backbone.Stages[Stage].Name,
            ["temperature"] = Head.Temperature.ToString("R"), ["upstream"] = JsonSerializer.Serialize(Backbone.Provenance, s_json),
        };
        foreach (var (key, value) in Backbone.Options) metadata[key] = value;
        Safetensors.Write(path, Tensors(), metadata);
    }

    private Dictionary<string, Tensor> Tensors()
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in Backbone.State().Where(item => !item.Key.StartsWith(Backbone.HeadName + ".", StringComparison.Ordinal))) tensors["backbone." + name] = tensor;
        foreach (var (name, tensor) in Head.State()) tensors["head." + name] = tensor;
        return tensors;
    }

    /// <summary>Loads a model from a run folder or a file.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public static Classifier Load(string runOrFile)
    {
        var path = Directory.Exists(runOrFile) ? Path.Combine(runOrFile, FileName) : runOrFile;
        if (!File.Exists(path))
        {
            throw new GraftException(!Directory.Exists(runOrFile) ? $"{runOrFile}: there is no such run or model"
                : File.Exists(Path.Combine(runOrFile, "run.json")) ? $"{runOrFile} has no {FileName}: its training did not finish. Go on with: graft train --resume {runOrFile}"
                : $"{runOrFile} is no run folder: it has neither run.json nor {FileName}");
        }
        var checkpoint = Checkpoint.Read(path);
        string Meta(string key) => checkpoint.Metadata.GetValueOrDefault(key) ?? throw new GraftException($"{path} is no model that Graft saved: its metadata has no '{key}'. Train on it with --weights {path}");
        if (Meta("format") != "graft-classifier-1") throw new GraftException($"{path} is of the format '{Meta("format")}', which this version does not read");
        var classes = JsonSerializer.Deserialize<string[]>(Meta("classes"))!;
        using var skip = Initialisers.Skip();
        var backbone = BackboneCatalogue.Create(Meta("architecture"), null, checkpoint.Metadata);
        backbone.Preprocessing = JsonSerializer.Deserialize<Preprocessing>(Meta("preprocessing"), s_json)!;
        backbone.Provenance = JsonSerializer.Deserialize<Provenance>(Meta("upstream"), s_json)!;
        var stage = backbone.Stages.ToList().FindIndex(found => found.Name == Meta("stage"));
        var head = Head.Create(Enum.Parse<HeadKind>(Meta("head")), backbone.Stages[stage].Channels, classes.Length);
        head.Temperature = double.Parse(Meta("temperature"));
        IReadOnlyDictionary<string, Tensor> Part(string prefix) => checkpoint.Tensors.Where(item => item.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(item => item.Key[prefix.Length..], item => item.Value);
        CheckpointMatcher.Load(backbone, Part("backbone."), path);
        CheckpointMatcher.Load(head, Part("head."), path);
        return new Classifier(backbone, head, stage, classes);
    }

    /// <summary>Predicts one picture.</summary>
    /// <exception cref="PictureException">It cannot be read.</exception>
    public unsafe Prediction Predict(string file)
    {
        using var picture = Picture.Decode(File.ReadAllBytes(file), Backbone.Preprocessing);
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
        var top = probabilities.Select((p, k) => (Classes[k], (double)p)).OrderByDescending(pair => pair.Item2).Take(5).ToArray();
        return new Prediction(file, top[0].Item1, top[0].Item2, top);
    }

    /// <summary>Probabilities of every readable picture of a dataset: N×classes, row after row.</summary>
    public (float[] Probabilities, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Predict(Dataset data, Torch.Device device = default, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        // Not into the cache: a trained backbone's features serve nobody else.
        var extraction = new Transfer.FeatureExtractor(Backbone, null, device).Pooled(data, Backbone.Preprocessing, progress: progress, cancel: cancel);
        var probabilities = Head.Probabilities(extraction.Stage(Backbone, Stage)).ToArray<float>();
        extraction.Rows.Dispose();
        return (probabilities, extraction.Indices, extraction.Broken);
    }

    /// <summary>Metrics on labelled pictures.</summary>
    public (Metrics Metrics, float[] Probabilities, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Evaluate(Dataset data, Torch.Device device = default, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var (probabilities, indices, broken) = Predict(data, device, progress, cancel);
        return (Metrics.Of(probabilities, [.. indices.Select(k => data.Labels[k])], Classes), probabilities, indices, broken);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Backbone.Dispose();
        Head.Dispose();
    }
}
