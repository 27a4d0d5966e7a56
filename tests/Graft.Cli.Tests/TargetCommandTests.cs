using System.Globalization;
using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Several labels and numbers from a CSV to an exported model, command by command.</summary>
public sealed class TargetCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");
    private static readonly string[] s_shapes = ["gear", "ring", "star4"];

    private readonly Workshop _shop = new();

    public TargetCommandTests() => ShapeWorld.Write(_shop["p"], s_shapes, 24, 1);

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private string Said(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    private JsonElement Json(params string[] arguments) => JsonDocument.Parse(Said([.. arguments, "--json"])).RootElement;

    private string Table(string name, string header, Func<int, int, string> cell)
    {
        var lines = s_shapes.SelectMany((shape, k) => Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal).Select((file, i) => $"{Path.GetRelativePath(_shop.Root, file)},{cell(k, i)}"));
        File.WriteAllText(_shop[name], $"path,{header}\n{string.Join('\n', lines)}\n");
        return _shop[name];
    }

    private string Picture(string shape) => Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal).First();

    [Fact]
    public void Several_labels()
    {
        var data = Table("t.csv", "labels", (k, _) => new[] { "round;toothed", "round", "" }[k]);
        var inspected = Said("data", "inspect", data);
        Assert.Contains("the column labels of t.csv holds several labels for a picture, with ; or | between (--task says otherwise)", inspected, StringComparison.Ordinal);
        var trained = Json("train", data, "--strategy", "feature", "--out", _shop["run"]);
        Assert.Equal("labels", trained.GetProperty("task").GetString());
        Assert.True(trained.GetProperty("measures").GetProperty("map").GetDouble() > 0.8);
        Assert.Contains("Label by label", File.ReadAllText(_shop["run", "report.html"]), StringComparison.Ordinal);
        Assert.Contains("mAP ", Said("evaluate", _shop["run"], data), StringComparison.Ordinal);
        Assert.Equal(["round", "toothed"], Json("evaluate", _shop["run"], data).GetProperty("measures").GetProperty("per_label").EnumerateArray().Select(label => label.GetProperty("name").GetString()!));
        foreach (var (format, file, more) in new[] { ("onnx", "m.onnx", "--softmax"), ("onnx", "s.onnx", "--normalize"), ("torchscript", "m.pt", "--softmax"), ("safetensors", "m.safetensors", ""), ("pytorch", "m.pth", "") })
        {
            string[] options = more.Length > 0 ? [more] : [];
            Said(["export", _shop["run"], "--to", format, "--out", _shop[file], .. options]);
            Same(Json("predict", _shop["run"], Picture("gear")), Json("predict", _shop[file], Picture("gear")), "all", "label", "probability");
        }
        // What was exported is exported again, and still says the same.
        Said("export", _shop["m.onnx"], "--to", "onnx", "--softmax", "--out", _shop["again.onnx"]);
        Same(Json("predict", _shop["run"], Picture("gear")), Json("predict", _shop["again.onnx"], Picture("gear")), "all", "label", "probability");
        Assert.Contains("\tround ", Said("predict", _shop["run"], Picture("ring")), StringComparison.Ordinal);
        Assert.Contains("none of the labels", Said("predict", _shop["run"], Picture("star4")), StringComparison.Ordinal);
        Assert.True(File.Exists(Said("report", _shop["run"]).Trim().Split('\n')[^1]));
    }

    [Fact]
    public void Numbers()
    {
        var data = Table("t.csv", "teeth,size", (k, i) => string.Create(CultureInfo.InvariantCulture, $"{1000 * k + i},{0.5 + 0.01 * k}"));
        var trained = Json("train", data, "--strategy", "feature", "--out", _shop["run"]);
        Assert.Equal("numbers", trained.GetProperty("task").GetString());
        Assert.True(trained.GetProperty("measures").GetProperty("r2").GetDouble() > 0.3);
        Assert.Contains("predicted against true", File.ReadAllText(_shop["run", "report.html"]), StringComparison.Ordinal);
        Assert.Contains("R² ", Said("evaluate", _shop["run"], data), StringComparison.Ordinal);
        foreach (var (format, file) in new[] { ("onnx", "m.onnx"), ("torchscript", "m.pt"), ("safetensors", "m.safetensors"), ("pytorch", "m.pth") })
        {
            Said("export", _shop["run"], "--to", format, "--out", _shop[file]);
            Same(Json("predict", _shop["run"], Picture("ring")), Json("predict", _shop[file], Picture("ring")), "numbers", "name", "value");
        }
        var first = Json("predict", _shop["run"], Picture("star4")).GetProperty("predictions")[0].GetProperty("numbers")[0];
        Assert.InRange(first.GetProperty("value").GetDouble(), 1000, 3000);
        Assert.True(first.GetProperty("low").GetDouble() < first.GetProperty("high").GetDouble());
        Assert.Contains("\tteeth ", Said("predict", _shop["run"], Picture("star4")), StringComparison.Ordinal);
    }

    private static void Same(JsonElement one, JsonElement other, string list, string name, string value)
    {
        (string, double)[] Read(JsonElement root) => [.. root.GetProperty("predictions")[0].GetProperty(list).EnumerateArray().Select(item => (item.GetProperty(name).GetString()!, item.GetProperty(value).GetDouble()))];
        var (a, b) = (Read(one), Read(other));
        Assert.Equal(a.Select(item => item.Item1), b.Select(item => item.Item1));
        for (var k = 0; k < a.Length; k++) Assert.InRange(b[k].Item2 - a[k].Item2, -2e-4 * (1 + Math.Abs(a[k].Item2)), 2e-4 * (1 + Math.Abs(a[k].Item2)));
        var labels = one.GetProperty("predictions")[0].TryGetProperty("labels", out var said) ? said.GetArrayLength() : 0;
        Assert.Equal(labels, other.GetProperty("predictions")[0].TryGetProperty("labels", out said) ? said.GetArrayLength() : 0);
    }

    [Fact]
    public void The_advisor_and_the_comparison_measure_with_the_tasks_own_head()
    {
        var data = Table("t.csv", "size", (k, i) => $"{1000 * k + i}");
        var advised = Said("advise", data);
        Assert.Contains("held-out R² of a linear probe", advised, StringComparison.Ordinal);
        Assert.Contains("pictures with a number", advised, StringComparison.Ordinal);
        var compared = Json("compare", data, "--strategies", "feature,full", "--epochs", "1", "--out", _shop["compared"]);
        Assert.All(compared.GetProperty("table").EnumerateArray(), row => Assert.InRange(row.GetProperty("pValue").GetDouble(), 0, 1));
    }

    [Fact]
    public void The_task_overrides_and_bad_cells_are_named()
    {
        var data = Table("t.csv", "label", (k, _) => $"{k}");
        Assert.Equal("numbers", Json("train", data, "--task", "numbers", "--strategy", "feature", "--no-report", "--out", _shop["n"]).GetProperty("task").GetString());
        Assert.Equal(3, Json("train", data, "--strategy", "feature", "--no-report", "--out", _shop["c"]).GetProperty("classes").GetArrayLength());
        var (status, _, errors) = Graft("train", data, "--task", "numbers", "--head", "svm");
        Assert.Equal(2, status);
        Assert.Contains("--head svm does not tell numbers: use ridge or huber", errors, StringComparison.Ordinal);
        (status, _, errors) = Graft("train", _shop["p"], "--task", "labels");
        Assert.Equal(1, status);
        Assert.Contains("several labels come in a CSV", errors, StringComparison.Ordinal);
        File.AppendAllText(data, $"{Path.GetRelativePath(_shop.Root, Picture("ring"))},many\n");
        (status, _, errors) = Graft("train", data, "--task", "numbers", "--strategy", "feature", "--out", _shop["bad"]);
        Assert.Equal(1, status);
        Assert.Contains("line 74: the label 'many' is no number. Write it with a point for decimals", errors, StringComparison.Ordinal);
    }
}
