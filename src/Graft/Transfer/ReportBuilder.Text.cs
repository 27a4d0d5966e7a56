using System.Globalization;
using System.Text;
using Graft.Data;
using Graft.Models.Zoo;
using Graft.Reports;

namespace Graft.Transfer;

// Sentences in reports, where pictures would be shown.
internal sealed partial class ReportBuilder
{
    private const int MostLetters = 90;

    private static string Short(TextItem text) => $"{text}" is { Length: > MostLetters } line ? line[..MostLetters] + "…" : $"{text}";

    private void Sentences(StringBuilder body, string title, List<Judged> items, bool evidence)
    {
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>{title}</h2><div class=\"scroll\"><table><tr><th>sentence</th><th>said</th><th class=\"n\">probability</th><th>is</th></tr>");
        foreach (var item in items)
        {
            var right = item.Label == item.Predicted;
            var sentence = evidence ? Marked(item) : Html($"{validation.Text(item.Index)}");
            body.Append(CultureInfo.InvariantCulture, $"<tr><td class=\"sentence\">{sentence}<br><small>{Html(item.Name)}</small></td><td><b class=\"{(right ? "" : "wrong")}\">{Html(run.Classes[item.Predicted])}</b></td>");
            body.Append(CultureInfo.InvariantCulture, $"<td class=\"n\">{Percent(item.Probability)}</td><td>{Html(run.Classes[item.Label])}</td></tr>");
        }
        body.Append("</table></div></section>");
    }

    // For the answer in green, against it in red, by size.
    private string Marked(Judged item)
    {
        var pieces = WordEvidence.Of((TextEncoder)model.Backbone, model.Head!, model.Stage, validation.Text(item.Index), item.Predicted);
        var most = pieces.Select(piece => Math.Abs(piece.Weight)).DefaultIfEmpty(1).Max();
        var line = new StringBuilder();
        foreach (var piece in pieces)
        {
            var share = most > 0 ? piece.Weight / most : 0;
            if (Math.Abs(share) < 0.05) line.Append(Html(piece.Text));
            else line.Append(CultureInfo.InvariantCulture, $"<mark style=\"background:rgba({(share > 0 ? "46,160,67" : "218,54,51")},{Math.Abs(share) * 0.55:0.00})\" title=\"{piece.Weight:+0.00;-0.00}\">{Html(piece.Text)}</mark>");
        }
        return line.ToString();
    }
}
