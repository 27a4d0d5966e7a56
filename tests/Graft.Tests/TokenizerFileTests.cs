using System.Text;
using System.Text.Json.Nodes;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Files of tokenizers that are damaged, or of a kind that is not known: each is refused with its name, what is wrong, and what to
/// do.</summary>
public sealed class TokenizerFileTests
{
    private const string Signs = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

    private static string Refused(Workshop shop) => Assert.Throws<GraftException>(() => Tokenizers.Open(shop.Root)).Message;

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "line 7 repeats the piece 'a' of line 5")]
    [InlineData("[PAD]\n[CLS]\n[SEP]\na\n", "has no piece [UNK]")]
    [InlineData("[PAD]\n[UNK]\n[SEP]\na\n", "has no piece [CLS]")]
    [InlineData("a\n\0\ud800", "[UNK]")]
    public void A_vocabulary_that_cannot_be_is_refused(string vocabulary, string why)
    {
        using var shop = new Workshop();
        File.WriteAllText(shop["vocab.txt"], vocabulary);
        var message = Refused(shop);
        Assert.Contains(shop["vocab.txt"], message, StringComparison.Ordinal);
        Assert.Contains(why, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_a_tokenizer_says_what_belongs_there()
    {
        using var shop = new Workshop();
        Assert.Contains("no tokenizer.json, no vocab.txt, no vocab.json with merges.txt, and no .model", Refused(shop), StringComparison.Ordinal);
        Assert.Contains("is no folder", Assert.Throws<GraftException>(() => Tokenizers.Open(shop["absent"])).Message, StringComparison.Ordinal);
        File.WriteAllText(shop["vocab.json"], "{}");
        Assert.Contains("merges.txt is not there", Refused(shop), StringComparison.Ordinal);
    }

    [Fact]
    public void Tokenizer_json_cut_off_anywhere_is_refused_with_its_name()
    {
        using var shop = new Workshop();
        var whole = TokenizerTests.Json("bert-uncased").ToJsonString();
        for (var length = 0; length < whole.Length; length += 97)
        {
            File.WriteAllText(shop["tokenizer.json"], whole[..length]);
            var message = Refused(shop);
            Assert.Contains(shop["tokenizer.json"], message, StringComparison.Ordinal);
            Assert.Contains("take it from the model's own folder again", message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("normalizer", """{"type": "Nmt"}""", "the normalizer Nmt")]
    [InlineData("normalizer", """{"type": "Replace", "pattern": {"Regex": "(?=a)b"}, "content": ""}""", "the pattern (?=a)b")]
    [InlineData("pre_tokenizer", """{"type": "UnicodeScripts"}""", "the pre-tokenizer UnicodeScripts")]
    [InlineData("pre_tokenizer", """{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "a"}}]}""",
        "the pre-tokenizer Split")]
    [InlineData("post_processor", """{"type": "ByteLevel"}""", "no post-processor that sets signs")]
    [InlineData("model", """{"type": "WordLevel", "vocab": {}, "unk_token": "a"}""", "the model WordLevel")]
    [InlineData("model", """{"type": "BPE", "vocab": {"a": 0}, "merges": [], "byte_fallback": true}""", "a BPE model with byte_fallback")]
    public void A_part_of_an_unknown_kind_is_refused_by_its_name(string part, string json, string named)
    {
        using var shop = new Workshop();
        var tokenizer = TokenizerTests.Json("bert-uncased");
        tokenizer[part] = JsonNode.Parse(json);
        File.WriteAllText(shop["tokenizer.json"], tokenizer.ToJsonString());
        var message = Assert.Throws<UnknownTokenizerException>(() => Tokenizers.Open(shop.Root)).Message;
        Assert.Contains($"{shop["tokenizer.json"]} has {named}", message, StringComparison.Ordinal);
        Assert.Contains("put its vocab.txt, its vocab.json and merges.txt, or its .model there instead", message, StringComparison.Ordinal);
        // With the vocabulary beside it, that serves.
        TokenizerTests.WriteVocabulary(shop["vocab.txt"], TokenizerTests.Json("bert-uncased"));
        Assert.Equal("wordpiece", Tokenizers.Open(shop.Root).Kind);
    }

    [Fact]
    public void What_a_tokenizer_json_says_of_itself_must_hold_together()
    {
        void Refuses(Action<JsonObject> damage, string why, string name = "bert-uncased")
        {
            using var shop = new Workshop();
            var json = TokenizerTests.Json(name);
            damage(json);
            File.WriteAllText(shop["tokenizer.json"], json.ToJsonString());
            var message = Refused(shop);
            Assert.Contains(shop["tokenizer.json"], message, StringComparison.Ordinal);
            Assert.Contains(why, message, StringComparison.Ordinal);
        }
        Refuses(json => json["model"]!["vocab"] = new JsonObject(), "vocabulary is empty");
        Refuses(json => json["model"]!["unk_token"] = "nothing", "its vocabulary lacks nothing");
        Refuses(json => json["model"]!["vocab"]!["zz"] = 7, "have one number, 7");
        Refuses(json => json["model"]!["vocab"]!["zz"] = -1, "has the number -1");
        Refuses(json => json["model"]!["vocab"]!["zz"] = "seven", "it is damaged");
        Refuses(json => json["post_processor"]!["special_tokens"]!["[CLS]"]!["ids"] = new JsonArray(99_999), "sets the piece 99999");
        Refuses(json => json["model"]!["merges"]!.AsArray().Add("no-such piece"), "which the vocabulary lacks", "roberta");
        Refuses(json => json["model"]!["merges"]!.AsArray().Add("one"), "'one' is no merge of two pieces", "roberta");
        Refuses(json => json["model"]!["unk_id"] = 99_999, "unk_id 99999", "xlm-r");
        Refuses(json => json["normalizer"]!["precompiled_charsmap"] = "AAAAAAAA", "table of characters", "xlm-r");
        Refuses(json => json["normalizer"]!["precompiled_charsmap"] = "?", "it is damaged", "xlm-r");
    }

    [Fact]
    public void A_model_of_SentencePiece_cut_off_anywhere_or_of_another_kind_is_refused()
    {
        using var shop = new Workshop();
        var whole = TokenizerTests.SentencePiece(TokenizerTests.Json("xlm-r"), isAlbert: false);
        for (var length = 0; length < whole.Length; length += 53)
        {
            File.WriteAllBytes(shop["a.model"], whole[..length]);
            // Cut between two pieces it is a smaller model, and whole.
            if (Record.Exception(() => Tokenizers.Open(shop.Root)) is { } error) Assert.Contains("a.model",
                Assert.IsType<GraftException>(error, exactMatch: false).Message, StringComparison.Ordinal);
        }
        File.WriteAllBytes(shop["a.model"], TokenizerTests.SentencePiece(TokenizerTests.Json("xlm-r"), isAlbert: false, kind: 2));
        Assert.Contains("a BPE model of SentencePiece", Assert.Throws<UnknownTokenizerException>(() => Tokenizers.Open(shop.Root)).Message,
            StringComparison.Ordinal);
        File.WriteAllBytes(shop["a.model"], whole);
        File.WriteAllText(shop["tokenizer_config.json"], """{"tokenizer_class": "CamembertTokenizer"}""");
        Assert.Contains("the tokenizer_class CamembertTokenizer", Assert.Throws<UnknownTokenizerException>(() => Tokenizers.Open(shop.Root)).Message,
            StringComparison.Ordinal);
        File.WriteAllText(shop["tokenizer_config.json"], "{");
        Assert.Contains("tokenizer_config.json: it is no whole JSON file", Refused(shop), StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_card_is_invalid_data()
    {
        var card = Tokenizers.WordPiece(Encoding.UTF8.GetBytes(Signs + "a\n##b\n"), lower: true).ToCard();
        Assert.Equal([2, 5, 6, 3], Tokenizers.FromCard(card).Encode(new TextItem("ab"), 9).Ids);
        for (var length = 0; length < card.Length; length++) Assert.Throws<InvalidDataException>(() => Tokenizers.FromCard(card[..length]));
        foreach (var other in new[] { "null", "[]", "{}", """{"files": 1}""", """{"files": {}}""", """{"files": {"vocab.txt": 1}}""",
            """{"files": {"a.model": {"base64": "?"}}}""", """{"files": {"vocab.txt": {"text": null}}}""" })
            Assert.Throws<InvalidDataException>(() => Tokenizers.FromCard(other));
    }
}
