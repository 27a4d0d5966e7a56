using System.Globalization;
using System.Text;
using Graft.Classification;
using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Reports;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>Writes a run's report: one HTML file that needs nothing else and no network.</summary>
internal sealed partial class ReportBuilder(RunRecord run, Classifier model, Dataset train, Dataset validation, FeatureCache? cache)
{
    private const int MapPoints = 400, Mistakes = 12, HeatMaps = 6, ThumbSide = 168;

    /// <summary>The page. Runs the model on the validation pictures.</summary>
    public string Build()
    {
        var extraction = new FeatureExtractor(model.Backbone, cache).Pooled(validation, model.Backbone.Preprocessing);
        using var rows = extraction.Rows;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        return Build(extraction, model.Head!.Answers(extraction.Stage(model.Backbone, model.Stage)).ToArray<float>());
    }

    /// <summary>The page, from what was computed already.</summary>
    /// <param name="extraction">Pooled outputs of the validation pictures.</param>
    /// <param name="probabilities">N×classes; of other tasks what else the head answers.</param>
    public string Build(Extraction extraction, float[] probabilities)
    {
        if (run.Task != TargetKind.Classes) return Measured(extraction, probabilities);
        var shown = Judge(extraction, probabilities);
        var metrics = run.Metrics ?? Metrics.Of(probabilities, [.. shown.Select(item => item.Label)], run.Classes);
        var points = Points(extraction, shown);
        var body = new StringBuilder();
        Header(body, metrics);
        Charts(body, metrics);
        PerClass(body, metrics);
        Pictures(body, "The most confident mistakes", shown.Where(item => item.Predicted != item.Label).OrderByDescending(item => item.Probability).Take(Mistakes).ToList(), heat: false);
        var looks = shown.GroupBy(item => item.Label).SelectMany(group => group.OrderByDescending(item => item.Probability).Take(1)).Take(HeatMaps / 2)
            .Concat(shown.Where(item => item.Predicted != item.Label).OrderByDescending(item => item.Probability).Take(HeatMaps / 2)).ToList();
        Pictures(body, "Where the evidence lies (Grad-CAM for the predicted class)", looks, heat: true);
        Reasons(body);
        Card(body);
        return Page(body, new
        {
            classes = run.Classes, confusion = metrics.Confusion, history = run.History,
            grid = run.HeadGrid, probes = Probes, points,
        });
    }

    private string Page(StringBuilder body, object charts) => ReportPage.Of($"Graft: {Path.GetFileName(run.Options.Data)}", body.ToString(), charts);

    // Where a class has one picture only, probes could not be judged.
    private IEnumerable<StageProbe> Probes => run.Advice?.Evidence.Probes.Where(probe => double.IsFinite(probe.Accuracy)) ?? [];

    private sealed record Judged(int Index, string Name, int Label, int Predicted, double Probability);

    private List<Judged> Judge(Extraction extraction, float[] probabilities)
    {
        var k = run.Classes.Count;
        return [.. extraction.Indices.Select((index, i) =>
        {
            var row = probabilities.AsSpan(i * k, k);
            var best = 0;
            for (var c = 1; c < k; c++) if (row[c] > row[best]) best = c;
            return new Judged(index, validation.Name(index), validation.Labels[index], best, row[best]);
        })];
    }

    private object[] Points(Extraction extraction, List<Judged> shown)
    {
        if (shown.Count < 3) return [];
        using var scope = new TensorScope();
        long[] chosen = shown.Count <= MapPoints ? [.. Enumerable.Range(0, shown.Count).Select(i => (long)i)] : [.. new Rng(3).Permutation(shown.Count).Take(MapPoints).Order().Select(i => (long)i)];
        var features = extraction.Stage(model.Backbone, model.Stage).IndexSelect(0, Tensor.From(chosen));
        var components = Projection.Pca(features, 30);
        var width = (int)components.Shape[1];
        var rows = components.ToArray<double>().Chunk(width).ToArray();
        var tsne = Projection.Tsne(rows);
        return [.. chosen.Select((index, i) => new
        {
            name = $"{(validation.IsText ? Short(validation.Text(shown[(int)index].Index)) : shown[(int)index].Name)}: {run.Classes[shown[(int)index].Predicted]}", label = shown[(int)index].Label, right = shown[(int)index].Label == shown[(int)index].Predicted,
            pca = new[] { Round(rows[i][0]), Round(width > 1 ? rows[i][1] : 0) }, tsne = new[] { Round(tsne[i][0]), Round(tsne[i][1]) },
        })];
    }

    private static double Round(double value) => Math.Round(value, 3);

    private static string Html(string text) => ReportPage.Html(text);

    private static string Percent(double share) => share.ToString("P1", CultureInfo.InvariantCulture).Replace(" ", "", StringComparison.Ordinal);

    private void Header(StringBuilder body, Metrics metrics)
    {
        var chance = metrics.Confusion.Length == 0 ? 0 : (double)metrics.Confusion.Max(row => row.Sum()) / Math.Max(1, metrics.Count);
        body.Append(CultureInfo.InvariantCulture, $"""
            <h1>{Html(string.Join(", ", run.Classes.Take(6)))}{(run.Classes.Count > 6 ? $" and {run.Classes.Count - 6} more" : "")}</h1>
            <p class="sub">{Html(run.Options.Data)} · {run.TrainImages} {run.Noun.Many} trained on, {metrics.Count} held out · strategy <b>{Html(run.Plan.Strategy)}</b> on {Html(run.Architecture)}</p>
            <div class="figures">
            {(metrics.Count == 0 ? "<div class=\"figure\"><b>?</b><span>accuracy: nothing was held out to judge by</span></div>" : FormattableString.Invariant($"""
            <div class="figure"><b>{Percent(metrics.Accuracy)}</b><span>accuracy ({Percent(metrics.Low)} to {Percent(metrics.High)}; always the largest class: {Percent(chance)})</span></div>
            <div class="figure"><b>{Percent(metrics.BalancedAccuracy)}</b><span>balanced accuracy</span></div>
            <div class="figure"><b>{metrics.MacroF1:0.000}</b><span>macro F1</span></div>
            <div class="figure"><b>{metrics.CalibrationError:0.000}</b><span>calibration error</span></div>
            """))}
            <div class="figure"><b>{run.Seconds:0.0} s</b><span>from command to model</span></div>
            </div>

            """);
    }

    private void Charts(StringBuilder body, Metrics metrics)
    {
        body.Append("<div class=\"row\">");
        if (run.History.Count > 0) body.Append("<section><h2>Loss</h2><div class=\"chart\" id=\"loss\"></div></section><section><h2>Accuracy</h2><div class=\"chart\" id=\"accuracy\"></div></section>");
        if (Probes.Any()) body.Append("<section><h2>Linear probes on each stage</h2><div class=\"chart\" id=\"probes\"></div></section>");
        if (run.HeadGrid.Count > 1) body.Append("<section><h2>Choosing the head's penalty</h2><div class=\"chart\" id=\"grid\"></div></section>");
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>Confusion</h2><div class=\"chart{(metrics.Confusion.Length > 6 ? " tall" : "")}\" id=\"confusion\"></div></section>");
        body.Append("<section><h2>Features in the plane (PCA)</h2><div class=\"chart\" id=\"pca\"></div></section><section><h2>Features in the plane (t-SNE)</h2><div class=\"chart\" id=\"tsne\"></div></section></div>");
    }

    private void PerClass(StringBuilder body, Metrics metrics)
    {
        body.Append("<section><h2>Class by class</h2><div class=\"scroll\"><table><tr><th>class</th><th class=\"n\">" + run.Noun.Many + "</th><th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th></tr>");
        foreach (var found in metrics.PerClass)
            body.Append(CultureInfo.InvariantCulture, $"<tr><td>{Html(found.Name)}</td><td class=\"n\">{found.Count}</td><td class=\"n\">{Percent(found.Precision)}</td><td class=\"n\">{Percent(found.Recall)}</td><td class=\"n\">{found.F1:0.000}</td></tr>");
        body.Append("</table></div></section>");
    }

    private void Pictures(StringBuilder body, string title, List<Judged> items, bool heat)
    {
        if (items.Count == 0)
        {
            if (!heat) body.Append(CultureInfo.InvariantCulture, $"<section><h2>{title}</h2><p>{(validation.Count == 0 ? "Nothing was held out." : $"There are none: every held-out {(validation.IsText ? "sentence" : "picture")} is right.")}</p></section>");
            return;
        }
        if (validation.IsText)
        {
            Sentences(body, heat ? "Which words speak for the answer, green, and against it, red (integrated gradients)" : title, items, heat);
            return;
        }
        var figures = new StringBuilder();
        foreach (var item in items)
        {
            using var picture = validation.Decode(item.Index);
            var source = heat ? HeatMap(picture, item) : Thumbnail(picture);
            if (source is null) continue;
            var right = item.Label == item.Predicted;
            figures.Append(CultureInfo.InvariantCulture, $"<figure><img loading=\"lazy\" alt=\"{Html(item.Name)}\" src=\"data:image/jpeg;base64,{source}\"><figcaption><b class=\"{(right ? "" : "wrong")}\">{Html(run.Classes[item.Predicted])}</b> {Percent(item.Probability)}{(right ? "" : $", is {Html(run.Classes[item.Label])}")}<br>{Html(item.Name)}</figcaption></figure>");
        }
        if (figures.Length > 0) body.Append(CultureInfo.InvariantCulture, $"<section><h2>{title}</h2><div class=\"pictures\">{figures}</div></section>");
    }

    private static string Thumbnail(Picture picture) => ReportPage.Thumbnail(picture, ThumbSide);

    private string? HeatMap(Picture picture, Judged item)
    {
        if (GradCam.Map(model.Backbone, model.Head!, model.Stage, picture, item.Predicted) is not { } map) return null;
        using var seen = Seen(picture);
        using var overlay = GradCam.Overlay(seen, map);
        using var large = overlay.Width < ThumbSide ? overlay.Resize(ThumbSide, ThumbSide) : overlay.Resize(overlay.Width, overlay.Height);
        return Convert.ToBase64String(large.ToJpeg(80));
    }

    /// <summary>What the network sees: after resizing and cropping, before normalisation.</summary>
    private unsafe Picture Seen(Picture picture)
    {
        var preprocessing = model.Backbone.Preprocessing with { Normalize = new Normalize([0, 0, 0], [1, 1, 1]) };
        var made = Picture.Create(preprocessing.Width, preprocessing.Height);
        var floats = new float[made.Bytes];
        var rng = new Rng(0);
        fixed (float* into = floats) TransformRunner.Run(picture, preprocessing, ref rng, false, into);
        var pixels = made.Pixels;
        for (var k = 0; k < floats.Length; k++) pixels[k] = (byte)Math.Clamp(floats[k] * 255 + 0.5f, 0, 255);
        return made;
    }

    private void Reasons(StringBuilder body)
    {
        body.Append(CultureInfo.InvariantCulture, $"<section><h2>Why it was trained this way{(run.Advice is { } advice ? $": {Html(advice.Quadrant)}" : "")}</h2><ul>");
        foreach (var reason in run.Plan.Reasons) body.Append(CultureInfo.InvariantCulture, $"<li>{Html(reason)}</li>");
        body.Append("</ul></section><section><h2>The plan</h2><pre>").Append(Html(run.Plan.ToJson())).Append("</pre></section>");
    }

    private void Card(StringBuilder body)
    {
        var rows = new List<(string, string)>
        {
            ("upstream", $"{run.Upstream.Source}: {run.Upstream.Domain}"), ("upstream's licence", run.Upstream.Licence), ("upstream's sha256", run.Upstream.Sha256),
            ("data fingerprint", run.DataFingerprint), ($"training {run.Noun.Many}", $"{train.Count}"), ("seed", $"{run.Options.Seed}"),
        };
        rows.AddRange((run.Upstream.Lineage ?? []).SelectMany(before => new[] { ("made from", $"{before.Source}: {before.Domain}"), ("its licence", before.Licence), ("its sha256", before.Sha256) }));
        rows.AddRange(run.Environment.Select(item => (item.Key, item.Value)));
        rows.AddRange(run.Broken.Select(broken => ("left out", $"{broken.File}: {broken.Error}")));
        rows.AddRange(run.Notes.Select(note => ("note", note)));
        body.Append("<section><h2>Model card</h2><div class=\"scroll\"><table>");
        foreach (var (key, value) in rows.Where(row => row.Item2.Length > 0)) body.Append(CultureInfo.InvariantCulture, $"<tr><th>{Html(key)}</th><td>{Html(value)}</td></tr>");
        body.Append("</table></div></section>");
    }
}
