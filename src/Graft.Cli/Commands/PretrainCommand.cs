using System.CommandLine;
using Graft.Learning;
using Graft.Pretraining;

namespace Graft.Cli.Commands;

internal static class PretrainCommand
{
    public static Command Create()
    {
        var resume = new Option<string?>("--resume")
            { Description = "Go on with a run that was stopped or killed, with the options that it began with: no others beside it", HelpName = "RUN" };
        var plan = new Option<bool>("--plan") { Description = "Print what would be done and how long it takes here, and stop" };
        var methods = new Option<bool>("--methods") { Description = "List the methods, and stop" };
        var asked = OptionBinder.Of<PretrainOptions>().Without("--labels").After("--out", resume);
        var data = OptionBinder<PretrainOptions>.Argument("DATA");
        var command = new Command("pretrain", """
            Make a pretrained network of pictures, or sentences, that have no labels: what it ends with is given to train with --weights.

            Examples:
              graft pretrain --methods
              graft pretrain photos/ --plan
              graft pretrain photos/ --method simclr --epochs 50 --out runs/own
              graft pretrain photos/ --weights resnet18-imagenet --hours 2
              graft pretrain reviews.txt --method mlm --out runs/own
              graft train labelled/ --weights runs/own
              graft pretrain --resume runs/own
            """) { data, plan, methods };
        asked.AddTo(command);
        Shell.Alone(command, resume);
        Shell.Handle(command, (shell, parsed) =>
        {
            if (parsed.GetValue(methods))
            {
                Methods(shell);
                return;
            }
            var resumed = parsed.GetValue(resume);
            var options = resumed is not null ? PretrainTask.OptionsOf(resumed) : asked.Read(parsed, new PretrainOptions());
            var task = new PretrainTask(options) { Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop };
            if (parsed.GetValue(plan))
            {
                Plan(shell, task.Plan());
                return;
            }
            var result = task.Run(resume: resumed is not null);
            shell.Result(new
            {
                run = result.Run, method = result.Method, architecture = result.Architecture, items = result.Items, epochs = result.Epochs, loss = result.Loss,
                neighbours_before = result.NeighboursBefore, neighbours = result.Neighbours, linear_before = result.LinearBefore, linear = result.Linear,
                seconds = result.Seconds, errors = result.Broken, notes = result.Notes, left_out = LeftOutView.Json(result.DataNotes, result.Broken),
                report = result.Report,
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, result.DataNotes, result.Broken);
            if (result.Neighbours is { } knn)
                shell.Say($"Held out, by the nearest neighbours {knn:P1} are right (before: {result.NeighboursBefore:P1}), by a linear head {result.Linear:P1} (before: {result.LinearBefore:P1})");
            shell.Say($"Pretrained {result.Architecture} by {result.Method}: {result.Epochs} epochs, {result.Seconds:0.0} s");
            shell.Say($"Model:   {Path.Combine(result.Run, RunFolder.Model)}");
            if (result.Report is not null) shell.Say($"Report:  {result.Report}");
            shell.Say($"Use it:  {NextCommand.Of("train")} DATA --weights {NextCommand.Quoted(Path.GetRelativePath(Directory.GetCurrentDirectory(), result.Run))}");
        });
        return command;
    }

    private static void Methods(Shell shell)
    {
        shell.Result(new { methods = PretrainTask.Methods.Select(method => new { name = method.Name, summary = method.Summary, of = method.IsForText ? "sentences" : "pictures" }) });
        if (!shell.Json) shell.Table(["method", "of", "what it does"], PretrainTask.Methods.Select(method => new[] { method.Name, method.IsForText ? "sentences" : "pictures", method.Summary }));
    }

    private static void Plan(Shell shell, PretrainPlan plan)
    {
        shell.Result(plan);
        if (shell.Json) return;
        shell.Say($"{plan.Method}: {plan.Summary}");
        shell.Say($"Network: {plan.Architecture}, {plan.Parameters:N0} parameters");
        shell.Say($"Data:    {plan.Items:N0} items");
        foreach (var view in plan.Views) shell.Say($"View:    {view}");
        foreach (var phase in plan.Phases) shell.Say($"Phase:   {phase.Name}, {phase.Epochs} epochs of {phase.Steps / Math.Max(1, phase.Epochs)} steps");
        shell.Say($"Time:    some {Time(plan.Seconds)} on this machine ({plan.SecondsPerStep:0.00} s a step), looks aside");
    }

    private static string Time(double seconds) => seconds < 90 ? $"{seconds:0} seconds" : seconds < 5400 ? $"{seconds / 60:0} minutes" : $"{seconds / 3600:0.0} hours";
}
