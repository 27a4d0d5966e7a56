using System.CommandLine;
using Graft.Classification;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.MultiTask;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class EvaluateCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier: safetensors, .pth, .h5, .keras, .caffemodel, .onnx, TorchScript" };
        var data = new Argument<string>("DATA")
            { Description = "Labelled pictures or sentences: any dataset that train takes (its test part, else val, else train)" };
        var split = new Option<string?>("--split") { Description = "train, val or test", HelpName = "PART" };
        var asked = OptionBinder.Of<TrainOptions>("--device");
        var command = new Command("evaluate", """
            Measure a model on labelled pictures or sentences.

            Examples:
              graft evaluate runs/ants photos/test
              graft evaluate runs/ants photos/ --split val --json
              graft evaluate runs/reviews test.tsv --text document
              graft evaluate mnist.h5 mnist/ --scale 1/255
            """) { run, data, split, asked["--device"] };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        var columns = OptionBinder.Of<TextColumns>("--text", "--pair", "--label");
        columns.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var device = Bounds.Device(asked.Read(parsed, new TrainOptions { Data = "" }).Device);
            var path = parsed.GetValue(run)!;
            var given = input.Read(parsed, new InputOptions());
            using var model = MultiTaskModel.Is(path) ? MultiTaskModel.Open(path, device, given) : Answering.Open(path, given, device);
            foreach (var note in model.Notes) shell.Log(note);
            if (model.Card.Tasks is not null)
            {
                MultitaskEvaluation.Run(shell, model, parsed.GetValue(data)!, parsed.GetValue(split), columns.Read(parsed, new TextColumns()));
                return;
            }
            var set = model.Card.Open(parsed.GetValue(data)!, parsed.GetValue(split), columns.Read(parsed, new TextColumns()));
            if (set.IsText != model is TextModel)
                throw new GraftException($"{parsed.GetValue(data)} holds {set.Noun.Many}, and {parsed.GetValue(run)} {(set.IsText ? "sees pictures" : "reads sentences")}");
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var (judged, _, _, broken) = model.Judge(set,
                (done, total) => shell.Progress(new ProgressReport(set.Noun.Many, done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = set.Noun.Many }),
                shell.Stop);
            if (judged is not Metrics metrics)
            {
                shell.Result(MetricsView.Json(judged, set, broken, model.Notes));
                if (shell.Json) return;
                LeftOutView.Say(shell, set.Notes, broken);
                if (set.Part is { } whose) shell.Say($"The {whose} part:");
                MetricsView.Say(shell, judged, set.Noun);
                return;
            }
            shell.Result(new
            {
                accuracy = metrics.Accuracy, accuracy_interval = new[] { metrics.Low, metrics.High }, top5 = metrics.Top5,
                    balanced_accuracy = metrics.BalancedAccuracy, macro_f1 = metrics.MacroF1, loss = metrics.Loss,
                calibration_error = metrics.CalibrationError, images = metrics.Count, per_class = metrics.PerClass, confusion = metrics.Confusion,
                    errors = broken,
                part = set.Part, labelled = Labelled(set, metrics, broken), left_out = LeftOutView.Json(set.Notes, broken),
                    notes = model.Notes.Concat(set.Notes.Remarks),
            });
            if (shell.Json) return;
            shell.Table(["class", set.Noun.Many, "precision", "recall", "F1"],
                metrics.PerClass.Select(found =>
                new[] { found.Name, $"{found.Count}", $"{found.Precision:P1}", $"{found.Recall:P1}", $"{found.F1:0.000}" }), 1, 2, 3, 4);
            LeftOutView.Say(shell, set.Notes, broken);
            if (Lost(set, metrics, broken) is { } lost) shell.Say(lost);
            shell.Say($"{(set.Part is { } part ? $"The {part} part: " : "")}{metrics.Accuracy:P1} of {metrics.Count} {set.Noun.Many} are right (95% interval {metrics.Low:P1} to {metrics.High:P1}); balanced accuracy {metrics.BalancedAccuracy:P1}, macro F1 {metrics.MacroF1:0.000}, calibration error {metrics.CalibrationError:0.000}");
        });
        return command;
    }

    private static IEnumerable<LeftOut> Of(Dataset set, LeftOutKind kind) => set.Notes.LeftOut.Where(one => one.Kind == kind);

    private static int Labelled(Dataset set, Metrics metrics, IReadOnlyList<BrokenPicture> broken) =>
        metrics.Count + broken.Count + Of(set, LeftOutKind.ForeignClass).Concat(Of(set, LeftOutKind.MissingFile)).Sum(one => one.Pictures);

    /// <summary>Of how many labelled pictures the score does not speak; null: it speaks of all.</summary>
    private static string? Lost(Dataset set, Metrics metrics, IReadOnlyList<BrokenPicture> broken)
    {
        var (foreign, missing) = (Of(set, LeftOutKind.ForeignClass).ToArray(), Of(set, LeftOutKind.MissingFile).Count());
        var names = string.Join(", ", foreign.Take(5).Select(one => one.Name.Split('/')[^1]).Concat(foreign.Length > 5 ? ["…"] : []));
        string[] lost =
        [
            .. foreign.Length > 0 ? [$"{foreign.Sum(one => one.Pictures)} are of {(foreign.Length > 1 ? "classes" : "a class")} that the model does not have ({names})"] : (string[])[],
            .. missing > 0 ? [$"{missing} are named and not there"] : (string[])[],
            .. broken.Count > 0 ? [$"{broken.Count} cannot be read"] : (string[])[],
        ];
        var counts = set.CountsByClass();
        string[] unseen = [.. set.Classes.Where((_, c) => counts[c] > 0 && metrics.PerClass[c].Count == 0)];
        return lost.Length == 0 ? null : $"Of {Labelled(set, metrics, broken)} labelled {set.Noun.Many} {string.Join(", ", lost)}: left out."
            + (unseen.Length > 0 ? $" None of {string.Join(", ", unseen)} can be read: the accuracy says nothing of {(unseen.Length > 1 ? "them" : "it")}." : "");
    }
}
