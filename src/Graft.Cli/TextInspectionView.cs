using System.Globalization;
using Graft.Data;

namespace Graft.Cli;

/// <summary>What <c>graft data inspect</c> found in sentences, for people.</summary>
internal static class TextInspectionView
{
    public static void Say(Shell shell, TextInspectionReport report, DatasetSplits splits)
    {
        shell.Table(["part", "sentences", "characters", "95%", "longest", "words", "95%", "longest"],
            report.Lengths.Select(found => (string[])[found.Part,
            $"{found.Sentences}", .. Lengths(found.Characters), .. Lengths(found.Words)]), 1, 2, 3, 4, 5, 6, 7);
        shell.Say($"{report.Layout}: {report.Lengths.Sum(found => found.Sentences)} sentences; characters and words are medians; the longest is "
            + $"{report.Lengths.MaxBy(found => found.Characters.Longest)!.LongestName}");
        shell.Say($"Scripts: {string.Join(", ", report.Scripts.Select(pair => $"{pair.Key} {Share(pair.Value)}"))}");
        DuplicateLines.Say(shell, $"{Groups(report.Duplicates.Count(found => found.Exact))} of equal sentences, {Groups(report.Duplicates.Count(found => !found.Exact))} of nearly equal ones",
            report.Duplicates.OrderByDescending(found => (found.AcrossClasses ? 1 : 0) + (found.AcrossSplits ? 2 : 0)));
        LeftOutView.Say(shell, splits.Notes with { Remarks = report.Remarks }, []);
        foreach (var found in report.Overlaps.Where(found => found.Exact + found.Near > 0))
        {
            shell.Say($"{found.Exact + found.Near} of the {found.Part} sentences {(found.Exact + found.Near == 1 ? "stands" : "stand")} in train too ({found.Exact} equal, {found.Near} nearly; "
                + $"{found.OtherLabel} with another {(report.Task is TargetKind.Numbers or TargetKind.Similarity ? "number" : "label")}): they make the result look better than it is. Remove them from one.");
        }
    }

    private static IEnumerable<string> Lengths(LengthSummary lengths) => [$"{lengths.Median}", $"{lengths.NinetyFive}", $"{lengths.Longest}"];

    private static string Groups(int count) => $"{count} group{(count == 1 ? "" : "s")}";

    private static string Share(double share) => share is > 0 and < 0.001 ? "under 0.1%" : (100 * share).ToString("0.#", CultureInfo.InvariantCulture)
        + "%";
}
