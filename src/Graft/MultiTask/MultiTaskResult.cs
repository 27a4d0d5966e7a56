using System.Globalization;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Inference;
using Graft.Learning;
using Graft.Models.Zoo;

namespace Graft.MultiTask;

/// <summary>How well one task is told on held-out items.</summary>
/// <param name="Task">Its name.</param>
/// <param name="Measure">accuracy, mAP or R².</param>
/// <param name="Value">Of it.</param>
/// <param name="Low">Lower end of its 95% interval: Wilson's of an accuracy, else that of items drawn with replacement.</param>
/// <param name="High">Upper end.</param>
/// <param name="Count">Held-out items that tell of the task.</param>
public sealed record TaskScore(string Task, string Measure, double Value, double Low, double High, int Count)
{
    internal static TaskScore Of(TaskColumn task, TaskMetrics? metrics)
    {
        if (metrics is null) return new TaskScore(task.Name, task.Kind switch { TargetKind.Labels => "mAP", TargetKind.Numbers => "R²", _ =>
            "accuracy" }, double.NaN, double.NaN, double.NaN, 0);
        var (low, high) = metrics switch
        {
            Metrics classes => (classes.Low, classes.High),
            LabelMetrics labels => (labels.Interval[0], labels.Interval[1]),
            NumberMetrics numbers => (numbers.PerColumn[0].RSquaredInterval[0], numbers.PerColumn[0].RSquaredInterval[1]),
            _ => (double.NaN, double.NaN),
        };
        return new TaskScore(task.Name, metrics.Score.Name, metrics.Score.Value, low, high, metrics.Count);
    }
}

/// <summary>An epoch of one training.</summary>
/// <param name="Epoch">From 1.</param>
/// <param name="Losses">Mean of each task's.</param>
/// <param name="Score">Mean of the tasks' scores on held-out items.</param>
internal sealed record TaskEpoch(int Epoch, IReadOnlyDictionary<string, double> Losses, double Score);

/// <summary>One training of several that are compared.</summary>
/// <param name="Name">alone: and the task's name, equal weights, or the weighting's name.</param>
/// <param name="Scores">Of its tasks, the weights of its best epoch.</param>
/// <param name="History">Epoch by epoch.</param>
/// <param name="Seconds">Wall time.</param>
internal sealed record TaskTraining(string Name, IReadOnlyList<TaskScore> Scores, IReadOnlyList<TaskEpoch> History, double Seconds);

/// <summary>A task with the others, against the task alone.</summary>
/// <param name="Alone">Trained alone; null: it was not.</param>
/// <param name="Equal">With equal weights; null: it was not trained so.</param>
/// <param name="Chosen">With the weighting that was asked for.</param>
public sealed record TaskComparison(TaskScore? Alone, TaskScore? Equal, TaskScore Chosen)
{
    /// <summary>The chosen score less that of the task alone, in hundredths of the measure; null: it was not trained alone.</summary>
    public double? Points => Alone is { } alone ? 100 * (Chosen.Value - alone.Value) : null;

    /// <summary>The same in per cent of the score alone.</summary>
    public double? PerCent => Alone is { } alone && alone.Value != 0 ? 100 * (Chosen.Value - alone.Value) / Math.Abs(alone.Value) : null;

    /// <summary>Whether the others hurt it: the score lies below the 95% interval of the task alone.</summary>
    public bool NegativeTransfer => Alone is { } alone && Chosen.Value < alone.Low;
}

/// <summary>A finished run of several tasks.</summary>
/// <param name="Run">Its folder.</param>
/// <param name="Tasks">In the order of the columns.</param>
/// <param name="Weighting">The weighting's name.</param>
/// <param name="Table">Task by task.</param>
/// <param name="Cosines">Mean cosine between the tasks' gradients by what they share, over the chosen training; NaN: never measured.</param>
/// <param name="TrainItems">Learned from.</param>
/// <param name="HeldOut">Judged by.</param>
/// <param name="Seconds">Wall time.</param>
/// <param name="Broken">Left out.</param>
/// <param name="Notes">What was noticed.</param>
public sealed record MultiTaskResult(string Run, IReadOnlyList<TaskColumn> Tasks, string Weighting, IReadOnlyList<TaskComparison> Table,
    double[][] Cosines,
    int TrainItems, int HeldOut, double Seconds, IReadOnlyList<BrokenPicture> Broken, IReadOnlyList<string> Notes)
{
    /// <summary>What was noticed when the data was read.</summary>
    public DatasetNotes DataNotes { get; init; } = DatasetNotes.None;

    /// <summary>The page for people; null: none was written.</summary>
    public string? Report { get; init; }

    /// <summary>Whether it is on sentences, and not on pictures.</summary>
    public bool IsText { get; init; }

    /// <summary>Tasks that the others hurt, in a sentence each.</summary>
    public IReadOnlyList<string> NegativeTransfer =>
    [
        .. Table.Where(row => row.NegativeTransfer).Select(row =>
        {
            var t = Tasks.ToList().FindIndex(task => task.Name == row.Chosen.Task);
            var worst = Enumerable.Range(0, Tasks.Count).Where(other => other != t && double.IsFinite(Cosines[t][other]))
                .OrderBy(other => Cosines[t][other]).FirstOrDefault(-1);
            static string Said(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
            var (chosen, alone) = (row.Chosen, row.Alone!);
            return $"{chosen.Task} suffers from the others (negative transfer): {chosen.Measure} {Said(chosen.Value)} together, "
                + $"{Said(alone.Value)} alone (95% interval {Said(alone.Low)} to {Said(alone.High)})"
                + (worst < 0 ? "" : $"; its gradient is furthest from that of {Tasks[worst].Name} (mean cosine "
                    + $"{Cosines[t][worst].ToString("0.00", CultureInfo.InvariantCulture)})");
        }),
    ];
}

/// <summary>What run.json holds.</summary>
internal sealed record MultiTaskRecord : IRunRecord
{
    /// <summary>What goes on with it.</summary>
    public const string Begins = "graft multitask";

    public string Command { get; init; } = Begins;

    /// <summary>running or finished.</summary>
    public required string Status { get; init; }

    public required MultiTaskOptions Options { get; init; }

    public required IReadOnlyList<TaskColumn> Tasks { get; init; }

    public int TrainItems { get; init; }

    public int HeldOut { get; init; }

    public required string DataFingerprint { get; init; }

    public required Provenance Upstream { get; init; }

    /// <summary>Of the upstream weights.</summary>
    public required string Architecture { get; init; }

    /// <summary>Versions and machine.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsText { get; init; }

    /// <summary>Those that are done: a resumed run does not do them again.</summary>
    public IReadOnlyList<TaskTraining> Trainings { get; init; } = [];

    public IReadOnlyList<TaskComparison> Table { get; init; } = [];

    public double[][] Cosines { get; init; } = [];

    public double Seconds { get; init; }

    public IReadOnlyList<BrokenPicture> Broken { get; init; } = [];

    public IReadOnlyList<string> Notes { get; init; } = [];

    internal static RunRecords<MultiTaskRecord> Records { get; } = new(Begins, RunFolder.Model);

    bool IRunRecord.IsFinished => Status == "finished";

    string? IRunRecord.UpstreamSha256 => Upstream.Sha256;
}
