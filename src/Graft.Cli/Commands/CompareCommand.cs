using System.CommandLine;
using Graft.Transfer;

namespace Graft.Cli.Commands;

internal static class CompareCommand
{
    public static Command Create()
    {
        var strategies = new Option<string>("--strategies") { Description = "Which to compare, with commas",
            DefaultValueFactory = _ => "scratch,feature,partial:2,head-then-full,gradual,full", HelpName = "LIST" };
        var seeds = new Option<int>("--seeds") { Description = "Runs of each strategy", DefaultValueFactory = _ => 1, HelpName = "N" };
        var asked = OptionBinder.Of<TrainOptions>([.. TrainArguments.Names, "--out", "--overwrite", "--epochs"])
            .Says("--out", "The folder of the runs", "DIR")
            .Says("--overwrite", "Replace runs that are in the folder of --out, which is otherwise left as it is").After("--size", strategies, seeds);
        var command = new Command("compare", """
            Run strategies on the same split and seeds, and say whether the advisor was right.

            Examples:
              graft compare photos/ --weights mobilenet_v2.safetensors
              graft compare photos/ --weights mobilenet_v2.safetensors --strategies feature,gradual --seeds 5
            """) { OptionBinder<TrainOptions>.Argument("DATA") };
        asked.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new TrainOptions { Data = "" });
            var result = Comparison.Run(options,
                parsed.GetValue(strategies)!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
                parsed.GetValue(seeds), given => TrainArguments.NewTask(given, shell), shell.Log);
            shell.Result(new { table = result.Table, advice = new { result.Advice.Strategy, result.Advice.Quadrant, result.Advice.Reasons },
                advice_was_right = result.AdviceWasRight, verdict = result.Verdict, left_out = LeftOutView.Json(result.DataNotes, []),
                notes = result.DataNotes.Remarks });
            if (!shell.Json) Show(shell, result);
        });
        return command;
    }

    public static void Show(Shell shell, ComparisonResult result)
    {
        string Said(double value) => result.Task == Data.TargetKind.Classes ? $"{value:P1}" : $"{value:0.000}";
        shell.Table(["strategy", result.Task == Data.TargetKind.Classes ? "accuracy" : result.Task == Data.TargetKind.Labels ? "mAP"
            : "R²", "95% interval", "seconds", "trainable parameters", "p against the best"],
            result.Table.Select(row => new[] { row.Strategy + (row.Strategy == result.Advice.Strategy ? " (advised)" : ""), Said(row.Accuracy), $"{Said(row.Low)} to {Said(row.High)}", $"{row.Seconds:0.0}", $"{row.TrainableParameters:N0}", $"{row.PValue:0.000}" }), 1, 2, 3, 4, 5);
        LeftOutView.Say(shell, result.DataNotes, []);
        shell.Say(result.Verdict);
    }
}
