using System.Net;
using System.Text;
using Graft.Reports;

namespace Graft.MultiTask;

/// <summary>report.html of several tasks: one file that needs nothing else.</summary>
internal static class MultiTaskReport
{
    public static string Of(MultiTaskRecord record, MultiTaskResult result)
    {
        var page = new StringBuilder("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Several "
            + "tasks</title><style>body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
            + "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid "
                + "#ccc;text-align:right}td:first-child,th:first-child{text-align:left}</style></head><body>\n");
        void Add(string text) => page.Append(text).Append('\n');
        void Table(IEnumerable<string> headers, IEnumerable<IEnumerable<string>> rows)
        {
            Add($"<table><tr>{string.Concat(headers.Select(cell => $"<th>{Text(cell)}</th>"))}</tr>");
            foreach (var row in rows) Add($"<tr>{string.Concat(row.Select(cell => $"<td>{Text(cell)}</td>"))}</tr>");
            Add("</table>");
        }
        Add($"<h1>{result.Tasks.Count} tasks, weighting {Text(result.Weighting)}, architecture {Text(record.Options.Architecture)}</h1>");
        Add($"<p>{result.TrainItems} {(result.IsText ? "sentences" : "pictures")} to learn from, {result.HeldOut} held out; the weights of each "
            + "training's best epoch on these.</p>");
        Table(MultiTaskView.Headers(result), MultiTaskView.Rows(result));
        foreach (var sentence in result.NegativeTransfer) Add($"<p><strong>{Text(sentence)}</strong></p>");
        Add("<h2>Cosines between the tasks' gradients, mean over the training</h2>");
        Table(["", .. result.Tasks.Select(task => task.Name)], MultiTaskView.CosineRows(result));
        Add("<h2>Training</h2>");
        var lines = record.Trainings.Select(training => new ChartLine(training.Name, [.. training.History.Where(epoch => double.IsFinite(epoch.Score))
            .Select(epoch => ((double)epoch.Epoch, epoch.Score))]))
            .Where(line => line.Points.Count > 0).ToArray();
        if (lines.Length > 0) Add(new LineChart("Mean score on held-out items", "epoch", lines).ToSvg());
        // Each against its first, so that losses of unlike size share a chart.
        var losses = result.Tasks.Select(task => new ChartLine(task.Name, Points(record.Trainings[^1], task.Name)))
            .Where(line => line.Points.Count > 0).ToArray();
        if (losses.Length > 0) Add(new LineChart($"Losses of {record.Trainings[^1].Name}, as a share of the first epoch's", "epoch", losses).ToSvg());
        Add("<h2>What was noticed</h2><ul>");
        foreach (var note in record.Notes) Add($"<li>{Text(note)}</li>");
        foreach (var broken in record.Broken.Take(20)) Add($"<li>{Text(broken.File)}: {Text(broken.Error)}</li>");
        Add("</ul></body></html>");
        return page.ToString();
    }

    private static (double, double)[] Points(TaskTraining training, string task)
    {
        (int Epoch, double Loss)[] told = [.. training.History.Where(epoch => double.IsFinite(epoch.Losses.GetValueOrDefault(task, double.NaN)))
            .Select(epoch => (epoch.Epoch, epoch.Losses[task]))];
        return told.Length == 0 || told[0].Loss <= 0 ? [] : [.. told.Select(one => ((double)one.Epoch, one.Loss / told[0].Loss))];
    }

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
