using System.CommandLine;
using Graft.Cli.Commands;

namespace Graft.Cli;

internal static class Program
{
    // Nearly all that these do needs libtorch.
    private static readonly string[] s_needTorch = ["predict", "train", "evaluate", "advise", "compare", "quickstart", "export", "serve", "graft", "fewshot"];

    public static Task<int> Main(string[] args)
    {
        if (args.Length > 1 && s_needTorch.Contains(args[0]) && !args.Contains("--help")) Torch.TorchLibrary.Preload();
        var root = new RootCommand("""
            Transfer learning for .NET: from a folder of pictures to a model that works.

            Examples:
              graft quickstart
              graft train photos/ --weights mobilenet_v2.safetensors
              graft predict runs/LAST picture.jpg
            """)
        {
            QuickstartCommand.Create(), TrainCommand.Create(), EvaluateCommand.Create(), PredictCommand.Create(), AdviseCommand.Create(), CompareCommand.Create(),
            DataCommand.Create(), ModelsCommand.Create(), GraftCommand.Create(), ExportCommand.Create(), ServeCommand.Create(), FewshotCommand.Create(), CacheCommand.Create(), ReportCommand.Create(), ReproduceCommand.Create(), PretrainShapesCommand.Create(),
        };
        NumberOptions.ReadAlike(root);
        var parsed = root.Parse(args);
        // An option that does not exist would otherwise be taken for a file's name.
        var options = parsed.CommandResult.Command.Options.Concat(root.Options).SelectMany(option => option.Aliases.Append(option.Name)).ToHashSet();
        string[] errors = [.. parsed.Errors.Select(error => error.Message), .. args.TakeWhile(word => word != "--").Where(word => word.StartsWith("--", StringComparison.Ordinal)).Select(word => word.Split('=')[0]).Where(word => !options.Contains(word)).Select(word => $"there is no option {word}")];
        if (errors.Length > 0)
        {
            foreach (var error in errors) Console.Error.WriteLine($"graft: {error}");
            var command = string.Join(' ', args.TakeWhile(word => !word.StartsWith('-')).Where(word => root.Subcommands.Any(found => found.Name == word)).Take(1));
            Console.Error.WriteLine($"graft: see graft {command}{(command.Length > 0 ? " " : "")}--help");
            return Task.FromResult(2);
        }
        return parsed.InvokeAsync();
    }
}
