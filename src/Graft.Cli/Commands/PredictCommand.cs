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
              graft predict mobilenet_v2.safetensors picture.jpg --labels imagenet.txt
            """) { run, files };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        var columns = OptionBinder.Of<TextColumns>("--text", "--pair");
        columns.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var (path, given) = (parsed.GetValue(run)!, input.Read(parsed, new InputOptions()));
            using var opened = MultiTaskModel.Is(path) ? MultiTaskModel.Open(path, input: given) : Answering.Open(path, given);
            foreach (var note in opened.Notes) shell.Log(note);
            if (opened is TextModel text)
            {
                Sentences(shell, text, parsed.GetValue(files)!, columns.Read(parsed, new TextColumns()));
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
            shell.Result(new
            {
                predictions = predictions.Select(MetricsView.Json),
                errors = errors.Select(found => new { file = found.File, error = found.Error }), left_out = LeftOutView.Json(notes, []),
                    notes = model.Notes,
            });
            if (!shell.Json)
            {
                foreach (var found in predictions) Console.Out.WriteLine(MetricsView.Line(found));
                LeftOutView.Log(shell, notes, []);
                foreach (var found in errors) Console.Error.WriteLine($"graft: {found.File}: {found.Error}");
            }
            if (predictions.Count + errors.Count == 0) throw new GraftException($"{string.Join(", ", parsed.GetValue(files)!)}: no picture is there");
            if (errors.Count > 0) shell.Status = 1;
        });
        return command;
    }

    private static void Sentences(Shell shell, TextModel model, string[] given, TextColumns columns)
    {
        var (items, names) = (new List<TextItem>(), new List<string>());
        var notes = DatasetNotes.None;
        foreach (var one in given)
        {
            if (one == "-")
            {
                for (var line = 1; Console.In.ReadLine() is { } read; line++)
                {
                    if (read.Trim().Length == 0) continue;
                    items.Add(new TextItem(read));
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
            else
            {
                items.Add(new TextItem(one));
                names.Add("");
            }
        }
        var clock = System.Diagnostics.Stopwatch.StartNew();
        var answered = model.Answer(items, items.Count < Many ? null : (done, total) =>
            shell.Progress(new ProgressReport("sentences", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = "sentences" }), shell.Stop);
        shell.Result(new
        {
            predictions = answered.Zip(names, (answer, name) => new { text = answer.File, from = name.Length > 0 ? name : null, answer = MetricsView.Json(answer) }),
            left_out = LeftOutView.Json(notes, []), notes = model.Notes,
        });
        if (shell.Json) return;
        foreach (var answer in answered) Console.Out.WriteLine(MetricsView.Line(answer));
        LeftOutView.Log(shell, notes, []);
        if (answered.Length == 0) throw new GraftException("no sentence is there: what comes in is empty");
    }
}
