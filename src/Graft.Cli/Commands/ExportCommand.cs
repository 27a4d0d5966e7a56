using System.CommandLine;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Models.Hub;

namespace Graft.Cli.Commands;

internal static class ExportCommand
{
    private const string Web = "web";

    private static readonly Dictionary<string, (ExportFormat Format, string Extension)> s_formats = new()
    {
        ["onnx"] = (ExportFormat.Onnx, ".onnx"), ["torchscript"] = (ExportFormat.TorchScript, ".pt"),
            ["safetensors"] = (ExportFormat.Safetensors, ".safetensors"), ["pytorch"] = (ExportFormat.PyTorch, ".pth"),
    };

    public static Command Create()
    {
        var run = new Argument<string>("RUN") { Description = "A run folder, or any pretrained network with its classifier" };
        var to = new Option<string>("--to") { Description = "onnx, torchscript, safetensors, pytorch (a state dict), or web: a page that runs the model in the browser",
            Required = true, HelpName = "FORMAT" };
        var path = new Option<string?>("--out") { Description = "The file, or the folder of the page (default: named after the run)", HelpName = "FILE" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var normalize = new Option<bool>("--normalize")
            { Description = "The file takes levels of 0 … 255 and normalises them itself (onnx, torchscript)" };
        var softmax = new Option<bool>("--softmax") { Description = "Probabilities come out, not scores: of several labels the sigmoid of each; numbers are numbers either way (onnx, torchscript)" };
        var int8 = new Option<bool>("--int8") { Description = "Convolutions and dense layers in eight bits (onnx and web, with --calibrate)" };
        var calibrate = new Option<string?>("--calibrate")
            { Description = "With --int8: labelled pictures; the ranges are taken from its train part, and the loss is measured on the others",
            HelpName = "DATA" };
        var runtime = new Option<string?>("--runtime")
            { Description = $"With --to web: {NpmPackage.OnnxRuntimeWeb.FileName}, fetched elsewhere (default: from the npm registry, once)", HelpName = "FILE" };
        var command = new Command("export", """
            Write a model for other programs.

            Examples:
              graft export runs/ants --to onnx --normalize --softmax
              graft export runs/ants --to onnx --int8 --calibrate photos/
              graft export runs/ants --to torchscript --out ants.pt
              graft export runs/ants --to web --out page/
            """) { run, to, path, overwrite, normalize, softmax, int8, calibrate, runtime };
        var input = OptionBinder.Of<InputOptions>();
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var name = parsed.GetValue(to)!.ToLowerInvariant();
            var web = name == Web;
            if (!s_formats.TryGetValue(web ? "onnx" : name, out var format)) throw UnknownName.Of("format", parsed.GetValue(to)!, [.. s_formats.Keys, Web]);
            var source = parsed.GetValue(run)!;
            using var model = Classifier.Open(source, input.Read(parsed, new InputOptions()));
            foreach (var note in model.Notes) shell.Log(note);
            var called = Path.GetFileNameWithoutExtension(source.TrimEnd('/'));
            var place = Path.GetFullPath(parsed.GetValue(path) ?? called + (web ? "-web" : format.Extension));
            if (web) WebFolder.Check(place, parsed.GetValue(overwrite));
            else OutputFile.Check(place, parsed.GetValue(overwrite));
            var inside = parsed.GetValue(normalize) || parsed.GetValue(softmax);
            if (format.Format is ExportFormat.Safetensors or ExportFormat.PyTorch && inside) throw Bounds.Refuse("--normalize and --softmax are for onnx and torchscript: the others hold weights, not what is done with them");
            if (web && inside) throw Bounds.Refuse("--normalize and --softmax are for onnx and torchscript: the page of --to web does both itself");
            if (!web && parsed.GetValue(runtime) is not null) throw Bounds.Refuse("--runtime is for --to web");
            if (parsed.GetValue(int8) != (parsed.GetValue(calibrate) is not null)) throw Bounds.Refuse("--int8 and --calibrate DATA go together: the ranges of eight bits are taken from pictures");
            if (parsed.GetValue(int8) && format.Format != ExportFormat.Onnx) throw Bounds.Refuse("--int8 is for --to onnx and --to web");
            var encoder = model.Backbone as TextEncoder;
            if (encoder is not null && (web || parsed.GetValue(normalize) || parsed.GetValue(int8)))
                throw Bounds.Refuse("--to web, --normalize and --int8 are for models of pictures, and this one reads sentences");
            if (web)
            {
                WritePage(shell, model, place, called, parsed.GetValue(runtime), parsed.GetValue(calibrate));
                return;
            }
            var about = Exporter.Write(model, place, format.Format, parsed.GetValue(normalize), parsed.GetValue(softmax));
            if (encoder is not null && format.Format == ExportFormat.Onnx) about = [.. about, .. WriteVocabulary(encoder, place)];
            var eight = parsed.GetValue(calibrate) is { } pictures ? Int8Export.Run(shell, place, pictures, model) : null;
            var (bytes, notes) = (new FileInfo(place).Length, model.Notes.Concat(about));
            shell.Result(eight is null
                ? new { file = place, format = format.Format, classes = model.Classes, preprocessing = model.Backbone.Preprocessing, notes, bytes }
                : new { file = place, format = format.Format, classes = model.Classes, preprocessing = model.Backbone.Preprocessing, notes, bytes, int8 = eight.Json() });
            if (shell.Json) return;
            if (eight is not null) eight.Say(shell, place);
            else shell.Say($"Wrote {place} ({bytes / 1e6:0.0} MB): {(encoder is not null ? $"sentences of up to {encoder.MostTokens} tokens" : $"N×3×{model.Backbone.Preprocessing.Height}×{model.Backbone.Preprocessing.Width}{(parsed.GetValue(normalize) ? " levels of 0 … 255" : ", normalised")}")} to {model.Task switch { TargetKind.Numbers => model.Classes.Count == 1 ? $"the number {model.Classes[0]}" : $"{model.Classes.Count} numbers", TargetKind.Similarity => "the vectors that are compared", TargetKind.Labels => $"{(parsed.GetValue(softmax) ? "probabilities" : "scores")} of {model.Classes.Count} labels, each by itself", _ => $"{(parsed.GetValue(softmax) ? "probabilities" : "scores")} of {model.Classes.Count} classes" }}");
            foreach (var note in about) shell.Say(note);
        });
        return command;
    }

    /// <summary>The vocabulary is in the file too, for Graft; other programs want it as files beside.</summary>
    private static IEnumerable<string> WriteVocabulary(TextEncoder encoder, string model)
    {
        foreach (var (name, bytes) in encoder.Tokenizer.Files)
        {
            var beside = Path.Combine(Path.GetDirectoryName(model)!, $"{Path.GetFileNameWithoutExtension(model)}.{name}");
            AtomicFile.Write(beside, stream => stream.Write(bytes));
            yield return $"Its vocabulary: {beside}";
        }
    }

    /// <summary>--to web: the runtime first, which may not be had, then the model, then the page around it.</summary>
    private static void WritePage(Shell shell, Classifier model, string folder, string title, string? archive, string? pictures)
    {
        WebFolder.Check(model.Backbone.Preprocessing);
        var source = new NpmSource(NpmConfiguration.Load())
        {
            Option = "--runtime",
            Progress = step => shell.Progress(new ProgressReport(step.Name, step.Done >> 10, Math.Max(step.Total, step.Done) >> 10, 0)),
        };
        var runtime = archive is not null ? NpmSource.Take(NpmPackage.OnnxRuntimeWeb, archive)
            : source.Pull(NpmPackage.OnnxRuntimeWeb, shell.Stop).GetAwaiter().GetResult();
        var file = Path.Combine(folder, WebFolder.Model);
        var about = Exporter.Write(model, file, ExportFormat.Onnx);
        var eight = pictures is not null ? Int8Export.Run(shell, file, pictures, model) : null;
        try
        {
            WebFolder.Write(folder, title, runtime);
        }
        catch
        {
            // A page's model with no page is of no use.
            File.Delete(file);
            throw;
        }
        var (bytes, notes) = (WebFolder.Files.Sum(part => new FileInfo(Path.Combine(folder, part)).Length), model.Notes.Concat(about));
        shell.Result(eight is null
            ? new { folder, format = Web, classes = model.Classes, preprocessing = model.Backbone.Preprocessing, notes, bytes, files = WebFolder.Files }
            : new { folder, format = Web, classes = model.Classes, preprocessing = model.Backbone.Preprocessing, notes, bytes, files = WebFolder.Files, int8 = eight.Json() });
        if (shell.Json) return;
        eight?.Say(shell, file);
        shell.Say($"Wrote {folder} ({bytes / 1e6:0.0} MB): {WebFolder.Files.Count} files for any web server. The page answers in the browser; pictures are not uploaded");
        shell.Say($"Look at it here: python3 -m http.server --directory {NextCommand.Quoted(folder)} 8000, then http://localhost:8000");
    }
}
