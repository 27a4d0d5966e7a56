using System.CommandLine;
using Graft.Learning;
using Graft.MultiTask;

namespace Graft.Cli.Commands;

internal static class MultitaskCommand
{
    public static Command Create()
    {
        var resume = new Option<string?>("--resume")
            { Description = "Go on with a run that was stopped or killed, with the options that it began with: no others beside it",
                HelpName = "RUN" };
        var asked = OptionBinder.Of<MultiTaskOptions>().Without("--labels", "--label").After("--out", resume);
        var command = new Command("multitask", """
            Train one network on several tasks at once, from a table with a column for each; and say what they do to one another.

            Examples:
              graft multitask shapes.csv
              graft multitask films.csv --weights mobilenet_v2 --targets genre:labels,year --weighting uncertainty
              graft multitask photos.csv --weights resnet18-imagenet --weighting pcgrad --architecture mmoe --fine-tune 1 --out runs/photos
              graft multitask reviews.csv --weights all-minilm-l6-v2 --weighting famo --no-baselines
              graft multitask --resume runs/photos
            """) { OptionBinder<MultiTaskOptions>.Argument("DATA") };
        asked.AddTo(command);
        Shell.Alone(command, resume);
        Shell.Handle(command, (shell, parsed) =>
        {
            var resumed = parsed.GetValue(resume);
            var options = resumed is not null ? MultiTaskTraining.OptionsOf(resumed) : asked.Read(parsed, new MultiTaskOptions());
            var result = new MultiTaskTraining(options) { Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop }
                .Run(resume: resumed is not null);
            shell.Result(new
            {
                run = result.Run, weighting = result.Weighting, tasks = result.Tasks.Select(task => new { task.Name, task.Kind, names = task.Names }),
                table = result.Table, cosines = result.Cosines, negative_transfer = result.NegativeTransfer, train_items = result.TrainItems,
                    held_out = result.HeldOut,
                seconds = result.Seconds, errors = result.Broken, left_out = LeftOutView.Json(result.DataNotes, result.Broken), notes = result.Notes,
                    report = result.Report,
            });
            if (!shell.Json) Show(shell, result);
        });
        return command;
    }

    private static void Show(Shell shell, MultiTaskResult result)
    {
        LeftOutView.Say(shell, result.DataNotes, result.Broken);
        var headers = MultiTaskView.Headers(result);
        shell.Table(headers, MultiTaskView.Rows(result), [.. Enumerable.Range(2, headers.Length - 2)]);
        shell.Say("Mean cosine between the tasks' gradients, over the training:");
        shell.Table(["", .. result.Tasks.Select(task => task.Name)], MultiTaskView.CosineRows(result), [.. Enumerable.Range(1, result.Tasks.Count)]);
        foreach (var sentence in result.NegativeTransfer) shell.Say(sentence);
        var items = result.IsText ? "sentences" : "pictures";
        shell.Say($"{result.TrainItems} {items} to learn from, {result.HeldOut} held out; {result.Seconds:0.0} s");
        shell.Say($"Model:   {Path.Combine(result.Run, RunFolder.Model)}");
        if (result.Report is not null) shell.Say($"Report:  {result.Report}");
        shell.Say($"Predict: {NextCommand.Of("predict", Path.GetRelativePath(Directory.GetCurrentDirectory(), result.Run))} "
            + $"{(result.IsText ? "\"SENTENCE\"…" : "PICTURE…")}");
    }
}
