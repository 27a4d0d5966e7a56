using System.Globalization;
using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>A file with a card, such as Graft writes: what it says of itself, and its tensors.</summary>
/// <param name="Card">Its metadata; the keys and formats are <see cref="ModelCard"/>'s.</param>
/// <param name="Tensors">By name.</param>
/// <param name="Path">Where it lies, for what is said of it.</param>
internal sealed record ModelFile(IReadOnlyDictionary<string, string> Card, IReadOnlyDictionary<string, Tensor> Tensors, string Path)
{
    private static readonly Dictionary<string, string> s_kinds = new()
    {
        [ModelCard.Classifier] = "a model that graft train saved", [ModelCard.Network] = "a network", [ModelCard.Program] = "a program",
        [ModelCard.FewShot] = "a few-shot model", [ModelCard.Support] = "a support set",
        [ModelCard.MultiTask] = "a model of several tasks",
    };

    /// <summary>Which of <see cref="ModelCard"/>'s formats it is of; null: it is not Graft's.</summary>
    public string? Format => Card.GetValueOrDefault("format");

    /// <summary>Its network; null where it names none.</summary>
    public BackboneSpec? Spec => Card.GetValueOrDefault("architecture") is { } name ? BackboneSpec.Of(name, Card) : null;

    /// <summary>Any file of tensors, whoever wrote it.</summary>
    /// <exception cref="GraftException">It cannot be read.</exception>
    public static ModelFile Read(string path)
    {
        var (_, tensors, card) = Checkpoint.Read(path);
        return new ModelFile(card, tensors, path);
    }

    /// <summary>What a file of one format holds.</summary>
    /// <exception cref="GraftException">It is not there, of another format, or damaged.</exception>
    public static T Open<T>(string path, string format, Func<ModelFile, T> build) => Guard(path, () =>
    {
        var file = Read(path);
        if (file.Required("format") is var found && found != format)
        {
            var but = s_kinds.ContainsKey(found) ? $"and not {s_kinds[format]}" : "which this version does not read";
            throw new GraftException($"{path} is of the format '{found}', {but}");
        }
        return build(file);
    });

    /// <summary>The format that a file's first bytes and its card tell, read without its tensors; null where it is not Graft's, or is
    /// damaged.</summary>
    public static string? FormatOf(string path)
    {
        try
        {
            if (!File.Exists(path)) return null;
            Span<byte> first = stackalloc byte[9];
            using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 9, throwOnEndOfStream: false)];
            var card = first is [.., 0, (byte)'{'] ? Safetensors.ReadMetadata(path) : first is [(byte)'P', (byte)'K', ..] ? ArchiveCard.Read(path)
                : path.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase) ? OnnxCard.Read(path) : null;
            return card?.GetValueOrDefault("format");
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Writes safetensors that are complete or not there at all.</summary>
    public void Write() => Safetensors.Write(Path, Tensors, Card);

    /// <summary>What its card must say.</summary>
    /// <exception cref="GraftException">It does not.</exception>
    public string Required(string key) => Card.GetValueOrDefault(key)
        ?? throw new GraftException($"{Path} is no model that Graft saved: its metadata has no '{key}'"
            + (key == "format" ? $". Train on it with --weights {NextCommand.Quoted(Path)}" : ""));

    /// <summary>What its card must say as JSON.</summary>
    public T Required<T>(string key, JsonSerializerOptions? json = null) =>
        JsonSerializer.Deserialize<T>(Required(key), json) ?? throw new InvalidDataException($"its '{key}' is null");

    /// <summary>The tensors whose names begin so, without that beginning.</summary>
    public Dictionary<string, Tensor> Part(string prefix) =>
        Tensors.Where(item => item.Key.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(item => item.Key[prefix.Length..], item => item.Value);

    /// <summary>The network whose tensors stand under <c>backbone.</c>.</summary>
    public Backbone Backbone()
    {
        using var skip = Initialisers.Skip();
        if (Spec is { } spec && EncoderShape.Knows(spec.Name)) return Encoder(this with { Tensors = Part("backbone.") });
        var made = ModelOpener.Create(BackboneSpec.Of(Required("architecture"), Card));
        made.Preprocessing = Preprocessing.FromJson(Required("preprocessing"));
        made.Provenance = Required<Provenance>("upstream", JsonSerializerOptions.Web);
        CheckpointMatcher.Load(made, Part("backbone."), Path);
        return made;
    }

    /// <summary>A text encoder, whose tokenizer the card holds.</summary>
    internal static TextEncoder Encoder(ModelFile file)
    {
        var made = new TextEncoder(EncoderShape.Of(file.Spec!))
        {
            Tokenizer = Tokenizers.FromCard(file.Required("tokenizer")), MostTokens = int.Parse(file.Required("tokens"), CultureInfo.InvariantCulture),
        };
        made.Provenance = ModelCard.Origin(file.Path, file.Card, "", $"text ({System.IO.Path.GetFileNameWithoutExtension(file.Path)})");
        CheckpointMatcher.Load(made, file.Tensors, file.Path);
        return made;
    }

    /// <summary>What goes wrong while a card is taken at its word, told as the file's fault.</summary>
    /// <exception cref="GraftException">It names the file.</exception>
    public static T Guard<T>(string path, Func<T> open)
    {
        try
        {
            return open();
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException or FormatException or OverflowException
            or ArgumentException or TorchException or KeyNotFoundException)
        {
            throw new GraftException($"{path}: what it says of itself is damaged ({reason.Message})", reason);
        }
        catch (GraftException reason) when (!reason.Message.Contains(path, StringComparison.Ordinal))
        {
            throw new GraftException($"{path}: {reason.Message}", reason);
        }
    }
}
