using System.Text.Json;
using Graft.Data;

namespace Graft.Inference;

/// <summary>Metrics on labelled pictures.</summary>
/// <param name="Measured">Of the model's task.</param>
/// <param name="Answers">N×outputs, row after row.</param>
/// <param name="Indices">Which of the dataset's pictures they are of.</param>
/// <param name="Broken">Pictures that could not be read.</param>
public sealed record Judged(TaskMetrics Measured, float[] Answers, int[] Indices, IReadOnlyList<BrokenPicture> Broken)
{
    /// <summary>Of a model that tells classes.</summary>
    /// <exception cref="GraftException">It tells something else.</exception>
    public Metrics Metrics => Measured as Metrics ?? throw new GraftException("the model tells no classes: its measures are others, in Measured");

    /// <summary>What a model says of labelled items, against what they are.</summary>
    internal static Judged Of(IAnsweringModel model, Dataset data, Action<int, int>? progress, CancellationToken cancel)
    {
        var card = model.Card;
        if (card.Support is not null) throw new GraftException($"a support set gives distances, and no probabilities to measure: {NextCommand.Of("fewshot", "eval")} measures its network over many such sets");
        var (answers, indices, broken) = model.AnswerAll(data, progress, cancel);
        if (indices.Length == 0) throw new GraftException($"none of the {data.Count} labelled pictures can be read{(broken.Count > 0 ? $". The first: {broken[0].File}: {broken[0].Error}" : "")}");
        if (data.Targets is not ClassTargets classes) return new Judged(TaskMetrics.Of(answers, data.Targets.Subset(indices), card.Thresholds),
            answers, indices, broken);
        return new Judged(Metrics.Of(answers, [.. indices.Select(k => classes.Labels[k])],
            data.Classes.Count == card.Names.Count ? data.Classes : card.Names), answers, indices, broken);
    }
}

/// <summary>A finished model that tells classes, labels or numbers of pictures, or the distances of a support set: opened from what <c>graft
/// train</c>, <c>graft export</c> or <c>graft fewshot classify --save</c> wrote, without libtorch.</summary>
/// <param name="network">Owned from here on.</param>
/// <param name="preprocessing">What pictures go through before it.</param>
/// <param name="card">What its numbers say.</param>
public sealed class PictureModel(FrozenNetwork network, Preprocessing preprocessing, AnswerCard card) : Model<Prediction>(network, preprocessing),
    IAnsweringModel
{
    /// <summary>The file's name within a run folder.</summary>
    public const string FileName = "model.onnx";

    /// <summary>What its answers are.</summary>
    public AnswerCard Card { get; } = card;

    /// <summary>Of the classes, the labels or the columns, in the order of the outputs.</summary>
    public IReadOnlyList<string> Classes => Card.Names;

    /// <summary>What it tells.</summary>
    public TargetKind Task => Card.Task;

    /// <summary>The name of its network.</summary>
    public string Architecture { get; init; } = "";

    /// <summary>Opens a run folder, or an ONNX file that Graft wrote.</summary>
    /// <exception cref="GraftException">It is none, or it is damaged.</exception>
    public static PictureModel Open(string path) => TryOpen(path)
        ?? throw new GraftException(Directory.Exists(path) ? $"{path} has no {FileName}: it is no finished run of {NextCommand.Of("train")}"
            : $"{path} is no ONNX file that Graft wrote: make one with {NextCommand.Of("export")} RUN --to onnx");

    /// <summary>The same; null where the path is of another kind.</summary>
    /// <exception cref="GraftException">It is of that kind, and damaged.</exception>
    internal static PictureModel? TryOpen(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, FileName) : path;
        if (!file.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) || !File.Exists(file)) return null;
        if (SupportModel.Is(file)) return SupportModel.Open(file).AsPictureModel();
        // What a run holds under this name is its own, or damaged; any other file may be somebody else's.
        if (!Directory.Exists(path) && !OnnxCard.IsGrafts(file)) return null;
        var network = new OnnxNetwork(file);
        try
        {
            var card = AnswerCard.Of(network.Card, network.Outputs);
            return new PictureModel(network, OnnxCard.Preprocessing(network.Card) ?? throw new InvalidDataException("its preprocessing is missing"),
                card)
            {
                Architecture = network.Card.GetValueOrDefault("architecture") ?? "",
            };
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or ArgumentException)
        {
            network.Dispose();
            throw new GraftException($"{file}: what it says of itself is damaged ({reason.Message})", reason);
        }
    }

    /// <inheritdoc/>
    public override Prediction Say(string name, ReadOnlySpan<float> row) => Card.Say(name, row);

    /// <inheritdoc/>
    protected internal override void Finish(Span<float> row) => Card.Finish(row);

    /// <summary>Labelled pictures in the order of this model's classes. A network whose classes have no names takes the dataset's own, in their
    /// order.</summary>
    /// <exception cref="GraftException">Other classes, or more of them.</exception>
    public Dataset OpenData(string data, string? split = null) => Card.Open(data, split);

    /// <summary>Metrics on labelled pictures.</summary>
    /// <exception cref="GraftException">None of them can be read.</exception>
    public Judged Judge(Dataset data, Action<int, int>? progress = null, CancellationToken cancel = default) =>
        Judged.Of(this, data, progress, cancel);
}
