using System.Security.Cryptography;
using Google.Protobuf;
using Graft.Data;
using Graft.Inference;
using Graft.Models.Imports;
using Graft.Models.Imports.Onnx;
using Graft.Models.Zoo;

namespace Graft.Features;

/// <summary>The network below the head of an ONNX file that Graft wrote (a run's, an export), cut out of its graph without libtorch.</summary>
internal static class ProgramFeatures
{
    /// <summary>The file that a path stands for: a run's own program, or an ONNX file that Graft wrote; null: it is another, or does not name its
    /// features.</summary>
    public static string? FileOf(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, PictureModel.FileName) : path;
        if (!file.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) || !File.Exists(file)) return null;
        try
        {
            var card = OnnxCard.Read(file);
            return card.GetValueOrDefault("format") == OnnxCard.Program && card.ContainsKey(ModelCard.FeaturesAt) ? file : null;
        }
        catch (Exception reason) when (reason is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return null; // whoever opens it says what is wrong
        }
    }

    /// <summary>An ONNX file that gives the features, and its card.</summary>
    /// <param name="file">Of <see cref="FileOf"/>.</param>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static (byte[] Model, Dictionary<string, string> Card) Cut(string file)
    {
        var bytes = File.ReadAllBytes(file);
        var model = OnnxReader.Parse(bytes, whole: true);
        var given = model.MetadataProps.GroupBy(entry => entry.Key).ToDictionary(group => group.Key, group => group.Last().Value);
        var graph = model.Graph;
        var at = given.GetValueOrDefault(ModelCard.FeaturesAt) ?? "";
        if (!graph.Node.Any(node => node.Output.Contains(at))) throw new InvalidDataException($"its features are no value of its graph ('{at}')");
        var needed = new HashSet<string> { at };
        var kept = new List<Node>();
        foreach (var node in graph.Node.Reverse().Where(node => node.Output.Any(needed.Contains)))
        {
            kept.Insert(0, node);
            needed.UnionWith(node.Input);
        }
        var size = Width(graph, at);
        graph.Node.Clear();
        graph.Node.AddRange(kept);
        Tensor[] weights = [.. graph.Initializer.Where(weight => needed.Contains(weight.Name))];
        graph.Initializer.Clear();
        graph.Initializer.AddRange(weights);
        var shape = new TensorShape { Dim = { new Dimension { DimParam = "batch" }, new Dimension { DimValue = size } } };
        graph.Output.Clear();
        graph.Output.Add(new ValueInfo { Name = at, Type = new Models.Imports.Onnx.Type { TensorType = new TensorType { ElemType = 1, Shape = shape } } });
        model.MetadataProps.Clear();
        var preprocessing = OnnxCard.Preprocessing(given) ?? throw new InvalidDataException("its preprocessing is missing");
        return (model.ToByteArray(), new Dictionary<string, string>
        {
            ["format"] = FeatureNetworks.Format, [FeatureNetworks.FunctionKey] = $"{Convert.ToHexStringLower(SHA256.HashData(bytes))} {at}",
            ["preprocessing"] = preprocessing.ToJson(), [SupportCard.FeaturesKey] = $"{size}", [FeatureNetworks.OutputsKey] = $"{size}",
            ["architecture"] = given.GetValueOrDefault("architecture") ?? "", ["licence"] = given.GetValueOrDefault("licence") ?? "",
            ["upstream"] = given.GetValueOrDefault("upstream") ?? "",
        });
    }

    // The head is a Gemm, whose weights are classes×features.
    private static long Width(Graph graph, string at)
    {
        var head = graph.Node.FirstOrDefault(node => node.OpType == "Gemm" && node.Input.Count > 1 && node.Input[0] == at)
            ?? throw new InvalidDataException("no head stands on its features");
        return graph.Initializer.FirstOrDefault(weight => weight.Name == head.Input[1]) is { Dims: [_, var size] } ? size
            : throw new InvalidDataException("the weights of its head are missing");
    }
}
