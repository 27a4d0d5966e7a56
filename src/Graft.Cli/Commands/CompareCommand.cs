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
        var upstreams = new Option<string[]>("--weights")
        {
            Description = "The pretrained network; of several the upstreams are compared, scratch among them if it is named", HelpName = "FILE…",
            AllowMultipleArgumentsPerToken = true,
        };
        var labels = new Option<string?>("--labels-per-class") { Description = "Of several upstreams: compare with so many labels of each class, with commas (default: all)", HelpName = "LIST" };
        var asked = OptionBinder.Of<TrainOptions>([.. TrainArguments.Names.Where(name => name != "--weights"), "--out", "--overwrite", "--epochs"])
            .Says("--out", "The folder of the runs", "DIR")
            .Says("--overwrite", "Replace runs that are in the folder of --out, which is otherwise left as it is").After("--size", strategies, seeds, upstreams, labels);
        var command = new Command("compare", """
            Run strategies on the same split and seeds, and say whether the advisor was right; or compare upstreams by the number of labels.

            Examples:
              graft compare photos/ --weights mobilenet_v2.safetensors
              graft compare photos/ --weights mobilenet_v2.safetensors --strategies feature,gradual --seeds 5
              graft compare photos/ --weights runs/own resnet18-imagenet scratch --labels-per-class 5,20,100 --seeds 5
            """) { OptionBinder<TrainOptions>.Argument("DATA") };
        asked.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new TrainOptions { Data = "" });
            var from = parsed.GetValue(upstreams) ?? [];
            if (from.Length > 1)
            {
                Upstreams(shell, options, from, parsed.GetValue(labels), parsed.GetResult(strategies) is { Implicit: false } ? parsed.GetValue(strategies)! : "feature",
                    parsed.GetValue(seeds));
                return;
            }
            if (parsed.GetValue(labels) is not null) throw Bounds.Refuse("--labels-per-class is for several --weights, which are compared by it");
            options = options with { Weights = from.FirstOrDefault() };
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

    private static void Upstreams(Shell shell, TrainOptions options, string[] from, string? labels, string strategies, int seeds)
    {
        int?[] numbers = labels is null ? [null] : [.. labels.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Select(text => (int?)(int.TryParse(text, out var n) && n > 0 ? n : throw Bounds.Refuse($"--labels-per-class {labels}: whole numbers above 0, with commas")))];
        string[] named = [.. strategies.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
        var result = UpstreamComparison.Run(options, from, named, numbers, seeds, given => TrainArguments.NewTask(given, shell), shell.Log);
        shell.Result(new { table = result.Table, verdict = result.Verdict, chart = result.Chart });
        if (shell.Json) return;
        shell.Table(["labels of each class", "upstream", "strategy", "accuracy", "95% interval"], result.Table.Select(row => new[]
        {
            row.PerClass is { } n ? $"{n}" : "all", row.Upstream, row.Strategy, $"{row.Accuracy:P1}", $"{row.Low:P1} to {row.High:P1}",
        }), 0, 3, 4);
        foreach (var line in result.Verdict) shell.Say(line);
        if (result.Chart is not null) shell.Say($"Chart: {result.Chart}");
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
