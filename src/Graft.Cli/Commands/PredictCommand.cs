using System.CommandLine;
using Graft.Classification;
using Graft.Data;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;

namespace Graft.Cli.Commands;

internal static class PredictCommand
{
    // Fewer are done before anybody looks.
    private const int Many = 100;

    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier" };
        var files = new Argument<string[]>("FILE") { Description = "Pictures, or folders of pictures", Arity = ArgumentArity.OneOrMore };
        var command = new Command("predict", """
            Say what is in pictures. What can be read is answered; the exit status is 1 when a picture could not be.

            Examples:
              graft predict runs/ants picture.jpg
              graft predict runs/ants new-photos/ --json
              graft predict mobilenet_v2.safetensors picture.jpg --labels imagenet.txt
            """) { run, files };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            using var model = Answering.Open(parsed.GetValue(run)!, input.Read(parsed, new InputOptions()));
            foreach (var note in model.Notes) shell.Log(note);
            var predictions = new List<Prediction>();
            var errors = new List<BrokenPicture>();
            var given = parsed.GetValue(files)!.Select(PictureFiles.Below).ToArray();
            var notes = given.Aggregate(DatasetNotes.None, (all, one) => all.With(one.Notes));
            string[] all = [.. given.SelectMany(one => one.Files)];
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
}
