using Google.Protobuf;
using Graft.Data;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Imports;

/// <summary>ONNX networks of opset 7 to 21 as graphs: what computes shapes is worked out while reading, with the batch left free.</summary>
internal static class OnnxReader
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">.onnx with its weights inside.</param>
    /// <param name="size">Pixels of the square input, where the file leaves it open.</param>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    /// <exception cref="GraftException">An operator that is not known, or not in this use.</exception>
    public static Imported Read(string path, int? size)
    {
        var model = Parse(File.ReadAllBytes(path));
        var graph = model.Graph;
        var opset = model.OpsetImport.Where(set => set.Domain is "" or "ai.onnx").Select(set => set.Version).DefaultIfEmpty(1).Max();
        if (opset is < 7 or > 21) throw new GraftException($"it uses opset {opset}: 7 to 21 are read. Convert it with onnx.version_converter");
        GraphBuilder? builder = null;
        try
        {
            var constants = graph.Initializer.ToDictionary(tensor => tensor.Name, tensor => Tensor(tensor));
            var inputs = graph.Input.Where(input => !constants.ContainsKey(input.Name)).ToArray();
            if (inputs.Length != 1) throw new GraftException($"it has {inputs.Length} inputs ({string.Join(", ", inputs.Select(input => input.Name).Take(5))}): Graft gives one picture");
            var type = inputs[0].Type?.TensorType;
            long[] sizes = [.. (type?.Shape?.Dim ?? []).Select(dim => dim.HasDimValue ? dim.DimValue : -1)];
            if (sizes.Length != 4) throw new GraftException($"its input '{inputs[0].Name}' has {sizes.Length} dimensions: pictures have four");
            if (sizes[0] > LargestBatch) throw new GraftException($"it runs for batches of {sizes[0]} pictures alone. {GraphBuilder.Advice}");
            var last = ChannelsLast(graph, inputs[0].Name, sizes);
            if (last) sizes = [sizes[0], sizes[3], sizes[1], sizes[2]];
            var (height, width) = (sizes[2] > 0 ? sizes[2] : size ?? 224, sizes[3] > 0 ? sizes[3] : size ?? 224);
            var channels = sizes[1] > 0 ? sizes[1] : 3;
            builder = new GraphBuilder(Math.Max(1, sizes[0]), twice: true);
            var operators = new OnnxOperators(builder, opset, constants, sizes[0] > 0);
            var picture = Imported.Picture(builder, channels, height, width);
            operators.Set(inputs[0].Name, last ? operators.Permuted(picture, [0, 2, 3, 1]) : picture);
            foreach (var node in graph.Node) operators.Run(node);
            var outputs = graph.Output.Select(output => output.Name).ToArray();
            var (built, weights) = builder.Build(operators.Output(outputs[0]));
            built = WithFront(built);
            var notes = new List<string>();
            if (outputs.Length > 1)
            {
                var left = builder.Parameters(outputs.Select(operators.Output)) - builder.Parameters([operators.Output(outputs[0])]);
                notes.Add($"it has {outputs.Length} outputs ({string.Join(", ", outputs.Take(5))}): the first is used{(left > 0 ? $"; {left:N0} parameters that only the others need are left aside" : "")}");
            }
            if (last) notes.Add("its input has the channels last, which Graft turns round: the network takes N×C×H×W here");
            var card = model.MetadataProps.GroupBy(entry => entry.Key).ToDictionary(group => group.Key, group => group.Last().Value);
            var stated = Stated(card, height, width, notes);
            if (stated is null && type?.ElemType == Levels) notes.Add("its input is whole levels: taken to be 0 … 255");
            return new Imported(built, weights, stated ?? Usual(channels, height, width, type?.ElemType == Levels), notes) { Card = card,
                Guessed = stated is null };
        }
        catch (Exception reason) when (reason is IndexOutOfRangeException or ArgumentException or KeyNotFoundException or InvalidCastException
            or InvalidOperationException or NullReferenceException or OverflowException or DivideByZeroException)
        {
            throw new InvalidDataException($"the graph is damaged{(builder?.Layer is { Length: > 0 } layer ? $" at the node '{layer}'" : "")}: {reason.Message}", reason);
        }
        finally
        {
            builder?.Dispose();
        }
    }

    /// <summary>The file's contents, which have a graph.</summary>
    /// <param name="bytes">Of the file.</param>
    /// <param name="whole">Fields that are not known here are kept, to be written again.</param>
    /// <exception cref="InvalidDataException">It is no ONNX file, or is cut off.</exception>
    public static Onnx.Model Parse(byte[] bytes, bool whole = false)
    {
        try
        {
            var model = Onnx.Model.Parser.WithDiscardUnknownFields(!whole).ParseFrom(bytes);
            return model.Graph is { Node.Count: > 0 } ? model : throw new InvalidDataException("it is no ONNX file: it holds no graph");
        }
        catch (InvalidProtocolBufferException reason)
        {
            throw new InvalidDataException($"it is no ONNX file, or is cut off: {reason.Message}", reason);
        }
    }

    /// <summary>What a network does to its pictures before its first layer (a mean taken away, a scale) is no part of what is learned.</summary>
    private static Graph WithFront(Graph graph)
    {
        var weights = graph.Weights.ToDictionary();
        foreach (var node in graph.Nodes.TakeWhile(node => !s_layers.Contains(node.Kind)).Where(node => s_shifts.Contains(node.Kind)))
        {
            foreach (var weight in node.Inputs.OfType<Weight>()) weights[weight.Name] = weights[weight.Name] with { Buffer = true };
        }
        return graph with { Weights = weights };
    }

    private static readonly string[] s_layers =
        ["aten::conv1d", "aten::conv2d", "aten::conv_transpose2d", "aten::linear", "aten::addmm", "aten::matmul", "aten::mm", "aten::batch_norm"];

    private static readonly string[] s_shifts = ["aten::add", "aten::sub", "aten::mul", "aten::div"];

    // A file for larger batches alone would take as much memory to read as to train.
    private const long LargestBatch = 64;

    // ONNX's number for uint8.
    private const int Levels = 2;

    /// <summary>Whether pictures come in as N×H×W×C (TensorFlow's way): by the sizes, else by what the graph does with them first.</summary>
    private static bool ChannelsLast(Onnx.Graph graph, string input, long[] sizes)
    {
        bool first = sizes[1] is 1 or 3, last = sizes[3] is 1 or 3;
        if (first != last) return last;
        var readers = graph.Node.Where(node => node.Input.Contains(input)).ToArray();
        return readers.Length > 0 && readers.All(node => node.OpType == "Transpose"
            && node.Attribute.FirstOrDefault(attribute => attribute.Name == "perm")?.Ints is [0, 3, 1, 2]);
    }

    // Graft's own files say what their input has gone through.
    private static Preprocessing? Stated(Dictionary<string, string> card, long height, long width, List<string> notes)
    {
        try
        {
            if (ModelCard.Preprocessing(card) is not { } read) return null;
            if (read.Width == width && read.Height == height) return read;
            notes.Add($"its metadata speak of pictures of {read.Width}×{read.Height}, its graph of {width}×{height}");
        }
        catch (InvalidDataException reason)
        {
            notes.Add(reason.Message);
        }
        return null;
    }

    private static Preprocessing Usual(long channels, long height, long width, bool levels)
    {
        if (levels) return Imported.Usual(channels, height, width, new Normalize([0, 0, 0], [1 / 255.0, 1 / 255.0, 1 / 255.0]));
        return channels == 3 && height == width && height >= 128 ? Preprocessing.Evaluation((int)(height * 8 / 7), (int)height, Normalize.ImageNet)
            : Imported.Usual(channels, height, width, channels == 3 ? Normalize.ImageNet : null);
    }

    /// <summary>A stored tensor.</summary>
    internal static unsafe TorchTensor Tensor(Onnx.Tensor tensor)
    {
        if (tensor.ExternalData.Count > 0) throw new GraftException($"the weight '{tensor.Name}' lies in another file ({tensor.ExternalData[0].Value}): save it with its weights inside (onnx.save_model(…, save_as_external_data=False))");
        long count = 1;
        foreach (var size in tensor.Dims) count = size >= 0 && size <= int.MaxValue && count <= int.MaxValue ? count * size
            : throw new InvalidDataException($"the weight '{tensor.Name}' says that it is {string.Join('×', tensor.Dims)}");
        long[] shape = [.. tensor.Dims];
        var type = tensor.DataType switch
        {
            1 => DType.Float32, 2 => DType.UInt8, 3 => DType.Int8, 5 => DType.Int16, 6 => DType.Int32, 7 => DType.Int64, 9 => DType.Bool,
                10 => DType.Float16, 11 => DType.Float64, 16 => DType.BFloat16,
            var other => throw new GraftException($"the weight '{tensor.Name}' has ONNX's element type {other}, which is not read"),
        };
        void Check(long found)
        {
            if (found != count) throw new InvalidDataException($"the weight '{tensor.Name}' says that it is {string.Join('×', shape)} and has {found} values");
        }
        if (tensor.HasRawData)
        {
            if (tensor.RawData.Length != count * type.Size()) Check(tensor.RawData.Length / type.Size());
            var made = Ops.Empty(shape, dtype: type);
            tensor.RawData.Span.CopyTo(new Span<byte>((void*)made.Data, checked((int)(count * type.Size()))));
            return type is DType.Float16 or DType.BFloat16 or DType.Float64 ? made.To(DType.Float32) : made;
        }
        switch (type)
        {
            case DType.Float32: Check(tensor.FloatData.Count); return TorchTensor.From<float>([.. tensor.FloatData], shape);
            case DType.Float64: Check(tensor.DoubleData.Count); return TorchTensor.From<double>([.. tensor.DoubleData], shape).To(DType.Float32);
            case DType.Int64: Check(tensor.Int64Data.Count); return TorchTensor.From<long>([.. tensor.Int64Data], shape);
            case DType.Float16: Check(tensor.Int32Data.Count);
                return TorchTensor.From<float>([.. tensor.Int32Data.Select(bits => (float)BitConverter.UInt16BitsToHalf((ushort)bits))], shape);
            default: Check(tensor.Int32Data.Count); return TorchTensor.From<int>([.. tensor.Int32Data], shape).To(type);
        }
    }
}
