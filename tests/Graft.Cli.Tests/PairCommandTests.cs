using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Cli.Tests;

/// <summary>Pairs of texts, and few sentences, from a table to answers, command by command.</summary>
public sealed class PairCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private static readonly string[] s_words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "the", "plot", "was", "fine", "dull", "great", "poor", "story",
            ".", "is", "it"];

    private readonly Workshop _shop = new();
    private readonly string _encoder, _pairs;

    public PairCommandTests()
    {
        TorchRuntime.ManualSeed(3);
        using var encoder = new TextEncoder(new EncoderShape
        {
            Kind = "bert", Vocabulary = s_words.Length, Width = 16, Layers = 4, Heads = 4, Inner = 24, Positions = 40, Types = 2, Embedding = 16,
                Pad = 0,
            Separator = 3, Pooling = "mean",
        });
        _encoder = Directory.CreateDirectory(_shop["encoder"]).FullName;
        Safetensors.Write(Path.Combine(_encoder, "model.safetensors"), encoder.State().ToDictionary(item => "bert." + item.Key, item => item.Value),
            new Dictionary<string, string>());
        File.WriteAllText(Path.Combine(_encoder, "vocab.txt"), string.Join('\n', s_words));
        File.WriteAllText(Path.Combine(_encoder, "config.json"), """
            {"model_type": "bert", "vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 24,
                "max_position_embeddings": 40, "type_vocab_size": 2}
            """);
        var rng = new Rng(5);
        string[] words = s_words[5..];
        var lines = Enumerable.Range(0, 60).Select(_ =>
        {
            string[] first = [.. rng.Permutation(words.Length).Take(5).Select(k => words[k])];
            var kept = rng.Below(6);
            string[] second = [.. first.Take(kept), .. words.Except(first).Take(5 - kept)];
            return $"{kept}\t{string.Join(' ', first)}\t{string.Join(' ', second)}";
        });
        _pairs = _shop["pairs.tsv"];
        File.WriteAllLines(_pairs, lines.Prepend("score\tsentence1\tsentence2"));
    }

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private string Said(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    private JsonElement Json(params string[] arguments) => JsonDocument.Parse(Said([.. arguments, "--json"])).RootElement;

    [Fact]
    public async Task Pairs_are_trained_evaluated_predicted_and_served()
    {
        var trained = Json("train", _pairs, "--weights", _encoder, "--task", "similarity", "--strategy", "feature", "--out", _shop["run"]);
        Assert.Equal("similarity", trained.GetProperty("task").GetString());
        Assert.InRange(trained.GetProperty("measures").GetProperty("spearman").GetDouble(), -1, 1);
        var judged = Json("evaluate", _shop["run"], _pairs).GetProperty("measures");
        Assert.Equal(60, judged.GetProperty("pairs").GetInt32());
        Assert.Equal(2, judged.GetProperty("spearman_interval").GetArrayLength());
        Assert.Contains("Spearman ", Said("evaluate", _shop["run"], _pairs), StringComparison.Ordinal);
        string[] two = ["the film was good", "a good film"];
        double Score(JsonElement answer) =>
            answer.GetProperty("predictions")[0].GetProperty("answer").GetProperty("numbers")[0].GetProperty("value").GetDouble();
        var score = Score(Json("predict", _shop["run"], two[0], two[1]));
        Assert.Contains("the film was good | a good film\tscore ", Said("predict", _shop["run"], two[0], two[1]), StringComparison.Ordinal);
        Assert.Equal(60, Json("predict", _shop["run"], _pairs).GetProperty("predictions").GetArrayLength());
        Assert.Equal(score, Score(Json("predict", _shop["run"], two[0], two[1], "--engine", "torch")), 1e-4);
        Said("export", _shop["run"], "--to", "onnx", "--out", _shop["m.onnx"]);
        Assert.Equal(score, Score(Json("predict", _shop["m.onnx"], two[0], two[1])), 1e-4);
        var (status, _, errors) = Graft("predict", _shop["run"], two[0]);
        Assert.Equal(2, status);
        Assert.Contains("'the film was good' has no second: give two of them, a table of pairs, or - with a tab between the two", errors,
            StringComparison.Ordinal);

        using var server = Process.Start(new ProcessStartInfo("dotnet", [s_cli, "serve", _shop["run"], "--urls",
            "http://127.0.0.1:0"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        try
        {
            var line = await server.StandardError.ReadLineAsync();
            using var http = new HttpClient { BaseAddress = new Uri(line!.Split(' ').Single(word => word.StartsWith("http://",
                StringComparison.Ordinal))), Timeout = Timeout.InfiniteTimeSpan };
            var answer = await (await http.PostAsJsonAsync("/predict", new { text = two[0], pair = two[1] })).Content.ReadAsStringAsync();
            using var said = JsonDocument.Parse(answer);
            Assert.Equal(score, said.RootElement.GetProperty("predictions")[0].GetProperty("numbers")[0].GetProperty("value").GetDouble(), 1e-4);
            var alone = await http.PostAsJsonAsync("/predict", new { text = two[0] });
            Assert.Equal(HttpStatusCode.UnprocessableEntity, alone.StatusCode);
            Assert.Contains("how alike two texts are", await alone.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
        finally
        {
            server.Kill();
        }
    }

    [Fact]
    public void Setfit_is_for_sentences_of_one_class_each()
    {
        void Refused(string said, params string[] arguments)
        {
            var (status, _, errors) = Graft(arguments);
            Assert.Equal(2, status);
            Assert.Contains(said, errors, StringComparison.Ordinal);
        }
        Refused("--strategy setfit puts sentences of one class together, and the head ridge tells no classes", "train", _pairs, "--weights",
            _encoder, "--task", "numbers", "--strategy", "setfit", "--out", _shop["a"]);
        Refused("--strategy setfit is not for the similarity of pairs: use feature, partial:K, or full", "train", _pairs, "--weights", _encoder,
            "--strategy", "setfit", "--out", _shop["b"]);
        ShapeWorld.Write(_shop["shapes"], ["gear", "ring"], 8, 1);
        Refused("--strategy setfit is for sentences, and convnet sees pictures: ", "train", _shop["shapes"], "--strategy", "setfit", "--out",
            _shop["c"]);
        var plan = Said("train", _pairs, "--weights", _encoder, "--strategy", "full", "--plan");
        Assert.Contains("\"objective\": \"cosent\"", plan, StringComparison.Ordinal);
    }
}
