using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Imports;

/// <summary>A text encoder's weights out of an ONNX file that PyTorch wrote: vectors, norms and biases keep their names in it, and a dense layer's
/// matrix, which has none, is what its bias is added to the product of.</summary>
internal static class OnnxEncoder
{
    /// <summary>Tensors by the names that the checkpoint had.</summary>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    /// <exception cref="GraftException">A weight that is not read.</exception>
    public static Dictionary<string, TorchTensor> Read(string path)
    {
        var graph = OnnxReader.Parse(File.ReadAllBytes(path)).Graph;
        var stored = graph.Initializer.GroupBy(tensor => tensor.Name).ToDictionary(group => group.Key, group => group.Last());
        var products = graph.Node.Where(node => node.OpType == "MatMul" && node.Input.Count == 2 && node.Output.Count == 1)
            .GroupBy(node => node.Output[0]).ToDictionary(group => group.Key, group => group.First());
        var state = new Dictionary<string, TorchTensor>();
        foreach (var (name, tensor) in stored)
        {
            if (name.Contains('.', StringComparison.Ordinal) && !name.EndsWith("position_ids", StringComparison.Ordinal))
                state[name] = OnnxReader.Tensor(tensor);
        }
        foreach (var node in graph.Node.Where(node => node.OpType == "Add" && node.Input.Count == 2))
        {
            for (var k = 0; k < 2; k++)
            {
                if (!node.Input[k].EndsWith(".bias", StringComparison.Ordinal) || !products.TryGetValue(node.Input[1 - k], out var product)
                    || !stored.TryGetValue(product.Input[1], out var matrix)) continue;
                // ONNX multiplies from the right.
                using var scope = new TensorScope();
                state[node.Input[k][..^".bias".Length] + ".weight"] = scope.Keep(OnnxReader.Tensor(matrix).T().Contiguous());
            }
        }
        return state;
    }
}
