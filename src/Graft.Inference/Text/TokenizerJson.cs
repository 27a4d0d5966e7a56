using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Graft.Inference.Text;

/// <summary>tokenizer.json, in which Hugging Face's tokenizers keep all that they are. A kind that is not known here is refused by its
/// name.</summary>
internal static class TokenizerJson
{
    public const string Name = "tokenizer.json";

    public static PieceTokenizer Read(TokenizerFiles files)
    {
        var config = files.ReadConfig();
        return files.Json(Name, json => new Reader(files, config).Read(json));
    }

    /// <summary>Pieces in the order of their numbers; a number that none has is the empty piece.</summary>
    public static List<string> List(IReadOnlyDictionary<string, int> numbers, TokenizerFiles files, string name)
    {
        if (numbers.Count == 0) throw files.Damaged(name, "its vocabulary is empty");
        var pieces = new List<string>();
        foreach (var (piece, id) in numbers.OrderBy(pair => pair.Value))
        {
            if (id < 0 || id > numbers.Count * 2L + 1000) throw files.Damaged(name, $"the piece '{piece}' has the number {id}");
            if (id < pieces.Count) throw files.Damaged(name, $"the pieces '{pieces[id]}' and '{piece}' have one number, {id}");
            while (pieces.Count < id) pieces.Add("");
            pieces.Add(piece);
        }
        return pieces;
    }

    /// <summary>An added token among the pieces, at its number.</summary>
    public static void Place(List<string> pieces, AddedToken token)
    {
        if (token.Id > pieces.Count + 100_000) throw new InvalidDataException($"the added token {token.Text} has the number {token.Id}");
        while (pieces.Count <= token.Id) pieces.Add("");
        if (pieces[token.Id].Length == 0) pieces[token.Id] = token.Text;
    }

    private sealed class Reader(TokenizerFiles files, TokenizerConfig config)
    {
        private static readonly string[] s_pads = ["[PAD]", "<pad>"], s_masks = ["[MASK]", "<mask>"];

        public PieceTokenizer Read(JsonElement root)
        {
            var added = (Part(root, "added_tokens") is { } tokens ? tokens.EnumerateArray() : default)
                .Select(token => TokenizerConfig.ReadAdded(token, token.GetProperty("id").GetInt32())).ToList();
            var (model, pieces) = Model(root.GetProperty("model"));
            foreach (var token in added) Place(pieces, token);
            var normalizers = Part(root, "normalizer") is { } normalizer ? Normalizers(normalizer).ToList() : [];
            var preTokenizers = Part(root, "pre_tokenizer") is { } splitter ? PreTokenizers(splitter).ToList() : [];
            return new PieceTokenizer(new TokenizerParts(pieces, model, normalizers, preTokenizers, added, SignsOf(root, pieces)),
                files.Only(Name, TokenizerFiles.Config));
        }

        private static JsonElement? Part(JsonElement json, string name) =>
            json.TryGetProperty(name, out var part) && part.ValueKind != JsonValueKind.Null ? part : null;

        private static bool Flag(JsonElement json, string name, bool otherwise) => Part(json, name) is { } flag ? flag.GetBoolean() : otherwise;

        private static string? Text(JsonElement json, string name) => Part(json, name)?.GetString();

        private static string Said(JsonElement json) => json.GetString() ?? throw new InvalidDataException("a text is null");

        private (PieceModel, List<string>) Model(JsonElement json)
        {
            // Old files do not name the model.
            var type = Text(json, "type") ?? (Part(json, "merges") is not null ? "BPE" : Part(json, "unk_id") is not null ? "Unigram" : "WordPiece");
            if (type == "Unigram") return Unigram(json);
            if (type is not ("WordPiece" or "BPE")) throw files.Unknown(Name, $"the model {type}");
            var numbers = json.GetProperty("vocab").EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetInt32(),
                StringComparer.Ordinal);
            var pieces = List(numbers, files, Name);
            int? unknown = Text(json, "unk_token") is { } sign
                ? numbers.TryGetValue(sign, out var id) ? id
                    : throw files.Damaged(Name, $"its vocabulary lacks {sign}, which it names for what is unknown")
                : null;
            if (type == "WordPiece")
            {
                return (new WordPieceModel(numbers, unknown
                    ?? throw files.Damaged(Name, "it does not say which piece stands for what is unknown (unk_token)"),
                    Text(json, "continuing_subword_prefix") ?? "##", Part(json, "max_input_chars_per_word")?.GetInt32() ?? 100), pieces);
            }
            if (!string.IsNullOrEmpty(Text(json, "continuing_subword_prefix"))) throw files.Unknown(Name,
                "a BPE model with a continuing_subword_prefix");
            if (!string.IsNullOrEmpty(Text(json, "end_of_word_suffix"))) throw files.Unknown(Name, "a BPE model with an end_of_word_suffix");
            if (Flag(json, "byte_fallback", false)) throw files.Unknown(Name, "a BPE model with byte_fallback");
            if (Part(json, "dropout") is { } dropout && dropout.GetDouble() != 0) throw files.Unknown(Name, "a BPE model with dropout");
            var merges = json.GetProperty("merges").EnumerateArray().Select(merge => merge.ValueKind == JsonValueKind.Array
                ? (Said(merge[0]), Said(merge[1]))
                : Said(merge).Split(' ') is [var first, var second] ? (first, second)
                    : throw new InvalidDataException($"'{merge.GetString()}' is no merge of two pieces"));
            return (new BpeModel(numbers, merges, unknown, Flag(json, "fuse_unk", false), Flag(json, "ignore_merges", false)), pieces);
        }

        private (PieceModel, List<string>) Unigram(JsonElement json)
        {
            var pieces = json.GetProperty("vocab").EnumerateArray().Select(entry =>
                (Text: Said(entry[0]), Score: entry[1].GetDouble())).ToList();
            if (pieces.Count == 0) throw files.Damaged(Name, "its vocabulary is empty");
            if (Flag(json, "byte_fallback", false)) throw files.Unknown(Name, "a Unigram model with byte_fallback");
            var unknown = Part(json, "unk_id")?.GetInt32()
                ?? throw files.Damaged(Name, "it does not say which piece stands for what is unknown (unk_id)");
            if (unknown < 0 || unknown >= pieces.Count) throw files.Damaged(Name, $"its unk_id {unknown} is not among its {pieces.Count} pieces");
            return (new UnigramModel(pieces, unknown), [.. pieces.Select(piece => piece.Text)]);
        }

        private IEnumerable<Normalizer> Normalizers(JsonElement json)
        {
            var type = Text(json, "type") ?? "without a type";
            switch (type)
            {
                case "Sequence": return json.GetProperty("normalizers").EnumerateArray().SelectMany(Normalizers);
                case "BertNormalizer":
                    var lower = Flag(json, "lowercase", true);
                    return [new BertNormalizer(Flag(json, "clean_text", true), Flag(json, "handle_chinese_chars", true),
                        Flag(json, "strip_accents", lower), lower)];
                case "NFD" or "NFC" or "NFKD" or "NFKC": return [new UnicodeNormalizer(compatible: type[2] == 'K', compose: type[^1] == 'C')];
                case "StripAccents": return [new MarkNormalizer(CharacterKinds.Mark)];
                case "Lowercase": return [new LowerNormalizer()];
                case "Replace": return [new ReplaceNormalizer(Pattern(json.GetProperty("pattern")), Said(json.GetProperty("content")))];
                case "Strip": return [new StripNormalizer(Flag(json, "strip_left", true), Flag(json, "strip_right", true))];
                case "Prepend": return [new PrependNormalizer(Said(json.GetProperty("prepend")))];
                case "Precompiled": return Text(json, "precompiled_charsmap") is { Length: > 0 } map ? [new CharsMap(Convert.FromBase64String(map))]
                    : [];
                default: throw files.Unknown(Name, $"the normalizer {type}");
            }
        }

        private Regex Pattern(JsonElement json)
        {
            if (Text(json, "String") is { } text) return new Regex(Regex.Escape(text), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            var pattern = Said(json.GetProperty("Regex"));
            try
            {
                // What would need to look back could be made to take for ever by a file from elsewhere.
                return new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
            }
            catch (Exception error) when (error is ArgumentException or NotSupportedException)
            {
                throw files.Unknown(Name, $"the pattern {pattern}");
            }
        }

        private IEnumerable<PreTokenizer> PreTokenizers(JsonElement json)
        {
            var type = Text(json, "type") ?? "without a type";
            switch (type)
            {
                case "Sequence": return json.GetProperty("pretokenizers").EnumerateArray().SelectMany(PreTokenizers);
                case "BertPreTokenizer": return [new SpacePreTokenizer(punctuation: true)];
                case "WhitespaceSplit": return [new SpacePreTokenizer(punctuation: false)];
                case "Punctuation" when Text(json, "behavior") is null or "Isolated": return [new SignPreTokenizer(digits: false, alone: true)];
                case "Digits": return [new SignPreTokenizer(digits: true, Flag(json, "individual_digits", false))];
                case "ByteLevel": return [new BytePreTokenizer(Flag(json, "add_prefix_space", true), Flag(json, "use_regex", true))];
                case "Metaspace":
                    var sign = Text(json, "replacement") is [var only] ? only
                        : throw new InvalidDataException("the replacement of Metaspace is one character");
                    var scheme = Text(json, "prepend_scheme") ?? (Flag(json, "add_prefix_space", true) ? "always" : "never");
                    if (scheme is not ("always" or "first" or "never")) throw files.Unknown(Name, $"the prepend_scheme {scheme}");
                    return [new MetaspacePreTokenizer(sign, scheme, Flag(json, "split", true))];
                default: throw files.Unknown(Name, $"the pre-tokenizer {type}");
            }
        }

        private Signs SignsOf(JsonElement root, List<string> pieces)
        {
            var signs = (Part(root, "post_processor") is { } processor ? Processor(processor) : null)
                ?? throw files.Unknown(Name, "no post-processor that sets signs around a sentence (so GPT-2's is)");
            if (signs.Before.Length == 0 || signs.After.Length == 0) throw files.Unknown(Name,
                "a post-processor that sets no sign before or behind a sentence");
            if (signs.Before.Concat(signs.Between).Concat(signs.After).FirstOrDefault(id => id < 0 || id >= pieces.Count, -1) is >= 0 and var wrong)
                throw files.Damaged(Name, $"its post-processor sets the piece {wrong} of {pieces.Count}");
            int? Find(string name, string[] usual) =>
                (config.Signs.TryGetValue(name, out var said) ? [said] : usual).Select(sign => pieces.IndexOf(sign)).FirstOrDefault(id => id >= 0, -1)
                is >= 0 and var id ? id : null;
            var pad = Part(root, "padding") is { } padding && Part(padding, "pad_id") is { } given ? given.GetInt32() : Find("pad_token", s_pads)
                ?? throw files.Damaged(Name, $"it does not say which piece fills batches up: say so in {TokenizerFiles.Config} (\"pad_token\")");
            return signs with { Pad = pad, Mask = Find("mask_token", s_masks) };
        }

        private Signs? Processor(JsonElement json)
        {
            var type = Text(json, "type") ?? "without a type";
            switch (type)
            {
                case "ByteLevel": return null;
                case "Sequence": return json.GetProperty("processors").EnumerateArray().Select(Processor).OfType<Signs>().FirstOrDefault();
                case "BertProcessing" or "RobertaProcessing":
                    var (separator, first) = (json.GetProperty("sep")[1].GetInt32(), json.GetProperty("cls")[1].GetInt32());
                    return new Signs([first], type == "BertProcessing" ? [separator] : [separator, separator], [separator], 0, null);
                case "TemplateProcessing": return Template(json);
                default: throw files.Unknown(Name, $"the post-processor {type}");
            }
        }

        private Signs Template(JsonElement json)
        {
            var special = json.GetProperty("special_tokens");
            List<int[]> Stretches(JsonElement template)
            {
                var stretches = new List<int[]> { Array.Empty<int>() };
                foreach (var part in template.EnumerateArray())
                {
                    if (part.TryGetProperty("Sequence", out _)) stretches.Add([]);
                    else
                    {
                        var sign = Said(part.GetProperty("SpecialToken").GetProperty("id"));
                        var ids = special.GetProperty(sign).GetProperty("ids").EnumerateArray().Select(id => id.GetInt32());
                        stretches[^1] = [.. stretches[^1], .. ids];
                    }
                }
                return stretches;
            }
            var (single, pair) = (Stretches(json.GetProperty("single")), Stretches(json.GetProperty("pair")));
            if (single is not [var before, var after] || pair is not [var first, var between, var last] || !first.SequenceEqual(before)
                || !last.SequenceEqual(after))
                throw files.Unknown(Name, "a template in which a pair does not begin and end as a sentence does");
            return new Signs(before, between, after, 0, null);
        }
    }
}
