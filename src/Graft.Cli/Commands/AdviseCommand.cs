using System.CommandLine;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class AdviseCommand
{
    public static Command Create()
    {
        var asked = OptionBinder.Of<TrainOptions>(TrainArguments.Names);
        var command = new Command("advise", """
            Measure which strategy would serve a dataset best, and say why.

            Example:
              graft advise photos/ --weights mobilenet_v2.safetensors
            """) { OptionBinder<TrainOptions>.Argument("DATA") };
        asked.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new TrainOptions { Data = "" });
            var (train, _, splits) = TransferTask.OpenData(options);
            var (backbone, notes) = TransferTask.OpenBackbone(options, train);
            foreach (var note in notes) shell.Log(note);
            TransferTask.RequireMatch(backbone, train, options);
            var (plan, advice) = TrainArguments.NewTask(options, shell).MakePlan(backbone, train);
            shell.Result(new { advice!.Strategy, advice.Quadrant, advice.Reasons, advice.Evidence, plan,
                left_out = LeftOutView.Json(splits.Notes, advice.Broken), notes = splits.Notes.Remarks });
            if (shell.Json) return;
            LeftOutView.Say(shell, splits.Notes, advice.Broken);
            Show(shell, advice);
            shell.Say($"Next: {NextCommand.Of(["train", options.Data, .. options.Weights is { } weights ? ["--weights", weights] : Array.Empty<string>()])}");
        });
        return command;
    }

    public static void Show(Shell shell, Advice advice)
    {
        shell.Table(["stage", "features", $"held-out {(advice.Evidence.Task == Data.TargetKind.Classes ? "accuracy" : advice.Evidence.Task == Data.TargetKind.Labels ? "mAP" : "R²")} of a linear probe"], advice.Evidence.Probes.Select(probe => new[] { probe.Stage, $"{probe.Features}", double.IsNaN(probe.Accuracy) ? "not measured" : advice.Evidence.Task == Data.TargetKind.Classes ? $"{probe.Accuracy:P1} ± {1.96 * probe.StandardError:P1}" : $"{probe.Accuracy:0.000} ± {1.96 * probe.StandardError:0.000}" }), 1, 2);
        shell.Say($"Quadrant: {advice.Quadrant}");
        foreach (var reason in advice.Reasons) shell.Say($"  {reason}");
        shell.Say($"Recommended: --strategy {advice.Strategy}");
    }
}
