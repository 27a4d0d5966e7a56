using System.CommandLine;
using Graft.Backbones;
using Graft.Graphs;

namespace Graft.Cli.Commands;

internal static class ModelsCommand
{
    public static Command Create()
    {
        var list = new Command("list", "The architectures.");
        Shell.Handle(list, (shell, _) =>
        {
            shell.Result(new { models = BackboneCatalogue.Cards });
            if (!shell.Json) shell.Table(["name", "input", "parameters", "multiply-adds", "what", "published"], BackboneCatalogue.Cards.Select(card => new[] { card.Name, $"{card.Side}²", Short(card.Parameters), Short(card.MultiplyAdds), card.Summary, card.Published }), 1, 2, 3);
        });
        var name = new Argument<string>("NAME") { Description = "An architecture's name, or a checkpoint's file" };
        var show = new Command("show", """
            An architecture's card and stages; of a file, what it holds.

            Examples:
              graft models show mobilenet_v2
              graft models show resnet20.th
            """) { name };
        Shell.Handle(show, (shell, parsed) => Show(shell, parsed.GetValue(name)!));
        return new Command("models", "Architectures and checkpoints.") { list, show };
    }

    private static void Show(Shell shell, string name)
    {
        IReadOnlyList<string> notes = [];
        Backbone backbone;
        if (File.Exists(name)) (backbone, notes) = BackboneCatalogue.Load(name);
        else backbone = BackboneCatalogue.Create(name);
        using var owned = backbone;
        var card = BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == backbone.Architecture);
        var stages = Profile.Of(backbone);
        shell.Result(new { card, architecture = backbone.Describe(), parameters = backbone.ParameterCount, features = backbone.FeatureSize, classes = backbone.UpstreamClasses, preprocessing = backbone.Preprocessing, provenance = backbone.Provenance, stages, notes });
        if (shell.Json) return;
        if (card is not null)
        {
            shell.Say($"{card.Name}: {card.Summary}");
            foreach (var (key, value) in new[] { ("paper", card.Paper), ("weights", string.Join(", ", new[] { card.Url, card.Weights }.Where(text => text.Length > 0))), ("sha256", card.Sha256), ("licence", card.Licence), ("published", card.Published) })
                if (value.Length > 0) shell.Say($"  {key}: {value}");
        }
        shell.Say($"  input: {backbone.Preprocessing.Width}×{backbone.Preprocessing.Height}, ({string.Join(", ", backbone.Preprocessing.Steps)}), mean {string.Join(' ', backbone.Preprocessing.Normalize.Mean)}, std {string.Join(' ', backbone.Preprocessing.Normalize.Std)}");
        if (backbone.Provenance.IsPretrained) shell.Say($"  this file: {backbone.Provenance.Source}, {backbone.Provenance.Domain}, sha256 {backbone.Provenance.Sha256}");
        foreach (var note in notes) shell.Say($"  note: {note}");
        shell.Table(["stage", "output", "parameters", "multiply-adds", "receptive field", "stride"], stages.Select(stage => new[]
        {
            stage.Name, string.Join("×", stage.Shape), $"{stage.Parameters:N0}", Short(stage.MultiplyAdds), stage.ReceptiveField is { } field ? $"{field} px" : "all", stage.Stride is { } stride ? $"{stride}" : "",
        }), 2, 3, 4, 5);
        shell.Say($"{backbone.Stages.Sum(stage => stage.ParameterCount):N0} parameters, {Short(stages.Sum(stage => stage.MultiplyAdds))} multiply-adds, {backbone.FeatureSize} features{(backbone.UpstreamClasses is { } classes ? $", its own classifier of {classes} classes" : "")}");
    }

    private static string Short(long count) => count switch { 0 => "", >= 1_000_000_000 => $"{count / 1e9:0.00} G", >= 1_000_000 => $"{count / 1e6:0.0} M", _ => $"{count / 1e3:0.0} k" };
}
