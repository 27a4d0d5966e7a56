using System.CommandLine;
using Graft.Classification;
using Graft.Features;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class ReportCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder" };
        var command = new Command("report", """
            Write a run's report.html anew.

            Example:
              graft report runs/ants
            """) { run };
        Shell.Handle(command, (shell, parsed) =>
        {
            var folder = Path.GetFullPath(parsed.GetValue(run)!);
            var record = RunRecord.Read(folder);
            using var model = Classifier.Load(folder);
            var (train, validation, splits) = TransferTask.OpenData(record.Options);
            var path = Path.Combine(folder, "report.html");
            AtomicFile.WriteText(path, new ReportBuilder(record, model, train, validation, FeatureCache.Default()).Build());
            shell.Result(new { report = path, left_out = LeftOutView.Json(splits.Notes, record.Broken) });
            if (shell.Json) return;
            LeftOutView.Say(shell, splits.Notes, record.Broken);
            shell.Say(path);
        });
        return command;
    }
}
