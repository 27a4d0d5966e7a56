using System.CommandLine;
using Graft.Cli.Commands;
using Graft.Inference;

namespace Graft.Cli;

internal static class Program
{
    // Nearly all that these do needs libtorch; those below only run what is finished.
    private static readonly string[] s_needTorch = ["train", "pretrain", "advise", "compare", "quickstart", "export", "graft", "fewshot", "multitask"];

    private static readonly string[] s_answer = ["predict", "evaluate", "serve"], s_compare = ["classify", "verify"], s_ask = ["query"];

    public static int Main(string[] args)
    {
        StandardStream.Use();
        AppDomain.CurrentDomain.UnhandledException += (_, thrown) => Environment.Exit(Shell.Failed((Exception)thrown.ExceptionObject));
        try
        {
            return Run(args);
        }
#pragma warning disable CA1031 // whatever it is, a person reads one sentence
        catch (Exception reason)
#pragma warning restore CA1031
        {
            return Shell.Failed(reason);
        }
    }

    private static int Run(string[] args)
    {
        if (args.Length > 1 && !args.Contains("--help")) Preload(args[0], args[1]);
        var root = Root();
        NumberOptions.ReadAlike(root);
        // A file may be called @x: it holds no further words.
        var words = new ParserConfiguration { ResponseFileTokenReplacer = null };
        var parsed = root.Parse(args, words);
        if (Usage.IsGroupAlone(parsed)) parsed = root.Parse([.. args, "--help"], words);
        var errors = Usage.Errors(parsed, args);
        if (errors.Length > 0) return Shell.Misused(errors, [.. Usage.Path(parsed.CommandResult), "--help"], args.Contains("--json"));
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static void Preload(string command, string next)
    {
        if (s_answer.Contains(command) || (command == "fewshot" && s_compare.Contains(next)) || (command == "search"
            && s_ask.Contains(next))) OnnxEnvironment.Preload();
        else if (s_needTorch.Contains(command)) Torch.TorchLibrary.Preload();
    }

    /// <summary>All commands.</summary>
    internal static RootCommand Root() => new("""
        Transfer learning for .NET: from a folder of pictures to a model that works.

        Examples:
          graft quickstart
          graft train photos/ --weights mobilenet_v2.safetensors
          graft predict runs/LAST picture.jpg
        """)
    {
        QuickstartCommand.Create(), TrainCommand.Create(), PretrainCommand.Create(), EvaluateCommand.Create(), PredictCommand.Create(), AdviseCommand.Create(),
            CompareCommand.Create(),
        DataCommand.Create(), ModelsCommand.Create(), GraftCommand.Create(), ExportCommand.Create(), ServeCommand.Create(), FewshotCommand.Create(),
            MultitaskCommand.Create(), SearchCommand.Create(), WordsCommand.Create(),
            CacheCommand.Create(), ReportCommand.Create(), ReproduceCommand.Create(), PretrainShapesCommand.Create(),
    };
}
