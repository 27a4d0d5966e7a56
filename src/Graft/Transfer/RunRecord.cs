using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models.Zoo;

namespace Graft.Transfer;

/// <summary>A finished run. <c>Accuracy</c> is of classes; of several labels it is the mean average precision, of numbers R².</summary>
public sealed record TrainResult(string Run, string Strategy, IReadOnlyList<string> Classes, int TrainImages, int ValImages, double Accuracy,
    double Seconds, TaskMetrics Judged, Plan Plan, Advice? Advice,
    IReadOnlyList<BrokenPicture> Broken, IReadOnlyList<string> Notes, long TrainableParameters, string? Report)
{
    /// <summary>Of a run on classes.</summary>
    /// <exception cref="GraftException">It is on others.</exception>
    public Metrics Metrics => Judged as Metrics ?? throw new GraftException("the run tells no classes: its measures are others, in Judged");

    /// <summary>What was noticed when the data was read.</summary>
    public DatasetNotes DataNotes { get; init; } = DatasetNotes.None;

    /// <summary>What the model says of the pictures that it was validated on: N×outputs, row after row.</summary>
    public float[] Answers { get; init; } = [];

    /// <summary>Which pictures of the validation part these are.</summary>
    public int[] Indices { get; init; } = [];

    /// <summary>Whether it is on sentences, and not on pictures.</summary>
    public bool IsText { get; init; }

    internal ItemNoun Noun => ItemNoun.Of(IsText);
}

/// <summary>What run.json holds.</summary>
internal sealed record RunRecord : IRunRecord
{
    /// <summary>running or finished.</summary>
    public required string Status { get; init; }

    /// <summary>As given.</summary>
    public required TrainOptions Options { get; init; }

    /// <summary>As carried out.</summary>
    public required Plan Plan { get; init; }

    /// <summary>Of the strategy auto.</summary>
    public Advice? Advice { get; init; }

    /// <summary>Names.</summary>
    public required IReadOnlyList<string> Classes { get; init; }

    /// <summary>Counts.</summary>
    public int TrainImages { get; init; }

    /// <summary>Counts.</summary>
    public int ValImages { get; init; }

    /// <summary>A digest of the names, labels and bytes of the pictures.</summary>
    public required string DataFingerprint { get; init; }

    /// <summary>Upstream.</summary>
    public required Provenance Upstream { get; init; }

    /// <summary>Of the upstream weights.</summary>
    public required string Architecture { get; init; }

    /// <summary>Versions and machine.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    /// <summary>What is told of the pictures; <see cref="Classes"/> then names the labels, or the columns.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public TargetKind Task { get; init; }

    /// <summary>Whether the items are sentences, and not pictures.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsText { get; init; }

    [JsonIgnore]
    internal ItemNoun Noun => ItemNoun.Of(IsText);

    /// <summary>On the validation pictures.</summary>
    public Metrics? Metrics { get; init; }

    /// <summary>The same of several labels.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public LabelMetrics? LabelMetrics { get; init; }

    /// <summary>The same of numbers.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public NumberMetrics? NumberMetrics { get; init; }

    /// <summary>Whichever of them there is.</summary>
    [JsonIgnore]
    public TaskMetrics? Judged => (TaskMetrics?)Metrics ?? (TaskMetrics?)LabelMetrics ?? NumberMetrics;

    /// <summary>Epoch by epoch.</summary>
    public IReadOnlyList<EpochRecord> History { get; init; } = [];

    /// <summary>How the head's regularisation was chosen.</summary>
    public IReadOnlyList<GridPoint> HeadGrid { get; init; } = [];

    /// <summary>Wall time.</summary>
    public double Seconds { get; init; }

    /// <summary>Left out.</summary>
    public IReadOnlyList<BrokenPicture> Broken { get; init; } = [];

    /// <summary>What was noticed.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    internal static RunRecords<RunRecord> Records { get; } = new("graft train", Learning.RunFolder.Model);

    bool IRunRecord.IsFinished => Status == "finished";

    string? IRunRecord.UpstreamSha256 => Upstream.Sha256;

    /// <summary>Reads a run folder's record.</summary>
    /// <exception cref="GraftException">It is no run folder.</exception>
    public static RunRecord Read(string run) => Records.Read(run);

    internal void Write(string run) => Records.Write(run, this);
}
