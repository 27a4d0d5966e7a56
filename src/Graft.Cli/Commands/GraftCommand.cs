using System.CommandLine;
using Graft.Exports;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;

namespace Graft.Cli.Commands;

internal static class GraftCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL") { Description = "A run, a checkpoint or a network in any format, or an architecture's name (then with random weights)" };
        var path = new Option<string?>("--out") { Description = "The new model (.safetensors); without it, the layers are listed", HelpName = "FILE" };
        var cut = new Option<string?>("--cut") { Description = "End after this layer", HelpName = "LAYER" };
        var drop = new Option<string[]>("--drop") { Description = "Take a layer out", HelpName = "LAYER" };
        var fresh = new Option<string[]>("--reinitialise") { Description = "Give a layer starting values again", HelpName = "LAYER" };
        var head = new Option<int?>("--classes") { Description = "A new classifier of so many classes", HelpName = "N" };
        var channels = new Option<int?>("--input-channels") { Description = "1 (grey) or 3 (RGB)", HelpName = "N" };
        var rule = new Option<ChannelRule>("--rule") { Description = "How the first weights change: sum, repeat or mean", DefaultValueFactory = _ => ChannelRule.Sum };
        var size = new Option<int?>("--size") { Description = "Pixels of the square input; learned positions are interpolated", HelpName = "SIDE" };
        var shape = new Option<bool>("--shape-only") { Description = "The same shape with starting values everywhere" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var command = new Command("graft", """
            Operate on a network: cut it, take layers out, give it another head or input.

            Examples:
              graft graft resnet18.pth                                   list its layers
              graft graft resnet18.pth --cut layer3 --out body.safetensors
              graft graft vit.safetensors --size 384 --classes 12 --out vit384.safetensors
              graft graft mobilenet_v2.pth --input-channels 1 --rule sum --out grey.safetensors
            """) { model, path, overwrite, cut, drop, fresh, head, channels, rule, size, shape };
        Shell.Handle(command, (shell, parsed) =>
        {
            var name = parsed.GetValue(model)!;
            if (parsed.GetValue(path) is { } target) OutputFile.Check(Path.GetFullPath(target), parsed.GetValue(overwrite));
            var (backbone, notes) = ModelsCommand.IsFile(name) ? ModelOpener.LoadForPictures(name) : (BackboneCatalogue.Create(name, 1000), []);
            foreach (var note in notes) shell.Log(note);
            if (parsed.GetValue(size) is { } side) backbone = Surgery.InputSize(backbone, side);
            foreach (var layer in parsed.GetValue(drop) ?? []) backbone = Surgery.Drop(backbone, layer);
            if (parsed.GetValue(fresh) is { Length: > 0 } layers) backbone = Surgery.Reinitialise(backbone, layers);
            if (parsed.GetValue(channels) is { } count) backbone = Surgery.InputChannels(backbone, count, parsed.GetValue(rule));
            if (parsed.GetValue(head) is { } classes) backbone = Surgery.NewHead(backbone, classes);
            if (parsed.GetValue(cut) is { } last) backbone = Surgery.CutAfter(backbone, last);
            if (parsed.GetValue(shape)) backbone = Surgery.CloneShape(backbone);
            var graph = GraphBackbone.From(backbone);
            var rows = graph.Graph.Layers.Select(layer => new
            {
                layer, output = string.Join('×', graph.Graph.Shapes[graph.Graph.Nodes.Last(node => node.Layer == layer).Outputs[0]].Skip(1)),
                parameters = graph.Graph.Nodes.Where(node => node.Layer == layer).SelectMany(node => node.Weights).Distinct().Where(weight => !graph.Graph.Weights[weight].Buffer).Sum(weight => graph.Graph.Weights[weight].Shape.Aggregate(1L, (n, d) => n * d)),
            }).ToArray();
            if (parsed.GetValue(path) is { } file)
            {
                Exporter.Save(backbone, Path.GetFullPath(file));
                shell.Result(new { file = Path.GetFullPath(file), architecture = backbone.Architecture, classes = backbone.UpstreamClasses, features = backbone.FeatureSize, stages = backbone.Stages.Select(stage => stage.Name), layers = rows, notes });
                if (!shell.Json) shell.Say($"Wrote {Path.GetFullPath(file)}: {backbone.Stages.Count} stages, {backbone.FeatureSize} features{(backbone.UpstreamClasses is { } outputs ? $", {outputs} classes" : ", no classifier")}. Train on it with: {NextCommand.Of("train")} DATA --weights {NextCommand.Quoted(file)}");
                return;
            }
            shell.Result(new { architecture = backbone.Architecture, layers = rows, notes });
            if (!shell.Json) shell.Table(["layer", "output", "parameters"], rows.Select(row => new[] { row.layer, row.output, $"{row.parameters:N0}" }), 2);
        });
        return command;
    }
}
