using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Every command that opens data says what it left out, to people and in --json.</summary>
public sealed class LeftOutCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public LeftOutCommandTests()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 8, 1);
        ShapeWorld.Write(_shop["d", "dev"], ["star4", "gear", "ring"], 4, 2);
        File.WriteAllText(_shop["d", "train", "gear", "text.jpg"], "no picture");
        File.WriteAllText(_shop["d", "dev", "gear", "text.jpg"], "no picture");
        Directory.CreateDirectory(_shop["d", "train", "bees"]);
    }

    public void Dispose() => _shop.Dispose();

    private string Data => _shop["d"];

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private string Said(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    private static void Has(string text, params string[] all) => Assert.All(all, part => Assert.Contains(part, text, StringComparison.Ordinal));

    private static string[] Kinds(string json) => [.. JsonDocument.Parse(json).RootElement.GetProperty("left_out").EnumerateArray().Select(group => $"{group.GetProperty("kind").GetString()} {group.GetProperty("pictures").GetInt32()}")];

    [Fact]
    public void Train_evaluate_and_report()
    {
        string[] lost = ["Left out: 6 pictures", "pictures of classes that training does not have (4): val/ring (4 pictures)", "pictures that cannot be read (2): ", "folders that hold no picture (1): train/bees/", "Note: dev/ is the val part"];
        Has(Said("train", Data, "--strategy", "feature", "--out", _shop["run"]), [.. lost, "8 held-out pictures are right"]);
        Has(Said("report", _shop["run"]), lost);
        Has(Said("evaluate", _shop["run"], Data), "Of 13 labelled pictures 4 are of a class that the model does not have (ring), 1 cannot be read: left out.\n", "\nThe val part: ", "of 8 pictures are right");
        var json = Said("evaluate", _shop["run"], Data, "--json");
        Assert.Equal(["foreign-class 4", "broken 1"], Kinds(json));
        var root = JsonDocument.Parse(json).RootElement;
        Assert.Equal((13, 8, "val"), (root.GetProperty("labelled").GetInt32(), root.GetProperty("images").GetInt32(), root.GetProperty("part").GetString()));
        foreach (var file in Directory.GetFiles(_shop["d", "dev", "star4"])) File.WriteAllText(file, "no picture");
        Has(Said("evaluate", _shop["run"], Data), "None of star4 can be read: the accuracy says nothing of it.");
        foreach (var file in Directory.GetFiles(_shop["d", "dev", "gear"])) File.WriteAllText(file, "no picture");
        var (status, _, errors) = Graft("evaluate", _shop["run"], Data);
        Assert.Equal(1, status);
        Has(errors, "none of the 9 labelled pictures can be read");
        (status, _, errors) = Graft("evaluate", _shop["run"], Data, "--split", "test");
        Assert.Equal(1, status);
        Has(errors, "has no part 'test', only train and val");
    }

    [Fact]
    public void Inspect_advise_compare_and_predict()
    {
        Has(Said("data", "inspect", Data), "pictures of classes that training does not have (4): val/ring", "folders that hold no picture (1): train/bees/", "train: train/gear/text.jpg");
        Assert.Equal(["foreign-class 4", "empty-folder 0"], Kinds(Said("data", "inspect", Data, "--json")));
        Has(Said("advise", Data), "val/ring (4 pictures)", "train/gear/text.jpg");
        Assert.Equal(["foreign-class 4", "broken 2", "empty-folder 0"], Kinds(Said("compare", Data, "--strategies", "feature", "--out", _shop["runs"], "--json")));
        File.WriteAllText(_shop["d", "notes.txt"], "");
        var predicted = Graft("predict", Directory.GetDirectories(_shop["runs"])[0], Data);
        Has(predicted.Errors, "notes.txt");
        Assert.Equal(28, predicted.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void Few_shot_training_and_evaluation()
    {
        ShapeWorld.Write(_shop["f"], ["star4", "gear", "ring", "cross", "crescent"], 6, 1);
        File.WriteAllText(_shop["f", "gear", "text.jpg"], "no picture");
        File.Copy(_shop["f", "gear", "0000.jpg"], _shop["f", "loose.jpg"]);
        Has(Said("fewshot", "train", _shop["f"], "--way", "2", "--query", "2", "--steps", "2", "--widths", "8-8", "--out", _shop["run"]), "loose.jpg", "gear/text.jpg");
        Assert.Equal(["no-class-folder 1", "broken 1"], Kinds(Said("fewshot", "eval", _shop["run"], _shop["f"], "--way", "2", "--query", "2", "--json")));
    }
}
