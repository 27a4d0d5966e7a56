using System.CommandLine;
using System.Diagnostics;
using Graft.Data;
using Graft.Learning;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class DataCommand
{
    public static Command Create()
    {
        var data = new Argument<string>("DATA") { Description = "Any dataset that train takes" };
        var inspect = new Command("inspect", """
            Count classes, sizes, broken files and duplicates (exact and near, across splits too).

            Example:
              graft data inspect photos/
            """) { data };
        var asked = OptionBinder.Of<TrainOptions>("--task")
            .Says("--task", "What a CSV tells of its pictures: classes, labels or numbers (default: what its columns show)");
        asked.AddTo(inspect);
        Shell.Handle(inspect, (shell, parsed) =>
        {
            var clock = Stopwatch.StartNew();
            var splits = DatasetReader.Open(parsed.GetValue(data)!, asked.Read(parsed, new TrainOptions { Data = "" }).Task);
            var report = Inspection.Run(splits,
                (done, total) => shell.Progress(new ProgressReport("pictures", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds))),
                shell.Stop);
            shell.Result(report);
            if (shell.Json) return;
            var parts = report.CountsBySplit.Keys.ToArray();
            if (report.Task == TargetKind.Numbers)
                shell.Table(["column", "part", "pictures", "mean", "deviation", "least", "most"], report.Numbers.Select(found => (string[])[found.Column, found.Part, $"{found.Pictures}", $"{found.Mean:G4}", $"{found.Deviation:G4}", $"{found.Least:G4}", $"{found.Most:G4}"]), 2, 3, 4, 5, 6);
            else shell.Table([report.Task == TargetKind.Labels ? "label" : "class", .. parts],
                report.Classes.Select((name, k) => (string[])[name, .. parts.Select(split => $"{report.CountsBySplit[split][k]}")]),
                [.. Enumerable.Range(1, parts.Length)]);
            shell.Say($"{report.Layout}: {new[] { splits.Train, splits.Validation, splits.Test }.Sum(part => part?.Count ?? 0)} pictures, {report.Narrowest}×{report.Lowest} to {report.Widest}×{report.Tallest}, median {report.MedianWidth}×{report.MedianHeight}");
            Some(shell, $"{report.Duplicates.Count(found => found.Exact)} groups of equal files, {report.Duplicates.Count(found => !found.Exact)} of pictures that look alike",
                [.. report.Duplicates.OrderByDescending(found => found.AcrossSplits || found.AcrossClasses).Select(found => $"{(found.Exact ? "equal" : "alike")}{(found.AcrossSplits ? ", across splits" : "")}{(found.AcrossClasses ? ", across classes" : "")}: {string.Join(" = ", found.Files.Take(4))}")]);
            LeftOutView.Say(shell, splits.Notes, report.Broken);
            if (report.Duplicates.Any(found =>
                found.AcrossSplits)) shell.Say("Pictures in more than one split make the accuracy look better than it is: remove them from one.");
        });
        return new Command("data", "Look at datasets.") { inspect };
    }

    private static void Some(Shell shell, string title, IReadOnlyList<string> lines)
    {
        if (lines.Count == 0) return;
        shell.Say($"{title}:");
        foreach (var line in lines.Take(12)) shell.Say($"  {line}");
        if (lines.Count > 12) shell.Say($"  … and {lines.Count - 12} more (--json lists all)");
    }
}
