using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Models.Checkpoints;
using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>A Keras file: the network's configuration, and where each layer's weights lie.</summary>
internal sealed class KerasFile
{
    private const long EntryLimit = 1L << 31;

    private readonly Hdf5 _weights;
    private readonly bool _zip;
    private readonly string _path;

    /// <summary>Reads the configuration.</summary>
    /// <param name="path">.h5 of Keras 2 or 3, or .keras.</param>
    /// <exception cref="InvalidDataException">Damaged, or weights alone.</exception>
    public KerasFile(string path)
    {
        _path = path;
        using var file = File.OpenRead(path);
        _zip = file.ReadByte() == 'P';
        file.Position = 0;
        if (_zip)
        {
            using var archive = new ZipArchive(file, ZipArchiveMode.Read);
            Config = Parse(System.Text.Encoding.UTF8.GetString(Entry(archive, "config.json")));
            _weights = Hdf5.Read(path, Entry(archive, "model.weights.h5"));
        }
        else
        {
            _weights = Hdf5.Read(path);
            Config = Parse(_weights.Root.Text("model_config") ?? throw new InvalidDataException($"{path} holds weights without their network: it was saved by save_weights. Save the whole model (model.save(\"model.keras\"))"));
        }
    }

    /// <summary>class_name and config of the model.</summary>
    public JsonNode Config { get; }

    private static byte[] Entry(ZipArchive archive, string name)
    {
        var entry = archive.GetEntry(name) ?? throw new InvalidDataException($"the archive has no {name}: it is no .keras file");
        // What claims to unpack a thousand times is a bomb.
        if (entry.Length > EntryLimit || entry.Length > 1000 * Math.Max(1024,
            entry.CompressedLength)) throw new InvalidDataException($"{name} says that it has {entry.Length} bytes");
        var bytes = new byte[entry.Length];
        using var stream = entry.Open();
        stream.ReadExactly(bytes);
        return bytes;
    }

    private JsonNode Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { MaxDepth = 128 })
                ?? throw new InvalidDataException($"{_path}: its configuration is empty");
        }
        catch (JsonException reason)
        {
            throw new InvalidDataException($"{_path}: its configuration is damaged ({reason.Message})", reason);
        }
    }

    /// <summary>Weights of one layer: by role (kernel, bias, gamma, …) where the file names them, else by position.</summary>
    public sealed class LayerWeights(IReadOnlyList<(string Role, Lazy<Tensor> Value)> items)
    {
        /// <summary>How many there are.</summary>
        public int Count => items.Count;

        /// <summary>One weight.</summary>
        /// <exception cref="InvalidDataException">The layer has no such weight.</exception>
        public Tensor Get(string layer, string role, int position) => Find(role, position)
            ?? throw new InvalidDataException($"layer '{layer}' has no {role} in the file");

        /// <summary>One weight, or null.</summary>
        public Tensor? Find(string role, int position)
        {
            var named = items.FirstOrDefault(item => item.Role == role).Value;
            return (named ?? (position < items.Count && items[position].Role.Length == 0 ? items[position].Value : null))?.Value.To(DType.Float32);
        }

        /// <summary>Those below a part of the layer, such as forward_layer.</summary>
        public LayerWeights Take(int from, int count) => new([.. items.Skip(from).Take(count)]);
    }

    /// <summary>The weights of a layer.</summary>
    /// <param name="outer">Names of the models that it lies in, from the top; and for .keras, their folders.</param>
    /// <param name="name">The layer's name.</param>
    /// <param name="folder">Its folder in a .keras archive.</param>
    public LayerWeights Of(IReadOnlyList<string> outer, string name, string folder) =>
        new(_zip ? [.. Variables(_weights.Root.Child(folder))] : [.. Named(outer, name)]);

    // .keras: vars/0, vars/1, … of the layer, then of its parts, in this order.
    private IEnumerable<(string, Lazy<Tensor>)> Variables(Hdf5.Node? node)
    {
        if (node is null) yield break;
        if (node.Child("vars") is { } variables)
        {
            for (var k = 0; variables.Child($"{k}") is { } found; k++) yield return ("", new Lazy<Tensor>(() => _weights.Tensor(found)));
        }
        string[] parts = ["cell", "forward_layer", "backward_layer", "layer", "query_dense", "key_dense", "value_dense", "output_dense"];
        foreach (var part in parts.Where(part => node.Child(part) is not null)) foreach (var item in Variables(node.Child(part))) yield return item;
    }

    // .h5: the group of the outermost layer lists all names below; a layer's own are those in whose path it stands.
    private IEnumerable<(string, Lazy<Tensor>)> Named(IReadOnlyList<string> outer, string name)
    {
        var root = _weights.Root.Child("model_weights") ?? _weights.Root;
        var top = outer.Count > 0 ? outer[0] : name;
        if (root.Child(top) is not { } group) yield break;
        foreach (var full in group.Texts("weight_names") ?? [])
        {
            var parts = full.Split('/');
            if (outer.Count > 0 && !parts.SkipLast(1).Contains(name)) continue;
            if (group.Child(full) is not {
                } found) throw new InvalidDataException($"{_path} lists the weight {full} of '{top}' and does not hold it");
            yield return (parts[^1].Split(':')[0], new Lazy<Tensor>(() => _weights.Tensor(found)));
        }
    }
}
