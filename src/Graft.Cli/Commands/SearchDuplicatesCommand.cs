using System.CommandLine;
using System.Diagnostics;
using Graft.Inference.Search;
using Graft.Learning;

namespace Graft.Cli.Commands;

internal static class SearchDuplicatesCommand
{
    // More groups than anybody reads.
    private const int Shown = 50;

    public static Command Create()
    {
        var index = SearchCommand.Index();
        var above = new Option<double>("--above") { Description = "The least similarity: the cosine of the angle between two vectors, 1 where they are the same",
            HelpName = "X", DefaultValueFactory = _ => 0.95 };
        var command = new Command("duplicates", """
            Show the items of an index that are much alike: pairs, and the groups that they make.

            Examples:
              graft search duplicates reviews.index
              graft search duplicates photos.index --above 0.98 --json
            """) { index, above };
        Shell.Handle(command, (shell, parsed) =>
        {
            var least = parsed.GetValue(above);
            Bounds.Within("--above", least, -1, 1);
            using var opened = SearchIndex.Open(parsed.GetValue(index)!);
            var clock = Stopwatch.StartNew();
            var pairs = opened.Alike(least, (done, total) =>
                shell.Progress(new ProgressReport("pairs", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = "items" }),
                    shell.Stop);
            var groups = SearchIndex.Groups(pairs);
            shell.Result(new
            {
                groups = groups.Select(group => group.Select(item => new { index = item, name = opened[item].Name, text = opened[item].Text,
                    @class = opened[item].Class })),
                pairs = pairs.Select(pair => new { first = pair.First, second = pair.Second, similarity = pair.Similarity }),
                    seconds = clock.Elapsed.TotalSeconds,
            });
            if (shell.Json) return;
            foreach (var group in groups.Take(Shown))
            {
                foreach (var item in group) shell.Say($"#{item}  {SearchQueryCommand.Line(opened[item])}");
                shell.Say();
            }
            if (groups.Count > Shown) shell.Say($"… and {groups.Count - Shown} groups more (--json shows all)\n");
            shell.Say($"{pairs.Count} pairs of {opened.Count:N0} {(opened.IsText ? "sentences" : "pictures")} are {least} alike or more, in {groups.Count} groups of {groups.Sum(group => group.Length)}");
        });
        return command;
    }
}
