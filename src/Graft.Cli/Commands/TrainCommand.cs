using System.CommandLine;
using Graft.Classification;
using Graft.Heads;
using Graft.Inference;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class TrainCommand
{
    public static Command Create()
    {
        var resume = new Option<string?>("--resume")
            { Description = "Go on with a run that was stopped or killed, with the options that it began with: no others beside it",
            HelpName = "RUN" };
        var asked = OptionBinder.Of<TrainOptions>().Without("--labels").After("--out", resume);
        asked["--plan"].Arity = ArgumentArity.ZeroOrOne;
        var command = new Command("train", """
            Train a classifier on a folder of pictures or a table of sentences; or, from a CSV, a model of several labels or of numbers.

            Examples:
              graft train photos/ --weights mobilenet_v2.safetensors
              graft train photos/ --weights mobilenet_v2.safetensors --strategy head-then-full --out runs/ants
              graft train photos/ --weights mobilenet_v2.safetensors --plan > plan.json
              graft train photos/ --weights mobilenet_v2.safetensors --plan plan.json
              graft train films.csv --weights mobilenet_v2.safetensors
              graft train reviews.tsv --weights all-minilm-l6-v2
              graft train reviews.tsv --text document --label sentiment --strategy head-then-full
              graft train few.tsv --weights all-minilm-l6-v2 --strategy setfit
              graft train pairs.tsv --weights all-minilm-l6-v2 --task similarity
              graft train --resume runs/ants
            """) { OptionBinder<TrainOptions>.Argument("DATA") };
        asked.AddTo(command);
        Shell.Alone(command, resume);
        Shell.Handle(command, (shell, parsed) =>
        {
            var resumed = parsed.GetValue(resume);
            var options = resumed is not null ? TransferTask.OptionsOf(resumed) : asked.Read(parsed, new TrainOptions { Data = "" });
            bool Given(string name) => parsed.GetResult(asked[name]) is { Implicit: false };
            if (options.PlanFile is not null && resumed is null && (Given("--strategy") || Given("--head"))) throw TrainOptions.BesidePlan();
            var task = TrainArguments.NewTask(options, shell);
            if (Given("--plan") && options.PlanFile is null)
            {
                var (train, _, splits) = TransferTask.OpenData(options);
                var (backbone, _) = TransferTask.OpenBackbone(options, train);
                TransferTask.RequireMatch(backbone, train, options);
                var (made, advice) = task.MakePlan(backbone, train);
                LeftOutView.Log(shell, splits.Notes, advice?.Broken ?? []);
                Console.Out.WriteLine(made.ToJson());
                return;
            }
            var result = task.Run(resume: resumed is not null);
            if (result.Judged is not Metrics)
            {
                shell.Result(MetricsView.Json(result));
                if (!shell.Json) Show(shell, result);
                return;
            }
            shell.Result(new
            {
                run = result.Run, strategy = result.Strategy, classes = result.Classes, train_images = result.TrainImages,
                    val_images = result.ValImages, accuracy = Judged(result, result.Accuracy), seconds = result.Seconds,
                accuracy_interval = new[] { result.Metrics.Low, result.Metrics.High },
                    balanced_accuracy = Judged(result, result.Metrics.BalancedAccuracy), macro_f1 = Judged(result, result.Metrics.MacroF1),
                    top5 = Judged(result, result.Metrics.Top5),
                calibration_error = Judged(result, result.Metrics.CalibrationError), trainable_parameters = result.TrainableParameters,
                    errors = result.Broken, notes = result.Notes, left_out = LeftOutView.Json(result.DataNotes, result.Broken),
                    report = result.Report,
                advice = result.Advice is { } found ? new { found.Strategy, found.Quadrant, found.Reasons } : null,
            });
            if (shell.Json) return;
            Show(shell, result);
        });
        return command;
    }

    // With nothing held out there is no figure, and 0 would be a wrong one.
    private static double? Judged(TrainResult result, double value) => result.Metrics.Count > 0 ? value : null;

    private static void Show(Shell shell, TrainResult result)
    {
        foreach (var reason in result.Plan.Reasons) shell.Say($"  {reason}");
        shell.Say();
        LeftOutView.Say(shell, result.DataNotes, result.Broken);
        if (result.Judged is not Metrics)
        {
            if (result.Judged.Count > 0) MetricsView.Say(shell, result.Judged, result.Noun);
            else shell.Say($"Nothing was held out to judge it by: give such {result.Noun.Many} with --val");
            shell.Say($"Strategy {result.Strategy}, {result.Seconds:0.0} s");
            Next(shell, result);
            return;
        }
        string[] unseen = [.. result.Metrics.PerClass.Where(found => found.Count == 0).Select(found => found.Name)];
        if (unseen.Length > 0 && result.Metrics.Count > 0) shell.Say($"No held-out {result.Noun.One} is of {string.Join(", ", unseen.Take(10))}{(unseen.Length > 10 ? ", …" : "")}: the accuracy says nothing of {(unseen.Length > 1 ? "them" : "it")}");
        shell.Say(result.Metrics.Count == 0
            ? $"Trained, strategy {result.Strategy}, {result.Seconds:0.0} s; nothing was held out to judge it by: give such {result.Noun.Many} with --val DIR"
            : $"{result.Metrics.Accuracy:P1} of {result.Metrics.Count} held-out {result.Noun.Many} are right (95% interval {result.Metrics.Low:P1} to {result.Metrics.High:P1}); strategy {result.Strategy}, {result.Seconds:0.0} s");
        Next(shell, result);
    }

    private static void Next(Shell shell, TrainResult result)
    {
        shell.Say($"Model:   {Path.Combine(result.Run, Classifier.FileName)}");
        if (result.Report is not null) shell.Say($"Report:  {result.Report}");
        shell.Say($"Predict: {NextCommand.Of("predict", Path.GetRelativePath(Directory.GetCurrentDirectory(), result.Run))} {(result.Plan.Head == HeadKind.Cosine ? "\"TEXT\" \"TEXT\"" : result.IsText ? "\"SENTENCE\"…" : "PICTURE…")}");
    }
}
