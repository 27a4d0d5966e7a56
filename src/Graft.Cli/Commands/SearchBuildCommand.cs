using System.CommandLine;
using System.Diagnostics;
using Graft.Data;
using Graft.Features;
using Graft.Search;

namespace Graft.Cli.Commands;

internal static class SearchBuildCommand
{
    public static Command Create()
    {
        var asked = OptionBinder.Of<SearchOptions>("--weights", "--out", "--half", "--split");
        var columns = OptionBinder.Of<TextColumns>("--text", "--pair", "--label");
        var overwrite = Shell.OverwriteOption("an index that is there");
        var noCache = new Option<bool>("--no-cache") { Description = "Neither read nor keep features on disk" };
        var command = new Command("build", """
            Make an index: a vector for each picture or sentence, its name, text and class, and the network beside them.

            Examples:
              graft search build reviews.tsv --weights all-minilm-l6-v2 --out reviews.index
              graft search build notes.txt --weights all-minilm-l6-v2 --half --out notes.index
              graft search build photos/ --weights mobilenet_v2.safetensors --out photos.index
              graft search build reviews.tsv --weights runs/reviews --out reasons.index
            """) { OptionBinder<SearchOptions>.Argument("DATA") };
        asked.AddTo(command);
        columns.AddTo(command);
        command.Options.Add(overwrite);
        command.Options.Add(noCache);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new SearchOptions { Data = "" });
            if (options.Data.Length == 0)
                throw Bounds.Refuse($"an index of what? Name pictures or sentences: {NextCommand.Of("search", "build")} DATA --weights NAME --out INDEX");
            options = options with { Columns = columns.Read(parsed, new TextColumns()) };
            var clock = Stopwatch.StartNew();
            var made = new IndexBuilder(options, parsed.GetValue(noCache) ? null : FeatureCache.Default())
            {
                Progress = shell.Progress, Cancel = shell.Stop, Overwrite = parsed.GetValue(overwrite),
            }.Build();
            var bytes = new DirectoryInfo(made.Index).EnumerateFiles().Sum(file => file.Length);
            shell.Result(new
            {
                index = made.Index, items = made.Count, kind = made.IsText ? "sentences" : "pictures", size = made.Size, bytes,
                    seconds = clock.Elapsed.TotalSeconds,
                errors = made.Broken.Select(found => new { file = found.File, error = found.Error }), left_out = LeftOutView.Json(made.Notes,
                    made.Broken),
                notes = made.Notes.Remarks,
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, made.Notes, made.Broken);
            shell.Say($"Wrote {made.Index}: {made.Count:N0} {(made.IsText ? "sentences" : "pictures")}, vectors of {made.Size} numbers, {bytes / 1e6:0.0} MB, in {clock.Elapsed.TotalSeconds:0.0} s");
            shell.Say($"Ask it with: {NextCommand.Of("search", "query", made.Index, made.IsText ? "a sentence" : "picture.jpg")}");
        });
        return command;
    }
}
