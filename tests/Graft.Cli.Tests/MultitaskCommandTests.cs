using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Several tasks from a table to answers, command by command.</summary>
public sealed class MultitaskCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");
    private static readonly string[] s_shapes = ["gear", "ring"];

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private JsonElement Json(params string[] arguments)
    {
        var (status, output, errors) = Graft([.. arguments, "--json"]);
        Assert.True(status == 0, errors);
        return JsonDocument.Parse(output).RootElement;
    }

    [Fact]
    public void Several_tasks_are_trained_asked_and_measured()
    {
        ShapeWorld.Write(_shop["p"], s_shapes, 16, 1);
        string[] files = [.. s_shapes.SelectMany(shape => Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal))];
        var data = _shop["t.csv"];
        File.WriteAllLines(data,
            ["path,shape,place",
            .. files.Select((file, k) => $"{Path.GetRelativePath(_shop.Root, file)},{(k % 5 == 0 ? "" : s_shapes[k / 16])},{k % 7 + 0.5}")]);
        var trained = Json("multitask", data, "--weighting", "cagrad", "--epochs", "3", "--out", _shop["run"]);
        Assert.Equal(["shape", "place"], trained.GetProperty("table").EnumerateArray().Select(row => row.GetProperty("chosen").GetProperty("task")
            .GetString()));
        Assert.All(trained.GetProperty("table").EnumerateArray(), row => Assert.NotEqual(JsonValueKind.Null, row.GetProperty("points").ValueKind));
        Assert.Equal(2, trained.GetProperty("cosines").GetArrayLength());

        var said = Json("predict", _shop["run"], files[0]).GetProperty("predictions")[0].GetProperty("tasks");
        Assert.Contains(said.GetProperty("shape").GetProperty("label").GetString(), s_shapes);
        Assert.Equal("place", said.GetProperty("place").GetProperty("numbers")[0].GetProperty("name").GetString());
        Assert.Matches(@"\tshape (gear|ring) \d+\.\d%\tplace ", Graft("predict", _shop["run"], files[0]).Output);
        var measured = Json("evaluate", _shop["run"], data).GetProperty("tasks");
        Assert.Equal([25, 32], measured.EnumerateArray().Select(task => task.GetProperty("count").GetInt32()));
        Assert.Equal(25, Json("evaluate", _shop["run"], data, "--engine", "torch").GetProperty("tasks")[0].GetProperty("count").GetInt32());
        var (status, _, errors) = Graft("serve", _shop["run"], "--urls", "http://127.0.0.1:0");
        Assert.Equal(1, status);
        Assert.Contains("several tasks, which are not served yet", errors, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_weighting_is_a_mistake_of_usage()
    {
        var (status, _, errors) = Graft("multitask", "t.csv", "--weighting", "gradnrom");
        Assert.Equal(2, status);
        Assert.StartsWith("graft: --weighting gradnrom: there is no such weighting. Did you mean gradnorm?", errors, StringComparison.Ordinal);
    }
}
