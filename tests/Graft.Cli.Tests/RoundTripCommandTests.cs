using System.Diagnostics;
using System.Text.Json;
using Graft.Exports;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>A run goes out in every form and comes back, and is built upon, by commands alone.</summary>
public sealed class RoundTripCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public RoundTripCommandTests()
    {
        ShapeWorld.Write(_shop["data", "train"], ["star4", "gear"], 6, 1);
        ShapeWorld.Write(_shop["data", "val"], ["star4", "gear"], 6, 2);
    }

    public void Dispose() => _shop.Dispose();

    private string Picture => Path.Combine(_shop["data"], "val", "gear", "0000.jpg");

    private (int Status, string Output, string Errors) Graft(params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], null, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private JsonElement Json(params string[] arguments)
    {
        var (status, output, errors) = Graft([.. arguments, "--json"]);
        Assert.True(status == 0, errors);
        return JsonDocument.Parse(output).RootElement;
    }

    private (string? Label, double Probability) Predict(string model)
    {
        var answer = Json("predict", model, Picture);
        Assert.Empty(answer.GetProperty("notes").EnumerateArray());
        var found = answer.GetProperty("predictions")[0];
        return (found.GetProperty("label").GetString(), found.GetProperty("probability").GetDouble());
    }

    [Fact]
    public void Exports_predict_what_the_run_predicts()
    {
        Json("train", _shop["data"], "--strategy", "feature", "--head", "svm", "--out", _shop["run"], "--no-report");
        var (label, probability) = Predict(_shop["run"]);
        foreach (string[] form in new string[][] { ["onnx", "--normalize", "--softmax"], ["onnx"], ["torchscript", "--normalize", "--softmax"],
            ["torchscript", "--softmax"], ["safetensors"], ["pytorch"] })
        {
            var written = Json(["export", _shop["run"], "--to", form[0], .. form[1..], "--out", _shop[$"m.{form[0]}"]]);
            Assert.Equal(form[0] == "pytorch" ? 1 : 0, written.GetProperty("notes").GetArrayLength());
            var file = _shop[$"m{form.Length}.{form[0] switch { "onnx" => "onnx", "torchscript" => "pt", "pytorch" => "pth", var other => other }}"];
            File.Move(_shop[$"m.{form[0]}"], file);
            var again = Predict(file);
            Assert.Equal(label, again.Label);
            Assert.Equal(probability, again.Probability, 4);
        }
        Assert.Contains("torchvision does not know this network (convnet is not among its networks)",
            Graft("export", _shop["run"], "--to", "pytorch", "--out", _shop["said.pth"]).Output, StringComparison.Ordinal);
        Assert.Equal(Json("evaluate", _shop["run"], _shop["data"]).GetProperty("accuracy").GetDouble(),
            Json("evaluate", _shop["m3.onnx"], _shop["data"]).GetProperty("accuracy").GetDouble());
    }

    [Fact]
    public void A_run_is_trained_on_and_its_lineage_is_shown()
    {
        Json("train", _shop["data"], "--strategy", "feature", "--out", _shop["first"], "--no-report");
        Json("train", _shop["data"], "--weights", _shop["first"], "--strategy", "partial:1", "--epochs", "1", "--out", _shop["second"]);
        Json("train", _shop["data"], "--weights", _shop["second", "model.safetensors"], "--strategy", "feature:s2", "--out",
            _shop["third"], "--no-report");
        string[] Sources(JsonElement provenance) =>
            [.. provenance.GetProperty("lineage").EnumerateArray().Select(before => before.GetProperty("source").GetString()!)];
        var shown = Json("models", "show", _shop["third"]);
        Assert.Equal("third/model.safetensors", shown.GetProperty("provenance").GetProperty("source").GetString());
        Assert.Equal(["second/model.safetensors", "first/model.safetensors", "shapes.safetensors"], Sources(shown.GetProperty("provenance")));
        Assert.Equal(JsonValueKind.Null, shown.GetProperty("classes").ValueKind);
        Assert.Contains("stands on its stage s2", shown.GetProperty("notes")[0].GetString(), StringComparison.Ordinal);
        using (var record = JsonDocument.Parse(File.ReadAllText(_shop["second", "run.json"])))
        {
            Assert.Equal(["shapes.safetensors"], Sources(record.RootElement.GetProperty("upstream")));
            Assert.Equal(64, record.RootElement.GetProperty("upstream").GetProperty("sha256").GetString()!.Length);
        }
        Assert.Contains("shapes.safetensors", File.ReadAllText(_shop["second", "report.html"]), StringComparison.Ordinal);
        Assert.Matches("made from +│ shapes.safetensors", Graft("models", "show", _shop["first"]).Output);
        // The head is what LEEP asks.
        Assert.Equal(JsonValueKind.Number, Json("advise", _shop["data"], "--weights", _shop["second"]).GetProperty("evidence").GetProperty("leep")
            .ValueKind);
        Json("graft", _shop["first"], "--out", _shop["whole.safetensors"]);
        Assert.Equal(Predict(_shop["first"]).Label, Predict(_shop["whole.safetensors"]).Label);
        Assert.Equal(["gear", "star4"], Json("models", "show", _shop["first"]).GetProperty("class_names").EnumerateArray()
            .Select(name => name.GetString()));
        Assert.Equal("gear", Json("fewshot", "classify", "--support", _shop["data", "train"], "--weights", _shop["first"], Picture)
            .GetProperty("answers")[0].GetProperty("label").GetString());
        Assert.Equal(0, Graft("fewshot", "eval", _shop["first"], _shop["data", "train"], "--way", "2", "--query", "2").Status);
        Directory.CreateDirectory(_shop["empty"]);
        Assert.Contains("is no run folder", Graft("train", _shop["data"], "--weights", _shop["empty"]).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_few_shot_run_is_an_upstream_where_it_compares_pictures()
    {
        ShapeWorld.Write(_shop["few"], ["star4", "gear", "cross", "ring", "heart", "bolt"], 6, 3);
        void Train(string method, string run, params string[] more) =>
            Json(["fewshot", "train", _shop["few"], "--method", method, "--way", "2", "--shot", "1", "--query", "2", "--steps", "2", "--out", run,
            .. more]);
        Train("protonet", _shop["proto"]);
        Json("train", _shop["data"], "--weights", _shop["proto"], "--strategy", "feature", "--out", _shop["on-proto"], "--no-report");
        Train("protonet", _shop["again"], "--weights", _shop["proto"]);
        var shown = Json("models", "show", _shop["again"]);
        Assert.Equal("proto/fewshot.safetensors", shown.GetProperty("provenance").GetProperty("lineage")[0].GetProperty("source").GetString());
        Train("maml", _shop["maml"]);
        var refused = Graft("train", _shop["data"], "--weights", _shop["maml"]);
        Assert.Equal(1, refused.Status);
        Assert.Contains("with the method 'maml', whose file holds no network that gives features of a picture", refused.Errors,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guess_is_said_by_every_command_that_looks_at_pictures()
    {
        using (var model = global::Graft.Classification.Classifier.Upstream(
            global::Graft.Models.Zoo.BackboneCatalogue.Create("cifar_resnet20", 2))) PyTorchWriter.Write(_shop["theirs.pth"], model.Backbone.State());
        const string Said = "theirs.pth does not say what its pictures go through: taken to be RGB of 32×32";
        foreach (string[] command in new string[][] { ["predict", _shop["theirs.pth"], Picture], ["evaluate", _shop["theirs.pth"], _shop["data"]],
            ["export", _shop["theirs.pth"], "--to", "onnx", "--out", _shop["out.onnx"]],
            ["train", _shop["data"], "--weights", _shop["theirs.pth"], "--strategy", "feature", "--no-report", "--out", _shop["run"]],
                ["models", "show", _shop["theirs.pth"]] })
        {
            var (status, output, errors) = Graft([.. command, "--json"]);
            Assert.True(status == 0, errors);
            Assert.Contains(JsonDocument.Parse(output).RootElement.GetProperty("notes").EnumerateArray(),
                note => note.GetString()!.StartsWith(Said, StringComparison.Ordinal));
            if (command[0] != "models") Assert.Contains(Said, errors, StringComparison.Ordinal);
        }
        Assert.Empty(Json("predict", _shop["theirs.pth"], Picture, "--mean", "0.5", "--std", "0.5").GetProperty("notes").EnumerateArray());
        using var server = Process.Start(
            new ProcessStartInfo("dotnet",
            [s_cli, "serve", _shop["theirs.pth"], "--urls", "http://127.0.0.1:0", "--json"]) { RedirectStandardError = true,
            RedirectStandardOutput = true })!;
        var log = server.StandardError.ReadToEndAsync();
        var started = "";
        while (server.StandardOutput.ReadLine() is { } line)
        {
            started += line + "\n";
            if (line == "}") break;
        }
        Workshop.Run("kill", ["-INT", $"{server.Id}"]);
        await server.WaitForExitAsync();
        Assert.StartsWith(Said, JsonDocument.Parse(started).RootElement.GetProperty("notes")[0].GetString(), StringComparison.Ordinal);
        Assert.Contains(Said, await log, StringComparison.Ordinal);
    }
}
