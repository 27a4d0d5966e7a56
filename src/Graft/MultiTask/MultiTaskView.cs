using System.Globalization;

namespace Graft.MultiTask;

/// <summary>The tables of a result, cell by cell: for the command line and the page alike.</summary>
internal static class MultiTaskView
{
    public static string[] Headers(MultiTaskResult result) =>
        result.Table.Any(row => row.Alone is not null)
            ? ["task", "measure", "alone", "95% interval", "equal weights", .. Own(result), "against alone: points", "per cent"]
            : ["task", "measure", result.Weighting, "95% interval"];

    public static IEnumerable<string[]> Rows(MultiTaskResult result) => result.Table.Select(row =>
    {
        string[] chosen = Own(result).Length > 0 ? [Said(row.Chosen)] : [];
        return row.Alone is { } alone
            ? [row.Chosen.Task, row.Chosen.Measure, Said(alone), Interval(alone), row.Equal is { } equal ? Said(equal) : "", .. chosen,
                $"{Signed(row.Points, "0.0")}{(row.NegativeTransfer ? " (negative transfer)" : "")}", Signed(row.PerCent, "0.0")]
            : (string[])[row.Chosen.Task, row.Chosen.Measure, Said(row.Chosen), Interval(row.Chosen)];
    });

    public static IEnumerable<string[]> CosineRows(MultiTaskResult result) =>
        result.Tasks.Select((task, i) => (string[])[task.Name, .. result.Cosines[i].Select(value => double.IsFinite(value) ? value.ToString("0.00",
            CultureInfo.InvariantCulture) : "")]);

    // Where equal weights were asked for, their column is the chosen one.
    private static string[] Own(MultiTaskResult result) => result.Table.All(row => row.Equal is not null && ReferenceEquals(row.Equal, row.Chosen))
        ? [] : [result.Weighting];

    public static string Said(TaskScore score) => !double.IsFinite(score.Value) ? "not judged"
        : score.Measure == "accuracy" ? $"{score.Value:P1}" : $"{score.Value:0.000}";

    public static string Interval(TaskScore score) => !double.IsFinite(score.Low) ? ""
        : score.Measure == "accuracy" ? $"{score.Low:P1} to {score.High:P1}" : $"{score.Low:0.000} to {score.High:0.000}";

    private static string Signed(double? value, string format) => value is { } number && double.IsFinite(number)
        ? number.ToString($"+{format};-{format};{format}", CultureInfo.InvariantCulture) : "";
}
