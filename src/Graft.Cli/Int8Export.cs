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
    /// <summary>A file by one kind of numbers.</summary>
    public sealed record Side(string Numbers, double Megabytes, Judged Judged, double PerSecond);

    /// <summary>What became of it.</summary>
    public sealed record Made(Int8Summary Summary, Side Before, Side After, string Pictures, bool Alone)
    {
        /// <summary>For programs.</summary>
        public object Json() => new { layers = Summary.Layers, kept = Summary.Kept, error = Summary.Error, calibrated = Summary.Pictures,
            measured = Part, before = Int8Export.JsonOf(Before), after = Int8Export.JsonOf(After) };

        /// <summary>Which part of the data was measured.</summary>
        public string? Part { get; init; }

        /// <summary>For people.</summary>
        public void Say(Shell shell, string file)
        {
            shell.Say($"Wrote {file}: {Summary.Layers - Summary.Kept} of {Summary.Layers} layers in eight bits{(Summary.Kept > 0 ? $"; {Summary.Kept} depthwise ones lost too much and stay as they are" : "")}. Ranges (99.99th percentiles) from {Summary.Pictures} pictures");
            shell.Table(["", "MB", Name(Before.Judged.Measured), "pictures/s, network alone"],
                new[] { Before, After }.Select(side =>
                new[] { side.Numbers, $"{side.Megabytes:0.0}", Text(side.Judged.Measured), $"{side.PerSecond:0}" }), 1, 2, 3);
            if (Alone) shell.Say($"{Pictures} has one part only: the measure is on the pictures that the ranges are of, and so flatters a little");
        }
    }

    /// <param name="shell">Told how it goes on.</param>
    /// <param name="file">As it was exported; written over.</param>
    /// <param name="pictures">A dataset.</param>
    /// <param name="model">What was exported.</param>
    public static Made Run(Shell shell, string file, string pictures, Classifier model)
    {
        try
        {
            var parts = DatasetReader.Open(pictures, model.Task);
            var judged = model.Open(pictures);
            var before = Measure("float", file, judged, shell);
            var summary = Int8Writer.Write(file, parts.Train, (done, total) => shell.Progress(new ProgressReport("eight bits", done, total, 0)),
                shell.Stop);
            return new Made(summary, before, Measure("int8", file, judged, shell), pictures, parts.Validation is null && parts.Test is null)
            {
                Part = judged.Part,
            };
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

    private static object JsonOf(Side side) =>
        new { megabytes = side.Megabytes, measure = side.Judged.Measured.Score.Name, value = side.Judged.Measured.Score.Value,
        interval = Interval(side.Judged.Measured), pictures = side.Judged.Measured.Count, per_second = side.PerSecond };

    private static double[] Interval(TaskMetrics found) =>
        found switch { Metrics metrics => [metrics.Low, metrics.High], LabelMetrics labels => labels.Interval, _ => [double.NaN, double.NaN] };

    private static string Name(TaskMetrics found) => $"{found.Score.Name} on {found.Count} pictures";

    private static string Text(TaskMetrics found) => Interval(found) is [var low, var high] && double.IsFinite(low)
        ? $"{found.Score.Value:0.000} ({low:0.000} to {high:0.000})" : $"{found.Score.Value:0.000}";
}
