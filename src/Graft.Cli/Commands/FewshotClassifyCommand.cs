using System.CommandLine;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using static Graft.Cli.Commands.FewshotArguments;

namespace Graft.Cli.Commands;

internal static class FewshotClassifyCommand
{
    public static Command Create()
    {
        var files = new Argument<string[]>("FILE") { Description = "Pictures, or folders of pictures", Arity = ArgumentArity.ZeroOrMore };
        var support = new Option<string>("--support")
            { Description = "A folder with a folder for each class and one picture or more in it; or a set that --save wrote", HelpName = "DIR",
            Required = true };
        var weights = File("--weights", WeightsHelp + "; a saved set has its own");
        var add = File("--add", "Class folders to add to the set", "DIR");
        var save = File("--save", "Write the set with its network to one file: .onnx, which predict and serve take too, or .safetensors");
        var compared = Distance();
        var threshold = new Option<double?>("--threshold") { Description = "Farther from every class than this is none of them (default: calibrated on the support set; where a class has one picture only, an answer beyond it is unsure)", HelpName = "X" };
        var overwrite = Shell.OverwriteOption("another file than the set of --support that --save names");
        var noCache = new Option<bool>("--no-cache") { Description = "Neither read nor keep features on disk" };
        var input = OptionBinder.Of<InputOptions>().Without("--labels");
        var command = new Command("classify", """
            Say which of a few classes a picture is of, from one picture of each; from two, also that it is none of them. Nothing is trained.

            Examples:
              graft fewshot classify --support pets/ photo.jpg --weights mobilenet_v2.safetensors
              graft fewshot classify --support pets/ --weights mobilenet_v2.safetensors --save pets.onnx
              graft fewshot classify --support pets.onnx --add more-pets/ --save pets.onnx new-photos/
            """) { files };
        Option[] options = [support, weights, add, save, overwrite, compared["--distance"], threshold, noCache];
        foreach (var option in options) command.Options.Add(option);
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var given = parsed.GetValue(files)!.Select(PictureFiles.Below).ToArray();
            var pictures = given.SelectMany(one => one.Files).ToArray();
            var notes = given.Aggregate(DatasetNotes.None, (all, one) => all.With(one.Notes));
            if (pictures.Length == 0 && parsed.GetValue(
                save) is null) throw new GraftException("no picture is given: name pictures or folders, or write the set with --save");
            Bounds.Within("--threshold", parsed.GetValue(threshold), 0);
            if (parsed.GetValue(save) is { } kept && kept != parsed.GetValue(support)) OutputFile.Check(kept, parsed.GetValue(overwrite));
            var cache = parsed.GetValue(noCache) ? null : FeatureCache.Default();
            var from = parsed.GetValue(support)!;
            SupportSet set;
            var broken = new List<BrokenPicture>();
            if (SupportSet.Is(from))
            {
                if (parsed.GetValue(weights) is not null) throw new GraftException($"{from} has its own network: leave --weights off");
                set = SupportSet.Load(from, cache);
            }
            else
            {
                var folder = Pictures.Support(from);
                var file = parsed.GetValue(weights) ?? throw new GraftException($"which network looks at the pictures? Name one with --weights FILE, such as --weights mobilenet_v2 ({NextCommand.Of("models", "pull", "mobilenet_v2")} fetches it)");
                var encoder = PictureEncoder.Open(file, input.Read(parsed, new InputOptions()), cache);
                set = new SupportSet(encoder, compared.Read(parsed, new FewShotOptions()).Distance ?? DistanceKind.Cosine);
                notes = notes.With(folder.Notes);
                foreach (var note in set.Encoder.Notes) shell.Log(note);
                broken.AddRange(set.Add(folder));
            }
            using var owned = set;
            if (parsed.GetValue(add) is { } more)
            {
                var added = Pictures.Support(more);
                notes = notes.With(added.Notes);
                broken.AddRange(set.Add(added));
            }
            if (parsed.GetValue(save) is { } target) set.Save(target);
            var (answers, unreadable) = pictures.Length > 0 ? set.Classify(pictures, parsed.GetValue(threshold)) : ([], []);
            var limit = parsed.GetValue(threshold) ?? set.Threshold;
            var rough = set.IsRough && parsed.GetValue(threshold) is null;
            string Line() => (limit, rough) switch
            {
                (null, _) => "no threshold: one class of one picture tells nothing about strangers",
                ({ } far, true) => $"unsure beyond {far:0.000}: with two pictures of each class or more, or --threshold, it is \"none of these\"",
                ({ } far, false) => $"none of these beyond {far:0.000}",
            };
            shell.Result(new
            {
                classes = set.Classes.Zip(set.Counts, (name, count) => new { name, pictures = count }), threshold = limit, rough,
                    distance = set.Distance, saved = parsed.GetValue(save),
                answers = answers.Select(MetricsView.Json),
                errors = broken.Concat(unreadable), left_out = LeftOutView.Json(notes, broken), notes = set.Encoder.Notes.Concat(notes.Remarks),
            });
            if (!shell.Json)
            {
                foreach (var found in answers) Console.Out.WriteLine(MetricsView.Line(found));
                shell.Log($"{set.Classes.Count} classes, {set.Files.Count} pictures; {Line()}{(parsed.GetValue(save) is { } written ? $"; saved in {written}" : "")}");
                LeftOutView.Log(shell, notes, broken);
                foreach (var found in unreadable) Console.Error.WriteLine($"graft: {found.File}: {found.Error}");
            }
            if (unreadable.Count > 0) shell.Status = 1;
        });
        return command;
    }
}
