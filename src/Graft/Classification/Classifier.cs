using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Classification;

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
        return new Classifier(backbone, null, backbone.Stages.Count - 1, classes
            ?? [.. Enumerable.Range(0, count).Select(k => $"{k}")]) { Thresholds = AnswerCard.ThresholdsOf(card, count),
            Residuals = AnswerCard.ResidualsOf(card, count) };
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
    public TargetKind Task => Head?.Kind.Task()
        ?? AnswerCard.TaskOf(Backbone.TaskCard);

    /// <summary>Of several labels: from which probability on each is said; null: a half.</summary>
    public IReadOnlyList<double>? Thresholds { get; init; }

    /// <summary>Of numbers: between what residuals nine of ten lie, for each column; null: not known.</summary>
    public IReadOnlyList<double[]>? Residuals { get; init; }

    /// <summary>What was noticed when it was opened, such as a preprocessing that its file does not say.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>What its file says of how it was made: licence, domain, data, seed, strategy. It goes into what is exported.</summary>
    internal IReadOnlyDictionary<string, string> About { get; private init; } = new Dictionary<string, string>();

    /// <summary>N×3×H×W inputs to N×classes probabilities, N×labels probabilities, or N×columns numbers; of the similarity of pairs, to the N vectors
    /// that are compared.</summary>
    public Tensor Forward(Tensor inputs) => Head is null ? UpstreamAnswers(inputs)
        : Head.Kind == HeadKind.Cosine ? Backbone.Pool(Backbone.Forward(inputs, 0, Stage + 1))
        : Head.Answers(Backbone.Pool(Backbone.Forward(inputs, 0, Stage + 1)));

    private Tensor UpstreamAnswers(Tensor inputs)
    {
        var scores = Backbone.Classify(inputs).Flatten(1);
        if (Task == TargetKind.Numbers) return scores;
        if (Task == TargetKind.Labels) return Backbone.TaskCard!.GetValueOrDefault("output") == "probabilities" ? scores : scores.Sigmoid();
        return scores.Shape[1] == 1 ? Ops.Cat([1 - scores.Sigmoid(), scores.Sigmoid()], 1) : scores.Softmax(1);
    }

    /// <summary>Writes the model; <paramref name="card"/> adds to its metadata.</summary>
    public void Save(string path, IReadOnlyDictionary<string, string>? card = null) => new ModelFile(Describe(card), Tensors(), path).Write();

    /// <summary>All but the tensors: what a file says of itself.</summary>
    internal Dictionary<string, string> Describe(IReadOnlyDictionary<string, string>? card = null)
    {
        if (Head is null) throw new GraftException("a pretrained network with its own classifier is saved by graft export, not as a run");
        var metadata = new Dictionary<string, string>(card ?? new Dictionary<string, string>())
        {
            ["format"] = ModelCard.Classifier, ["architecture"] = Backbone.Architecture, ["classes"] = JsonSerializer.Serialize(Classes),
            ["preprocessing"] = Backbone.Preprocessing.ToJson(), ["head"] = Head.Kind.ToString(), ["stage"] = Backbone.Stages[Stage].Name,
            ["temperature"] = Head.Temperature.ToString("R", System.Globalization.CultureInfo.InvariantCulture),
                ["upstream"] = ModelCard.Text(Backbone.Provenance),
        };
        if (Task != TargetKind.Classes) metadata["task"] = Task.ToString().ToLowerInvariant();
        if (Thresholds is not null) metadata["thresholds"] = JsonSerializer.Serialize(Thresholds);
        if (Residuals is not null) metadata["residuals"] = JsonSerializer.Serialize(Residuals);
        foreach (var (key, value) in Backbone.Spec.Options) metadata[key] = value;
        if (Backbone is TextEncoder encoder) (metadata["tokenizer"], metadata["tokens"]) = (encoder.Tokenizer.ToCard(), $"{encoder.MostTokens}");
        return metadata;
    }

    /// <summary>The backbone's below <c>backbone.</c>, the head's below <c>head.</c>.</summary>
    internal Dictionary<string, Tensor> Tensors()
    {
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in Backbone.State()
            .Where(item => !item.Key.StartsWith(Backbone.HeadName + ".", StringComparison.Ordinal))) tensors["backbone." + name] = tensor;
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
        if (!File.Exists(path) || ModelFile.FormatOf(path) == ModelCard.Classifier)
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

    /// <summary>Loads a model from a run folder or a file.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public static Classifier Load(string runOrFile)
    {
        var path = SavedRun.FileOf(runOrFile);
        if (!File.Exists(path)) throw new GraftException($"{runOrFile}: there is no such run or model");
        return ModelFile.Open(path, ModelCard.Classifier, Build);
    }

    private static Classifier Build(ModelFile file)
    {
        var classes = file.Required<string[]>("classes");
        var backbone = file.Backbone();
        using var skip = Initialisers.Skip();
        var stage = backbone.Stages.ToList().FindIndex(found => found.Name == file.Required("stage"));
        var head = Head.Create(Enum.Parse<HeadKind>(file.Required("head")), backbone.Stages[stage].Channels, classes.Length);
        head.Temperature = double.Parse(file.Required("temperature"), CultureInfo.InvariantCulture);
        CheckpointMatcher.Load(head, file.Part("head."), file.Path);
        return new Classifier(backbone, head, stage, classes)
        {
            Thresholds = AnswerCard.ThresholdsOf(file.Card, classes.Length), Residuals = AnswerCard.ResidualsOf(file.Card, classes.Length),
            About = s_about.Where(file.Card.ContainsKey).ToDictionary(key => key, key => file.Card[key]),
        };
    }

    private IAnsweringModel? _answering;

    /// <summary>The same model made ready to answer: its network by the engine that serves it best. It is this model's, as it is at the first
    /// use.</summary>
    public PictureModel Answering => Ready as PictureModel ?? throw new GraftException("the model reads sentences, and this is for pictures");

    /// <summary>The same, of whatever it answers.</summary>
    internal IAnsweringModel Ready => _answering ??= Freeze();

    /// <summary>N×3×H×W to answers, by the engine that serves it best; by libtorch on a graphics processor.</summary>
    internal IAnsweringModel Freeze(Device device = default)
    {
        if (Backbone is TextEncoder encoder)
            return new TextModel(TextNetworks.Of(this, device), encoder.Tokenizer, encoder.MostTokens, Card) { Notes = Notes, Architecture = Backbone.Architecture };
        var (height, width) = (Backbone.Preprocessing.Height, Backbone.Preprocessing.Width);
        var module = new ClassifierModule(this);
        string? refusal = null;
        var network = device.IsCuda ? new TorchNetwork(module, Forward, height, width, device)
            : FrozenNetworks.Best(module, Forward, height, width, out refusal);
        return new PictureModel(network, Backbone.Preprocessing, Card) { Notes = refusal is null ? Notes : [.. Notes, refusal],
            Architecture = Backbone.Architecture };
    }

    /// <summary>What its answers are.</summary>
    internal AnswerCard Card => new(Task, Classes)
    {
        Thresholds = Thresholds, Residuals = Residuals, Scores = false, Unnamed = Head is null && Task == TargetKind.Classes
            && !Classes.Select((name, k) => name == $"{k}").Contains(false),
        Pair = Head is CosineHead { Line: var (scale, offset) } ? new PairScore(scale, offset) : null,
    };

    /// <summary>Predicts one picture.</summary>
    /// <exception cref="PictureException">It cannot be read.</exception>
    public Prediction Predict(string file) => Answering.Answer(file);

    /// <summary>An answer in words.</summary>
    /// <param name="file">The picture.</param>
    /// <param name="answers">Of each class, label or column.</param>
    public Prediction Say(string file, ReadOnlySpan<float> answers) => Card.Say(file, answers);

    /// <summary>What it says of every readable picture of a dataset: N×outputs, row after row, and which pictures they are.</summary>
    public (float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Predict(Dataset data, Action<int, int>? progress = null,
        CancellationToken cancel = default) => Ready.AnswerAll(data, progress, cancel);

    /// <summary>Labelled pictures in the order of this model's classes. A network whose classes have no names takes the dataset's own, in their
    /// order.</summary>
    /// <exception cref="GraftException">Other classes, or more of them.</exception>
    public Dataset Open(string data, string? split = null) => Card.Open(data, split);

    /// <summary>Metrics on labelled pictures.</summary>
    /// <exception cref="GraftException">None of them can be read.</exception>
    public Judged Judge(Dataset data, Action<int, int>? progress = null, CancellationToken cancel = default) =>
        Ready.Judge(data, progress, cancel);

    /// <inheritdoc/>
    public void Dispose()
    {
        _answering?.Dispose();
        Backbone.Dispose();
        Head?.Dispose();
    }
}
