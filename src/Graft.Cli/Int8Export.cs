using System.Diagnostics;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Inference;
using Graft.Learning;

namespace Graft.Cli;

/// <summary>export --int8: the file in eight bits, and what that costs and gains, measured on the same pictures by both.</summary>
internal static class Int8Export
{
    private sealed record Side(string Numbers, double Megabytes, Judged Judged, double PerSecond);

    /// <param name="shell">Told of it.</param>
    /// <param name="file">As it was exported; written over.</param>
    /// <param name="pictures">A dataset.</param>
    /// <param name="model">What was exported.</param>
    /// <param name="about">What is known of the file.</param>
    public static void Run(Shell shell, string file, string pictures, Classifier model, IReadOnlyList<string> about)
    {
        try
        {
            var parts = DatasetReader.Open(pictures, model.Task);
            var judged = model.Open(pictures);
            var alone = parts.Validation is null && parts.Test is null;
            var before = Measure("float", file, judged, shell);
            var summary = Int8Writer.Write(file, parts.Train, (done, total) => shell.Progress(new ProgressReport("eight bits", done, total, 0)),
                shell.Stop);
            var after = Measure("int8", file, judged, shell);
            shell.Result(new
            {
                file, format = ExportFormat.Onnx, classes = model.Classes, preprocessing = model.Backbone.Preprocessing,
                    notes = model.Notes.Concat(about), bytes = new FileInfo(file).Length,
                int8 = new { layers = summary.Layers, kept = summary.Kept, error = summary.Error, calibrated = summary.Pictures,
                    measured = judged.Part, before = Json(before), after = Json(after) },
            });
            if (shell.Json) return;
            shell.Say($"Wrote {file}: {summary.Layers - summary.Kept} of {summary.Layers} layers in eight bits{(summary.Kept > 0 ? $"; {summary.Kept} depthwise ones lost too much and stay as they are" : "")}. Ranges (99.99th percentiles) from {summary.Pictures} pictures");
            shell.Table(["", "MB", Name(before.Judged.Measured), "pictures/s, network alone"],
                new[] { before, after }.Select(side =>
                new[] { side.Numbers, $"{side.Megabytes:0.0}", Text(side.Judged.Measured), $"{side.PerSecond:0}" }), 1, 2, 3);
            if (alone) shell.Say($"{pictures} has one part only: the measure is on the pictures that the ranges are of, and so flatters a little");
            foreach (var note in about) shell.Say(note);
        }
        catch
        {
            // A file that is half of what was asked for is none.
            File.Delete(file);
            throw;
        }
    }

    private static Side Measure(string numbers, string file, Dataset data, Shell shell)
    {
        using var model = PictureModel.Open(file);
        var judged = model.Judge(data, (done, total) => shell.Progress(new ProgressReport("pictures", done, total, 0)), shell.Stop);
        return new Side(numbers, new FileInfo(file).Length / 1e6, judged, Speed(model.Network));
    }

    /// <summary>All cores for a second, after a first batch.</summary>
    private static double Speed(FrozenNetwork network)
    {
        var (pictures, clock) = (0L, new Stopwatch());
        using var ready = new Barrier(network.Lanes, _ => clock.Start());
        var threads = Enumerable.Range(0, network.Lanes).Select(_ => new Thread(() =>
        {
            var (inputs, rows) = (new float[network.Batch * network.InputLength], new float[network.Batch * network.Outputs]);
            network.Run(inputs, network.Batch, rows);
            ready.SignalAndWait();
            while (clock.Elapsed.TotalSeconds < 1)
            {
                network.Run(inputs, network.Batch, rows);
                Interlocked.Add(ref pictures, network.Batch);
            }
        })).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        return pictures / clock.Elapsed.TotalSeconds;
    }

    private static object Json(Side side) =>
        new { megabytes = side.Megabytes, measure = side.Judged.Measured.Score.Name, value = side.Judged.Measured.Score.Value,
        interval = Interval(side.Judged.Measured), pictures = side.Judged.Measured.Count, per_second = side.PerSecond };

    private static double[] Interval(TaskMetrics found) =>
        found switch { Metrics metrics => [metrics.Low, metrics.High], LabelMetrics labels => labels.Interval, _ => [double.NaN, double.NaN] };

    private static string Name(TaskMetrics found) => $"{found.Score.Name} on {found.Count} pictures";

    private static string Text(TaskMetrics found) => Interval(found) is [var low, var high] && double.IsFinite(low)
        ? $"{found.Score.Value:0.000} ({low:0.000} to {high:0.000})" : $"{found.Score.Value:0.000}";
}
