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
        var data = new Argument<string>("DATA") { Description = "Any dataset that train takes, of pictures or of sentences" };
        var inspect = new Command("inspect", """
            Count classes, sizes or lengths, broken files and duplicates (exact and near, across splits too).

            Examples:
              graft data inspect photos/
              graft data inspect reviews.csv --text review --label sentiment
            """) { data };
        var asked = OptionBinder.Of<TrainOptions>("--task")
            .Says("--task", "What a table tells of its pictures or sentences: classes, labels or numbers (default: what its columns show)");
        var columns = OptionBinder.Of<TextColumns>("--text", "--pair", "--label");
        asked.AddTo(inspect);
        columns.AddTo(inspect);
        Shell.Handle(inspect, (shell, parsed) =>
        {
            var clock = Stopwatch.StartNew();
            var splits = DatasetReader.Open(parsed.GetValue(data)!, asked.Read(parsed, new TrainOptions { Data = "" }).Task, columns.Read(parsed, new TextColumns()));
            if (splits.Train.IsText)
            {
                var found = TextInspection.Run(splits, shell.Stop);
                shell.Result(found);
                if (shell.Json) return;
                Counts(shell, found.Task, found.Classes, found.CountsBySplit, found.Numbers, splits.Train.Noun);
                TextInspectionView.Say(shell, found, splits);
                return;
            }
            var report = Inspection.Run(splits,
                (done, total) => shell.Progress(new ProgressReport("pictures", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds))),
                shell.Stop);
            shell.Result(report);
            if (shell.Json) return;
            Counts(shell, report.Task, report.Classes, report.CountsBySplit, report.Numbers, splits.Train.Noun);
            shell.Say($"{report.Layout}: {new[] { splits.Train, splits.Validation, splits.Test }.Sum(part => part?.Count ?? 0)} pictures, {report.Narrowest}×{report.Lowest} to {report.Widest}×{report.Tallest}, median {report.MedianWidth}×{report.MedianHeight}");
            DuplicateLines.Say(shell, $"{report.Duplicates.Count(found => found.Exact)} groups of equal files, {report.Duplicates.Count(found => !found.Exact)} of pictures that look alike",
                report.Duplicates.OrderByDescending(found => found.AcrossSplits || found.AcrossClasses));
            LeftOutView.Say(shell, splits.Notes, report.Broken);
            if (report.Duplicates.Any(found =>
                found.AcrossSplits)) shell.Say("Pictures in more than one split make the accuracy look better than it is: remove them from one.");
        });
        return new Command("data", "Look at datasets.") { inspect };
    }

    private static void Counts(Shell shell, TargetKind task, IReadOnlyList<string> classes, IReadOnlyDictionary<string, int[]> counts,
        IReadOnlyList<NumberSummary> numbers, ItemNoun noun)
    {
        var parts = counts.Keys.ToArray();
        if (task is TargetKind.Numbers or TargetKind.Similarity)
            shell.Table(["column", "part", noun.Many, "mean", "deviation", "least", "most"], numbers.Select(found => (string[])[found.Column, found.Part, $"{found.Pictures}", $"{found.Mean:G4}", $"{found.Deviation:G4}", $"{found.Least:G4}", $"{found.Most:G4}"]), 2, 3, 4, 5, 6);
        else shell.Table([task == TargetKind.Labels ? "label" : "class", .. parts],
            classes.Select((name, k) => (string[])[name, .. parts.Select(split => $"{counts[split][k]}")]), [.. Enumerable.Range(1, parts.Length)]);
    }
}
