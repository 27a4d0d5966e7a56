using Google.Protobuf;
using Graft.Models.Imports.Onnx;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Exports;

/// <summary>An ONNX graph of opset 17 that is being put together: nodes, stored tensors, constants.</summary>
internal abstract class OnnxNodes
{
    private const long Opset = 17;

    private readonly Dictionary<string, string> _fixed = [];
    private int _next;

    /// <summary>The graph so far.</summary>
    protected Models.Imports.Onnx.Graph Made { get; } = new() { Name = "graft" };

    /// <summary>The layer whose nodes are being added, for their names.</summary>
    protected string Layer { get; set; } = "";

    /// <summary>The file's bytes.</summary>
    /// <param name="metadata">Written into the file.</param>
    protected byte[] ToBytes(IReadOnlyDictionary<string, string> metadata)
    {
        var model = new Model { IrVersion = 8, ProducerName = "Graft", ProducerVersion = typeof(OnnxNodes).Assembly.GetName().Version?.ToString(3)
            ?? "", Graph = Made };
        model.OpsetImport.Add(new OperatorSet { Domain = "", Version = Opset });
        foreach (var (key, value) in metadata) model.MetadataProps.Add(new Entry { Key = key, Value = value });
        return model.ToByteArray();
    }

    /// <summary>Stores a tensor under its name.</summary>
    protected string Stored(string name, TorchTensor value)
    {
        Made.Initializer.Add(Tensor(name, value));
        return name;
    }

    private static unsafe Models.Imports.Onnx.Tensor Tensor(string name, TorchTensor value)
    {
        using var scope = new TensorScope();
        var ready = value.Detach().To(Device.Cpu).Contiguous();
        if (ready.Type is DType.Float16 or DType.BFloat16 or DType.Float64) ready = ready.To(DType.Float32);
        var made = new Models.Imports.Onnx.Tensor
        {
            Name = name, DataType = ready.Type switch { DType.Float32 => 1, DType.Int64 => 7, DType.Int32 => 6, DType.Bool => 9, DType.UInt8 => 2,
                _ => throw new GraftException($"the weight '{name}' is of the type {ready.Type}, which is not written") },
            RawData = ByteString.CopyFrom(new ReadOnlySpan<byte>((void*)ready.Data, checked((int)ready.Bytes))),
        };
        made.Dims.AddRange(ready.Shape);
        return made;
    }

    protected string Fixed(float[] values, params long[] shape) =>
        Fixed($"f {string.Join(' ', values.Select(value => BitConverter.SingleToInt32Bits(value)))} {string.Join('x', shape)}",
        () => TorchTensor.From(values, shape));

    protected string Fixed(float value) => Fixed($"s {BitConverter.SingleToInt32Bits(value)}", () => TorchTensor.From([value]).Reshape([]));

    protected string Fixed(params long[] values) => Fixed($"i {string.Join(' ', values)}", () => TorchTensor.From(values));

    // The same constant is written once.
    protected string Fixed(string key, Func<TorchTensor> value)
    {
        if (_fixed.TryGetValue(key, out var known)) return known;
        using var scope = new TensorScope();
        var name = $"fixed.{_fixed.Count}";
        Made.Initializer.Add(Tensor(name, value()));
        return _fixed[key] = name;
    }

    protected string Add(string op, params string[] inputs) => Add(op, inputs, []);

    protected string Add(string op, string[] inputs, params (string Name, object Value)[] attributes) => AddMany(op, inputs, 1, attributes)[0];

    protected string[] AddMany(string op, string[] inputs, int outputs, params (string Name, object Value)[] attributes)
    {
        var node = new Models.Imports.Onnx.Node { OpType = op, Name = $"{(Layer.Length > 0 ? Layer : op)}/{_next}" };
        node.Input.AddRange(inputs);
        for (var k = 0; k < outputs; k++) node.Output.Add($"t{_next++}");
        foreach (var (name, value) in attributes)
        {
            var attribute = new Models.Imports.Onnx.Attribute { Name = name };
            switch (value)
            {
                case long number: (attribute.I, attribute.Type) = (number, 2); break;
                case double number: (attribute.F, attribute.Type) = ((float)number, 1); break;
                case string text: (attribute.S, attribute.Type) = (ByteString.CopyFromUtf8(text), 3); break;
                case long[] list: attribute.Ints.AddRange(list); attribute.Type = 7; break;
            }
            node.Attribute.Add(attribute);
        }
        Made.Node.Add(node);
        return [.. node.Output];
    }
}
