using System.Text;

namespace Graft.Inference.Text;

/// <summary>vocab.json and merges.txt: byte-level BPE with RoBERTa's signs.</summary>
internal static class RobertaFiles
{
    public const string Vocabulary = "vocab.json", Merges = "merges.txt";

    public static PieceTokenizer Read(TokenizerFiles files)
    {
        var config = files.ReadConfig();
        if (config.Class is { } kind && !kind.StartsWith("Roberta", StringComparison.Ordinal)) throw files.Unknown(TokenizerFiles.Config,
            $"the tokenizer_class {kind}");
        var numbers = files.Json(Vocabulary, json =>
            json.EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetInt32(), StringComparer.Ordinal));
        var pieces = TokenizerJson.List(numbers, files, Vocabulary);
        int Need(string name, string standard)
        {
            var sign = config.Signs.GetValueOrDefault(name, standard);
            return numbers.TryGetValue(sign, out var id) ? id
                : throw new GraftException($"{files.Path(Vocabulary)} has no piece {sign}, which a network of RoBERTa's kind needs; "
                + $"if it is called otherwise, say so in {TokenizerFiles.Config} (\"{name}\")");
        }
        var (first, separator, unknown) = (Need("cls_token", "<s>"), Need("sep_token", "</s>"), Need("unk_token", "<unk>"));
        var pad = Need("pad_token", "<pad>");
        int? mask = numbers.TryGetValue(config.Signs.GetValueOrDefault("mask_token", "<mask>"), out var hidden) ? hidden : null;
        var added = new Dictionary<string, AddedToken>(StringComparer.Ordinal);
        foreach (var id in new[] { first, separator, unknown, pad }) added[pieces[id]] = new AddedToken(id, pieces[id]);
        if (mask is { } own) added[pieces[own]] = new AddedToken(own, pieces[own], LeftSpaces: true);
        foreach (var token in config.Added)
        {
            added[token.Text] = token;
            TokenizerJson.Place(pieces, token);
        }
        BpeModel model;
        try
        {
            model = new BpeModel(numbers, ReadMerges(files), unknown);
        }
        catch (InvalidDataException error)
        {
            throw files.Damaged(Merges, error.Message, error);
        }
        var signs = new Signs([first], [separator, separator], [separator], pad, mask);
        return new PieceTokenizer(
            new TokenizerParts(pieces, model, [], [new BytePreTokenizer(config.PrefixSpace ?? false, split: true)], [.. added.Values], signs),
            files.Only(Vocabulary, Merges, TokenizerFiles.Config));
    }

    private static IEnumerable<(string, string)> ReadMerges(TokenizerFiles files)
    {
        var lines = Encoding.UTF8.GetString(files.All[Merges]).Split('\n');
        for (var k = 0; k < lines.Length; k++)
        {
            var line = lines[k].TrimEnd('\r');
            if (line.Length == 0 || line.StartsWith("#version", StringComparison.Ordinal)) continue;
            var parts = line.Split(' ');
            if (parts.Length != 2) throw files.Damaged(Merges, $"line {k + 1} is no pair of pieces: '{line}'");
            yield return (parts[0], parts[1]);
        }
    }
}
