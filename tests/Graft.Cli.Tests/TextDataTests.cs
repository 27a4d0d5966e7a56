using System.Text.Json;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Sentences on the command line: what inspect says of them, and what it says of files that are wrong.</summary>
public sealed class TextDataTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private string Said(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    private string Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_shop[name])!);
        File.WriteAllText(_shop[name], text);
        return _shop[name];
    }

    private static void Has(string text, params string[] parts) => Assert.All(parts, part => Assert.Contains(part, text, StringComparison.Ordinal));

    [Fact]
    public void Inspect_says_what_a_folder_of_tables_holds()
    {
        Write("d/train.tsv", "text\tlabel\na fine film with a story\tgood\ndull and long\tbad\n\nthe very same sentence as elsewhere in the data\tbad\n따뜻한 영화\tgood\n");
        Write("d/dev.tsv", "text\tlabel\nA fine film with a story!\tbad\nthe very same sentence as elsewhere in the data\tbad\nwords\tother\n");
        var said = Said("data", "inspect", _shop["d"]);
        Has(said, "│ bad   │     2 │   2 │", "│ good  │     2 │   0 │", "│ train │         4 │", "folder of TSV of sentences: 6 sentences", "the longest is train.tsv:5",
            "Scripts: Latin 83.3%, Hangul 16.7%", "1 group of equal sentences, 1 group of nearly equal ones:",
            "alike, across splits, across classes: train: train.tsv:2 = val: dev.tsv:2", "equal, across splits: train: train.tsv:5 = val: dev.tsv:3",
            "Left out: 2 sentences", "sentences of classes that training does not have (1): val/other", "sentences without text (1): train.tsv:4",
            "2 of the val sentences stand in train too (1 equal, 1 nearly; 1 with another label)");
        Assert.DoesNotContain("picture", said, StringComparison.Ordinal);
        var json = JsonDocument.Parse(Said("data", "inspect", _shop["d"], "--json")).RootElement;
        Assert.Equal(1 / 6.0, json.GetProperty("scripts").GetProperty("Hangul").GetDouble());
        Assert.Equal(("val", 1, 1, 1), (json.GetProperty("overlaps")[0].GetProperty("part").GetString(), json.GetProperty("overlaps")[0].GetProperty("exact").GetInt32(),
            json.GetProperty("overlaps")[0].GetProperty("near").GetInt32(), json.GetProperty("overlaps")[0].GetProperty("otherLabel").GetInt32()));
        Assert.Equal(24, json.GetProperty("lengths")[0].GetProperty("characters").GetProperty("median").GetInt32());
        Assert.Equal(2, json.GetProperty("left_out").GetArrayLength());
        Assert.Equal(2, json.GetProperty("countsBySplit").GetProperty("train")[0].GetInt32());
    }

    [Fact]
    public void Columns_are_named_by_options_and_what_is_wrong_is_one_sentence()
    {
        var path = Write("t.csv", "said,mood,place\n" + string.Concat(Enumerable.Range(0, 12).Select(k => $"some words {k},{(k % 2 == 0 ? "sad" : "glad")},{(k % 3 == 0 ? "home" : "away")}\n")));
        var (status, output, errors) = Graft("data", "inspect", path);
        Assert.Equal((1, ""), (status, output));
        Has(errors, "mood, place may each be it. Say which: --label mood");
        Has(Said("data", "inspect", path, "--label", "place"), "away", "Note: of t.csv, column said is taken for the text (--text and --label say otherwise)");
        (status, _, errors) = Graft("data", "inspect", path, "--text", "words");
        Assert.Equal(2, status);
        Has(errors, "--text words: t.csv has no such column, only said, mood, place");
        (status, output, errors) = Graft("data", "inspect", Write("j.jsonl", "{\"text\": \"a\", \"label\": \"b\"}\nnothing\n"), "--json");
        Assert.Equal(1, status);
        Has(output + errors, "line 2: it is no JSON");
    }

    [SkippableFact]
    public void Inspect_of_forty_thousand_lines_counts_them_all()
    {
        var json = JsonDocument.Parse(Said("data", "inspect", Workshop.Need("nsmc"), "--json")).RootElement;
        Assert.Equal([20000, 20000], json.GetProperty("countsBySplit").GetProperty("train").EnumerateArray().Select(count => count.GetInt32()));
        Assert.Equal([5000, 5000], json.GetProperty("countsBySplit").GetProperty("test").EnumerateArray().Select(count => count.GetInt32()));
        Assert.InRange(json.GetProperty("scripts").GetProperty("Hangul").GetDouble(), 0.98, 1);
    }
}
