using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Options that cannot be, as a user meets them: one sentence on stderr and status 2, and nothing is begun.</summary>
public sealed class OptionCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public OptionCommandTests() => ShapeWorld.Write(_shop["d"], ["star4", "gear"], 3, 1);

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], environment: new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    [Theory]
    [InlineData("--epochs 0: a whole number from 1 on", "train", "D", "--epochs", "0")]
    [InlineData("--epochs -3", "train", "D", "--epochs", "-3")]
    [InlineData("--epochs 2,5: a whole number", "train", "D", "--epochs", "2,5")]
    [InlineData("--max-megabytes 0: a whole number from 1 to 1048576", "serve", "none.onnx", "--max-megabytes", "0")]
    [InlineData("--threads 0: a whole number from 1", "train", "D", "--threads", "0")]
    [InlineData("--device tpu: cpu or cuda:0", "train", "D", "--device", "tpu")]
    [InlineData("--strategy and --head beside --plan FILE", "train", "D", "--plan", "plan.json", "--head", "softmax")]
    [InlineData("there is no head 'oak'", "train", "D", "--head", "oak")]
    [InlineData("--balanced with the head mean", "train", "D", "--head", "mean", "--balanced")]
    [InlineData("partial:9", "train", "D", "--strategy", "partial:9")]
    [InlineData("--seeds 0: a whole number from 1", "compare", "D", "--seeds", "0")]
    [InlineData("--threshold 0,5: a number with a point for decimals, such as 0.5", "fewshot", "classify", "--support", "D", "--threshold", "0,5", "x.jpg")]
    [InlineData("--threshold -1: a number from 0 on", "fewshot", "verify", "a.jpg", "b.jpg", "--weights", "none.onnx", "--threshold", "-1")]
    [InlineData("--rate NaN: a number", "fewshot", "train", "D", "--rate", "NaN")]
    [InlineData("--turns 3: 1, 4 or 8", "fewshot", "train", "D", "--turns", "3")]
    [InlineData("--way 1: a whole number from 2 on", "fewshot", "train", "D", "--way", "1")]
    [InlineData("--inner-rate is a setting of maml", "fewshot", "train", "D", "--inner-rate", "0.1")]
    [InlineData("--views 0", "fewshot", "eval", "none", "D", "--views", "0")]
    [InlineData("--classes 0: a whole number from 1 on", "graft", "cifar_resnet20", "--classes", "0")]
    [InlineData("--input-channels 2", "graft", "cifar_resnet20", "--input-channels", "2")]
    [InlineData("--size 0: a whole number from 8", "evaluate", "none.onnx", "D", "--size", "0")]
    public void An_option_out_of_its_bounds_is_usage(string sentence, params string[] arguments)
    {
        var (status, _, errors) = Graft([.. arguments.Select(word => word == "D" ? _shop["d"] : word)]);
        Assert.Contains(sentence, errors, StringComparison.Ordinal);
        Assert.Equal(2, status);
        Assert.DoesNotContain("   at ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_file_is_checked_before_anything_is_begun()
    {
        var (status, plan, errors) = Graft("train", _shop["d"], "--strategy", "full", "--plan");
        Assert.True(status == 0, errors);
        File.WriteAllText(_shop["plan.json"], plan.Replace("\"batchSize\": 32", "\"batchSize\": 0", StringComparison.Ordinal));
        var refused = Graft("train", _shop["d"], "--plan", _shop["plan.json"], "--out", _shop["run"]);
        Assert.Equal(1, refused.Status);
        Assert.Contains($"{_shop["plan.json"]}, phase 1 (all), batchSize 0: a whole number from 1 on", refused.Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shop["run"]));
    }

    [Fact]
    public void One_picture_a_class_trains_and_reports()
    {
        ShapeWorld.Write(_shop["one"], ["star4", "gear"], 1, 1);
        var (status, output, errors) = Graft("train", _shop["one"], "--out", _shop["run"], "--json");
        Assert.True(status == 0, errors);
        var result = JsonDocument.Parse(output).RootElement;
        Assert.Equal(JsonValueKind.Null, result.GetProperty("accuracy").ValueKind);
        Assert.Equal(0, Graft("report", _shop["run"]).Status);
        Assert.Contains("not measured", Graft("advise", _shop["one"]).Output, StringComparison.Ordinal);
    }
}
