using Google.Protobuf;
using Graft.Data;
using Graft.Models.Graphs;
using TorchTensor = Graft.Torch.Tensor;

namespace Graft.Models.Imports;

/// <summary>Caffe's classifiers and detectors: the network from a .prototxt, the weights from the .caffemodel beside it (new layers and the older
/// V1).</summary>
internal static class CaffeReader
{
    // V1LayerParameter's types, and what they are called since.
    private static readonly Dictionary<string, string> s_old = new(StringComparer.Ordinal)
    {
        ["CONCAT"] = "Concat", ["CONVOLUTION"] = "Convolution", ["DATA"] = "Data", ["DROPOUT"] = "Dropout", ["FLATTEN"] = "Flatten",
            ["IMAGE_DATA"] = "ImageData", ["INNER_PRODUCT"] = "InnerProduct", ["LRN"] = "LRN",
        ["POOLING"] = "Pooling", ["RELU"] = "ReLU", ["SIGMOID"] = "Sigmoid", ["SOFTMAX"] = "Softmax", ["SOFTMAX_LOSS"] = "SoftmaxWithLoss",
            ["SPLIT"] = "Split", ["TANH"] = "TanH", ["ELTWISE"] = "Eltwise", ["POWER"] = "Power",
        ["ACCURACY"] = "Accuracy", ["SLICE"] = "Slice", ["ABSVAL"] = "AbsVal", ["DECONVOLUTION"] = "Deconvolution", ["HDF5_DATA"] = "HDF5Data",
            ["MEMORY_DATA"] = "MemoryData", ["SILENCE"] = "Silence",
    };

    /// <summary>Reads a pair of files, given either of them.</summary>
    /// <exception cref="InvalidDataException">Damaged; or the other file is not there.</exception>
    /// <exception cref="GraftException">A layer that is not known.</exception>
    public static Imported Read(string path)
    {
        var (definition, weights) = Pair(path);
        Checkpoints.ForeignFile.Refuse(path == weights ? definition : weights);
        using var builder = new GraphBuilder(1);
        var net = TextFormat.Parse(File.ReadAllText(definition));
        try
        {
            var imported = new Network(net, Blobs(weights), builder).Read();
            return imported with { Notes = [$"the network is {definition}, the weights are {weights}", .. imported.Notes] };
        }
        catch (Exception reason) when (reason is IndexOutOfRangeException or ArgumentException or FormatException or DivideByZeroException
            or OverflowException)
        {
            throw new InvalidDataException($"the definition is damaged{(builder.Layer.Length > 0 ? $" at the layer '{builder.Layer}'" : "")}: {reason.Message}", reason);
        }
    }

    private static (string Definition, string Weights) Pair(string path)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        var isText = path.EndsWith(".prototxt", StringComparison.OrdinalIgnoreCase);
        var other = Path.ChangeExtension(path, isText ? ".caffemodel" : ".prototxt");
        if (!File.Exists(other))
        {
            var candidates = Directory.GetFiles(folder, isText ? "*.caffemodel" : "*.prototxt");
            var deploy = candidates.Where(file => Path.GetFileName(file).Contains("deploy", StringComparison.OrdinalIgnoreCase)).ToArray();
            other = candidates.Length == 1 ? candidates[0] : deploy.Length == 1 ? deploy[0]
                : throw new InvalidDataException($"{path}: its other half, {Path.GetFileName(other)}, is not beside it: Caffe's networks are two files, the .prototxt and the .caffemodel");
        }
        return isText ? (path, other) : (other, path);
    }

    private static Dictionary<string, TorchTensor[]> Blobs(string path)
    {
        Caffe.Net net;
        try
        {
            net = Caffe.Net.Parser.WithDiscardUnknownFields(true).ParseFrom(File.ReadAllBytes(path));
        }
        catch (InvalidProtocolBufferException reason)
        {
            throw new InvalidDataException($"{path} is no caffemodel, or is cut off: {reason.Message}", reason);
        }
        var found = new Dictionary<string, TorchTensor[]>();
        foreach (var (name, blobs) in net.Layer.Select(layer => (layer.Name, layer.Blobs))
            .Concat(net.Layers.Select(layer => (layer.Name, layer.Blobs))).Where(layer => layer.Blobs.Count > 0))
            found[name] = [.. blobs.Select(blob => Tensor(blob, name, path))];
        return found.Count > 0 ? found : throw new InvalidDataException($"{path} holds no weights: it is no caffemodel, or is cut off");
    }

    private static TorchTensor Tensor(Caffe.Blob blob, string layer, string path)
    {
        float[] values = blob.Data.Count > 0 ? [.. blob.Data] : [.. blob.DoubleData.Select(value => (float)value)];
        long[] shape = blob.Shape is { } stated ? [.. stated.Dim] : [blob.Num, blob.Channels, blob.Height, blob.Width];
        long count = 1;
        foreach (var size in shape) count = size >= 0 && size <= int.MaxValue && count <= int.MaxValue ? count * size : -1;
        if (count != values.Length) throw new InvalidDataException($"{path}: a weight of '{layer}' says that it is {string.Join('×', shape)} and has {values.Length} values");
        return TorchTensor.From(values, shape);
    }

    private sealed class Network(TextFormat net, Dictionary<string, TorchTensor[]> blobs, GraphBuilder builder)
    {
        private readonly Dictionary<string, Symbol> _values = [];
        private readonly List<string> _notes = [];
        private bool _guessed;
        private Preprocessing? _preprocessing;
        private readonly HashSet<string> _read = [];
        private Symbol? _last;
        private string _lastName = "";

        public Imported Read()
        {
            if (net.Text("input") is { } named)
            {
                var sizes = net.Messages("input_shape").FirstOrDefault() is { } shape ? shape.Numbers("dim") : net.Numbers("input_dim");
                Input(named, sizes, new TextFormatTransform(null));
            }
            foreach (var layer in net.Messages("layer").Concat(net.Messages("layers"))) Layer(layer);
            var (graph, weights) = builder.Build(_last ?? throw new GraftException("it has no layers"));
            if (_values.Keys.Where(name => name != _lastName && !_read.Contains(name)).ToArray() is { Length: > 0 } others) _notes.Add($"it has {others.Length + 1} outputs: the last, '{_lastName}', is used, and {string.Join(", ", others.Take(4))} not");
            return new Imported(graph, weights, _preprocessing!, _notes) { Guessed = _guessed };
        }

        /// <summary>What a data layer does to its pictures.</summary>
        private sealed record TextFormatTransform(TextFormat? Parameters)
        {
            public double Scale => Parameters?.Real("scale", 1) ?? 1;

            public double[] Mean => Parameters is { } found && found.Has("mean_value") ? [.. found.Texts("mean_value").Select(double.Parse)] : [];
        }

        private void Input(string name, long[] sizes, TextFormatTransform transform)
        {
            if (sizes.Length is not (2 or 4)) throw new GraftException($"its input '{name}' has {sizes.Length} dimensions: four are a picture's, two a flattened one's");
            long channels, height, width;
            if (sizes.Length == 4)
            {
                (channels, height, width) = (sizes[1], sizes[2], sizes[3]);
                _values[name] = Imported.Picture(builder, channels, height, width, blueFirst: channels == 3);
            }
            else
            {
                (_values[name], var flat) = Imported.Flattened(builder, sizes[1], channelsLast: false, blueFirst: true);
                (channels, height, width) = (sizes[1] / (flat.Width * flat.Height), flat.Height, flat.Width);
            }
            // (level − mean) · scale, as (level / 255 − m) / s; Caffe's means are of blue, green, red.
            var scale = 1 / (255 * transform.Scale);
            var mean = transform.Mean.Length == 3 ? transform.Mean.Reverse().ToArray() : transform.Mean.Length == 1
                ? [.. Enumerable.Repeat(transform.Mean[0], 3)] : [0.0, 0, 0];
            _preprocessing = Imported.Usual(channels, height, width, new Normalize([.. mean.Select(value => value / 255)], [scale, scale, scale]));
            _guessed = transform.Parameters?.Has("scale") != true && transform.Mean.Length == 0;
            if (transform.Parameters?.Text("mean_file") is {
                } file) _notes.Add($"its training subtracted the mean picture {file}, which is not read: give the mean with --mean");
        }

        private void Layer(TextFormat layer)
        {
            var (name, kind) = (layer.Text("name") ?? "", layer.Text("type") ?? "");
            kind = s_old.GetValueOrDefault(kind, kind);
            if (layer.Messages("include").Any(rule => rule.Text("phase") == "TRAIN") || layer.Messages("exclude")
                .Any(rule => rule.Text("phase") == "TEST")) return;
            builder.Layer = name;
            var (bottoms, tops) = (layer.Texts("bottom"), layer.Texts("top"));
            if (kind is "Data" or "ImageData" or "MemoryData" or "HDF5Data" or "Input" or "DummyData")
            {
                var transform = new TextFormatTransform(layer.Message("transform_param"));
                var parameters = layer.Message("input_param").Messages("shape").FirstOrDefault() ?? layer.Message("dummy_data_param")
                    .Messages("shape").FirstOrDefault();
                var crop = layer.Message("transform_param").Number("crop_size", layer.Message("data_param").Number("crop_size", 0));
                var sizes = parameters?.Numbers("dim") ?? (crop > 0 ? [1, 3, crop, crop] : Guess());
                if (!_values.ContainsKey(tops[0])) Input(tops[0], sizes, transform);
                return;
            }
            foreach (var bottom in bottoms) if (!tops.Contains(bottom)) _read.Add(bottom);
            if (kind is "Accuracy" or "Silence") return;
            if (kind is "DetectionOutput")
            {
                _notes.Add($"layer '{name}', which makes boxes of scores and leaves out those that overlap, is left aside: '{_lastName}' is the output");
                return;
            }
            var inputs = bottoms.Where(bottom => kind != "SoftmaxWithLoss" || bottom == bottoms[0])
                .Select(bottom => _values.GetValueOrDefault(bottom)
                ?? throw new GraftException($"layer '{name}' reads '{bottom}', which no layer gives")).ToArray();
            if (inputs.Length == 0) throw new GraftException($"layer '{name}' (line {layer.Line}) has no input");
            if (kind is "Slice" or "Split")
            {
                var parts = kind == "Split" ? [.. tops.Select(_ => inputs[0])] : Slice(layer.Message("slice_param"), inputs[0], tops.Count);
                for (var k = 0; k < tops.Count; k++) _values[tops[k]] = parts[k];
                return;
            }
            var made = Call(layer, name, kind, inputs);
            foreach (var top in tops) _values[top] = made;
            // What depends on sizes alone (prior boxes) is nobody's answer.
            if (made.Batched && tops.Count > 0) (_last, _lastName) = (made, tops[^1]);
        }

        // A training definition that names no size: of the pictures that the first dense layer's weights allow, MNIST's.
        private long[] Guess() => blobs.Values.First()[0].Shape is [_, 1, _, _] ? [1, 1, 28, 28]
            : throw new GraftException("its input's size is not in the .prototxt: give the deploy version, which has an input");

        private TorchTensor Blob(string layer, int k) => blobs.GetValueOrDefault(layer) is { } found && k < found.Length ? found[k]
            : throw new InvalidDataException($"layer '{layer}' has no weights in the .caffemodel: the two files do not belong together");

        private Symbol Weight(string layer, string suffix, int k, Func<TorchTensor, TorchTensor>? change = null, bool buffer = false) =>
            builder.Weight($"{layer}.{suffix}", () => change is null ? Blob(layer, k) : change(Blob(layer, k)).Contiguous(), buffer);

        private static long Size(TextFormat parameters, string both, string one, long otherwise, int at)
        {
            var list = parameters.Numbers(both);
            return parameters.Has(one) ? parameters.Number(one, otherwise) : list.Length == 0 ? otherwise : list[Math.Min(at, list.Length - 1)];
        }

        private Symbol Call(TextFormat layer, string name, string kind, Symbol[] inputs)
        {
            var x = inputs[0];
            switch (kind)
            {
                case "Convolution" or "Deconvolution" or "DepthwiseConvolution"
                    or "ConvolutionDepthwise": return Convolution(layer.Message("convolution_param"), name, x, kind == "Deconvolution");
                case "InnerProduct":
                    var dense = layer.Message("inner_product_param");
                    var flat = x.Shape.Length == 2 ? x
                        : builder.Call("aten::reshape", x, (long[])[-1, x.Shape.Skip(1).Aggregate(1L, (n, size) => n * size)]);
                    // Older files have 1×1×out×in.
                    return builder.Call("aten::linear", flat, Weight(name, "weight", 0, tensor => tensor.Reshape([-1, flat.Shape[1]])),
                        dense.Flag("bias_term", true) ? Weight(name, "bias", 1, tensor => tensor.Reshape([-1])) : null);
                case "Pooling": return Pooling(layer.Message("pooling_param"), x, name);
                case "ReLU":
                    var slope = layer.Message("relu_param").Real("negative_slope", 0);
                    return slope == 0 ? builder.Call("aten::relu", x) : builder.Call("aten::leaky_relu", x, slope);
                case "PReLU": return builder.Call("aten::prelu", x, Weight(name, "weight", 0));
                case "ELU": return builder.Call("aten::elu", x, layer.Message("elu_param").Real("alpha", 1), 1L, 1L);
                case "Sigmoid": return builder.Call("aten::sigmoid", x);
                case "TanH": return builder.Call("aten::tanh", x);
                case "AbsVal": return builder.Call("aten::abs", x);
                case "Dropout": return builder.Call("aten::dropout", x, layer.Message("dropout_param").Real("dropout_ratio", 0.5), false);
                case "Softmax" or "SoftmaxWithLoss": return builder.Call("aten::softmax.int", x,
                    CaffeShapes.Axis(layer.Message("softmax_param"), "axis", x, 1), null);
                case "LRN": return Normalise(layer.Message("lrn_param"), x, name);
                case "Concat":
                    var concat = layer.Message("concat_param");
                    return builder.Call("aten::cat", inputs, CaffeShapes.Axis(concat, "axis", x, concat.Number("concat_dim", 1)));
                case "Eltwise": return Eltwise(layer.Message("eltwise_param"), inputs);
                case "BatchNorm":
                    TorchTensor Scaled(TorchTensor tensor) =>
                        tensor.Reshape([-1]) * (Blob(name, 2).Item() is var factor && factor != 0 ? 1 / factor : 0);
                    return builder.Call("aten::batch_norm", x, null, null, Weight(name, "running_mean", 0, Scaled, true),
                        Weight(name, "running_var", 1, Scaled, true), false, 0.1, layer.Message("batch_norm_param").Real("eps", 1e-5), false);
                case "Scale":
                    var scaled = builder.Call("aten::mul.Tensor", x, Weight(name, "weight", 0, tensor => Channels(tensor, x)));
                    return layer.Message("scale_param").Flag("bias_term", false)
                        ? builder.Call("aten::add.Tensor", scaled, Weight(name, "bias", 1, tensor => Channels(tensor, x)), 1L) : scaled;
                case "Bias": return builder.Call("aten::add.Tensor", x, Weight(name, "bias", 0, tensor => Channels(tensor, x)), 1L);
                case "Power":
                    var power = layer.Message("power_param");
                    var line = builder.Call("aten::add.Scalar", builder.Call("aten::mul.Scalar", x, power.Real("scale", 1)), power.Real("shift", 0),
                        1L);
                    return power.Real("power", 1) is var exponent && exponent != 1 ? builder.Call("aten::pow.Tensor_Scalar", line, exponent) : line;
                case "Flatten": return CaffeShapes.Flatten(builder, layer.Message("flatten_param"), x);
                case "Reshape": return CaffeShapes.Reshape(builder, layer.Message("reshape_param"), x);
                case "Permute": return CaffeShapes.Permute(builder, layer.Message("permute_param"), x);
                case "Normalize": return CaffeShapes.Normalize(builder, layer.Message("norm_param"), x,
                    () => Weight(name, "weight", 0, tensor => tensor.Reshape([1, -1, .. Enumerable.Repeat(1L, x.Shape.Length - 2)])));
                case "PriorBox":
                    if (inputs.Length < 2) throw new GraftException($"layer '{name}' (line {layer.Line}) makes prior boxes of two inputs, a map and the picture, and has one");
                    return builder.Weight($"{name}.boxes", () => PriorBoxes.Of(layer.Message("prior_box_param"), x.Shape, inputs[1].Shape),
                        buffer: true);
                default: throw new GraftException($"layer '{name}' (line {layer.Line}) is a {kind}, which Graft does not know");
            }
        }

        private static TorchTensor Channels(TorchTensor tensor, Symbol x) => tensor.Reshape([1, -1, .. Enumerable.Repeat(1L, x.Shape.Length - 2)]);

        private Symbol Convolution(TextFormat p, string name, Symbol x, bool transposed)
        {
            long[] window = [Size(p, "kernel_size", "kernel_h", 1, 0), Size(p, "kernel_size", "kernel_w", 1, 1)],
                stride = [Size(p, "stride", "stride_h", 1, 0), Size(p, "stride", "stride_w", 1, 1)];
            long[] pad = [Size(p, "pad", "pad_h", 0, 0), Size(p, "pad", "pad_w", 0, 1)],
                dilation = [Size(p, "dilation", "", 1, 0), Size(p, "dilation", "", 1, 1)];
            var (groups, outputs) = (p.Number("group", 1), p.Number("num_output", 0));
            var weight = Weight(name, "weight", 0,
                tensor => tensor.Reshape(transposed ? [x.Shape[1], outputs / groups, .. window] : [outputs, x.Shape[1] / groups, .. window]));
            var bias = p.Flag("bias_term", true) ? Weight(name, "bias", 1, tensor => tensor.Reshape([-1])) : null;
            return transposed ? builder.Call("aten::conv_transpose2d.input", x, weight, bias, stride, pad, (long[])[0, 0], groups, dilation)
                : builder.Call("aten::conv2d", x, weight, bias, stride, pad, dilation, groups);
        }

        private Symbol Pooling(TextFormat p, Symbol x, string name)
        {
            var average = p.Text("pool") is "AVE" or "1";
            if (p.Text("pool") is "STOCHASTIC" or "2") throw new GraftException($"layer '{name}' pools at random, which Graft does not know");
            if (p.Flag("global_pooling", false)) return average ? builder.Call("aten::mean.dim", x, (long[])[2, 3], true, null)
                : builder.Call("aten::amax", x, (long[])[2, 3], true);
            long[] window = [Size(p, "kernel_size", "kernel_h", 1, 0), Size(p, "kernel_size", "kernel_w", 1, 1)],
                stride = [Size(p, "stride", "stride_h", 1, 0), Size(p, "stride", "stride_w", 1, 1)],
                pad = [Size(p, "pad", "pad_h", 0, 0), Size(p, "pad", "pad_w", 0, 1)];
            // Caffe rounds the number of positions up.
            var up = p.Text("round_mode") is not ("FLOOR" or "1");
            return average ? builder.Call("aten::avg_pool2d", x, window, stride, pad, up, true, null)
                : builder.Call("aten::max_pool2d", x, window, stride, pad, (long[])[1, 1], up);
        }

        private Symbol Normalise(TextFormat p, Symbol x, string name)
        {
            if (p.Text("norm_region") is "WITHIN_CHANNEL"
                or "1") throw new GraftException($"layer '{name}' normalises within channels, which Graft does not know");
            return Normalisation.AcrossChannels(builder, x, p.Number("local_size", 5), p.Real("alpha", 1), p.Real("beta", 0.75), p.Real("k", 1));
        }

        private Symbol Eltwise(TextFormat p, Symbol[] inputs)
        {
            var operation = p.Text("operation") ?? "SUM";
            var factors = p.Texts("coeff").Select(double.Parse).ToArray();
            Symbol Factor(int k) => factors.Length > k && factors[k] != 1 ? builder.Call("aten::mul.Scalar", inputs[k], factors[k]) : inputs[k];
            var sum = Factor(0);
            for (var k = 1; k < inputs.Length; k++)
                sum = operation switch { "PROD" or "0" => builder.Call("aten::mul.Tensor", sum, inputs[k]), "MAX"
                    or "2" => builder.Call("aten::maximum", sum, inputs[k]), _ => builder.Call("aten::add.Tensor", sum, Factor(k), 1L) };
            return sum;
        }

        private Symbol[] Slice(TextFormat p, Symbol x, int parts)
        {
            var (axis, points) = (CaffeShapes.Axis(p, "axis", x, p.Number("slice_dim", 1)), p.Numbers("slice_point"));
            long[] ends = points.Length > 0 ? [.. points, x.Shape[axis]] : [.. Enumerable.Range(1, parts).Select(k => x.Shape[axis] * k / parts)];
            return [.. ends.Select((end, k) => builder.Call("aten::narrow", x, axis, k == 0 ? 0 : ends[k - 1], end - (k == 0 ? 0 : ends[k - 1])))];
        }
    }
}

/// <summary>Normalisation that libtorch has no single operator for.</summary>
internal static class Normalisation
{
    /// <summary>Krizhevsky et al. 2012, section 3.3: x / (k + α/n · Σ x²)^β over n neighbouring channels.</summary>
    public static Symbol AcrossChannels(GraphBuilder builder, Symbol x, long n, double alpha, double beta, double k)
    {
        var squares = builder.Call("aten::unsqueeze", builder.Call("aten::mul.Tensor", x, x), 1L);
        var padded = builder.Call("aten::constant_pad_nd", squares, (long[])[0, 0, 0, 0, n / 2, (n - 1) / 2], 0.0);
        var means = builder.Call("aten::squeeze.dim",
            builder.Call("aten::avg_pool3d", padded, (long[])[n, 1, 1], (long[])[1, 1, 1], (long[])[0, 0, 0], false, true, null), 1L);
        var below = builder.Call("aten::pow.Tensor_Scalar", builder.Call("aten::add.Scalar", builder.Call("aten::mul.Scalar", means, alpha), k, 1L),
            beta);
        return builder.Call("aten::div.Tensor", x, below);
    }
}
