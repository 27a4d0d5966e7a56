using System.CommandLine;
using System.Diagnostics;
using Graft.Learning;
using Graft.Quickstart;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class QuickstartCommand
{
    private const int Train = 10, Validation = 50;

    public static Command Create()
    {
        var asked = OptionBinder.Of<TrainOptions>("--out", "--overwrite", "--seed")
            .Says("--out", "Where pictures and runs go (default: runs/quickstart- and the time)", "DIR")
            .Says("--overwrite", "Replace the pictures and runs of an earlier quickstart in the folder of --out, which is otherwise left as it is")
            .Says("--seed", "Of the pictures and the training");
        var command = new Command("quickstart", """
            See transfer learning work in a minute, with nothing but this program.

            Draws a small world of shapes, takes a backbone that was pretrained on other shapes, adapts it to six new
            classes of ten pictures each, and compares training from scratch, frozen features and fine-tuning.

            Example:
              graft quickstart
            """);
        asked.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var clock = Stopwatch.StartNew();
            var options = asked.Read(parsed, new TrainOptions { Data = "" });
            var root = Path.GetFullPath(options.Out ?? RunFolder.New("quickstart-"));
            RunFolder.Check(root, options.Overwrite);
            // Every quickstart draws as many pictures under the same names.
            var data = Path.Combine(root, "shapes");
            shell.Log($"Drawing {ShapeWorld.Downstream.Count} classes of {Train} pictures each (and {Validation} to judge by): {string.Join(", ", ShapeWorld.Downstream)}");
            ShapeWorld.Write(Path.Combine(data, "train"), ShapeWorld.Downstream, Train, 1000 + options.Seed);
            ShapeWorld.Write(Path.Combine(data, "val"), ShapeWorld.Downstream, Validation, 2000 + options.Seed);
            options = options with { Data = data, Out = Path.Combine(root, "compare") };
            var result = Comparison.Run(options, ["scratch", "feature", "head-then-full"], 1,
                given => new TransferTask(given) { Progress = shell.Progress, Cancel = shell.Stop }, shell.Log);
            var report = Path.Combine(options.Out!, $"{result.Advice.Strategy.Replace(':', '-')}-{options.Seed}", "report.html");
            shell.Result(new { table = result.Table, verdict = result.Verdict, report, seconds = clock.Elapsed.TotalSeconds });
            if (shell.Json) return;
            foreach (var reason in result.Advice.Reasons) shell.Say($"  {reason}");
            CompareCommand.Show(shell, result);
            shell.Say($"""

                Report: {report}
                It took {clock.Elapsed.TotalSeconds:0} s.

                Next, your own photographs, each class in a folder of its own:
                  {NextCommand.Of("data", "inspect", "photos/")}
                  {NextCommand.Of("models", "pull", "resnet18-imagenet")}
                  {NextCommand.Of("train", "photos/", "--weights", "resnet18-imagenet")}
                (The second fetches a network that was trained on ImageNet; a file of one that you have serves as well.)
                """);
        });
        return command;
    }
}
