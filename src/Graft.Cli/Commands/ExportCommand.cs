using System.CommandLine;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Learning;
using Graft.Models;

namespace Graft.Cli.Commands;

internal static class ExportCommand
{
    private static readonly Dictionary<string, (ExportFormat Format, string Extension)> s_formats = new()
    {
        ["onnx"] = (ExportFormat.Onnx, ".onnx"), ["torchscript"] = (ExportFormat.TorchScript, ".pt"),
            ["safetensors"] = (ExportFormat.Safetensors, ".safetensors"), ["pytorch"] = (ExportFormat.PyTorch, ".pth"),
    };

    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier" };
        var to = new Option<string>("--to") { Description = "onnx, torchscript, safetensors or pytorch (a state dict)", Required = true,
            HelpName = "FORMAT" };
        var path = new Option<string?>("--out") { Description = "The file (default: named after the run)", HelpName = "FILE" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var normalize = new Option<bool>("--normalize")
            { Description = "The file takes levels of 0 … 255 and normalises them itself (onnx, torchscript)" };
        var softmax = new Option<bool>("--softmax") { Description = "Probabilities come out, not scores: of several labels the sigmoid of each; numbers are numbers either way (onnx, torchscript)" };
        var int8 = new Option<bool>("--int8") { Description = "Convolutions and dense layers in eight bits (onnx, with --calibrate)" };
        var calibrate = new Option<string?>("--calibrate")
            { Description = "With --int8: labelled pictures; the ranges are taken from its train part, and the loss is measured on the others",
            HelpName = "DATA" };
        var command = new Command("export", """
            Write a model for other programs.

            Examples:
              graft export runs/ants --to onnx --normalize --softmax
              graft export runs/ants --to onnx --int8 --calibrate photos/
              graft export runs/ants --to torchscript --out ants.pt
            """) { run, to, path, overwrite, normalize, softmax, int8, calibrate };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            if (!s_formats.TryGetValue(parsed.GetValue(to)!.ToLowerInvariant(), out var format)) throw UnknownName.Of("format", parsed.GetValue(to)!,
                s_formats.Keys);
            var source = parsed.GetValue(run)!;
            using var model = Classifier.Open(source, input.Read(parsed, new InputOptions()));
            foreach (var note in model.Notes) shell.Log(note);
            var file = Path.GetFullPath(parsed.GetValue(path) ?? Path.GetFileNameWithoutExtension(source.TrimEnd('/')) + format.Extension);
            OutputFile.Check(file, parsed.GetValue(overwrite));
            if (format.Format is ExportFormat.Safetensors or ExportFormat.PyTorch && (parsed.GetValue(normalize) || parsed.GetValue(softmax))) throw Bounds.Refuse("--normalize and --softmax are for onnx and torchscript: the others hold weights, not what is done with them");
            if (parsed.GetValue(int8) != (parsed.GetValue(calibrate) is not null)) throw Bounds.Refuse("--int8 and --calibrate DATA go together: the ranges of eight bits are taken from pictures");
            if (parsed.GetValue(int8) && format.Format != ExportFormat.Onnx) throw Bounds.Refuse("--int8 is for --to onnx");
            var encoder = model.Backbone as Models.Zoo.TextEncoder;
            if (encoder is not null && (parsed.GetValue(normalize) || parsed.GetValue(int8))) throw Bounds.Refuse("--normalize and --int8 are for models of pictures");
            var about = Exporter.Write(model, file, format.Format, parsed.GetValue(normalize), parsed.GetValue(softmax));
            if (parsed.GetValue(calibrate) is { } pictures)
            {
                Int8Export.Run(shell, file, pictures, model, about);
                return;
            }
            if (encoder is not null && format.Format == ExportFormat.Onnx)
            {
                // The vocabulary is in the file too, for Graft; other programs want it as files.
                foreach (var (name, bytes) in encoder.Tokenizer.Files)
                {
                    var beside = Path.Combine(Path.GetDirectoryName(file)!, $"{Path.GetFileNameWithoutExtension(file)}.{name}");
                    AtomicFile.Write(beside, stream => stream.Write(bytes));
                    about = [.. about, $"Beside it: {beside}"];
                }
            }
            shell.Result(new { file, format = format.Format, classes = model.Classes, preprocessing = model.Backbone.Preprocessing,
                notes = model.Notes.Concat(about), bytes = new FileInfo(file).Length });
            if (shell.Json) return;
            shell.Say($"Wrote {file} ({new FileInfo(file).Length / 1e6:0.0} MB): {(encoder is not null ? $"sentences of up to {encoder.MostTokens} tokens" : $"N×3×{model.Backbone.Preprocessing.Height}×{model.Backbone.Preprocessing.Width}{(parsed.GetValue(normalize) ? " levels of 0 … 255" : ", normalised")}")} to {model.Task switch { TargetKind.Numbers => model.Classes.Count == 1 ? $"the number {model.Classes[0]}" : $"{model.Classes.Count} numbers", TargetKind.Labels => $"{(parsed.GetValue(softmax) ? "probabilities" : "scores")} of {model.Classes.Count} labels, each by itself", _ => $"{(parsed.GetValue(softmax) ? "probabilities" : "scores")} of {model.Classes.Count} classes" }}");
            foreach (var note in about) shell.Say(note);
        });
        return command;
    }
}
