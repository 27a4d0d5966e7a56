using System.Text.Json.Nodes;
using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>Keras's recurrent layers by libtorch's: the gates stand in another order, and Keras has one bias where libtorch has two.</summary>
internal sealed class KerasRecurrent(GraphBuilder builder, string name, JsonNode config, KerasFile.LayerWeights weights)
{
    /// <summary>Such a layer's output.</summary>
    /// <exception cref="GraftException">A use of it that is not known.</exception>
    public Symbol Call(string kind, Symbol x)
    {
        if (kind != "Bidirectional") return Run(kind, config, weights, x, "", false);
        var (inner, innerKind) = (config["layer"]!["config"]!, (string)config["layer"]!["class_name"]!);
        var half = weights.Count / 2;
        var forward = Run(innerKind, inner, weights.Take(0, half), x, "forward.", false);
        var backward = Run(innerKind, inner, weights.Take(half, half), x, "backward.", true);
        return (string?)config["merge_mode"] switch
        {
            "concat" or null => builder.Call("aten::cat", (Symbol[])[forward, backward], -1L),
            "sum" => builder.Call("aten::add.Tensor", forward, backward, 1L),
            "mul" => builder.Call("aten::mul.Tensor", forward, backward),
            "ave" => builder.Call("aten::mul.Scalar", builder.Call("aten::add.Tensor", forward, backward, 1L), 0.5),
            var other => throw new GraftException($"layer '{name}': merging by '{other}' is not known"),
        };
    }

    private Symbol Run(string kind, JsonNode cell, KerasFile.LayerWeights found, Symbol x, string prefix, bool backward)
    {
        var units = (long)(double)cell["units"]!;
        string Text(string key, string otherwise) => (string?)cell[key] ?? otherwise;
        if (Text("activation", "tanh") != "tanh" || (kind != "SimpleRNN" && Text("recurrent_activation", "sigmoid") != "sigmoid")) throw new GraftException($"layer '{name}': other activations than tanh and sigmoid are not known");
        if (kind == "GRU" && cell["reset_after"] is { } after && !(bool)after) throw new GraftException($"layer '{name}': a GRU with reset_after=False is not known");
        var biased = cell["use_bias"] is not { } use || (bool)use;
        var reversed = backward != (cell["go_backwards"] is { } go && (bool)go);
        Symbol Weight(string role, int position, string suffix) => builder.Weight($"{name}.{prefix}{suffix}", () => Gates(kind, found.Get(name, role, position).T().Contiguous(), units));
        var (input, recurrent) = (Weight("kernel", 0, "weight_ih"), Weight("recurrent_kernel", 1, "weight_hh"));
        Symbol[] parameters = [input, recurrent];
        if (biased)
        {
            var bias = found.Get(name, "bias", 2);
            // A GRU's two rows are the two biases; the others' one goes in whole.
            var (first, second) = bias.Dimensions == 2 ? (bias[0], bias[1]) : (bias, Ops.Zeros([bias.Shape[0]]));
            parameters = [.. parameters, builder.Weight($"{name}.{prefix}bias_ih", () => Gates(kind, first.Contiguous(), units)), builder.Weight($"{name}.{prefix}bias_hh", () => Gates(kind, second.Contiguous(), units))];
        }
        if (reversed) x = builder.Call("aten::flip", x, (long[])[1]);
        var zero = builder.Call("aten::transpose.int", builder.ZerosLikeBatch(x, 1, units), 0L, 1L);
        var results = kind switch
        {
            "LSTM" => builder.CallMany("aten::lstm.input", x, (Symbol[])[zero, zero], parameters, biased, 1L, 0.0, false, false, true),
            "GRU" => builder.CallMany("aten::gru.input", x, zero, parameters, biased, 1L, 0.0, false, false, true),
            "SimpleRNN" => builder.CallMany("aten::rnn_tanh.input", x, zero, parameters, biased, 1L, 0.0, false, false, true),
            _ => throw new GraftException($"layer '{name}': Graft does not know Keras's {kind}"),
        };
        if (cell["return_sequences"] is { } all && (bool)all) return backward ? builder.Call("aten::flip", results[0], (long[])[1]) : results[0];
        return builder.Call("aten::select.int", results[0], 1L, -1L);
    }

    // Keras: input, forget, cell, output, as libtorch; a GRU's update and reset change places.
    private static Tensor Gates(string kind, Tensor stacked, long units) =>
        kind != "GRU" ? stacked : Ops.Cat([stacked.Narrow(0, units, units), stacked.Narrow(0, 0, units), stacked.Narrow(0, 2 * units, units)], 0);
}
