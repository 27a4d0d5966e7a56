using System.CommandLine;
using Graft.Cli.Commands;

namespace Graft.Cli;

internal static class Program
{
    public static Task<int> Main(string[] args)
    {
        var root = new RootCommand("""
            Transfer learning for .NET: from a folder of pictures to a model that works.

            Examples:
              graft quickstart
              graft train photos/ --weights mobilenet_v2.safetensors
              graft predict runs/LAST picture.jpg
            """)
        {
            QuickstartCommand.Create(), TrainCommand.Create(), EvaluateCommand.Create(), PredictCommand.Create(), AdviseCommand.Create(), CompareCommand.Create(),
            DataCommand.Create(), ModelsCommand.Create(), CacheCommand.Create(), ReportCommand.Create(), ReproduceCommand.Create(), PretrainShapesCommand.Create(),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors) Console.Error.WriteLine($"graft: {error.Message}");
            var command = string.Join(' ', args.TakeWhile(word => !word.StartsWith('-')).Where(word => root.Subcommands.Any(found => found.Name == word)).Take(1));
            Console.Error.WriteLine($"graft: see graft {command}{(command.Length > 0 ? " " : "")}--help");
            return Task.FromResult(2);
        }
        return parsed.InvokeAsync();
    }
}
