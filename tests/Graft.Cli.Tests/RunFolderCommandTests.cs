using System.Diagnostics;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Folders and files that commands write: what is there is left as it is, and a run goes on from any folder.</summary>
public sealed class RunFolderCommandTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public RunFolderCommandTests()
    {
        ShapeWorld.Write(_shop["here", "photos", "train"], ["star4", "gear"], 6, 1);
        ShapeWorld.Write(_shop["here", "photos", "val"], ["star4", "gear"], 4, 2);
    }

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) GraftIn(string folder, Action<Process>? meanwhile, params string[] arguments) =>
        Workshop.Run("/bin/sh", ["-c", "cd \"$1\" && shift && exec dotnet \"$@\"", "sh", folder, s_cli, .. arguments], meanwhile, new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => GraftIn(_shop["here"], null, arguments);

    [Fact]
    public void A_killed_run_goes_on_from_another_folder_on_the_pictures_that_it_began_with()
    {
        // Another folder of the same names, with other pictures.
        ShapeWorld.Write(_shop["there", "photos", "train"], ["star4", "gear"], 6, 7);
        ShapeWorld.Write(_shop["there", "photos", "val"], ["star4", "gear"], 4, 8);
        var killed = GraftIn(_shop["here"], process =>
        {
            while (!File.Exists(_shop["here", "run", "state.safetensors"]) && !process.HasExited) Thread.Sleep(20);
            process.Kill();
        }, "train", "photos", "--strategy", "full", "--epochs", "400", "--out", "run", "--no-report");
        Assert.NotEqual(0, killed.Status);
        var again = Graft("train", "photos", "--strategy", "full", "--out", "run");
        Assert.Equal(2, again.Status);
        Assert.Contains("go on with graft train --resume", again.Errors, StringComparison.Ordinal);
        Assert.True(File.Exists(_shop["here", "run", "state.safetensors"]));
        var record = _shop["here", "run", "run.json"];
        Assert.Contains($"\"data\": \"{_shop["here", "photos"]}\"", File.ReadAllText(record), StringComparison.Ordinal);
        // The rest of 400 epochs would take too long here: four are enough to see where they go on.
        File.WriteAllText(record, File.ReadAllText(record).Replace("\"epochs\": 400", "\"epochs\": 4", StringComparison.Ordinal));
        var resumed = GraftIn(_shop["there"], null, "train", "--resume", _shop["here", "run"]);
        Assert.True(resumed.Status == 0, resumed.Errors);
        File.Copy(_shop["there", "photos", "train", "gear", "0000.jpg"], _shop["here", "photos", "train", "gear", "0000.jpg"], overwrite: true);
        File.WriteAllText(record, File.ReadAllText(record).Replace("\"status\": \"finished\"", "\"status\": \"running\"", StringComparison.Ordinal));
        Assert.Contains("renamed or changed", GraftIn(_shop["there"], null, "train", "--resume", _shop["here", "run"]).Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_that_is_there_is_written_over_without_being_asked()
    {
        string[] train = ["train", "photos", "--strategy", "feature", "--no-report", "--out"];
        Assert.Equal(0, Graft([.. train, "run"]).Status);
        var second = Graft([.. train, "run"]);
        Assert.Equal(2, second.Status);
        Assert.Contains("holds a finished run: name another folder with --out, or replace it with --overwrite", second.Errors, StringComparison.Ordinal);
        Assert.Equal(0, Graft([.. train, "run", "--overwrite"]).Status);
        Assert.Contains("is the folder of the pictures", Graft([.. train, "photos", "--overwrite"]).Errors, StringComparison.Ordinal);
        Assert.Equal(12, Directory.GetFiles(_shop["here", "photos", "train"], "*", SearchOption.AllDirectories).Length);
        foreach (var command in new string[][] { ["export", "run", "--to", "safetensors", "--out", "weights.safetensors"], ["graft", "cifar_resnet20", "--out", "weights.safetensors"] })
        {
            File.WriteAllText(_shop["here", "weights.safetensors"], "mine");
            var refused = Graft(command);
            Assert.Equal(2, refused.Status);
            Assert.Contains("is there already", refused.Errors, StringComparison.Ordinal);
            Assert.Equal("mine", File.ReadAllText(_shop["here", "weights.safetensors"]));
            Assert.Equal(0, Graft([.. command, "--overwrite"]).Status);
        }
        Directory.CreateDirectory(_shop["here", "mine", "shapes"]);
        File.WriteAllText(_shop["here", "mine", "shapes", "thesis.txt"], "mine");
        Assert.Equal(2, Graft("quickstart", "--out", "mine").Status);
        Assert.Equal("mine", File.ReadAllText(_shop["here", "mine", "shapes", "thesis.txt"]));
    }

    [Fact]
    public void Resuming_where_nothing_had_begun_says_how_to_begin()
    {
        Directory.CreateDirectory(_shop["here", "empty"]);
        foreach (var command in new string[][] { ["train"], ["fewshot", "train"] })
        {
            var (status, _, errors) = Graft([.. command, "--resume", "empty"]);
            Assert.Equal(1, status);
            Assert.Contains("ended before anything had begun", errors, StringComparison.Ordinal);
            Assert.Contains($"graft {string.Join(' ', command)} DATA --out empty", errors, StringComparison.Ordinal);
        }
    }
}
