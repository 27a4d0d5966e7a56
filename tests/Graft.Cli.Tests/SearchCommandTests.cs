using System.Text.Json;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Words, an index and reasons on the command line: learned from text, trained on, asked.</summary>
public sealed class SearchCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null,
        new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"], ["GRAFT_COMMAND"] = "graft", ["GRAFT_OFFLINE"] = "1" });

    private string Said(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    private JsonElement Told(params string[] arguments) => JsonDocument.Parse(Said([.. arguments, "--json"])).RootElement;

    private void Refused(int expected, string because, params string[] arguments)
    {
        var (status, _, errors) = Graft(arguments);
        Assert.Equal(expected, status);
        Assert.Contains(because, errors, StringComparison.Ordinal);
        Assert.DoesNotContain("fault of Graft's own", errors, StringComparison.Ordinal);
    }

    private void Texts()
    {
        string[][] kinds = [["a good film", "a fine movie", "good and fine", "fine good film", "good movie"], ["a bad film", "a dull movie", "bad and dull", "dull bad film", "bad movie"]];
        File.WriteAllText(_shop["reviews.tsv"], "text\tlabel\n" + string.Concat(Enumerable.Range(0, 40).Select(k => $"{kinds[k % 2][k / 2 % 5]} {k}\t{(k % 2 == 0 ? "pos" : "neg")}\n")));
        File.WriteAllText(_shop["lines.txt"], string.Concat(Enumerable.Range(0, 60).Select(k => kinds[k % 2][k / 2 % 5] + "\n")));
    }

    [Fact]
    public void Words_are_learned_trained_on_and_the_nearest_examples_tell_why()
    {
        Texts();
        var learned = Told("words", "train", _shop["lines.txt"], "--out", _shop["words.vec"], "--size", "12", "--epochs", "30", "--min-count", "2", "--sample", "1");
        Assert.Equal(8, learned.GetProperty("words").GetInt32());
        Assert.Equal(4, Told("words", "nearest", _shop["words.vec"], "good", "--top", "4").GetProperty("answers")[0].GetProperty("found").GetArrayLength());
        Assert.Single(Told("words", "analogy", _shop["words.vec"], "good", "fine", "bad", "--top", "1").GetProperty("answers")[0].GetProperty("found").EnumerateArray());
        Said("train", _shop["reviews.tsv"], "--weights", _shop["words.vec"], "--strategy", "feature", "--out", _shop["run"]);
        var built = Told("search", "build", _shop["reviews.tsv"], "--weights", _shop["run"], "--out", _shop["index"]);
        Assert.Equal((40, "sentences", 12), (built.GetProperty("items").GetInt32(), built.GetProperty("kind").GetString(), built.GetProperty("size").GetInt32()));
        var answer = Told("predict", _shop["run"], "a good fine film", "--nearest", "2", "--index", _shop["index"]).GetProperty("predictions")[0];
        Assert.Equal("pos", answer.GetProperty("nearest")[0].GetProperty("class").GetString());
        Assert.Equal(2, answer.GetProperty("nearest").GetArrayLength());
        var found = Told("search", "query", _shop["index"], "dull bad", "--item", "1", "--top", "3").GetProperty("answers");
        Assert.Equal("neg", found[0].GetProperty("found")[0].GetProperty("class").GetString());
        Assert.Equal(2, found.GetArrayLength());
        // The numbers are no words here: each sentence stands there four times.
        Assert.Equal(10, Told("search", "duplicates", _shop["index"], "--above", "0.9999").GetProperty("groups").GetArrayLength());
    }

    [Fact]
    public void What_cannot_be_asked_is_refused_in_a_sentence()
    {
        Texts();
        File.WriteAllText(_shop["words.vec"], "good 1 0\nbad 0 1\nfilm 1 1\n");
        Said("search", "build", _shop["lines.txt"], "--weights", _shop["words.vec"], "--out", _shop["index"]);
        Refused(2, "is there already", "search", "build", _shop["lines.txt"], "--weights", _shop["words.vec"], "--out", _shop["index"]);
        Refused(2, "whose vectors?", "search", "build", _shop["lines.txt"], "--out", _shop["other"]);
        Refused(2, "nothing is asked", "search", "query", _shop["index"]);
        Refused(2, "has the items 0 to 59", "search", "query", _shop["index"], "--item", "60");
        Refused(1, "there is no such index", "search", "query", _shop["none"], "words");
        Refused(2, "--above 2", "search", "duplicates", _shop["index"], "--above", "2");
        Refused(2, "--nearest looks among the examples of an index", "predict", _shop["run"], "good", "--nearest", "2");
        Refused(1, "has no model.onnx", "predict", _shop["run"], "good", "--nearest", "2", "--index", _shop["index"]);
        Refused(2, "let the name end so", "words", "train", _shop["lines.txt"], "--out", _shop["words.xyz"]);
        Refused(1, "is none of the 3 words", "words", "nearest", _shop["words.vec"], "fine");
    }
}
