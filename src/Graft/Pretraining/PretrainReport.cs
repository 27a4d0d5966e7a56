using System.Globalization;
using System.Text;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Reports;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>The page of a pretraining: how it went, what it was shown, what it now holds for alike.</summary>
internal sealed class PretrainReport(PretrainRecord run, PretrainMethod method, PretrainMaterial material, PretrainData data)
{
    private const int Shown = 6, MapPoints = 400, Side = 96;

    public string Build()
    {
        var body = new StringBuilder();
        Header(body);
        Charts(body);
        var points = Array.Empty<object>();
        if (material.Pictures is { } store)
        {
            Views(body, store);
            var (rows, items) = Features(store);
            using (rows)
            {
                Neighbours(body, store, rows, items);
                points = Map(body, rows, items);
            }
            Filters(body);
        }
        Card(body);
        return ReportPage.Of($"Graft: {method.Name} on {Path.GetFileName(run.Options.Data.TrimEnd('/'))}", body.ToString(), new
        {
            classes = MapClasses, points, lines = Lines,
        });
    }

    private IReadOnlyList<string> MapClasses => data.Labels is null || data.Queries is null ? ["pictures"] : data.Queries.Classes;

    private static string Share(double? value) => value is { } share ? (100 * share).ToString("0.0", CultureInfo.InvariantCulture) + "%" : "?";

    private void Header(StringBuilder body)
    {
        var (first, last) = (run.Readings.FirstOrDefault(), run.Kept);
        body.Append(CultureInfo.InvariantCulture, $"""
            <h1>{ReportPage.Html(method.Name)} on {ReportPage.Html(Path.GetFileName(run.Options.Data.TrimEnd('/')))}</h1>
            <p class="sub">{ReportPage.Html(method.Summary)} · {run.Items} {data.Items.Noun.Many} · {ReportPage.Html(run.Architecture)}</p>
            <div class="figures">

            """);
        void Figure(string value, string text) => body.Append(CultureInfo.InvariantCulture, $"<div class=\"figure\"><b>{value}</b><span>{text}</span></div>\n");
        if (last?.Knn is not null) Figure(Share(last.Knn), $"right by the nearest neighbours (before: {Share(first?.Knn)})");
        if (last?.Linear is not null) Figure(Share(last.Linear), $"right by a linear head (before: {Share(first?.Linear)})");
        if (last is not null) Figure(last.Deviation.ToString("0.00", CultureInfo.InvariantCulture), "deviation of the embeddings: 1 is even, 0 a collapse");
        if (last is not null) Figure($"{last.Rank.ToString("0", CultureInfo.InvariantCulture)} of {last.Width}", "directions that the embeddings use");
        Figure($"{(run.Seconds / 60).ToString("0.0", CultureInfo.InvariantCulture)} min", $"{run.History.Count} epochs");
        body.Append("</div>\n");
    }

    private IEnumerable<object> Lines
    {
        get
        {
            var epochs = run.History.Select((_, k) => k + 1).ToArray();
            yield return new { id = "loss-line", name = "loss", of = "epoch", x = epochs, series = new (string Name, Func<Look, double?> Value)[]
                { ("loss", look => look.Loss), ("held out", look => look.Score?.Value) }.Where(line => run.History.Any(look => line.Value(look) is not null))
                .Select(line => new { name = line.Name, data = run.History.Select(line.Value).ToArray() }).ToArray() };
            var x = run.Readings.Select((reading, k) => k == 0 ? "before" : $"{(reading.Phase > 0 ? $"{reading.Phase + 1}: " : "")}{reading.Epoch}").ToArray();
            object Of(string id, string name, params (string Name, Func<Reading, double?> Value)[] series) =>
                new { id, name, of = "epoch", x, series = series.Select(one => new { name = one.Name, data = run.Readings.Select(one.Value).ToArray() }) };
            yield return Of("knn-line", "share right", ("nearest neighbours", reading => reading.Knn), ("linear head", reading => reading.Linear));
            yield return Of("spread-line", "deviation", ("deviation", reading => reading.Deviation));
            yield return Of("rank-line", "directions", ("effective rank", reading => reading.Rank));
        }
    }

    private void Charts(StringBuilder body)
    {
        body.Append("<div class=\"row\"><section><h2>Loss</h2><div class=\"chart\" id=\"loss-line\"></div></section>");
        if (run.Readings.Any(reading => reading.Knn is not null))
            body.Append("<section><h2>By labels that it does not learn from</h2><div class=\"chart\" id=\"knn-line\"></div></section>");
        body.Append("<section><h2>Do the embeddings fill their space?</h2><div class=\"chart\" id=\"spread-line\"></div></section>"
            + "<section><h2>How many directions do they use?</h2><div class=\"chart\" id=\"rank-line\"></div></section></div>");
    }

    /// <summary>What the training saw, picture by picture.</summary>
    private void Views(StringBuilder body, PictureStore store)
    {
        if (method.Views(material.Backbone) is not { Count: > 0 } views) return;
        var figures = new StringBuilder();
        foreach (var index in material.Usable.Take(Shown))
        {
            store.Use(index, picture => Figure(figures, ReportPage.Thumbnail(picture, Side), "the picture"));
            foreach (var (view, number) in views.Take(5).Select((view, number) => (view, number)))
                store.Use(index, picture => Figure(figures, Seen(picture, view, new Rng(run.Options.Seed, 4, 0, index, number)), $"view {number + 1}"));
        }
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>The views that it was trained on</h2><p class=\"sub\">{ReportPage.Html(views[0].ToString())}</p><div class=\"pictures\">{figures}</div></section>");
    }

    private static void Figure(StringBuilder figures, string source, string caption) =>
        figures.Append(CultureInfo.InvariantCulture, $"<figure><img loading=\"lazy\" alt=\"\" src=\"data:image/jpeg;base64,{source}\"><figcaption>{ReportPage.Html(caption)}</figcaption></figure>");

    private static unsafe string Seen(Picture picture, Preprocessing view, Rng rng)
    {
        using var made = Picture.Create(view.Width, view.Height);
        var floats = new float[made.Bytes];
        fixed (float* into = floats) TransformRunner.Run(picture, view with { Normalize = new Normalize([0, 0, 0], [1, 1, 1]) }, ref rng, false, into);
        var pixels = made.Pixels;
        for (var k = 0; k < floats.Length; k++) pixels[k] = (byte)Math.Clamp(floats[k] * 255 + 0.5f, 0, 255);
        using var large = made.Width < Side ? made.Resize(Side, Side) : made.Resize(made.Width, made.Height);
        return Convert.ToBase64String(large.ToJpeg(85));
    }

    private (Tensor Rows, int[] Items) Features(PictureStore store)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        int[] items = [.. new Rng(run.Options.Seed, 8).Permutation(material.Usable.Length).Take(MapPoints).Select(k => material.Usable[k])];
        material.Backbone.Eval();
        var rows = Ops.Cat([.. items.Chunk(64).Select(some =>
            material.Backbone.Forward(Loader.Inputs(store, some, material.Backbone.Preprocessing, true, _ => new Rng(0)).To(Device.Parse(run.Options.Device))).To(Device.Cpu))], 0);
        return (TensorScope.Detach(rows), items);
    }

    private void Neighbours(StringBuilder body, PictureStore store, Tensor rows, int[] items)
    {
        if (items.Length < 6) return;
        using var scope = new TensorScope();
        var unit = Contrast.Unit(rows);
        var count = Math.Min(Shown, items.Length);
        var (_, nearest) = unit.Narrow(0, 0, count).Matmul(unit.T()).Topk(6, 1);
        var figures = new StringBuilder();
        foreach (var (row, k) in nearest.ToArray<long>().Chunk(6).Select((row, k) => (row, k)))
        {
            foreach (var (other, place) in row.Where(other => other != k).Take(5).Prepend(k).Select((other, place) => (other, place)))
                store.Use(items[other], picture => Figure(figures, ReportPage.Thumbnail(picture, Side), place == 0 ? "the picture" : $"nearest {place}"));
        }
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>What it now holds for alike</h2><div class=\"pictures\">{figures}</div></section>");
    }

    private object[] Map(StringBuilder body, Tensor rows, int[] items)
    {
        if (items.Length < 4) return [];
        using var scope = new TensorScope();
        var components = Projection.Pca(rows, 30);
        var width = (int)components.Shape[1];
        var flat = components.ToArray<double>().Chunk(width).ToArray();
        var tsne = Projection.Tsne(flat);
        body.Append("<div class=\"row\"><section><h2>Features in the plane (PCA)</h2><div class=\"chart tall\" id=\"pca\"></div></section>"
            + "<section><h2>Features in the plane (t-SNE)</h2><div class=\"chart tall\" id=\"tsne\"></div></section></div>");
        static double Round(double value) => Math.Round(value, 3);
        return [.. items.Select((item, k) => new
        {
            name = data.Items.Name(item), label = data.Labels?[item] ?? 0,
            pca = new[] { Round(flat[k][0]), Round(width > 1 ? flat[k][1] : 0) }, tsne = new[] { Round(tsne[k][0]), Round(tsne[k][1]) },
        })];
    }

    /// <summary>The first convolution's weights as small pictures, each stretched to the full range.</summary>
    private void Filters(StringBuilder body)
    {
        if (material.Backbone.Modules().OfType<Conv2d>().FirstOrDefault() is not { } first || first.Weight.Shape[1] != 3) return;
        var (count, side) = ((int)Math.Min(64, first.Weight.Shape[0]), (int)first.Weight.Shape[2]);
        if (side < 2 || side != first.Weight.Shape[3]) return;
        var values = first.Weight.Detach().To(Device.Cpu).Contiguous().ToArray<float>();
        var figures = new StringBuilder();
        for (var f = 0; f < count; f++)
        {
            var filter = values.AsSpan(f * 3 * side * side, 3 * side * side).ToArray();
            var (least, most) = (filter.Min(), filter.Max());
            using var picture = Picture.Create(side, side);
            for (var k = 0; k < side * side; k++)
            {
                for (var c = 0; c < 3; c++) picture.Pixels[3 * k + c] = (byte)(255 * (filter[c * side * side + k] - least) / Math.Max(1e-12f, most - least));
            }
            using var large = picture.Resize(48, 48);
            figures.Append(CultureInfo.InvariantCulture, $"<img alt=\"\" width=\"48\" height=\"48\" style=\"margin:2px\" src=\"data:image/jpeg;base64,{Convert.ToBase64String(large.ToJpeg(90))}\">");
        }
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>Filters of the first layer</h2>{figures}</section>");
    }

    private void Card(StringBuilder body)
    {
        var rows = new List<(string Key, string Value)>
        {
            ("method", method.Summary), ("network", run.Architecture), ("upstream", $"{run.Upstream.Source}: {run.Upstream.Domain}"),
            (data.Items.Noun.Many, $"{run.Items}"), ("data fingerprint", run.DataFingerprint), ("seed", $"{run.Options.Seed}"),
        };
        rows.AddRange(run.Environment.Select(item => (item.Key, item.Value)));
        rows.AddRange(run.Broken.Select(broken => ("left out", $"{broken.File}: {broken.Error}")));
        rows.AddRange(run.Notes.Concat(data.Notes.Remarks).Select(note => ("note", note)));
        body.Append("<section><h2>Model card</h2><div class=\"scroll\"><table>");
        foreach (var (key, value) in rows.Where(row => row.Value.Length > 0))
            body.Append(CultureInfo.InvariantCulture, $"<tr><th>{ReportPage.Html(key)}</th><td>{ReportPage.Html(value)}</td></tr>");
        body.Append("</table></div></section>");
    }
}
