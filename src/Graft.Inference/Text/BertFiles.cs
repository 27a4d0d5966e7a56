using System.Text;

namespace Graft.Inference.Text;

/// <summary>vocab.txt: a word piece a line, BERT's and its kin's; tokenizer_config.json says how texts are normalised.</summary>
internal static class BertFiles
{
    public const string Vocabulary = "vocab.txt";

    private static readonly string[] s_kin = ["Bert", "DistilBert", "Electra", "MobileBert", "ConvBert", "SqueezeBert", "LayoutLM", "Lxmert", "Realm",
        "Retribert", "Funnel", "Dpr"];

    public static PieceTokenizer Read(TokenizerFiles files)
    {
        var config = files.ReadConfig();
        if (config.Class is { } kind && !s_kin.Contains(kind.Replace("TokenizerFast", "", StringComparison.Ordinal).Replace("Tokenizer", "",
            StringComparison.Ordinal)))
            throw files.Unknown(TokenizerFiles.Config, $"the tokenizer_class {kind}");
        if (config.Basic == false) throw files.Unknown(TokenizerFiles.Config, "do_basic_tokenize false");
        var pieces = ReadLines(files);
        var numbers = Number(files, pieces);
        var all = new List<string>(pieces);
        int Need(string name, string standard)
        {
            var sign = config.Signs.GetValueOrDefault(name, standard);
            return numbers.TryGetValue(sign, out var id) ? id
                : throw new GraftException($"{files.Path(Vocabulary)} has no piece {sign}, which a network of BERT's kind needs; "
                + $"if it is called otherwise, say so in {TokenizerFiles.Config} (\"{name}\")");
        }
        var (unknown, first, separator) = (Need("unk_token", "[UNK]"), Need("cls_token", "[CLS]"), Need("sep_token", "[SEP]"));
        var pad = Need("pad_token", "[PAD]");
        int? mask = numbers.TryGetValue(config.Signs.GetValueOrDefault("mask_token", "[MASK]"), out var hidden) ? hidden : null;
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        foreach (var id in new int?[] { unknown, separator, pad, first, mask }.OfType<int>()) added[pieces[id]] = new AddedToken(id, pieces[id]);
        foreach (var token in config.Added)
        {
            added[token.Text] = token;
            TokenizerJson.Place(all, token);
        }
        // A vocabulary with capitals is of no use to a text without: where nothing is said, it says it itself.
        var lower = config.Lower ?? !pieces.Any(piece => piece is not ['[', .., ']'] and not ['<', .., '>'] && piece.Any(char.IsAsciiLetterUpper));
        var normalizer = new BertNormalizer(clean: true, config.Chinese ?? true, config.StripAccents ?? lower, lower);
        var signs = new Signs([first], [separator], [separator], pad, mask);
        return new PieceTokenizer(
            new TokenizerParts(all, new WordPieceModel(numbers, unknown), [normalizer], [new SpacePreTokenizer(punctuation: true)], [.. added.Values],
                signs),
            files.Only(Vocabulary, TokenizerFiles.Config));
    }

    private static string[] ReadLines(TokenizerFiles files)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, true).GetString(files.All[Vocabulary]);
        }
        catch (DecoderFallbackException error)
        {
            throw files.Damaged(Vocabulary, "it is no UTF-8", error);
        }
        var lines = text.TrimStart('\ufeff').Split('\n');
        for (var k = 0; k < lines.Length; k++) lines[k] = lines[k].TrimEnd('\r');
        if (lines[^1].Length == 0) lines = lines[..^1];
        return lines.Length > 0 ? lines : throw files.Damaged(Vocabulary, "it is empty: a vocabulary has a piece a line");
    }

    private static Dictionary<string, int> Number(TokenizerFiles files, string[] pieces)
    {
        var numbers = new Dictionary<string, int>(pieces.Length, StringComparer.Ordinal);
        for (var id = 0; id < pieces.Length; id++)
        {
            if (!numbers.TryAdd(pieces[id], id))
                throw files.Damaged(Vocabulary, $"line {id + 1} repeats the piece '{pieces[id]}' of line {numbers[pieces[id]] + 1}");
        }
        return numbers;
    }
}
