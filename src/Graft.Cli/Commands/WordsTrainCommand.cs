using System.CommandLine;
using System.Diagnostics;
using Graft.Data;
using Graft.Inference.Words;
using Graft.Learning;

namespace Graft.Cli.Commands;

internal static class WordsTrainCommand
{
    public static Command Create()
    {
        var texts = new Argument<string>("TEXT") { Description = "A .txt of a text a line, a table with a column of text, or a folder of .txt" };
        var to = new Option<string?>("--out") { Description = "The vectors: .vec (text), or .bin (with --subwords fastText's model, else word2vec's)", HelpName = "FILE" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var asked = OptionBinder.Of<SkipGramOptions>();
        var columns = OptionBinder.Of<TextColumns>("--text");
        var command = new Command("train", """
            Learn vectors of words from text alone: skip-gram with negative sampling, and fastText's pieces of words.

            Examples:
              graft words train reviews.txt --out words.vec
              graft words train reviews.txt --out words.bin --subwords --min-piece 2 --max-piece 4
              graft words train films.tsv --text document --out words.vec --epochs 10 --hogwild
            """) { texts, to, overwrite };
        asked.AddTo(command);
        columns.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var path = parsed.GetValue(to) ?? throw Bounds.Refuse("where to? Name a file with --out, such as --out words.vec");
            WordFile.CheckName(path);
            OutputFile.Check(path, parsed.GetValue(overwrite));
            var options = asked.Read(parsed, new SkipGramOptions());
            options.Validate();
            var data = DatasetReader.OpenUnlabelledText(parsed.GetValue(texts)!, columns.Read(parsed, new TextColumns()));
            var (clock, last) = (Stopwatch.StartNew(), double.NaN);
            var vectors = SkipGram.Train(Enumerable.Range(0, data.Count).Select(k => data.Text(k).ToString()), options, progress =>
            {
                if (double.IsFinite(progress.Loss)) last = progress.Loss;
                shell.Progress(new ProgressReport("words", (int)Math.Min(int.MaxValue, progress.Done), (int)Math.Min(int.MaxValue, progress.Total),
                    progress.Done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = "words" });
            }, shell.Stop);
            var seconds = clock.Elapsed.TotalSeconds;
            vectors.Save(path);
            shell.Result(new { file = Path.GetFullPath(path), words = vectors.Count, size = vectors.Size, subwords = options.Subwords,
                texts = data.Count, loss = last, seconds,
                left_out = LeftOutView.Json(data.Notes, []) });
            if (shell.Json) return;
            LeftOutView.Say(shell, data.Notes, []);
            shell.Say($"Wrote {path}: {vectors.Count:N0} words of {vectors.Size} numbers from {data.Count:N0} texts, loss {last:0.000} at the end, in {seconds:0.0} s");
            if (options.Subwords && !path.EndsWith(".bin", StringComparison.OrdinalIgnoreCase)) shell.Say("The vectors of pieces are not in it: a file that ends in .bin keeps them");
            shell.Say($"Train on it with: {NextCommand.Of("train")} DATA --weights {NextCommand.Quoted(path)}");
        });
        return command;
    }
}
