using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Tokenizers against Hugging Face's own: Tokenizers/*/expected.json holds what those made of the lines (tools/TokenizerTruth).</summary>
public sealed class TokenizerTests
{
    private const int Unbounded = 1_000_000;

    private static string Folder(string name) => Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "Tokenizers", name);

    private static TextItem[] Lines() =>
        [.. JsonSerializer.Deserialize<string[][]>(File.ReadAllBytes(Folder("lines.json")))!.Select(line =>
        new TextItem(line[0], line.Length > 1 ? line[1] : null))];

    private sealed record Expected(int[] Ids, int[]?[] Spans, int[] Cut);

    private static Expected[] Read(string name) =>
        JsonSerializer.Deserialize<Expected[]>(File.ReadAllBytes(Path.Combine(Folder(name), "expected.json")), JsonSerializerOptions.Web)!;

    /// <summary>That a tokenizer gives Hugging Face's numbers and places for every line.</summary>
    private static void Holds(Tokenizer tokenizer, string name, bool spans = true)
    {
        var (lines, expected) = (Lines(), Read(name));
        Assert.Equal(lines.Length, expected.Length);
        for (var k = 0; k < lines.Length; k++)
        {
            var tokens = tokenizer.Encode(lines[k], Unbounded, spans: true);
            var said = JsonSerializer.Serialize(lines[k]);
            Assert.Equal((said, string.Join(' ', expected[k].Ids)), (said, string.Join(' ', tokens.Ids)));
            Assert.Equal(tokens.Ids, tokenizer.Encode(lines[k], Unbounded).Ids);
            Assert.False(tokens.IsCut);
            if (!spans) continue;
            for (var token = 0; token < tokens.Ids.Length; token++)
            {
                var span = tokens.Spans![token];
                if (expected[k].Spans[token] is not { } place) Assert.Equal(-1, span.Part);
                else if (span.Length > 0) Assert.Equal((said, token, place[0], place[1], place[2]),
                    (said, token, span.Part, span.Start, span.Length));
            }
        }
    }

    [Theory]
    [InlineData("bert-uncased", "wordpiece")]
    [InlineData("bert-cased", "wordpiece")]
    [InlineData("roberta", "bpe")]
    [InlineData("xlm-r", "unigram")]
    [InlineData("albert", "unigram")]
    public void Tokenizer_json_gives_Hugging_Faces_numbers_and_its_card_gives_them_again(string name, string kind)
    {
        var tokenizer = Tokenizers.Open(Folder(name));
        Assert.Equal(kind, tokenizer.Kind);
        Holds(tokenizer, name, spans: kind != "unigram");
        var again = Tokenizers.FromCard(tokenizer.ToCard());
        Holds(again, name, spans: false);
        Assert.Equal(tokenizer.Files.Keys, again.Files.Keys);
        foreach (var (file, bytes) in tokenizer.Files) Assert.Equal(bytes, again.Files[file]);
        Assert.Equal((tokenizer.Count, tokenizer.Pad, tokenizer.First, tokenizer.Separator, tokenizer.Mask),
            (again.Count, again.Pad, again.First, again.Separator, again.Mask));
    }

    [Theory]
    [InlineData("bert-uncased", true)]
    [InlineData("bert-cased", false)]
    public void Vocab_txt_gives_Hugging_Faces_numbers(string name, bool lower)
    {
        using var shop = new Workshop();
        WriteVocabulary(shop["vocab.txt"], Json(name));
        // With nothing said, a vocabulary with capitals is a cased one.
        Holds(Tokenizers.Open(shop.Root), name);
        File.WriteAllText(shop["tokenizer_config.json"], $$"""
            {"do_lower_case": {{(lower ? "true" : "false")}}, "tokenizer_class": "BertTokenizer", "mask_token": {"content": "[MASK]"} }
            """);
        var tokenizer = Tokenizers.Open(shop.Root);
        Holds(tokenizer, name);
        Holds(Tokenizers.FromCard(tokenizer.ToCard()), name);
    }

    [Fact]
    public void Vocab_json_with_merges_txt_gives_Hugging_Faces_numbers()
    {
        using var shop = new Workshop();
        var json = Json("roberta");
        File.WriteAllText(shop["vocab.json"], json["model"]!["vocab"]!.ToJsonString());
        File.WriteAllLines(shop["merges.txt"], ["#version: 0.2", .. json["model"]!["merges"]!.AsArray().Select(merge => merge!.GetValue<string>())]);
        var tokenizer = Tokenizers.Open(shop.Root);
        Holds(tokenizer, "roberta");
        Holds(Tokenizers.FromCard(tokenizer.ToCard()), "roberta");
        Assert.Equal("<mask>", tokenizer.Piece(tokenizer.Mask!.Value));
    }

    [Theory]
    [InlineData("xlm-r", "sentencepiece.bpe.model")]
    [InlineData("albert", "spiece.model")]
    public void A_model_of_SentencePiece_gives_Hugging_Faces_numbers(string name, string file)
    {
        using var shop = new Workshop();
        File.WriteAllBytes(shop[file], SentencePiece(Json(name), isAlbert: name == "albert"));
        var tokenizer = Tokenizers.Open(shop.Root);
        Holds(tokenizer, name, spans: false);
        Assert.Contains("base64", tokenizer.ToCard(), StringComparison.Ordinal);
        Holds(Tokenizers.FromCard(tokenizer.ToCard()), name, spans: false);
    }

    [Theory]
    [InlineData("bert-uncased")]
    [InlineData("roberta")]
    [InlineData("xlm-r")]
    public void What_is_too_long_is_cut_as_Hugging_Face_cuts_it_and_said_to_be_cut(string name)
    {
        var tokenizer = Tokenizers.Open(Folder(name));
        var (lines, expected) = (Lines(), Read(name));
        for (var k = 0; k < lines.Length; k++)
        {
            var tokens = tokenizer.Encode(lines[k], 12);
            Assert.Equal(expected[k].Cut, tokens.Ids);
            Assert.Equal(expected[k].Ids.Length > 12, tokens.IsCut);
        }
    }

    [Fact]
    public void Of_a_pair_the_longer_is_cut_token_by_token_and_of_equals_the_second()
    {
        var tokenizer = Tokenizers.Open(Folder("bert-uncased"));
        string Cut(string first, string second, int most) =>
            string.Join(' ', tokenizer.Encode(new TextItem(first, second), most).Ids.Select(tokenizer.Piece));
        Assert.Equal("[CLS] a b c [SEP] d e f [SEP]", Cut("a b c", "d e f", 9));
        Assert.Equal("[CLS] a b c [SEP] d e [SEP]", Cut("a b c", "d e f", 8));
        Assert.Equal("[CLS] a b [SEP] d e [SEP]", Cut("a b c", "d e f", 7));
        Assert.Equal("[CLS] a b c [SEP] d [SEP]", Cut("a b c e f g", "d", 7));
        Assert.Equal("[CLS] [SEP] [SEP]", Cut("a", "b", 3));
        Assert.Equal(4, tokenizer.Encode(new TextItem("a b", "c"), 12).SecondStart);
        Assert.Null(tokenizer.Encode(new TextItem("a b"), 12).SecondStart);
        var error = Assert.Throws<GraftException>(() => Cut("a", "b", 2));
        Assert.True(error.IsUsage);
    }

    /// <summary>Numbers of Hugging Face's documentation of bert-base-uncased.</summary>
    [SkippableFact]
    public void BERTs_own_vocabulary_gives_the_numbers_that_are_known_from_its_documentation()
    {
        var tokenizer = Bert();
        int[] Ids(string text, string? second = null) => tokenizer.Encode(new TextItem(text, second), 512).Ids;
        Assert.Equal([101, 7592, 1010, 2088, 999, 102], Ids("Hello, world!"));
        Assert.Equal([101, 1045, 1005, 2310, 2042, 3403, 2005, 1037, 17662, 12172, 2607, 2026, 2878, 2166, 1012, 102],
            Ids("I've been waiting for a HuggingFace course my whole life."));
        Assert.Equal([101, 1045, 5223, 2023, 2061, 2172, 999, 102], Ids("I hate this so much!"));
        Assert.Equal([101, 2023, 2003, 1996, 2034, 6251, 1012, 102, 2023, 2003, 1996, 2117, 2028, 1012, 102],
            Ids("This is the first sentence.", "This is the second one."));
        Assert.Equal((0, 101, 102, 103, 30522), (tokenizer.Pad, tokenizer.First, tokenizer.Separator, tokenizer.Mask, tokenizer.Count));
    }

    /// <summary>The hashes are of the numbers that Hugging Face's tokenizers gave, a line of them for each line of text.</summary>
    [SkippableTheory]
    [InlineData("sst2", "2da0cf45c959358567041cd51a4f166a16e94b64dad3db8802e7da055a64b312")]
    [InlineData("nsmc", "0e9a5fdb52aa83e7fd5d7a6eb65bf0721f914b9505d70a14bcf8bb998bb99c79")]
    public void Real_sentences_have_Hugging_Faces_numbers_and_those_of_the_published_algorithm_in_Python(string data, string hash)
    {
        var lines = data == "sst2"
            ? File.ReadAllLines(Workshop.Need("sst2", "dev.tsv")).Select(line => line.Split('\t')[0]).ToArray()
            : [.. File.ReadAllText(Workshop.Need("nsmc", "train.tsv")).Split('\n').Skip(1).Take(2000).Select(line => line.Split('\t')[1])];
        var tokenizer = Bert();
        var ours = string.Concat(lines.Select(line => string.Join(' ', tokenizer.Encode(new TextItem(line), Unbounded).Ids) + "\n"));
        Assert.Equal(hash, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(ours))));
        Skip.IfNot(File.Exists("/usr/bin/python3"), "python3 is not here");
        using var shop = new Workshop();
        File.WriteAllText(shop["lines.txt"], string.Join('\n', lines) + "\n");
        var peer = Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "tokenizer_peer.py");
        var (status, output, errors) = Workshop.Run("/usr/bin/python3",
            [peer, "ids", Workshop.Need("text", "bert_uncased_vocab.txt"), "lower", shop["lines.txt"]]);
        Assert.True(status == 0, errors);
        Assert.Equal(ours, output);
    }

    /// <summary>Worked by hand: of h e l l o, the merges make l l, then he, then he ll, and at last hell o.</summary>
    [Fact]
    public void Byte_pairs_are_merged_in_the_order_of_the_merges_and_the_leftmost_first()
    {
        var pieces = new[] { "<unk>", "h", "e", "l", "o", "ll", "he", "hell", "hello", "oo" }.Select((piece, id) => (piece, id)).ToDictionary(pair =>
            pair.piece, pair => pair.id);
        var model = new BpeModel(pieces, [("l", "l"), ("h", "e"), ("he", "ll"), ("hell", "o"), ("o", "o")], unknown: 0);
        Assert.Equal([8], Ids(model, "hello"));
        Assert.Equal([5, 3], Ids(model, "lll"));
        Assert.Equal([9, 4, 0, 6], Ids(model, "ooo?he"));
        // Asked again, the same.
        Assert.Equal([5, 3], Ids(model, "lll"));
    }

    /// <summary>The example of Hugging Face's own documentation of its model, and one worked by hand.</summary>
    [Fact]
    public void The_most_likely_cut_is_chosen_and_unknown_characters_are_one_piece()
    {
        var model = new UnigramModel([("<unk>", 0), ("a", 0), ("b", 0), ("c", 0), ("d", 0), ("cd", 1), ("ab", 2), ("abc", 5), ("abcd", 10)],
            unknown: 0);
        Assert.Equal([8, 1, 5, 0], Ids(model, "abcdacdxx"));
        // ab + c costs 1 + 2 = 3, a + bc costs 2 + 0.5 = 2.5, and abc 2.75.
        model = new UnigramModel([("<unk>", 0), ("ab", -1), ("c", -2), ("a", -2), ("bc", -0.5), ("abc", -2.75)], unknown: 0);
        Assert.Equal([3, 4], Ids(model, "abc"));
    }

    private static int[] Ids(PieceModel model, string word)
    {
        var cuts = new List<Cut>();
        model.Cut(word, cuts);
        return [.. cuts.Select(cut => cut.Id)];
    }

    [Fact]
    public void A_long_text_taken_in_parts_has_the_pieces_that_it_has_in_one()
    {
        var random = new Random(3);
        string[] bits = ["the", "movie", "unbelievable", "한국어", "日本", "\n", "  ", " ", " ", "!", "…", "e\u0301", "👍", "don't", "a", "20", "\u3000",
            "[MASK]", " <mask> "];
        var text = string.Concat(Enumerable.Range(0, 40_000).Select(_ => bits[random.Next(bits.Length)]));
        foreach (var name in new[] { "bert-uncased", "bert-cased", "roberta", "xlm-r", "albert" })
        {
            var tokenizer = Tokenizers.Open(Folder(name));
            var all = tokenizer.Encode(new TextItem(text), Unbounded, spans: true);
            var head = tokenizer.Encode(new TextItem(text), 512, spans: true);
            Assert.Equal(all.Ids[..511], head.Ids[..511]);
            Assert.Equal(all.Spans![..511], head.Spans![..511]);
            Assert.True(head.IsCut);
            // Word by word, where no part is long enough to be cut, the pieces are the same: a space begins a word.
            var joined = new List<int>();
            var lines = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (name.StartsWith("bert", StringComparison.Ordinal))
            {
                foreach (var word in lines) joined.AddRange(tokenizer.Encode(new TextItem(word), Unbounded).Ids[1..^1]);
                Assert.Equal(joined, all.Ids[1..^1]);
            }
        }
    }

    [Fact]
    public void A_megabyte_costs_what_its_first_pieces_cost()
    {
        var tokenizer = Tokenizers.Open(Folder("bert-uncased"));
        var text = string.Concat(Enumerable.Repeat("the movie was good ", 55_000));
        tokenizer.Encode(new TextItem(text), 512);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.True(tokenizer.Encode(new TextItem(text), 512).IsCut);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void Many_threads_may_use_one_at_once()
    {
        foreach (var name in new[] { "bert-uncased", "roberta", "xlm-r" })
        {
            var (tokenizer, lines, expected) = (Tokenizers.Open(Folder(name)), Lines(), Read(name));
            Parallel.For(0, lines.Length * 20, k =>
                Assert.Equal(expected[k % lines.Length].Ids, tokenizer.Encode(lines[k % lines.Length], Unbounded).Ids));
        }
    }

    [Fact]
    public void Half_a_character_and_a_number_out_of_bounds_are_stood()
    {
        foreach (var name in new[] { "bert-uncased", "bert-cased", "roberta", "xlm-r", "albert" })
        {
            var tokenizer = Tokenizers.Open(Folder(name));
            foreach (var text in new[] { "\ud83d", "a\udc4db", "\ud83d\ud83d",
                new string('\udc00', 300) }) Assert.NotEmpty(tokenizer.Encode(new TextItem(text), 512, spans: true).Ids);
            Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Piece(tokenizer.Count));
        }
    }

    private static Tokenizer Bert() => Tokenizers.WordPiece(File.ReadAllBytes(Workshop.Need("text", "bert_uncased_vocab.txt")), lower: true);

    internal static JsonObject Json(string name) => JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder(name), "tokenizer.json")))!.AsObject();

    internal static void WriteVocabulary(string path, JsonObject json) =>
        File.WriteAllText(path, string.Concat(json["model"]!["vocab"]!.AsObject().OrderBy(piece => piece.Value!.GetValue<int>()).Select(piece =>
            piece.Key + "\n")));

    /// <summary>The pieces of tokenizer.json as SentencePiece keeps them: XLM-R's in its own order, with its own three signs first.</summary>
    internal static byte[] SentencePiece(JsonObject json, bool isAlbert, int kind = 1)
    {
        var pieces = json["model"]!["vocab"]!.AsArray().Select(piece =>
            (Text: piece![0]!.GetValue<string>(), Score: piece[1]!.GetValue<double>())).ToList();
        if (!isAlbert) pieces = [("<unk>", 0), ("<s>", 0), ("</s>", 0), .. pieces[4..^1]];
        var normalizer = json["normalizer"]!["normalizers"] is JsonArray steps ? steps[^1]! : json["normalizer"]!;
        var map = Convert.FromBase64String(normalizer["precompiled_charsmap"]!.GetValue<string>());
        using var file = new MemoryStream();
        for (var id = 0; id < pieces.Count; id++)
        {
            var (text, score) = pieces[id];
            if (isAlbert && score < -100) score += 100;
            var type = text == "<unk>" ? 2 : text[0] is '[' && text.Length > 1 || text is "<s>" or "</s>" or "<pad>" ? 3 : 1;
            Field(file, 1, [.. Message(1, Encoding.UTF8.GetBytes(text)), 2 << 3 | 5, .. BitConverter.GetBytes((float)score), 3 << 3, (byte)type]);
        }
        Field(file, 2, [3 << 3, (byte)kind, 0xc0, 2, (byte)(isAlbert ? 1 : 0)]);
        Field(file, 3, [.. Message(1, "nmt_nfkc"u8.ToArray()), .. Message(2, map), 3 << 3, 1, 4 << 3, 1, 5 << 3, 1]);
        return file.ToArray();
    }

    private static byte[] Message(int field, byte[] bytes)
    {
        using var stream = new MemoryStream();
        Field(stream, field, bytes);
        return stream.ToArray();
    }

    private static void Field(MemoryStream into, int field, byte[] bytes)
    {
        into.WriteByte((byte)(field << 3 | 2));
        var length = bytes.Length;
        for (; length >= 0x80; length >>= 7) into.WriteByte((byte)(length | 0x80));
        into.WriteByte((byte)length);
        into.Write(bytes);
    }
}
