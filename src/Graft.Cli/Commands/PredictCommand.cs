using System.CommandLine;
using Graft.Classification;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.MultiTask;

namespace Graft.Cli.Commands;

internal static class PredictCommand
{
    // Fewer are done before anybody looks.
    private const int Many = 100;

    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier" };
        var files = new Argument<string[]>("FILE") { Description = "Pictures, or folders of pictures; sentences, or files of sentences (.txt: a line each; tables; - is what comes in)", Arity = ArgumentArity.OneOrMore };
        var command = new Command("predict", """
            Say what is in pictures, or what sentences are. What can be read is answered; the exit status is 1 when a picture could not be.

            Examples:
              graft predict runs/ants picture.jpg
              graft predict runs/ants new-photos/ --json
              graft predict runs/reviews "A film to remember."
              graft predict runs/reviews reviews.tsv --text document --json
              graft predict runs/reviews "A film to remember." --nearest 3 --index reasons.index
              graft predict runs/sts "A man is playing." "Somebody plays."
              graft predict mobilenet_v2.safetensors picture.jpg --labels imagenet.txt
            """) { run, files };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        var columns = OptionBinder.Of<TextColumns>("--text", "--pair");
        columns.AddTo(command);
        var nearest = new Option<int?>("--nearest") { Description = "Show beside each answer the training examples that are nearest to it", HelpName = "N" };
        var index = new Option<string?>("--index") { Description = "Those of --nearest: what search build made with this run as its --weights", HelpName = "INDEX" };
        command.Options.Add(nearest);
        command.Options.Add(index);
        Shell.Handle(command, (shell, parsed) =>
        {
            var (path, given) = (parsed.GetValue(run)!, input.Read(parsed, new InputOptions()));
            using var reasons = Reasons.Open(path, parsed.GetValue(nearest), parsed.GetValue(index));
            using var opened = MultiTaskModel.Is(path) ? MultiTaskModel.Open(path, input: given) : Answering.Open(path, given);
            foreach (var note in opened.Notes) shell.Log(note);
            if (opened is TextModel text)
            {
                Sentences(shell, text, parsed.GetValue(files)!, columns.Read(parsed, new TextColumns()), reasons);
                return;
            }
            var model = (PictureModel)opened;
            var predictions = new List<Prediction>();
            var errors = new List<BrokenPicture>();
            var below = parsed.GetValue(files)!.Select(PictureFiles.Below).ToArray();
            var notes = below.Aggregate(DatasetNotes.None, (all, one) => all.With(one.Notes));
            string[] all = [.. below.SelectMany(one => one.Files)];
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var answered = model.Answer(all,
                all.Length < Many ? null : (done, total) =>
                shell.Progress(new ProgressReport("pictures", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds))), shell.Stop);
            foreach (var (file, (answer, error)) in all.Zip(answered))
            {
                if (answer is not null) predictions.Add(answer);
                else errors.Add(new BrokenPicture(file, error!));
            }
            var near = reasons?.OfPictures([.. predictions.Select(found => found.File)], shell.Stop);
            shell.Result(new
            {
                predictions = near is null ? predictions.Select(MetricsView.Json) : predictions.Zip(near, (found, because) => Reasons.Json(found,
                    because)),
                errors = errors.Select(found => new { file = found.File, error = found.Error }), left_out = LeftOutView.Json(notes, []),
                    notes = model.Notes,
            });
            if (!shell.Json)
            {
                for (var k = 0; k < predictions.Count; k++)
                {
                    Console.Out.WriteLine(MetricsView.Line(predictions[k]));
                    if (near is not null) Reasons.Write(near[k]);
                }
                LeftOutView.Log(shell, notes, []);
                foreach (var found in errors) Console.Error.WriteLine($"graft: {found.File}: {found.Error}");
            }
            if (predictions.Count + errors.Count == 0) throw new GraftException($"{string.Join(", ", parsed.GetValue(files)!)}: no picture is there");
            if (errors.Count > 0) shell.Status = 1;
        });
        return command;
    }

    private static void Sentences(Shell shell, TextModel model, string[] given, TextColumns columns, Reasons? reasons)
    {
        var (items, names) = (new List<TextItem>(), new List<string>());
        var notes = DatasetNotes.None;
        string? half = null;
        foreach (var one in given)
        {
            if (one == "-")
            {
                for (var line = 1; Console.In.ReadLine() is { } read; line++)
                {
                    if (read.Trim().Length == 0) continue;
                    items.Add(model.ComparesPairs && read.Split('\t', 2) is [var first, var second] ? new TextItem(first, second)
                        : new TextItem(read));
                    names.Add($"-:{line}");
                }
            }
            else if (File.Exists(one) || Directory.Exists(one))
            {
                var data = DatasetReader.OpenUnlabelledText(one, columns);
                notes = notes.With(data.Notes);
                items.AddRange(Enumerable.Range(0, data.Count).Select(data.Text));
                names.AddRange(Enumerable.Range(0, data.Count).Select(data.Name));
            }
            else if (model.ComparesPairs && half is { } before)
            {
                items.Add(new TextItem(before, one));
                names.Add("");
                half = null;
            }
            else if (model.ComparesPairs)
            {
                half = one;
            }
            else
            {
                items.Add(new TextItem(one));
                names.Add("");
            }
        }
        if (half is not null) throw Bounds.Refuse($"the model says how alike two texts are, and '{half}' has no second: give two of them, a table of pairs, or - with a tab between the two");
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var answered = model.Answer(items, items.Count < Many ? null : (done, total) =>
            shell.Progress(new ProgressReport("sentences", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = "sentences" }), shell.Stop);
        var near = reasons?.OfSentences(items, shell.Stop);
        shell.Result(new
        {
            predictions = answered.Select((answer, k) => near is null
                ? (object)new { text = answer.File, from = names[k].Length > 0 ? names[k] : null, answer = MetricsView.Json(answer) }
                : new { text = answer.File, from = names[k].Length > 0 ? names[k] : null, answer = MetricsView.Json(answer),
                    nearest = near[k].Select(SearchQueryCommand.Json) }),
            left_out = LeftOutView.Json(notes, []), notes = model.Notes,
        });
        if (shell.Json) return;
        for (var k = 0; k < answered.Length; k++)
        {
            Console.Out.WriteLine(MetricsView.Line(answered[k]));
            if (near is not null) Reasons.Write(near[k]);
        }
        LeftOutView.Log(shell, notes, []);
        if (answered.Length == 0) throw new GraftException("no sentence is there: what comes in is empty");
    }
}
