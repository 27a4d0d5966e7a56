using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Few-shot commands as processes: which libraries the system's loader brought in is what they needed.</summary>
public sealed class FewshotCommandTests : IDisposable
{
    private readonly Workshop _shop = new();

    public FewshotCommandTests()
    {
        ShapeWorld.Write(_shop["support"], ["star4", "gear"], 2, 1);
        ShapeWorld.Write(_shop["asked"], ["star4", "gear"], 3, 2);
    }

    public void Dispose() => _shop.Dispose();

    private string Picture(string kind, int number) => _shop["asked", kind, $"000{number}.jpg"];

    /// <summary>A command's answer, and the libraries that glibc's loader started for it.</summary>
    private (JsonElement Said, string[] Libraries) Graft(params string[] arguments)
    {
        var traces = Directory.CreateDirectory(_shop["traces"]).FullName;
        var (status, output, errors) = Workshop.Run("dotnet", [Path.Combine(AppContext.BaseDirectory, "graft-cli.dll"), .. arguments, "--json"], null,
            new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"], ["LD_DEBUG"] = "files", ["LD_DEBUG_OUTPUT"] = Path.Combine(traces, "ld") });
        Assert.True(status == 0, errors);
        var started = Directory.GetFiles(traces).SelectMany(File.ReadLines).Where(line => line.Contains("calling init: ", StringComparison.Ordinal))
            .Select(line => Path.GetFileName(line.Split("calling init: ")[1])).ToArray();
        Directory.Delete(traces, recursive: true);
        Skip.If(started.Length == 0, "this system's loader does not say what it loads (LD_DEBUG of glibc)");
        return (JsonDocument.Parse(output).RootElement, started);
    }

    private static void Without(string[] libraries, string name, bool without) =>
        Assert.Equal(without, !libraries.Any(library => library.StartsWith(name, StringComparison.Ordinal)));

    [SkippableFact]
    public void Classify_and_verify_load_libtorch_for_weights_that_are_new_and_never_again()
    {
        string[] classify = ["fewshot", "classify", "--support", _shop["support"], "--weights", "shapes"];
        var (first, loaded) = Graft([.. classify, Picture("gear", 0)]);
        Without(loaded, "libtorch", false);
        // Another picture, so that the network has to run.
        var (second, light) = Graft([.. classify, Picture("gear", 0), Picture("gear", 1)]);
        Without(light, "libtorch", true);
        Without(light, "libonnxruntime", false);
        Assert.Equal(first.GetProperty("answers")[0].GetRawText(), second.GetProperty("answers")[0].GetRawText());
        Assert.Equal(first.GetProperty("threshold").GetDouble(), second.GetProperty("threshold").GetDouble());

        var (verified, also) = Graft("fewshot", "verify", Picture("gear", 2), Picture("star4", 2), "--weights", "shapes", "--calibrate", _shop["support"]);
        Without(also, "libtorch", true);
        Assert.True(verified.GetProperty("distance").GetDouble() > 0);
    }

    [SkippableFact]
    public void A_set_saved_as_ONNX_needs_no_libtorch_to_be_made_answered_from_grown_or_predicted_with()
    {
        Graft("fewshot", "classify", "--support", _shop["support"], "--weights", "shapes", "--save", _shop["first.onnx"]);
        (string[] Arguments, string At)[] rows =
        [
            (["fewshot", "classify", "--support", _shop["support"], "--weights", "shapes", "--save", _shop["set.onnx"], Picture("gear", 0)], "answers"),
            (["fewshot", "classify", "--support", _shop["set.onnx"], Picture("gear", 0)], "answers"),
            (["fewshot", "classify", "--support", _shop["set.onnx"], "--add", _shop["asked"], "--save", _shop["set.onnx"], Picture("gear", 1)], "answers"),
            (["predict", _shop["set.onnx"], Picture("gear", 1)], "predictions"),
        ];
        foreach (var (arguments, at) in rows)
        {
            var (said, libraries) = Graft(arguments);
            Without(libraries, "libtorch", true);
            Assert.Equal("gear", said.GetProperty(at)[0].GetProperty("label").GetString());
            Assert.Equal(2, said.GetProperty(at)[0].GetProperty("distances").GetArrayLength());
        }
    }
}
