using Graft.Data;
using Graft.Inference;
using Graft.Transfer;

namespace Graft.Cli;

/// <summary>What commands say of measures and answers that are not of classes alone.</summary>
internal static class MetricsView
{
    /// <summary>For people.</summary>
    public static void Say(Shell shell, TaskMetrics metrics, ItemNoun noun)
    {
        if (metrics is LabelMetrics labels)
        {
            shell.Table(["label", noun.Many, "average precision", "precision", "recall", "F1", "threshold"],
                labels.PerLabel.Select(found => new[]
                {
                    found.Name, $"{found.Count}", found.Count == 0 ? "" : $"{found.AveragePrecision:0.000}", $"{found.Precision:P1}",
                        $"{found.Recall:P1}",
                    $"{found.F1:0.000}", $"{found.Threshold:0.000}",
                }), 1, 2, 3, 4, 5, 6);
            shell.Say($"mAP {labels.MeanAveragePrecision:0.000} on {labels.Count} {noun.Many} (95% interval {labels.Interval[0]:0.000} to {labels.Interval[1]:0.000}); "
                + $"micro F1 {labels.MicroF1:0.000}, macro F1 {labels.MacroF1:0.000}; every label right on {labels.Exact:P1}");
        }
        if (metrics is NumberMetrics { OfPairs: true, PerColumn: [var pairs] })
        {
            shell.Say($"Spearman {pairs.Spearman:0.000} (95% interval {pairs.SpearmanInterval[0]:0.000} to {pairs.SpearmanInterval[1]:0.000}), "
                + $"Pearson {pairs.Pearson:0.000} ({pairs.PearsonInterval[0]:0.000} to {pairs.PearsonInterval[1]:0.000}) on {pairs.Name} of {metrics.Count} pairs; "
                + $"MAE {pairs.Mae:G4}, RMSE {pairs.Rmse:G4}");
        }
        else if (metrics is NumberMetrics numbers)
        {
            string[] headers = ["column", "MAE", "95% interval", "MAE of the mean", "RMSE", "95% interval", "R²", "95% interval"];
            shell.Table(headers, numbers.PerColumn.Select(found => new[]
            {
                found.Name, $"{found.Mae:G4}", $"{found.MaeInterval[0]:G4} to {found.MaeInterval[1]:G4}", $"{found.MeanMae:G4}",
                $"{found.Rmse:G4}", $"{found.RmseInterval[0]:G4} to {found.RmseInterval[1]:G4}",
                $"{found.RSquared:0.000}", $"{found.RSquaredInterval[0]:0.000} to {found.RSquaredInterval[1]:0.000}",
            }), 1, 2, 3, 4, 5, 6, 7);
            shell.Say($"R² {numbers.RSquared:0.000}, MAE {numbers.Mae:G4}, RMSE {numbers.Rmse:G4} on {numbers.Count} {noun.Many}"
                + $"{(numbers.PerColumn.Count > 1 ? " (means over the columns)" : "")}");
        }
    }

    private static object? Figures(TaskMetrics metrics) => metrics.Count == 0 ? null : metrics switch
    {
        LabelMetrics labels => new
        {
            images = labels.Count, map = labels.MeanAveragePrecision, map_interval = labels.Interval,
            micro_f1 = labels.MicroF1, macro_f1 = labels.MacroF1, exact = labels.Exact, per_label = labels.PerLabel,
        },
        NumberMetrics { OfPairs: true, PerColumn: [var pairs] } => new
        {
            pairs = metrics.Count, spearman = pairs.Spearman, spearman_interval = pairs.SpearmanInterval, pearson = pairs.Pearson,
            pearson_interval = pairs.PearsonInterval, mae = pairs.Mae, rmse = pairs.Rmse, r2 = pairs.RSquared,
        },
        NumberMetrics numbers => new { images = numbers.Count, mae = numbers.Mae, rmse = numbers.Rmse, r2 = numbers.RSquared,
            per_column = numbers.PerColumn },
        _ => null,
    };

    private static string Task(TaskMetrics metrics) => metrics switch { LabelMetrics => "labels",
        NumberMetrics { OfPairs: true } => "similarity", _ => "numbers" };

    /// <summary>Of <c>train</c>.</summary>
    public static object Json(TrainResult result) => new
    {
        run = result.Run, task = Task(result.Judged), strategy = result.Strategy, names = result.Classes,
        train_images = result.TrainImages, val_images = result.ValImages, measures = Figures(result.Judged), seconds = result.Seconds,
        trainable_parameters = result.TrainableParameters, errors = result.Broken, notes = result.Notes,
        left_out = LeftOutView.Json(result.DataNotes, result.Broken), report = result.Report,
        advice = result.Advice is { } found ? new { found.Strategy, found.Quadrant, found.Reasons } : null,
    };

    /// <summary>Of <c>evaluate</c>.</summary>
    public static object Json(TaskMetrics metrics, Dataset set, IReadOnlyList<BrokenPicture> broken, IReadOnlyList<string> notes) => new
    {
        task = Task(metrics), measures = Figures(metrics), errors = broken, part = set.Part, left_out = LeftOutView.Json(set.Notes, broken),
        notes = notes.Concat(set.Notes.Remarks),
    };

    /// <summary>Of <c>predict</c>.</summary>
    public static object Json(Prediction found)
    {
        static object Ranked(IEnumerable<RankedLabel> labels) => labels.Select(pair => new { label = pair.Label, probability = pair.Probability });
        if (found.Numbers is { } numbers)
            return new { file = found.File,
                numbers = numbers.Select(number => new { name = number.Name, value = number.Value, low = number.Low, high = number.High }) };
        if (found.Labels is { } labels) return new { file = found.File, labels = Ranked(labels), all = Ranked(found.Top) };
        if (found.Support is { } said) return Json(said);
        if (found.Tasks is { } tasks) return new { file = found.File, tasks = tasks.ToDictionary(one => one.Task, one => Json(one.Said)) };
        return new { file = found.File, label = found.Label, probability = found.Probability, top = Ranked(found.Top) };
    }

    /// <summary>Of a support set.</summary>
    public static object Json(SupportAnswer found) => new
    {
        file = found.File, label = found.Label, none = found.Label is null, unsure = found.Unsure,
        distances = found.Distances.Select(pair => new { label = pair.Class, distance = pair.Distance }),
    };

    /// <summary>The same for people, on one line.</summary>
    public static string Line(SupportAnswer found) => $"{found.File}\t{found.Label ?? "none of these"}{(found.Unsure ? " (unsure)" : "")}\t"
        + string.Join("  ", found.Distances.Take(5).Select(pair => $"{pair.Class} {pair.Distance:0.000}"));

    /// <summary>Of a model, for people, on one line.</summary>
    public static string Line(Prediction found) => found.Support is { } said ? Line(said) :
        found.Tasks is { } tasks ? $"{found.File}\t{string.Join('\t', tasks)}" :
        found.Numbers is not null ? $"{found.File}\t{string.Join('\t', found.Numbers)}"
        : found.Labels is { } labels ? $"{found.File}\t{(labels.Count > 0 ? string.Join('\t', labels) : "none of the labels")}"
        : $"{found.File}\t{found.Label}\t{found.Probability:P1}";
}
