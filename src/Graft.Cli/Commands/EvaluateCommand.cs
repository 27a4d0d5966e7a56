using System.CommandLine;
using Graft.Data;
using Graft.Training;

namespace Graft.Cli.Commands;

internal static class EvaluateCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier: safetensors, .pth, .h5, .keras, .caffemodel, .onnx, TorchScript" };
        var data = new Argument<string>("DATA") { Description = "Labelled pictures: class folders, or any dataset that train takes (its test part, else val, else train)" };
        var split = new Option<string?>("--split") { Description = "train, val or test", HelpName = "PART" };
        var device = new Option<string>("--device") { Description = "cpu or cuda:0", DefaultValueFactory = _ => "cpu" };
        var command = new Command("evaluate", """
            Measure a model on labelled pictures.

            Examples:
              graft evaluate runs/ants photos/test
              graft evaluate runs/ants photos/ --split val --json
              graft evaluate mnist.h5 mnist/ --scale 1/255
            """) { run, data, split, device };
        var input = new InputArguments();
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            using var model = Classifier.Open(parsed.GetValue(run)!, input.Read(parsed));
            foreach (var note in model.Notes) shell.Log(note);
            var set = model.Open(parsed.GetValue(data)!, parsed.GetValue(split));
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var (metrics, _, _, broken) = model.Evaluate(set, Torch.Device.Parse(parsed.GetValue(device)!), (done, total) => shell.Progress(new ProgressReport("pictures", done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds))), shell.Stop);
            shell.Result(new
            {
                accuracy = metrics.Accuracy, accuracy_interval = new[] { metrics.Low, metrics.High }, top5 = metrics.Top5, balanced_accuracy = metrics.BalancedAccuracy, macro_f1 = metrics.MacroF1, loss = metrics.Loss,
                calibration_error = metrics.CalibrationError, images = metrics.Count, per_class = metrics.PerClass, confusion = metrics.Confusion, errors = broken, notes = model.Notes,
            });
            if (shell.Json) return;
            shell.Table(["class", "pictures", "precision", "recall", "F1"], metrics.PerClass.Select(found => new[] { found.Name, $"{found.Count}", $"{found.Precision:P1}", $"{found.Recall:P1}", $"{found.F1:0.000}" }), 1, 2, 3, 4);
            foreach (var picture in broken) shell.Say($"Left out: {picture.File}: {picture.Error}");
            shell.Say($"{metrics.Accuracy:P1} of {metrics.Count} pictures are right (95% interval {metrics.Low:P1} to {metrics.High:P1}); balanced accuracy {metrics.BalancedAccuracy:P1}, macro F1 {metrics.MacroF1:0.000}, calibration error {metrics.CalibrationError:0.000}");
        });
        return command;
    }
}
