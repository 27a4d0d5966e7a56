using System.Text.Json.Nodes;
using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>One Keras layer as calls of libtorch's operators. Pictures are N×C×H×W here and N×H×W×C in Keras; sequences N×T×C in both.</summary>
internal sealed class KerasLayers(GraphBuilder builder, string name, JsonNode config, KerasFile.LayerWeights weights)
{
    private long Number(string key, long otherwise = 0) => config[key] is { } value ? (long)(double)value : otherwise;

    private double Real(string key, double otherwise = 0) => config[key] is { } value ? (double)value : otherwise;

    private bool Flag(string key, bool otherwise = true) => config[key] is { } value ? (bool)value : otherwise;

    private string Text(string key, string otherwise = "") => config[key] is JsonValue value && value.TryGetValue<string>(out var text) ? text
        : otherwise;

    private long[] Pair(string key, long otherwise = 1, int count = 2) => config[key] switch
    {
        JsonArray list => [.. list.Select(size => (long)size!)],
        JsonValue value => [.. Enumerable.Repeat((long)value, count)],
        _ => [.. Enumerable.Repeat(otherwise, count)],
    };

    private Symbol Weight(string suffix, Func<Tensor> value, bool buffer = false) =>
        builder.Weight($"{name}.{suffix}", () => value().Contiguous(), buffer);

    private Symbol Parameter(string suffix, string role, int position, params long[] order) =>
        Weight(suffix, () => weights.Get(name, role, position) is var tensor && order.Length > 0 ? tensor.Permute(order) : tensor);

    private Symbol? Bias(int position = 1) => Flag("use_bias") ? Parameter("bias", "bias", position) : null;

    private GraftException No(string what) => new($"layer '{name}': {what}");

    /// <summary>The layer's output.</summary>
    /// <exception cref="GraftException">A layer, or a use of it, that is not known.</exception>
    public Symbol Call(string kind, Symbol[] inputs)
    {
        var x = inputs.Length > 0 ? inputs[0] : throw No("has no input");
        switch (kind)
        {
            case "InputLayer" or "Dropout" or "SpatialDropout1D" or "SpatialDropout2D" or "GaussianNoise" or "GaussianDropout" or "AlphaDropout"
                or "ActivityRegularization" or "RandomFlip" or "RandomRotation" or "RandomZoom" or "RandomContrast" or "RandomTranslation"
                or "RandomBrightness" or "Masking":
                return kind is "Dropout" ? builder.Call("aten::dropout", x, Real("rate"), false) : x;
            case "Dense": return Activated(builder.Call("aten::linear", x, Parameter("weight", "kernel", 0, 1, 0), Bias()));
            case "Conv2D": return Activated(Convolution(x, Parameter("weight", "kernel", 0, 3, 2, 0, 1), Bias(), Number("groups", 1)));
            case "DepthwiseConv2D": return Activated(
                Convolution(x, Weight("weight", () => Depthwise(weights.Find("depthwise_kernel", 0) ?? weights.Get(name, "kernel", 0))), Bias(),
                x.Shape[1]));
            case "SeparableConv2D":
                var deep = Convolution(x, Weight("depthwise.weight", () => Depthwise(weights.Get(name, "depthwise_kernel", 0))), null, x.Shape[1]);
                return Activated(builder.Call("aten::conv2d", deep, Parameter("pointwise.weight", "pointwise_kernel", 1, 3, 2, 0, 1), Bias(2),
                    (long[])[1, 1], (long[])[0, 0], (long[])[1, 1], 1L));
            case "Conv2DTranspose": return Activated(Transposed(x));
            case "Conv1D": return Activated(Convolution1D(x));
            case "BatchNormalization": return BatchNorm(x);
            case "LayerNormalization": return LayerNorm(x);
            case "Activation": return Activate(Text("activation"), x);
            case "ReLU": return Relu(x);
            case "LeakyReLU": return builder.Call("aten::leaky_relu", x, Real("negative_slope", Real("alpha", 0.3)));
            case "ELU": return builder.Call("aten::elu", x, Real("alpha", 1), 1L, 1L);
            case "Softmax": return builder.Call("aten::softmax.int", x, Axis(x, Number("axis", -1)), null);
            case "PReLU": return PRelu(x);
            case "MaxPooling2D" or "MaxPool2D": return Pool(x, "aten::max_pool2d");
            case "AveragePooling2D" or "AvgPool2D": return Pool(x, "aten::avg_pool2d");
            case "MaxPooling1D" or "AveragePooling1D": return Pool1D(x, kind.StartsWith("Max", StringComparison.Ordinal));
            case "GlobalAveragePooling2D": return builder.Call("aten::mean.dim", x, (long[])[2, 3], Flag("keepdims", false), null);
            case "GlobalMaxPooling2D": return builder.Call("aten::amax", x, (long[])[2, 3], Flag("keepdims", false));
            case "GlobalAveragePooling1D": return builder.Call("aten::mean.dim", x, (long[])[1], false, null);
            case "GlobalMaxPooling1D": return builder.Call("aten::amax", x, (long[])[1], false);
            case "Flatten": return builder.Call("aten::reshape", Last(x), (long[])[-1, x.Shape.Skip(1).Aggregate(1L, (n, size) => n * size)]);
            case "Reshape": return Reshape(x);
            case "Permute": return First(builder.Call("aten::permute", Last(x), (long[])[0, .. Pair("dims")]));
            case "ZeroPadding2D": return Pad(x, Sides("padding"));
            case "Cropping2D": return Pad(x, [.. Sides("cropping").Select(side => -side)]);
            case "UpSampling2D": return Upsample(x);
            case "Rescaling": return builder.Call("aten::add.Scalar", builder.Call("aten::mul.Scalar", x, Real("scale", 1)), Real("offset"), 1L);
            case "Normalization": return Normalize(x);
            case "Add" or "Subtract" or "Multiply" or "Average" or "Maximum" or "Minimum": return Merge(kind, inputs);
            case "Concatenate": return builder.Call("aten::cat", inputs, Axis(x, Number("axis", -1)));
            case "Embedding": return builder.Call("aten::embedding", Parameter("weight", "embeddings", 0),
                x.Example.Type == DType.Int64 ? x : builder.Call("aten::to.dtype", x, DType.Int64));
            case "LSTM" or "GRU" or "SimpleRNN" or "Bidirectional": return new KerasRecurrent(builder, name, config, weights).Call(kind, x);
            case "TimeDistributed" when (string?)config["layer"]!["class_name"] == "Dense": return new KerasLayers(builder, name,
                config["layer"]!["config"]!, weights).Call("Dense", inputs);
            case "MultiHeadAttention": return Attention(inputs);
            default: throw No($"Graft does not know Keras's {kind}. Export the model to ONNX (tf2onnx) and give that file");
        }
    }

    // Keras keeps the axis by its own order of dimensions.
    private static long Axis(Symbol x, long axis)
    {
        var rank = x.Shape.Length;
        if (axis < 0) axis += rank;
        return rank == 4 ? axis switch { 3 => 1, 1 => 2, 2 => 3, _ => axis } : axis;
    }

    private Symbol Last(Symbol x) => x.Shape.Length == 4 ? builder.Call("aten::permute", x, (long[])[0, 2, 3, 1]) : x;

    private Symbol First(Symbol x) => x.Shape.Length == 4 ? builder.Call("aten::permute", x, (long[])[0, 3, 1, 2]) : x;

    private Symbol Activated(Symbol x) => config["activation"] is null ? x
        : Activate(config["activation"] is JsonObject map ? (string?)map["class_name"] ?? "" : Text("activation"), x);

    private Symbol Activate(string function, Symbol x) => function.ToLowerInvariant() switch
    {
        "" or "linear" => x,
        "relu" => builder.Call("aten::relu", x),
        "relu6" => builder.Call("aten::hardtanh", x, 0.0, 6.0),
        "softmax" => builder.Call("aten::softmax.int", x, Axis(x, -1), null),
        "log_softmax" => builder.Call("aten::log_softmax.int", x, Axis(x, -1), null),
        "sigmoid" => builder.Call("aten::sigmoid", x),
        "tanh" => builder.Call("aten::tanh", x),
        "selu" => builder.Call("aten::selu", x),
        "elu" => builder.Call("aten::elu", x, 1.0, 1L, 1L),
        "gelu" => builder.Call("aten::gelu", x, "none"),
        "swish" or "silu" => builder.Call("aten::silu", x),
        "softplus" => builder.Call("aten::softplus", x, 1L, 20L),
        "exponential" => builder.Call("aten::exp", x),
        "leaky_relu" => builder.Call("aten::leaky_relu", x, 0.2),
        "hard_swish" or "hard_silu" => builder.Call("aten::hardswish", x),
        "hard_sigmoid" => builder.Call("aten::clamp", builder.Call("aten::add.Scalar", builder.Call("aten::mul.Scalar", x, 0.2), 0.5, 1L), 0.0, 1.0),
        "softsign" => builder.Call("aten::div.Tensor", x, builder.Call("aten::add.Scalar", builder.Call("aten::abs", x), 1.0, 1L)),
        _ => throw No($"the activation '{function}' is not known"),
    };

    private Symbol Relu(Symbol x)
    {
        var slope = Real("negative_slope");
        if (Real("threshold") != 0) throw No("a ReLU with a threshold is not known");
        if (config["max_value"] is { } most) return slope == 0 ? builder.Call("aten::clamp", x, 0.0, (double)most)
            : throw No("a ReLU with a slope and a greatest value is not known");
        return slope == 0 ? builder.Call("aten::relu", x) : builder.Call("aten::leaky_relu", x, slope);
    }

    private Symbol PRelu(Symbol x)
    {
        var shared = Weight("weight", () =>
        {
            var alpha = weights.Get(name, "alpha", 0);
            return alpha.Dimensions == 3 ? alpha.Permute([2, 0, 1]) : alpha;
        });
        var below = builder.Call("aten::mul.Tensor", builder.Call("aten::clamp", x, null, 0.0), shared);
        return builder.Call("aten::add.Tensor", builder.Call("aten::relu", x), below, 1L);
    }

    // h×w×in×multiplier to in·multiplier×1×h×w.
    private static Tensor Depthwise(Tensor kernel) => kernel.Permute([2, 3, 0, 1])
        .Reshape([kernel.Shape[2] * kernel.Shape[3], 1, kernel.Shape[0], kernel.Shape[1]]);

    private Symbol Convolution(Symbol x, Symbol weight, Symbol? bias, long groups)
    {
        var (strides, dilation) = (Pair("strides"), Pair("dilation_rate"));
        long[] window = [weight.Shape[2], weight.Shape[3]];
        (x, var padding) = Same(x, window, strides, dilation, 0);
        return builder.Call("aten::conv2d", x, weight, bias, strides, padding, dilation, groups);
    }

    // TensorFlow's "same": as many outputs as ⌈size / stride⌉, the odd zero behind.
    private (Symbol, long[]) Same(Symbol x, long[] window, long[] strides, long[] dilation, double fill)
    {
        if (Text("padding", "valid") == "valid") return (x, [0, 0]);
        if (Text("padding") != "same") throw No($"padding '{Text("padding")}' is not known");
        var total = Enumerable.Range(0, 2)
            .Select(k => Math.Max(0, ((x.Shape[2 + k] + strides[k] - 1) / strides[k] - 1) * strides[k] + dilation[k] * (window[k] - 1)
            + 1 - x.Shape[2 + k])).ToArray();
        if (fill == 0 && total.All(side => side % 2 == 0)) return (x, [total[0] / 2, total[1] / 2]);
        return (builder.Call("aten::constant_pad_nd", x, (long[])[total[1] / 2, total[1] - total[1] / 2, total[0] / 2, total[0] - total[0] / 2],
            fill), [0, 0]);
    }

    private Symbol Transposed(Symbol x)
    {
        var weight = Parameter("weight", "kernel", 0, 3, 2, 0, 1);
        var strides = Pair("strides");
        if (Pair("dilation_rate").Any(rate => rate != 1)) throw No("a transposed convolution with dilation is not known");
        var full = builder.Call("aten::conv_transpose2d.input", x, weight, Bias(), strides, (long[])[0, 0], (long[])[0, 0], 1L, (long[])[1, 1]);
        if (Text("padding", "valid") == "valid") return full;
        var crop = Enumerable.Range(0, 2).Select(k => full.Shape[2 + k] - x.Shape[2 + k] * strides[k]).ToArray();
        return Pad(full, [-(crop[1] / 2), -(crop[1] - crop[1] / 2), -(crop[0] / 2), -(crop[0] - crop[0] / 2)]);
    }

    private Symbol Convolution1D(Symbol x)
    {
        var weight = Parameter("weight", "kernel", 0, 2, 1, 0);
        long stride = Pair("strides", 1, 1)[0], dilation = Pair("dilation_rate", 1, 1)[0], window = weight.Shape[2];
        var y = builder.Call("aten::transpose.int", x, 1L, 2L);
        var padding = Text("padding", "valid");
        if (padding != "valid")
        {
            var total = padding == "causal" ? dilation * (window - 1)
                : Math.Max(0, ((y.Shape[2] + stride - 1) / stride - 1) * stride + dilation * (window - 1) + 1 - y.Shape[2]);
            var before = padding == "causal" ? total : total / 2;
            if (total > 0) y = builder.Call("aten::constant_pad_nd", y, (long[])[before, total - before], 0.0);
        }
        return builder.Call("aten::transpose.int",
            builder.Call("aten::conv1d", y, weight, Bias(), (long[])[stride], (long[])[0], (long[])[dilation], Number("groups", 1)), 1L, 2L);
    }

    private Symbol BatchNorm(Symbol x)
    {
        var at = 0;
        var (scaled, centred) = (Flag("scale"), Flag("center"));
        var scale = scaled ? Parameter("weight", "gamma", at++) : null;
        var shift = centred ? Parameter("bias", "beta", at++) : null;
        var (mean, variance) = (Weight("running_mean", () => weights.Get(name, "moving_mean", at), true),
            Weight("running_var", () => weights.Get(name, "moving_variance", at + 1), true));
        var sequence = x.Shape.Length == 3;
        if (sequence) x = builder.Call("aten::transpose.int", x, 1L, 2L);
        var y = builder.Call("aten::batch_norm", x, scale, shift, mean, variance, false, 1 - Real("momentum", 0.99), Real("epsilon", 1e-3), false);
        return sequence ? builder.Call("aten::transpose.int", y, 1L, 2L) : y;
    }

    private Symbol LayerNorm(Symbol x)
    {
        var scale = Flag("scale") ? Parameter("weight", "gamma", 0) : null;
        var shift = Flag("center") ? Parameter("bias", "beta", Flag("scale") ? 1 : 0) : null;
        return First(builder.Call("aten::layer_norm", Last(x), (long[])[Last(x).Shape[^1]], scale, shift, Real("epsilon", 1e-3), false));
    }

    private Symbol Pool(Symbol x, string op)
    {
        var window = Pair("pool_size", 2);
        var strides = config["strides"] is null ? window : Pair("strides");
        var most = op == "aten::max_pool2d";
        if (!most && Text("padding", "valid") == "same")
        {
            // Zeros added for "same" do not count.
            var (padded, _) = Same(x, window, strides, [1, 1], 0);
            if (padded.Shape.SequenceEqual(x.Shape)) return AverageCounted(x, window, strides, x);
            return AverageCounted(padded, window, strides, x);
        }
        var (y, _) = Same(x, window, strides, [1, 1], most ? -3.4e38 : 0);
        return most ? builder.Call(op, y, window, strides, (long[])[0, 0], (long[])[1, 1], false)
            : builder.Call(op, y, window, strides, (long[])[0, 0], false, true, null);
    }

    private Symbol AverageCounted(Symbol padded, long[] window, long[] strides, Symbol x)
    {
        (padded, var padding) = ReferenceEquals(padded, x) ? Same(x, window, strides, [1, 1], 0) : (padded, [0, 0]);
        var sums = builder.Call("aten::avg_pool2d", padded, window, strides, padding, false, true, 1L);
        var counts = Weight("counts", () =>
        {
            var ones = Ops.Ones([1, 1, x.Shape[2], x.Shape[3]]);
            var total = Enumerable.Range(0, 2)
                .Select(k => Math.Max(0, ((x.Shape[2 + k] + strides[k] - 1) / strides[k] - 1) * strides[k] + window[k] - x.Shape[2 + k])).ToArray();
            return ones.ConstantPadNd([total[1] / 2, total[1] - total[1] / 2, total[0] / 2, total[0] - total[0] / 2], 0)
                .AvgPool2d(window, strides, divisorOverride: 1);
        }, true);
        return builder.Call("aten::div.Tensor", sums, counts);
    }

    private Symbol Pool1D(Symbol x, bool most)
    {
        if (Text("padding", "valid") != "valid") throw No("one-dimensional pooling with padding is not known");
        long window = Pair("pool_size", 2, 1)[0], stride = config["strides"] is null ? window : Pair("strides", 1, 1)[0];
        var y = builder.Call("aten::unsqueeze", builder.Call("aten::transpose.int", x, 1L, 2L), 2L);
        y = most ? builder.Call("aten::max_pool2d", y, (long[])[1, window], (long[])[1, stride], (long[])[0, 0], (long[])[1, 1], false)
            : builder.Call("aten::avg_pool2d", y, (long[])[1, window], (long[])[1, stride], (long[])[0, 0], false, true, null);
        return builder.Call("aten::transpose.int", builder.Call("aten::squeeze.dim", y, 2L), 1L, 2L);
    }

    private Symbol Reshape(Symbol x)
    {
        var target = Pair("target_shape");
        var count = x.Shape.Skip(1).Aggregate(1L, (n, size) => n * size);
        var known = target.Where(size => size > 0).Aggregate(1L, (n, size) => n * size);
        return First(builder.Call("aten::reshape", Last(x), (long[])[-1, .. target.Select(size => size < 0 ? count / known : size)]));
    }

    // left, right, top, bottom
    private long[] Sides(string key) => config[key] switch
    {
        JsonArray { Count: 2 } list when list[0] is JsonArray rows
            && list[1] is JsonArray columns => [(long)columns[0]!, (long)columns[1]!, (long)rows[0]!, (long)rows[1]!],
        JsonArray { Count: 2 } list => [(long)list[1]!, (long)list[1]!, (long)list[0]!, (long)list[0]!],
        JsonValue value => [(long)value, (long)value, (long)value, (long)value],
        _ => [1, 1, 1, 1],
    };

    private Symbol Pad(Symbol x, long[] sides) => builder.Call("aten::constant_pad_nd", x, sides, 0.0);

    private Symbol Upsample(Symbol x)
    {
        var size = Pair("size", 2);
        long[] to = [x.Shape[2] * size[0], x.Shape[3] * size[1]];
        return Text("interpolation", "nearest") switch
        {
            "nearest" => builder.Call("aten::upsample_nearest2d", x, to, null, null),
            "bilinear" => builder.Call("aten::upsample_bilinear2d", x, to, false, null, null),
            var other => throw No($"upsampling by '{other}' is not known"),
        };
    }

    private Symbol Normalize(Symbol x)
    {
        var mean = weights.Find("mean", 0)
            ?? (config["mean"] is JsonArray list ? Tensor.From([.. list.Select(value => (float)value!)]) : throw No("its mean is not in the file"));
        var variance = weights.Find("variance", 1)
            ?? (config["variance"] is JsonArray more ? Tensor.From([.. more.Select(value => (float)value!)])
            : throw No("its variance is not in the file"));
        long[] shape = x.Shape.Length == 4 ? [1, mean.Count, 1, 1] : [1, mean.Count];
        var centred = builder.Call("aten::sub.Tensor", x, Weight("mean", () => mean.Reshape(shape), true), 1L);
        return builder.Call("aten::div.Tensor", centred, Weight("deviation", () => variance.Reshape(shape).Sqrt().Clamp(1e-7), true));
    }

    private Symbol Merge(string kind, Symbol[] inputs)
    {
        var sum = inputs[0];
        foreach (var next in inputs.Skip(1))
        {
            sum = kind switch
            {
                "Add" or "Average" => builder.Call("aten::add.Tensor", sum, next, 1L),
                "Subtract" => builder.Call("aten::sub.Tensor", sum, next, 1L),
                "Multiply" => builder.Call("aten::mul.Tensor", sum, next),
                "Maximum" => builder.Call("aten::maximum", sum, next),
                _ => builder.Call("aten::minimum", sum, next),
            };
        }
        return kind == "Average" ? builder.Call("aten::mul.Scalar", sum, 1.0 / inputs.Length) : sum;
    }

    // Kernels: in×heads×size; the output's: heads×size×out.
    private Symbol Attention(Symbol[] inputs)
    {
        var (query, value, key) = (inputs[0], inputs.Length > 1 ? inputs[1] : inputs[0],
            inputs.Length > 2 ? inputs[2] : inputs.Length > 1 ? inputs[1] : inputs[0]);
        long heads = Number("num_heads"), size = Number("key_dim"), valueSize = Number("value_dim", size);
        var bias = Flag("use_bias");
        var each = bias ? 2 : 1;
        Symbol Project(Symbol x, string part, int index, long width)
        {
            var mine = weights.Take(index * each, each);
            var weight = Weight($"{part}.weight", () => mine.Get(name, "kernel", 0).Reshape([-1, heads * width]).T());
            var y = builder.Call("aten::linear", x, weight, bias ? Weight($"{part}.bias", () => mine.Get(name, "bias", 1).Reshape([-1])) : null);
            return builder.Call("aten::transpose.int", builder.Call("aten::reshape", y, (long[])[-1, x.Shape[1], heads, width]), 1L, 2L);
        }
        var (q, k, v) = (Project(query, "query", 0, size), Project(key, "key", 1, size), Project(value, "value", 2, valueSize));
        var scores = builder.Call("aten::mul.Scalar", builder.Call("aten::matmul", q, builder.Call("aten::transpose.int", k, 2L, 3L)),
            1 / Math.Sqrt(size));
        var mixed = builder.Call("aten::matmul", builder.Call("aten::softmax.int", scores, -1L, null), v);
        var joined = builder.Call("aten::reshape", builder.Call("aten::transpose.int", mixed, 1L, 2L),
            (long[])[-1, query.Shape[1], heads * valueSize]);
        var last = weights.Take(3 * each, each);
        return builder.Call("aten::linear", joined,
            Weight("output.weight", () => last.Get(name, "kernel", 0) is var kernel ? kernel.Reshape([heads * valueSize, kernel.Shape[^1]])
            .T() : null!), bias ? Weight("output.bias", () => last.Get(name, "bias", 1)) : null);
    }
}
