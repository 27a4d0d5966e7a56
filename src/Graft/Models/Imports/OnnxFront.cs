using Google.Protobuf;

namespace Graft.Models.Imports;

/// <summary>One ONNX graph put before another: what a network's pictures go through, as its publisher wrote it, becomes part of the file.</summary>
internal static class OnnxFront
{
    /// <summary>The file of both.</summary>
    /// <param name="network">An ONNX file of one input.</param>
    /// <param name="front">An ONNX file of one input and one output, which becomes the network's input; null: none.</param>
    /// <param name="card">Put into the file's metadata.</param>
    /// <exception cref="InvalidDataException">They do not fit.</exception>
    public static byte[] Join(byte[] network, byte[]? front, IReadOnlyDictionary<string, string> card)
    {
        var joined = Onnx.Model.Parser.ParseFrom(network);
        foreach (var (key, value) in card) joined.MetadataProps.Add(new Onnx.Entry { Key = key, Value = value });
        if (front is null) return joined.ToByteArray();
        var before = Onnx.Model.Parser.ParseFrom(front);
        if (!before.OpsetImport.Select(set => (set.Domain, set.Version)).ToHashSet()
            .IsSubsetOf(joined.OpsetImport.Select(set => (set.Domain, set.Version))))
            throw new InvalidDataException("the two graphs are of different opsets");
        static Onnx.ValueInfo Input(Onnx.Graph graph)
        {
            var held = graph.Initializer.Select(tensor => tensor.Name).ToHashSet();
            return graph.Input.Where(input => !held.Contains(input.Name)).ToArray() is [var only] ? only
                : throw new InvalidDataException("a graph has not one input");
        }
        var (entry, output) = (Input(joined.Graph),
            before.Graph.Output is [var single] ? single.Name : throw new InvalidDataException("the front has not one output"));
        string Name(string name) => name.Length == 0 ? name : name == output ? entry.Name : $"front.{name}";
        foreach (var node in before.Graph.Node)
        {
            for (var k = 0; k < node.Input.Count; k++) node.Input[k] = Name(node.Input[k]);
            for (var k = 0; k < node.Output.Count; k++) node.Output[k] = Name(node.Output[k]);
        }
        foreach (var tensor in before.Graph.Initializer) tensor.Name = Name(tensor.Name);
        foreach (var input in before.Graph.Input) input.Name = Name(input.Name);
        var rest = joined.Graph.Node.ToArray();
        joined.Graph.Node.Clear();
        joined.Graph.Node.Add(before.Graph.Node.Concat(rest));
        joined.Graph.Initializer.Add(before.Graph.Initializer);
        joined.Graph.Input.Remove(entry);
        joined.Graph.Input.Add(before.Graph.Input);
        return joined.ToByteArray();
    }
}
