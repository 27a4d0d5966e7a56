using System.CommandLine;
using System.CommandLine.Help;
using System.Text.RegularExpressions;
using Graft.Quickstart;
using Graft.Testing;
using Snapshooter.Xunit;

namespace Graft.Cli.Tests;

/// <summary>
/// What a user sees, held by the files of __snapshots__: help, tables, errors, the report's words. Numbers and places are masked, so that the
/// files are the same on every machine. After a change that is meant: SNAPSHOOTER_STRICT_MODE=off, delete the files, run, read the diff.
/// </summary>
public sealed partial class SurfaceTests : IDisposable
{
    private const int Width = 160;

    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    static SurfaceTests()
    {
        // A file that is missing is a failure, and no reason to write one.
        const string Strict = "SNAPSHOOTER_STRICT_MODE";
        if (Environment.GetEnvironmentVariable(Strict) is null) Environment.SetEnvironmentVariable(Strict, "on");
    }

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null,
        new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"], ["GRAFT_COMMAND"] = "graft", ["GRAFT_OFFLINE"] = "1" });

    private string Succeeded(params string[] arguments)
    {
        var (status, output, errors) = Graft(arguments);
        Assert.True(status == 0, errors);
        return output;
    }

    // The test's folder, from wherever it is seen, and whatever is counted or measured.
    private static string Masked(string text) => Numbers().Replace(Rules().Replace(Blanks().Replace(Places(text), " "), "─"), "#").Trim() + "\n";

    private static string Places(string text) => Folder().Replace(text, "WORK");

    public static TheoryData<string> Commands
    {
        get
        {
            var paths = new TheoryData<string>();
            void Walk(Command command, string path)
            {
                paths.Add(path);
                foreach (var below in command.Subcommands) Walk(below, $"{path} {below.Name}");
            }
            Walk(Program.Root(), "graft");
            return paths;
        }
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_of(string command)
    {
        var root = Program.Root();
        ((HelpAction)root.Options.OfType<HelpOption>().Single().Action!).MaxWidth = Width;
        using var output = new StringWriter();
        Assert.Equal(0, root.Parse([.. command.Split(' ')[1..], "--help"]).Invoke(new InvocationConfiguration { Output = output }));
        // The program is called as its process is.
        Snapshot.Match(Ends().Replace(output.ToString().Replace(RootCommand.ExecutableName, "graft", StringComparison.Ordinal), "").Trim() + "\n",
            $"help of {command}");
    }

    [Fact]
    public void Models_are_listed_in_a_table()
    {
        var output = Succeeded("models", "list");
        Assert.All(output.Split('\n'), line => Assert.InRange(line.Length, 0, Width));
        Snapshot.Match(output, "models list");
    }

    [Fact]
    public void The_tables_of_train_evaluate_and_compare_and_the_words_of_a_report()
    {
        foreach (var (part, seed) in new[] { ("train", 1), ("val", 2) }) ShapeWorld.Write(_shop["photos", part], ["star4", "gear"], 6, seed);
        Snapshot.Match(Masked(Succeeded("train", _shop["photos"], "--strategy", "feature", "--out", _shop["run"])), "train");
        Snapshot.Match(Masked(Succeeded("evaluate", _shop["run"], _shop["photos"])), "evaluate");
        Snapshot.Match(Masked(Succeeded("predict", _shop["run"], _shop["photos", "val", "gear", "0000.jpg"])), "predict");
        Snapshot.Match(Masked(Succeeded("data", "inspect", _shop["photos"])), "data inspect");
        Snapshot.Match(ReportText(File.ReadAllText(_shop["run", "report.html"])), "report");
        // Which strategy is the best, and which is advised, is measured: the rows in the order of their names, and what is said of the winner left
        // out.
        var lines = Masked(Succeeded("compare", _shop["photos"], "--strategies", "scratch,feature", "--epochs", "1", "--out", _shop["compared"]))
            .Replace(" (advised)", "", StringComparison.Ordinal).Split('\n');
        Snapshot.Match(string.Join('\n', lines.TakeWhile(line => !line.StartsWith('╰'))
            .OrderBy(line => line.StartsWith("│ f", StringComparison.Ordinal) ? 0 : line.StartsWith("│ s", StringComparison.Ordinal)
            && !line.Contains("strategy", StringComparison.Ordinal) ? 1 : -1)) + "\n", "compare");
    }

    // Without the pictures' captions: which are mistaken is the model's matter.
    private static string ReportText(string html)
    {
        var text = Tags().Replace(Hidden().Replace(html, ""), "\n");
        // What the machine is stands behind these words.
        text = Machine().Replace(System.Net.WebUtility.HtmlDecode(text), "$1\n…");
        return Masked(Lines().Replace(text, "\n"));
    }

    public static TheoryData<string, string[]> Mistakes => new()
    {
        { "a word that is no command", ["trian", "photos"] },
        { "an option that does not exist", ["train", "photos", "--sede", "7"] },
        { "a number that is none", ["train", "photos", "--seed", "seven"] },
        { "a word too many", ["train", "my", "photos"] },
        { "nothing given", ["evaluate", "runs/ants"] },
        { "no such data", ["train", "nowhere"] },
        { "no such weights", ["train", "PHOTOS", "--weights", "nowhere.safetensors"] },
        { "weights not fetched yet", ["train", "PHOTOS", "--weights", "resnet18"] },
        { "a name that is nearly right", ["train", "PHOTOS", "--weights", "resnet81"] },
        { "no such strategy", ["train", "PHOTOS", "--strategy", "fulll"] },
        { "epochs out of bounds", ["train", "PHOTOS", "--epochs", "0"] },
        { "a folder that is no run", ["evaluate", "PHOTOS", "PHOTOS"] },
        { "a picture that is none", ["train", "BROKEN"] },
        { "no network allowed", ["models", "pull", "resnet18"] },
        { "a model that is text", ["predict", "BROKEN/gear/0.jpg", "a.jpg"] },
        { "resume beside options", ["train", "--resume", "runs/ants", "--epochs", "3"] },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void What_is_said_of(string mistake, string[] words)
    {
        ShapeWorld.Write(_shop["photos"], ["star4", "gear"], 3, 1);
        foreach (var name in new[] { "star", "gear" })
        {
            Directory.CreateDirectory(_shop["broken", name]);
            File.WriteAllText(_shop["broken", name, "0.jpg"], "this is no picture");
        }
        var (status, output, errors) = Graft([.. words.Select(word => word.Replace("PHOTOS", _shop["photos"], StringComparison.Ordinal)
            .Replace("BROKEN", _shop["broken"], StringComparison.Ordinal))]);
        Assert.InRange(status, 1, 2);
        Assert.Equal("", output);
        Snapshot.Match($"{Progress().Replace(Places(errors), "").Trim()}\nexit status {status}\n",
            $"mistake: {mistake}".Replace(": ", " ", StringComparison.Ordinal));
    }

    [GeneratedRegex(@"[^\s'""(]*graft-test-\w+")]
    private static partial Regex Folder();

    [GeneratedRegex(@"(?<![\w.])-?\d[\d,.]*(e-?\d+)?%?(?!\w)|\b[0-9a-f]{12,64}\b")]
    private static partial Regex Numbers();

    // How many of them there are is a matter of time.
    [GeneratedRegex("^.*pictures/s.*\n", RegexOptions.Multiline)]
    private static partial Regex Progress();

    [GeneratedRegex("─+")]
    private static partial Regex Rules();

    [GeneratedRegex("[ \u00a0]+")]
    private static partial Regex Blanks();

    [GeneratedRegex("[ \t]+$", RegexOptions.Multiline)]
    private static partial Regex Ends();

    [GeneratedRegex("<(script|style|figure)\\b.*?</\\1>|<!--.*?-->|<p>There are none.*?</p>", RegexOptions.Singleline)]
    private static partial Regex Hidden();

    [GeneratedRegex("<[^>]*>")]
    private static partial Regex Tags();

    [GeneratedRegex(@"\s*\n\s*")]
    private static partial Regex Lines();

    [GeneratedRegex(@"^\s*(graft|libtorch|dotnet|system|processor|device)\s*\n\s*[^\n]+", RegexOptions.Multiline)]
    private static partial Regex Machine();
}
