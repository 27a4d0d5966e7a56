using System.CommandLine;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using static Graft.Cli.Commands.FewshotArguments;

namespace Graft.Cli.Commands;

internal static class FewshotVerifyCommand
{
    public static Command Create()
    {
        var (first, second) = (new Argument<string?>("A") { Description = "A picture", Arity = ArgumentArity.ZeroOrOne },
            new Argument<string?>("B") { Description = "Another picture", Arity = ArgumentArity.ZeroOrOne });
        var weights = new Option<string>("--weights") { Description = WeightsHelp, HelpName = "FILE", Required = true };
        var calibrate = File("--calibrate", "Class folders (a folder for each person, part, signature): the threshold comes from their pairs", "DIR");
        var threshold = new Option<double?>("--threshold")
            { Description = "Farther than this is different (default: where --calibrate finds the fewest errors)", HelpName = "X" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var curve = File("--curve", "Write the error-rate curve as an SVG picture");
        var compared = Distance();
        var input = OptionBinder.Of<InputOptions>().Without("--labels");
        var command = new Command("verify", """
            Say whether two pictures show the same thing: faces, parts, signatures.

            Examples:
              graft fewshot verify --weights facenet.onnx --calibrate people/ --curve errors.svg
              graft fewshot verify a.jpg b.jpg --weights facenet.onnx --calibrate people/
              graft fewshot verify a.jpg b.jpg --weights facenet.onnx --threshold 0.42
            """) { first, second };
        foreach (var option in new Option[] { weights, calibrate, threshold, curve, overwrite, compared["--distance"] }) command.Options.Add(option);
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var (a, b) = (parsed.GetValue(first), parsed.GetValue(second));
            Bounds.Within("--threshold", parsed.GetValue(threshold), 0);
            if (parsed.GetValue(curve) is { } drawn) OutputFile.Check(drawn, parsed.GetValue(overwrite));
            if (a is not null && b is null) throw new GraftException($"{a} is compared with what? Name a second picture");
            if (a is null && parsed.GetValue(
                calibrate) is null) throw new GraftException("nothing to do: name two pictures, or class folders with --calibrate");
            if (parsed.GetValue(curve) is not null && parsed.GetValue(calibrate) is null) throw new GraftException("--curve needs pairs that are known: name class folders with --calibrate");
            using var encoder = PictureEncoder.Open(parsed.GetValue(weights)!, input.Read(parsed, new InputOptions()), FeatureCache.Default());
            foreach (var note in encoder.Notes) shell.Log(note);
            var verifier = new PairVerifier(encoder, compared.Read(parsed, new FewShotOptions()).Distance ?? DistanceKind.Cosine);
            var known = parsed.GetValue(calibrate) is { } folder ? Pictures.Support(folder) : null;
            var notes = known?.Notes ?? DatasetNotes.None;
            var errors = known is null ? null : verifier.Calibrate(known);
            var limit = parsed.GetValue(threshold) ?? errors?.Best.Threshold;
            if (parsed.GetValue(curve) is { } file) AtomicFile.WriteText(file, errors!.ToSvg(limit));
            var found = a is null ? null : verifier.Compare(a, b!, limit);
            shell.Result(new
            {
                distance = found?.Distance, same = found?.Same, threshold = limit, equal_error_rate = errors?.EqualErrorRate,
                    equal_error_threshold = errors?.EqualThreshold,
                missed = errors?.Best.Missed, wrongly_accepted = errors?.Best.WronglyAccepted, same_pairs = errors?.SamePairs,
                    different_pairs = errors?.DifferentPairs, curve = errors?.Points, left_out = LeftOutView.Json(notes, verifier.Broken),
                    notes = encoder.Notes.Concat(notes.Remarks),
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, notes, verifier.Broken);
            if (errors is not null) shell.Say($"{errors.SamePairs} same and {errors.DifferentPairs} different pairs: equal error rate {errors.EqualErrorRate:P1}; at threshold {errors.Best.Threshold:0.0000}, {errors.Best.Missed:P1} of the same are missed and {errors.Best.WronglyAccepted:P1} of the different accepted");
            if (found is not null) shell.Say($"{(found.Same switch { true => "same", false => "different", _ => "no threshold" })}: distance {found.Distance:0.0000}{(limit is { } far ? $", threshold {far:0.0000}" : "; give one with --threshold or --calibrate")}");
        });
        return command;
    }
}
