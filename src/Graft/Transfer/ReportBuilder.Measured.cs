using System.Globalization;
using System.Text;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;

namespace Graft.Transfer;

// Reports of models of several labels and of numbers.
internal sealed partial class ReportBuilder
{
    private string Measured(Extraction extraction, float[] answers)
    {
        var targets = validation.Targets.Subset(extraction.Indices);
        var metrics = run.Judged ?? TaskMetrics.Of(answers, targets, model.Thresholds);
        var measure = TransferTask.Measure(run.Task);
        var body = new StringBuilder();
        body.Append(CultureInfo.InvariantCulture, $"""
            <h1>{Html(string.Join(", ", run.Classes.Take(6)))}{(run.Classes.Count > 6 ? $" and {run.Classes.Count - 6} more" : "")}</h1>
            <p class="sub">{Html(run.Options.Data)} · {run.TrainImages} {run.Noun.Many} trained on, {metrics.Count} held out · strategy <b>{Html(run.Plan.Strategy)}</b> on {Html(run.Architecture)}</p>
            <div class="figures">
            {string.Concat(Figures(metrics, measure).Select(pair => $"<div class=\"figure\"><b>{pair.Value}</b><span>{pair.What}</span></div>"))}
            <div class="figure"><b>{run.Seconds:0.0} s</b><span>from command to model</span></div>
            </div>
            <div class="row">
            """);
        void Chart(string title, string id) =>
            body.Append(CultureInfo.InvariantCulture, $"<section><h2>{Html(title)}</h2><div class=\"chart\" id=\"{id}\"></div></section>");
        if (run.History.Count > 0)
        {
            Chart("Loss", "loss");
            Chart(measure, "accuracy");
        }
        if (Probes.Any()) Chart("Linear probes on each stage", "probes");
        if (run.HeadGrid.Count > 1) Chart("Choosing the head's penalty", "grid");
        var scatter = Scatter(extraction, answers, targets);
        for (var c = 0; c < scatter.Length; c++) Chart($"{run.Classes[c]}: predicted against true", $"scatter{c}");
        body.Append("</div>");
        if (metrics is LabelMetrics labels)
        {
            string[] headers = ["label", run.Noun.Many, "average precision", "precision", "recall", "F1", "threshold"];
            Table(body, "Label by label", headers, labels.PerLabel.Select(found => new[]
            {
                found.Name, $"{found.Count}", found.Count == 0 ? "" : Text(found.AveragePrecision), Percent(found.Precision),
                Percent(found.Recall), Text(found.F1), Text(found.Threshold),
            }));
        }
        if (metrics is NumberMetrics numbers)
        {
            static string Rough(double value, double[] interval) => FormattableString.Invariant($"{value:G4} ({interval[0]:G4} to {interval[1]:G4})");
            string[] headers = ["column", "mean absolute error", "of the mean", "root mean squared error", "R²"];
            Table(body, "Column by column, with 95% intervals", headers, numbers.PerColumn.Select(found => new[]
            {
                found.Name, Rough(found.Mae, found.MaeInterval), FormattableString.Invariant($"{found.MeanMae:G4}"),
                    Rough(found.Rmse, found.RmseInterval),
                $"{Text(found.RSquared)} ({Between(found.RSquaredInterval)})",
            }));
        }
        FarthestOff(body, extraction, answers, targets);
        Reasons(body);
        Card(body);
        return Page(body, new
        {
            classes = run.Classes, confusion = Array.Empty<int[]>(), history = run.History, grid = run.HeadGrid, probes = Probes,
            points = Array.Empty<object>(), measure, scatter,
        });
    }

    private static string Text(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    private static string Between(double[] interval) => $"{Text(interval[0])} to {Text(interval[1])}";

    private (string Value, string What)[] Figures(TaskMetrics metrics, string measure) => metrics switch
    {
        { Count: 0 } => [("?", $"{measure}: nothing was held out to judge by")],
        LabelMetrics found => [(Text(found.MeanAveragePrecision), $"mean average precision ({Between(found.Interval)})"),
            (Text(found.MicroF1), "micro F1"), (Text(found.MacroF1), "macro F1"), (Percent(found.Exact), $"{run.Noun.Many} with every label right")],
        NumberMetrics { OfPairs: true, PerColumn: [var pairs] } => [
            (Text(pairs.Spearman), $"Spearman ({Between(pairs.SpearmanInterval)})"), (Text(pairs.Pearson),
                $"Pearson ({Between(pairs.PearsonInterval)})"),
            (FormattableString.Invariant($"{pairs.Mae:G4}"), "mean absolute error")],
        NumberMetrics found => [
            (Text(found.RSquared), found.PerColumn.Count == 1 ? $"R² ({Between(found.PerColumn[0].RSquaredInterval)})"
                : "R², the mean over the columns"),
            (FormattableString.Invariant($"{found.Mae:G4}"), "mean absolute error"),
                (FormattableString.Invariant($"{found.Rmse:G4}"), "root mean squared error")],
        _ => [],
    };

    // The first column is a name, the others are numbers.
    private static void Table(StringBuilder body, string title, string[] headers, IEnumerable<string[]> rows)
    {
        static string Cells(string tag, string[] cells) =>
            string.Concat(cells.Select((cell, k) => $"<{tag}{(k == 0 ? "" : " class=\"n\"")}>{Html(cell)}</{tag}>"));
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>{title}</h2><div class=\"scroll\"><table><tr>{Cells("th", headers)}</tr>");
        foreach (var row in rows) body.Append(CultureInfo.InvariantCulture, $"<tr>{Cells("td", row)}</tr>");
        body.Append("</table></div></section>");
    }

    private object[] Scatter(Extraction extraction, float[] answers, Targets targets)
    {
        if (targets is not NumberTargets { Count: > 0 } numbers) return [];
        var columns = numbers.Names.Count;
        int[] chosen = numbers.Count <= 4 * MapPoints ? [.. Enumerable.Range(0, numbers.Count)]
            : [.. new Rng(3).Permutation(numbers.Count).Take(4 * MapPoints).Order()];
        object[] Point(int k, int c) => [numbers.Rows[k][c], answers[k * columns + c], validation.Name(extraction.Indices[k])];
        return [.. numbers.Names.Select((name, c) => new { name, points = chosen.Select(k => Point(k, c)) })];
    }

    /// <summary>The pictures with the least probable labels, or the largest errors in units of the column's spread.</summary>
    private void FarthestOff(StringBuilder body, Extraction extraction, float[] answers, Targets targets)
    {
        var outputs = targets.Names.Count;
        var units = targets is NumberTargets { Count: > 0 } all ? NumberFitter.UnitsOf(all) : null;
        double Off(int k) => targets switch
        {
            LabelTargets labels => Enumerable.Range(0, outputs)
                .Max(c => labels.Sets[k].Contains(c) ? 1 - answers[k * outputs + c] : answers[k * outputs + c]),
            NumberTargets numbers => Enumerable.Range(0, outputs).Max(c => Math.Abs(numbers.Rows[k][c] - answers[k * outputs + c]) / units!.Scale[c]),
            _ => 0,
        };
        if (validation.IsText)
        {
            string[] headers = ["sentence", "said", "is"];
            Table(body, "The farthest off", headers, Enumerable.Range(0, targets.Count).OrderByDescending(Off).Take(Mistakes).Select(k => new[]
            {
                $"{validation.Text(extraction.Indices[k])}", model.Say("", answers[(k * outputs)..((k + 1) * outputs)]).Label, targets.Describe(k),
            }));
            return;
        }
        var figures = new StringBuilder();
        foreach (var k in Enumerable.Range(0, targets.Count).OrderByDescending(Off).Take(Mistakes))
        {
            var name = validation.Name(extraction.Indices[k]);
            using var picture = validation.Decode(extraction.Indices[k]);
            var said = model.Say(name, answers[(k * outputs)..((k + 1) * outputs)]).Label;
            var truth = targets.Describe(k);
            figures.Append(CultureInfo.InvariantCulture, $"<figure><img loading=\"lazy\" alt=\"{Html(name)}\" ");
            figures.Append(CultureInfo.InvariantCulture, $"src=\"data:image/jpeg;base64,{Thumbnail(picture)}\"><figcaption>");
            figures.Append(CultureInfo.InvariantCulture, $"<b>{Html(said.Length > 0 ? said : "nothing")}</b>, is {Html(truth.Length > 0 ? truth : "nothing")}");
            figures.Append(CultureInfo.InvariantCulture, $"<br>{Html(name)}</figcaption></figure>");
        }
        if (figures.Length > 0)
            body.Append(CultureInfo.InvariantCulture, $"<section><h2>The farthest off</h2><div class=\"pictures\">{figures}</div></section>");
    }
}
