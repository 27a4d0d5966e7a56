using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>graft pretrain and graft compare of upstreams, as a person types them.</summary>
public sealed class PretrainCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null,
        new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"], ["GRAFT_OFFLINE"] = "1" });

    private JsonElement Json(params string[] arguments)
    {
        var (status, output, errors) = Graft([.. arguments, "--json"]);
        Assert.True(status == 0, errors);
        return JsonDocument.Parse(output).RootElement;
    }

    private void World()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear", "arrow"], 12, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear", "arrow"], 6, 2);
    }

    [Fact]
    public void Pretrained_trained_on_and_compared_by_the_number_of_labels()
    {
        World();
        var plan = Json("pretrain", _shop["d"], "--method", "simclr", "--epochs", "2", "--batch", "12", "--backbone", "convnet", "--size", "32", "--plan");
        Assert.Equal((2, 6), (plan.GetProperty("phases")[0].GetProperty("epochs").GetInt32(), plan.GetProperty("phases")[0].GetProperty("steps").GetInt32()));
        var made = Json("pretrain", _shop["d"], "--method", "simclr", "--epochs", "2", "--batch", "12", "--backbone", "convnet", "--size", "32", "--out", _shop["own"]);
        Assert.Equal(36, made.GetProperty("items").GetInt32());
        Assert.InRange(made.GetProperty("neighbours").GetDouble(), 0, 1);
        Assert.True(File.Exists(made.GetProperty("report").GetString()!));

        var compared = Json("compare", _shop["d"], "--weights", _shop["own"], "shapes", "scratch", "--labels-per-class", "2,6", "--seeds", "2", "--epochs", "1", "--out", _shop["c"]);
        var table = compared.GetProperty("table").EnumerateArray().ToArray();
        Assert.Equal(6, table.Length);
        Assert.All(table, row => Assert.Equal(2, row.GetProperty("accuracies").GetArrayLength()));
        Assert.Contains("upstreams.svg", compared.GetProperty("chart").GetString(), StringComparison.Ordinal);
        Assert.StartsWith("2 labels of each class: ", compared.GetProperty("verdict")[0].GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void So_many_of_each_class_are_trained_on_and_what_is_held_out_stays()
    {
        World();
        var run = Json("train", _shop["d"], "--strategy", "feature", "--per-class", "4", "--out", _shop["r"]);
        Assert.Equal((12, 18), (run.GetProperty("train_images").GetInt32(), run.GetProperty("val_images").GetInt32()));
    }

    [Fact]
    public void What_cannot_be_is_refused_and_the_remedy_is_named()
    {
        World();
        foreach (var (said, arguments) in new[]
        {
            ("DATA is missing", new[] { "pretrain" }),
            ("there is no method of pretraining 'simcrl'", ["pretrain", _shop["d"], "--method", "simcrl"]),
            ("--hours and --epochs say the same", ["pretrain", _shop["d"], "--hours", "1", "--epochs", "2"]),
            ("--labels-per-class is for several --weights", ["compare", _shop["d"], "--weights", "shapes", "--labels-per-class", "2"]),
            ("whole numbers above 0", ["compare", _shop["d"], "--weights", "shapes", "scratch", "--labels-per-class", "0"]),
            ("names shapes twice", ["compare", _shop["d"], "--weights", "shapes", "shapes"]),
        })
        {
            var (status, _, errors) = Graft(arguments);
            Assert.Equal(2, status);
            Assert.Contains(said, errors, StringComparison.Ordinal);
        }
        Assert.Contains("byol", Graft("pretrain", "--methods").Output, StringComparison.Ordinal);
        var unfinished = Graft("pretrain", "--resume", _shop["nowhere"]);
        Assert.Equal(1, unfinished.Status);
        Assert.Contains("there is no such run", unfinished.Errors, StringComparison.Ordinal);
    }
}
