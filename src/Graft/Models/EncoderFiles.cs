using System.Text.Json;
using Graft.Inference.Text;
using Graft.Models.Checkpoints;
using Graft.Models.Imports;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>
/// Text encoders as they are published: weights (safetensors, one or several, PyTorch's .bin, ONNX) with config.json and the vocabulary beside them,
/// and, of
/// sentence encoders, how tokens are pooled.
/// </summary>
internal static class EncoderFiles
{
    private static readonly string[] s_weights =
        ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "model.onnx", Path.Combine("onnx", "model.onnx")];

    // What wrappers put before all names, and what masked-word and other heads keep beside the encoder.
    private static readonly string[] s_prefixes = ["0.auto_model.", "auto_model.", "bert.", "roberta.", "distilbert.", "electra.", "albert.",
        "model."];

    /// <summary>The weights in a folder that holds a text encoder; null: it holds none.</summary>
    public static string? In(string folder) => Directory.Exists(folder) && EncoderShape.IsEncoder(Path.Combine(folder, "config.json"))
        ? s_weights.Select(name => Path.Combine(folder, name)).FirstOrDefault(File.Exists) : null;

    /// <summary>Whether a file of weights belongs to a text encoder, by the config.json beside it.</summary>
    public static bool Owns(string path) => FolderOf(path) is not null;

    private static string? FolderOf(string path)
    {
        var beside = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (EncoderShape.IsEncoder(Path.Combine(beside, "config.json"))) return beside;
        return Path.GetFileName(beside) == "onnx" && Path.GetDirectoryName(beside) is { } above
            && EncoderShape.IsEncoder(Path.Combine(above, "config.json"))
            ? above : null;
    }

    /// <summary>Opens one.</summary>
    /// <param name="path">A file of weights that <see cref="Owns"/> knows.</param>
    /// <exception cref="GraftException">Something beside it is missing, damaged or does not fit.</exception>
    public static (TextEncoder Encoder, IReadOnlyList<string> Notes) Open(string path)
    {
        var folder = FolderOf(path)!;
        var notes = new List<string>();
        var tokenizer = Tokenizers.Open(folder);
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        var pooling = Pooling(folder, config.RootElement, notes);
        var shape = EncoderShape.OfConfig(config.RootElement) with { Pooling = pooling, Pad = tokenizer.Pad, Separator = tokenizer.Separator };
        if (tokenizer.Count > shape.Vocabulary)
            throw new GraftException($"{folder}: its vocabulary has {tokenizer.Count} pieces and its network vectors for {shape.Vocabulary}: they are not of one model");
        using var skip = Initialisers.Skip();
        var encoder = new TextEncoder(shape) { Tokenizer = tokenizer, MostTokens = Tokens(folder) };
        var state = path.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) ? OnnxEncoder.Read(path) : Checkpoint.Read(path).Tensors;
        var known = encoder.NamedSlots().Select(slot => slot.Name).ToHashSet();
        var bare = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in state)
        {
            var prefix = s_prefixes.FirstOrDefault(found => name.StartsWith(found, StringComparison.Ordinal)) ?? "";
            // TensorFlow's names of the norms, in the first checkpoints.
            var own = name[prefix.Length..].Replace("LayerNorm.gamma", "LayerNorm.weight", StringComparison.Ordinal)
                .Replace("LayerNorm.beta", "LayerNorm.bias", StringComparison.Ordinal);
            if (known.Contains(own)) bare[own] = tensor;
        }
        if (bare.Count < state.Count) notes.Add($"{state.Count - bare.Count} of its {state.Count} tensors are of heads that are not used here");
        notes.AddRange(CheckpointMatcher.Load(encoder, bare, path));
        var called = Path.GetFileName(folder.TrimEnd(Path.DirectorySeparatorChar));
        encoder.Provenance = ModelCard.Origin(path, new Dictionary<string, string>(), Licence(folder),
            $"text ({called})") with { Source = $"{called}/{Path.GetFileName(path)}" };
        return (encoder, notes);
    }

    // sentence-transformers' folders say it; a plain encoder's do not.
    private static string Pooling(string folder, JsonElement config, List<string> notes)
    {
        if (config.TryGetProperty("graft_pooling", out var own)) return own.GetString()!;
        var file = Path.Combine(folder, "1_Pooling", "config.json");
        if (File.Exists(file))
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            bool Is(string mode) => json.RootElement.TryGetProperty($"pooling_mode_{mode}", out var on) && on.ValueKind == JsonValueKind.True;
            return Is("cls_token") ? "first" : Is("max_tokens") ? "max" : Is("mean_tokens") ? "mean"
                : throw new GraftException($"{file}: of its ways of pooling none is known: mean, the class token and max are");
        }
        notes.Add($"{Path.GetFileName(folder)} does not say how its tokens become one vector: their mean is taken");
        return "mean";
    }

    private static int Tokens(string folder)
    {
        var file = Path.Combine(folder, "sentence_bert_config.json");
        if (!File.Exists(file)) return 0;
        using var json = JsonDocument.Parse(File.ReadAllBytes(file));
        return json.RootElement.TryGetProperty("max_seq_length", out var most) && most.TryGetInt32(out var value) ? value : 0;
    }

    private static string Licence(string folder) => Hub.PackagedModel.All.FirstOrDefault(model => model.Name == Path.GetFileName(folder))?.Licence
        ?? "";
}
