using System.Text.Json;

namespace Graft.Inference.Text;

/// <summary>A tokenizer of a kind that Graft does not read, as against one that is damaged.</summary>
internal sealed class UnknownTokenizerException(string message) : GraftException(message);

/// <summary>The files of a tokenizer, from a folder or from a model's card.</summary>
/// <param name="Where">What an error calls the place: the folder.</param>
/// <param name="All">By name.</param>
internal sealed record TokenizerFiles(string Where, IReadOnlyDictionary<string, byte[]> All)
{
    public const string Config = "tokenizer_config.json";

    public bool Has(string name) => All.ContainsKey(name);

    public string Path(string name) => System.IO.Path.Combine(Where, name);

    public GraftException Damaged(string name, string why, Exception? cause = null)
    {
        var message = $"{Path(name)}: {why}; take it from the model's own folder again";
        return cause is null ? new GraftException(message) : new GraftException(message, cause);
    }

    public UnknownTokenizerException Unknown(string name, string what) => new(
        $"{Path(name)} has {what}, which Graft does not read: it reads the tokenizers of BERT, DistilBERT, ELECTRA, RoBERTa, XLM-R and ALBERT; "
        + "take a model of one of these, or put its vocab.txt, its vocab.json and merges.txt, or its .model there instead");

    /// <summary>A JSON file, read by a function of which any slip is the file's fault.</summary>
    public T Json<T>(string name, Func<JsonElement, T> read)
    {
        try
        {
            using var json = JsonDocument.Parse(All[name]);
            return read(json.RootElement);
        }
        catch (JsonException error)
        {
            throw Damaged(name, $"it is no whole JSON file ({error.Message.TrimEnd('.')})", error);
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException or FormatException or InvalidDataException
            or OverflowException or ArgumentException or IndexOutOfRangeException)
        {
            throw Damaged(name, $"it is damaged ({error.Message.TrimEnd('.')})", error);
        }
    }

    /// <summary>These files alone.</summary>
    public Dictionary<string, byte[]> Only(params string[] names) =>
        names.Where(Has).ToDictionary(name => name, name => All[name], StringComparer.Ordinal);

    /// <summary>What tokenizer_config.json says; without one, nothing.</summary>
    public TokenizerConfig ReadConfig() => Has(Config) ? Json(Config, TokenizerConfig.Read) : new TokenizerConfig();
}

/// <summary>What of tokenizer_config.json matters here; null where it says nothing.</summary>
internal sealed record TokenizerConfig
{
    public string? Class { get; init; }

    public bool? Lower { get; init; }

    public bool? StripAccents { get; init; }

    public bool? Chinese { get; init; }

    public bool? Basic { get; init; }

    public bool? KeepAccents { get; init; }

    public bool? PrefixSpace { get; init; }

    /// <summary>unk_token, cls_token, … by name.</summary>
    public Dictionary<string, string> Signs { get; init; } = [];

    public IReadOnlyList<AddedToken> Added { get; init; } = [];

    public static TokenizerConfig Read(JsonElement json)
    {
        bool? Flag(string name) => json.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean() : null;
        var signs = new Dictionary<string, string>();
        foreach (var name in new[] { "unk_token", "cls_token", "sep_token", "pad_token", "mask_token", "bos_token", "eos_token" })
        {
            if (!json.TryGetProperty(name, out var value)) continue;
            var said = value.ValueKind == JsonValueKind.Object ? value.GetProperty("content").GetString() : value.ValueKind == JsonValueKind.String
                ? value.GetString() : null;
            if (!string.IsNullOrEmpty(said)) signs[name] = said;
        }
        var added = new List<AddedToken>();
        if (json.TryGetProperty("added_tokens_decoder", out var decoder))
        {
            foreach (var entry in decoder.EnumerateObject())
                added.Add(ReadAdded(entry.Value, int.Parse(entry.Name, System.Globalization.CultureInfo.InvariantCulture)));
        }
        return new TokenizerConfig
        {
            Class = json.TryGetProperty("tokenizer_class", out var kind) ? kind.GetString() : null,
            Lower = Flag("do_lower_case"),
            StripAccents = Flag("strip_accents"),
            Chinese = Flag("tokenize_chinese_chars"),
            Basic = Flag("do_basic_tokenize"),
            KeepAccents = Flag("keep_accents"),
            PrefixSpace = Flag("add_prefix_space"),
            Signs = signs,
            Added = added,
        };
    }

    /// <summary>An added token as Hugging Face writes it.</summary>
    public static AddedToken ReadAdded(JsonElement json, int id)
    {
        bool Flag(string name) => json.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
        var text = json.GetProperty("content").GetString();
        if (string.IsNullOrEmpty(text) || id < 0) throw new InvalidDataException($"the added token {id} is empty");
        return new AddedToken(id, text, Flag("single_word"), Flag("lstrip"), Flag("rstrip"), Flag("normalized"));
    }
}
