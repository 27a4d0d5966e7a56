using System.CommandLine;
using Graft.Learning;
using Graft.Quickstart;

namespace Graft.Cli.Commands;

internal static class PretrainShapesCommand
{
    public static Command Create()
    {
        var output = new Option<string>("--out") { Description = "The checkpoint to write", DefaultValueFactory = _ => Path.Combine("src", "Graft", "Models", "Hub", "Assets", "shapes.safetensors"), HelpName = "FILE" };
        var seed = new Option<long>("--seed") { Description = "Of the pictures and the training", HelpName = "N" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var command = new Command("pretrain-shapes", """
            Make the quickstart's upstream checkpoint again, from drawn pictures (a minute or two).

            Example:
              graft pretrain-shapes --out shapes.safetensors
            """) { output, overwrite, seed };
        Shell.Handle(command, (shell, parsed) =>
        {
            var path = parsed.GetValue(output)!;
            OutputFile.Check(path, parsed.GetValue(overwrite));
            var accuracy = ShapePretraining.Run(path, parsed.GetValue(seed), epoch => shell.Log($"epoch {epoch.Epoch}: loss {epoch.Loss:0.000}, held out {epoch.ValidationAccuracy:P1}"), shell.Progress);
            shell.Result(new { path, accuracy, bytes = new FileInfo(path).Length });
            if (!shell.Json) shell.Say($"{path}: {new FileInfo(path).Length / 1024} KB, right on {accuracy:P1} of held-out upstream pictures");
        });
        return command;
    }
}
