using System.CommandLine;
using Graft.Backbones;
using Graft.Torch;

namespace Graft.Cli.Commands;

internal static class ModelsCommand
{
    public static Command Create()
    {
        var list = new Command("list", "The architectures.");
        Shell.Handle(list, (shell, _) =>
        {
            shell.Result(new { models = BackboneCatalogue.Cards });
            if (!shell.Json) shell.Table(["name", "input", "what"], BackboneCatalogue.Cards.Select(card => new[] { card.Name, card.Input, card.Summary }));
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
        var stages = Stages(backbone);
        shell.Result(new { card, architecture = backbone.Describe(), parameters = backbone.ParameterCount, features = backbone.FeatureSize, preprocessing = backbone.Preprocessing, provenance = backbone.Provenance, stages, notes });
        if (shell.Json) return;
        if (card is not null)
        {
            shell.Say($"{card.Name}: {card.Summary}");
            foreach (var (key, value) in new[] { ("paper", card.Paper), ("input", card.Input), ("weights", card.Weights), ("licence", card.Licence), ("published", card.Published) })
                if (value.Length > 0) shell.Say($"  {key}: {value}");
        }
        if (backbone.Provenance.IsPretrained) shell.Say($"  this file: {backbone.Provenance.Source}, {backbone.Provenance.Domain}, sha256 {backbone.Provenance.Sha256}");
        foreach (var note in notes) shell.Say($"  note: {note}");
        shell.Table(["stage", "output", "parameters"], stages.Select(stage => new[] { stage.Name, stage.Output, $"{stage.Parameters:N0}" }), 2);
        shell.Say($"{backbone.Stages.Sum(stage => stage.ParameterCount):N0} parameters, {backbone.FeatureSize} features");
    }

    private sealed record StageRow(string Name, string Output, long Parameters);

    private static List<StageRow> Stages(Backbone backbone)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        backbone.Eval();
        var x = Ops.Zeros([1, 3, backbone.Preprocessing.Height, backbone.Preprocessing.Width]);
        return [.. backbone.Stages.Select(stage => new StageRow(stage.Name, string.Join("×", (x = stage.Forward(x)).Shape[1..]), stage.ParameterCount))];
    }
}
