using System.Globalization;
using System.Text.Json;

namespace Graft.Models.Zoo;

/// <summary>What makes a text encoder's shape: Hugging Face's config.json in the words of one family.</summary>
internal sealed record EncoderShape
{
    /// <summary>How a sentence's tokens become one vector: their mean, the first one (BERT's [CLS]), or the largest of each number.</summary>
    public static readonly string[] Poolings = ["mean", "first", "max"];

    // model_type as files say it, and whose layout and arithmetic that is.
    private static readonly Dictionary<string, string> s_kinds = new()
    {
        ["bert"] = "bert", ["roberta"] = "roberta", ["xlm-roberta"] = "roberta", ["distilbert"] = "distilbert",
        ["electra"] = "electra", ["albert"] = "albert",
    };

    private static readonly string[] s_activations = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"];

    /// <summary>bert, roberta, distilbert, electra or albert; or <see cref="Words"/>.</summary>
    public required string Kind { get; init; }

    /// <summary>Pieces of the vocabulary.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Numbers of a token between the layers.</summary>
    public required int Width { get; init; }

    /// <summary>Layers, one above the other.</summary>
    public required int Layers { get; init; }

    /// <summary>Of each attention.</summary>
    public required int Heads { get; init; }

    /// <summary>Width inside a layer's two dense ones.</summary>
    public required int Inner { get; init; }

    /// <summary>Learned positions.</summary>
    public required int Positions { get; init; }

    /// <summary>Sentences that are told apart; 0: none.</summary>
    public int Types { get; init; }

    /// <summary>Numbers of a word's own vector, where they are fewer than <see cref="Width"/>.</summary>
    public required int Embedding { get; init; }

    /// <summary>gelu, gelu_new (by tanh) or relu.</summary>
    public string Activation { get; init; } = "gelu";

    /// <summary>Of the layers' normalisation.</summary>
    public double Epsilon { get; init; } = 1e-12;

    /// <summary>The token that fills batches up.</summary>
    public int Pad { get; init; }

    /// <summary>The token that ends a sentence.</summary>
    public int Separator { get; init; } = -1;

    /// <summary>One of <see cref="Poolings"/>.</summary>
    public string Pooling { get; init; } = "mean";

    /// <summary>Positions that a sentence can have: RoBERTa counts from behind its padding token.</summary>
    public int Tokens => Kind == "roberta" ? Positions - Pad - 1 : Positions;

    /// <summary>The kind that has no layers: a sentence is the mean of its words' vectors.</summary>
    public const string Words = "words";

    /// <summary>Whether it is an architecture of text.</summary>
    public static bool Knows(string? architecture) => architecture is not null && (architecture == Words || s_kinds.ContainsKey(architecture));

    /// <summary>Whether a file is the config.json of a text encoder.</summary>
    public static bool IsEncoder(string config)
    {
        if (!File.Exists(config)) return false;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            return json.RootElement.TryGetProperty("model_type", out var type) && type.GetString() is { } kind && s_kinds.ContainsKey(kind);
        }
        catch (Exception reason) when (reason is JsonException or InvalidOperationException)
        {
            return false;
        }
    }

    /// <summary>From a config.json.</summary>
    /// <exception cref="InvalidDataException">It is of another type, or lacks something.</exception>
    public static EncoderShape OfConfig(JsonElement config)
    {
        var type = config.TryGetProperty("model_type", out var found) ? found.GetString() : null;
        if (type is null || !s_kinds.ContainsKey(type))
            throw new InvalidDataException($"its model_type is '{type}': read are {string.Join(", ", s_kinds.Keys)}");
        int Whole(string name, string? other = null, int? usual = null) =>
            config.TryGetProperty(name, out var value) || (other is not null && config.TryGetProperty(other, out value)) ? value.GetInt32()
                : usual ?? throw new InvalidDataException($"its config.json has no {name}");
        var kind = s_kinds[type];
        var width = Whole("hidden_size", "dim");
        var activation = config.TryGetProperty("hidden_act", out var act) || config.TryGetProperty("activation", out act) ? act.GetString()! : "gelu";
        if (!s_activations.Contains(activation)) throw new InvalidDataException($"its activation '{activation}' is not known: {string.Join(", ", s_activations)}");
        if (config.TryGetProperty("position_embedding_type", out var positions) && positions.GetString() is { } way and not "absolute")
            throw new InvalidDataException($"its positions are '{way}', and absolute ones alone are read");
        return new EncoderShape
        {
            Kind = kind, Vocabulary = Whole("vocab_size"), Width = width, Layers = Whole("num_hidden_layers", "n_layers"),
            Heads = Whole("num_attention_heads", "n_heads"), Inner = Whole("intermediate_size", "hidden_dim"),
            Positions = Whole("max_position_embeddings"), Types = kind == "distilbert" ? 0 : Whole("type_vocab_size", null, 2),
            Embedding = kind is "electra" or "albert" ? Whole("embedding_size", null, width) : width,
            Activation = activation == "gelu_pytorch_tanh" ? "gelu_new" : activation,
            Epsilon = config.TryGetProperty("layer_norm_eps", out var epsilon) ? epsilon.GetDouble() : 1e-12,
            Pad = Whole("pad_token_id", null, kind == "roberta" ? 1 : 0),
        }.Checked();
    }

    /// <summary>From what <see cref="ToSpec"/> made.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static EncoderShape Of(BackboneSpec spec)
    {
        int Whole(string key, int? usual = null) =>
            int.TryParse(spec[key], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value)
            ? value : usual ?? throw new InvalidDataException($"its card does not say its {key}");
        return new EncoderShape
        {
            Kind = spec.Name, Vocabulary = Whole("vocabulary"), Width = Whole("width"), Layers = Whole("layers"), Heads = Whole("heads"),
            Inner = Whole("inner"), Positions = Whole("positions"), Types = Whole("types"), Embedding = Whole("embedding"),
            Activation = spec["activation"] ?? "gelu",
            Epsilon = double.TryParse(spec["epsilon"], CultureInfo.InvariantCulture, out var epsilon) ? epsilon : 1e-12,
            Pad = Whole("pad", 0), Separator = Whole("separator", -1), Pooling = spec["pooling"] ?? "mean",
        }.Checked();
    }

    /// <summary>As a spec, whose keys are these properties.</summary>
    public BackboneSpec ToSpec()
    {
        static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
        return new BackboneSpec(Kind, ("vocabulary", Text(Vocabulary)), ("width", Text(Width)), ("layers", Text(Layers)), ("heads", Text(Heads)),
            ("inner", Text(Inner)), ("positions", Text(Positions)), ("types", Text(Types)), ("embedding", Text(Embedding)),
                ("activation", Activation),
            ("epsilon", Epsilon.ToString("R", CultureInfo.InvariantCulture)), ("pad", Text(Pad)), ("separator", Text(Separator)),
                ("pooling", Pooling));
    }

    // A card or a config is anybody's: sizes that no network has would ask for all memory.
    private EncoderShape Checked()
    {
        foreach (var (what, value, most) in new[]
        {
            ("vocabulary", Vocabulary, 8_000_000), ("width", Width, 16_384), ("layers", Kind == Words && Layers == 0 ? 1 : Layers, 256), ("heads",
                Heads, 256),
            ("inner width", Inner, 65_536), ("positions", Positions, 131_072), ("embedding", Embedding, 16_384),
        })
        {
            if (value < 1 || value > most) throw new InvalidDataException($"its {what} is {value}, and must be 1 to {most}");
        }
        if (Width % Heads != 0) throw new InvalidDataException($"its width of {Width} cannot be shared by {Heads} heads");
        if (Tokens < 3) throw new InvalidDataException($"it has {Positions} positions, too few for a sentence");
        return Poolings.Contains(Pooling) ? this
            : throw new InvalidDataException($"its pooling '{Pooling}' is not known: {string.Join(", ", Poolings)}");
    }
}
