using System.Text.Json.Nodes;
using Graft.Data;
using Graft.Models.Graphs;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>Keras models (Sequential and Functional, one input, one output) as graphs; pictures become N×C×H×W.</summary>
internal static class KerasReader
{
    /// <summary>Reads a .h5 or .keras file.</summary>
    /// <exception cref="InvalidDataException">Damaged.</exception>
    /// <exception cref="GraftException">A layer that is not known, or not in this use.</exception>
    public static Imported Read(string path)
    {
        var file = new KerasFile(path);
        using var builder = new GraphBuilder(1);
        var model = new Model(file, builder);
        try
        {
            return model.Read();
        }
        catch (Exception reason) when (reason is InvalidOperationException or NullReferenceException or FormatException or KeyNotFoundException or OverflowException or ArgumentException)
        {
            throw new InvalidDataException($"its configuration is damaged{(builder.Layer.Length > 0 ? $" at the layer '{builder.Layer}'" : "")}: {reason.Message}", reason);
        }
    }

    private sealed class Model(KerasFile file, GraphBuilder builder)
    {
        private readonly List<string> _notes = [];
        private bool _rescaled;

        public Imported Read()
        {
            var shape = InputShape(file.Config) ?? throw new GraftException("its input's shape is not in the file: save it after it was built or called once");
            var (input, preprocessing) = Input(shape, ChannelsFirst(file.Config));
            var output = Run(file.Config, input, [], "");
            var (graph, weights) = builder.Build(output);
            if (_rescaled) preprocessing = preprocessing with { Normalize = Normalize.Levels };
            return new Imported(graph, weights, preprocessing, _notes) { Guessed = shape.Length == 3 && !_rescaled };
        }

        private (Symbol, Preprocessing) Input(long[] shape, bool channelsFirst)
        {
            if (shape.Length == 3)
            {
                var (channels, height, width) = channelsFirst ? (shape[0], shape[1], shape[2]) : (shape[2], shape[0], shape[1]);
                var picture = Imported.Picture(builder, channels, height < 0 ? 224 : height, width < 0 ? 224 : width);
                return (picture, Imported.Usual(channels, picture.Shape[2], picture.Shape[3]));
            }
            if (shape is [> 0 and var length] && !ReadsWords(file.Config))
            {
                var flat = Imported.Flattened(builder, length, !channelsFirst);
                _notes.Add($"its input is a vector of {length} numbers: pictures of {flat.Preprocessing.Width}×{flat.Preprocessing.Height}, row after row, on the scale of 0 … 1 unless --scale, --mean and --std say otherwise");
                return flat;
            }
            // Rows of a grey picture, without a dimension for its one channel; what is not square may be a series of measurements.
            if (shape is [> 0 and var rows, > 0 and var columns] && (rows == columns || FirstLayer(file.Config) is "Flatten" or "Reshape"))
                return (builder.Call("aten::squeeze.dim", Imported.Picture(builder, 1, rows, columns), 1L), Imported.Usual(1, rows, columns));
            return (builder.Input([.. shape.Select(size => size < 0 ? 64 : size)], shape.Length == 1 && ReadsWords(file.Config) ? DType.Int64 : DType.Float32), Preprocessing.Small(1, Normalize.Symmetric));
        }

        private static JsonArray Layers(JsonNode model) => (model["config"] is JsonArray list ? list : model["config"]?["layers"]?.AsArray()) ?? throw new GraftException($"it is a {model["class_name"]}, which is neither Sequential nor Functional: its layers are in its code, not in the file");

        private static long[]? InputShape(JsonNode model)
        {
            var layers = Layers(model);
            var candidates = layers.Select(layer => layer!["config"]).Prepend(model["config"] as JsonObject).OfType<JsonObject>();
            foreach (var config in candidates)
            {
                var shape = config["batch_input_shape"] ?? config["batch_shape"] ?? config["build_input_shape"];
                if (shape is JsonArray list && list.Count > 0) return [.. list.Skip(1).Select(size => size is null ? -1L : (long)size)];
            }
            if (model["build_config"]?["input_shape"] is JsonArray built) return [.. built.Skip(1).Select(size => size is null ? -1L : (long)size)];
            return layers.Count > 0 && layers[0]!["config"]?["layers"] is not null ? InputShape(layers[0]!) : null;
        }

        private static bool ChannelsFirst(JsonNode model) => Layers(model).Any(layer => (string?)layer!["config"]?["data_format"] == "channels_first");

        private static string? FirstLayer(JsonNode model) => Layers(model).Select(layer => (string?)layer!["class_name"]).FirstOrDefault(kind => kind != "InputLayer");

        private static bool ReadsWords(JsonNode model) => Layers(model).Any(layer => (string?)layer!["class_name"] == "Embedding");

        private Symbol Run(JsonNode model, Symbol input, IReadOnlyList<string> outer, string folder)
        {
            var layers = Layers(model);
            var folders = Folders(layers, folder);
            if ((string?)model["class_name"] == "Sequential" || layers.All(layer => layer!["inbound_nodes"] is null))
            {
                for (var k = 0; k < layers.Count; k++) input = Layer(layers[k]!, [input], outer, folders[k]);
                return input;
            }
            var values = new Dictionary<string, Symbol>();
            var waiting = Enumerable.Range(0, layers.Count).ToList();
            while (waiting.Count > 0)
            {
                var before = waiting.Count;
                foreach (var k in waiting.ToArray())
                {
                    var layer = layers[k]!;
                    var name = (string?)layer["name"] ?? (string)layer["config"]!["name"]!;
                    var sources = Sources(layer["inbound_nodes"]);
                    if (!sources.All(values.ContainsKey)) continue;
                    if ((string?)layer["class_name"] == "InputLayer")
                    {
                        if (values.ContainsValue(input)) throw new GraftException("it has several inputs: Graft gives one picture");
                        values[name] = input;
                    }
                    else
                    {
                        values[name] = Layer(layer, [.. sources.Select(source => values[source])], outer, folders[k]);
                    }
                    waiting.Remove(k);
                }
                if (waiting.Count == before) throw new GraftException($"the layer '{(string?)layers[waiting[0]]!["name"]}' reads what no layer gives");
            }
            var outputs = model["config"]!["output_layers"]!.AsArray();
            if (outputs[0] is JsonArray && outputs.Count > 1) _notes.Add($"it has {outputs.Count} outputs: the first is used");
            return values[(string)(outputs[0] is JsonArray one ? one[0]! : outputs[0]!)!];
        }

        // Keras 3 names folders after classes: conv2d, conv2d_1, …
        private static string[] Folders(JsonArray layers, string folder)
        {
            var used = new Dictionary<string, int>();
            return [.. layers.Select(layer =>
            {
                var snake = Snake((string)layer!["class_name"]!);
                var count = used[snake] = used.GetValueOrDefault(snake, -1) + 1;
                return $"{(folder.Length > 0 ? folder + "/" : "")}layers/{snake}{(count > 0 ? $"_{count}" : "")}";
            })];
        }

        private static string Snake(string name)
        {
            var text = System.Text.RegularExpressions.Regex.Replace(System.Text.RegularExpressions.Regex.Replace(name, @"\W+", ""), "(.)([A-Z][a-z]+)", "$1_$2");
            return System.Text.RegularExpressions.Regex.Replace(text, "([a-z])([A-Z])", "$1_$2").ToLowerInvariant();
        }

        private static List<string> Sources(JsonNode? inbound)
        {
            var found = new List<string>();
            void Visit(JsonNode? node)
            {
                switch (node)
                {
                    case JsonObject map when map["keras_history"] is JsonArray history: found.Add((string)history[0]!); break;
                    case JsonObject map: foreach (var (_, item) in map) Visit(item); break;
                    case JsonArray { Count: >= 3 } list when list[0] is JsonValue name && name.TryGetValue<string>(out var text) && list[1] is JsonValue at && at.TryGetValue<long>(out _): found.Add(text); break;
                    case JsonArray list: foreach (var item in list) Visit(item); break;
                }
            }
            // A layer used several times has several nodes; only the first is followed.
            if (inbound is JsonArray { Count: > 1 }) throw new GraftException("a layer is used more than once, which is not supported: export the model to ONNX (tf2onnx) and give that file");
            Visit(inbound);
            return found;
        }

        private Symbol Layer(JsonNode layer, Symbol[] inputs, IReadOnlyList<string> outer, string folder)
        {
            var kind = (string)layer["class_name"]!;
            var config = layer["config"]!;
            var name = (string?)(config as JsonObject)?["name"] ?? (string?)layer["name"] ?? kind;
            if (kind is "Sequential" or "Functional" or "Model") return Run(layer, inputs[0], [.. outer, name], folder);
            builder.Layer = string.Join('/', [.. outer, name]);
            if (kind is "Rescaling" or "Normalization") _rescaled = true;
            return new KerasLayers(builder, builder.Layer, config, file.Of(outer, name, folder)).Call(kind, inputs);
        }
    }
}
