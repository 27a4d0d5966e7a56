using Graft.Data;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>TorchScript archives, traced or scripted: their graph becomes a Graft graph, with every weight trainable.</summary>
internal static class TorchScriptReader
{
    /// <summary>Reads an archive whose forward takes pictures, N×3×H×W or N×1×H×W.</summary>
    /// <param name="path">As torch.jit.save wrote it.</param>
    /// <param name="size">Pixels of the square input; null: the first of the usual that runs.</param>
    public static Imported Read(string path, int? size)
    {
        // libtorch's own reader takes the archive's word for much: it only sees archives whose bytes are those that were written.
        Checkpoints.StoredEntries.Verify(path);
        var card = Checkpoints.ArchiveCard.Read(path);
        var stated = ModelCard.Preprocessing(card);
        using var script = Script.Load(path);
        var problem = "";
        (int Channels, int Height, int Width)[] sizes = stated is not null ? [(3, stated.Height, stated.Width)] : size is { } given ? [(3, given, given), (1, given, given)]
            : [(3, 224, 224), (3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 299, 299), (1, 32, 32)];
        foreach (var (channels, height, width) in sizes)
        {
            try
            {
                using (Autograd.NoGrad())
                using (new TensorScope()) script.Run(Ops.Zeros([1, channels, height, width]));
            }
            catch (TorchException reason)
            {
                if (problem.Length == 0) problem = reason.Message;
                continue;
            }
            var (graph, weights) = ScriptGraph.Read(script, channels, height, width);
            var owned = weights.ToDictionary(weight => weight.Key, weight => TensorScope.Detach(weight.Value.Detach().Clone()));
            return new Imported(channels == 1 ? Grey(graph, height) : graph, owned, stated ?? Usual(channels, height), []) { Card = card, Guessed = stated is null };
        }
        throw new GraftException($"its forward runs on no picture of the usual sizes: give its size with --size ({problem})");
    }

    private static Preprocessing Usual(int channels, int side) => channels == 3 && side >= 224 ? Preprocessing.Evaluation(side * 8 / 7, side, Normalize.ImageNet)
        : Imported.Usual(channels, side, side, channels == 3 ? Normalize.ImageNet : null);

    // Graft gives three equal channels: the first is taken.
    private static Graph Grey(Graph graph, int side)
    {
        var node = new Node("input", "aten::narrow", [new Reference("picture"), new Literal(1L), new Literal(0L), new Literal(1L)], [graph.Input]);
        return graph with { Input = "picture", Nodes = [node, .. graph.Nodes], Shapes = new Dictionary<string, long[]>(graph.Shapes) { ["picture"] = [-1, 3, side, side] } };
    }
}
