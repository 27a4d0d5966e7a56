using System.CommandLine;
using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>What a person reads who has typed something wrong, or has only what the program prints to go on with.</summary>
public sealed class MessageTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => With([], arguments);

    private (int Status, string Output, string Errors) With((string Name, string Value)[] environment, params string[] arguments) =>
        Workshop.Run("dotnet", [s_cli, .. arguments], null, environment.Append(("GRAFT_CACHE", _shop["cache"])).ToDictionary(pair => pair.Item1, pair => pair.Item2));

    private (int Status, string Output, string Errors) Shell(string line) => Workshop.Run("/bin/sh", ["-c", line, s_cli]);

    private static string Mistakes(params string[] words) => string.Join('\n', Usage.Errors(Program.Root().Parse(words), words));

    [Theory]
    [InlineData("--seed abc: a whole number, such as 42", "train", "x", "--seed", "abc")]
    [InlineData("--seed needs a value: a whole number, such as 42", "train", "x", "--seed")]
    [InlineData("--seed is given 2 times: give it once", "train", "x", "--seed", "1", "--seed", "2")]
    [InlineData("--epochs 1.5: a whole number, such as 42", "train", "x", "--epochs", "1.5")]
    [InlineData("--compose half: a number with a point for decimals, such as 0.5", "fewshot", "train", "x", "--compose", "half")]
    [InlineData("--rule most: sum, repeat, mean", "graft", "x", "--rule", "most")]
    [InlineData("--out needs a value: RUN", "train", "x", "--out")]
    [InlineData("there is no option --sede. Did you mean --seed", "train", "x", "--sede", "7")]
    [InlineData("there is no option -x.", "predict", "run", "a.jpg", "-x")]
    [InlineData("there is no command 'trian'. Did you mean train", "trian")]
    [InlineData("there is no command 'models lsit'. There are: list, show, pull", "models", "lsit")]
    [InlineData("--support DIR is missing: a folder", "fewshot", "classify")]
    [InlineData("DATA is missing: labelled pictures", "evaluate", "runs/ants")]
    [InlineData("'my photos' is a word too many: train takes DATA.", "train", "x", "my photos")]
    [InlineData("a word is empty", "report", "")]
    public void A_mistake_is_answered_in_words_of_the_option(string expected, params string[] words)
    {
        var mistakes = Mistakes(words);
        Assert.StartsWith(expected, mistakes, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', mistakes);
    }

    [Fact]
    public void No_option_of_any_command_shows_a_type_of_the_program()
    {
        var tried = 0;
        void Walk(Command command, string[] path)
        {
            foreach (var option in command.Options.Where(option => option is not (System.CommandLine.Help.HelpOption or VersionOption) && option.ValueType != typeof(bool) && option.ValueType != typeof(string) && option.ValueType != typeof(string[])))
            {
                var said = Mistakes([.. path, .. command.Arguments.Select(_ => "x"), option.Name, "zzz"]);
                Assert.Contains("zzz", said, StringComparison.Ordinal);
                Assert.DoesNotMatch("System\\.|Graft\\.|Nullable|Cannot parse", said);
                tried++;
            }
            foreach (var below in command.Subcommands) Walk(below, [.. path, below.Name]);
        }
        Walk(Program.Root(), []);
        Assert.InRange(tried, 30, 500);
    }

    [Fact]
    public void Graft_alone_and_a_group_alone_print_help()
    {
        foreach (var words in new[] { Array.Empty<string>(), ["models"] })
        {
            var (status, output, errors) = Graft(words);
            Assert.Equal((0, ""), (status, errors));
            Assert.Contains("Commands:", output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_name_that_does_not_exist_gets_the_nearest_three_and_where_all_are()
    {
        var (status, _, errors) = With([("GRAFT_COMMAND", "./graft")], "models", "show", "resnet19");
        Assert.Equal(2, status);
        Assert.Equal("graft: there is no backbone 'resnet19'. Did you mean resnet18, resnet34 or resnet50? ./graft models list shows all", errors.Trim());
        Assert.Equal("there is no head 'sofmax'. There are: softmax, svm", UnknownName.Of("head", "sofmax", ["softmax", "svm"]).Message);
        Assert.Equal(1, UnknownName.Distance("trian", "train"));
        Assert.Equal(3, UnknownName.Distance("kitten", "sitting"));
    }

    [Fact]
    public void A_printed_command_can_be_pasted()
    {
        foreach (var word in new[] { "plain", "사진", "with space", "it's", "$HOME", "a\"b", "`x`", "semi;colon", "*", "", "back\\slash", "~", "(x)", "new\nline" })
        {
            var (status, output, _) = Shell($"printf '%s' {NextCommand.Quoted(word)}");
            Assert.Equal((0, word), (status, output));
        }
        Assert.Equal("graft train --resume 'runs/my ants'", NextCommand.Of("train", "--resume", "runs/my ants"));
        ShapeWorld.Write(_shop["my data"], ["star4", "gear"], 6, 1);
        var (done, said, errors) = With([("GRAFT_COMMAND", "/opt/my graft/graft")], "train", _shop["my data"], "--strategy", "feature", "--out", _shop["my run"], "--no-report");
        Assert.True(done == 0, errors);
        Assert.Matches("Predict: '/opt/my graft/graft' predict '.*my run' PICTURE…", said);

        // What is there is answered, what is not is said, and a script can tell.
        var picture = Directory.GetFiles(_shop["my data", "gear"]).Order().First();
        var (status2, answered, missing) = Graft("predict", _shop["my run"], _shop["nosuch.jpg"], picture);
        Assert.Equal(1, status2);
        Assert.StartsWith($"{picture}\tgear\t", answered, StringComparison.Ordinal);
        Assert.Equal($"graft: {_shop["nosuch.jpg"]}: there is no such file", missing.Trim());
        var (status3, json, _) = Graft("predict", _shop["my run"], _shop["nosuch.jpg"], "--json");
        Assert.Equal(1, status3);
        Assert.Equal(1, JsonDocument.Parse(json).RootElement.GetProperty("errors").GetArrayLength());
        File.WriteAllText(_shop["my data", "gear", "notes.txt"], "of the photographer");
        Assert.Equal(0, Graft("predict", _shop["my run"], _shop["my data"]).Status);
    }

    [Fact]
    public void A_full_stdout_is_one_sentence_and_a_closed_one_a_quiet_end()
    {
        foreach (var line in new[] { "dotnet \"$0\" models list >/dev/full", "dotnet \"$0\" --help >/dev/full", "dotnet \"$0\" cache --json >/dev/full" })
        {
            var (status, _, errors) = Shell(line);
            Assert.Equal(1, status);
            Assert.Equal("graft: stdout cannot be written: No space left on device", errors.Trim());
        }
        var (_, first, quiet) = Shell("dotnet \"$0\" models list | head -1");
        Assert.Equal("", quiet);
        Assert.Single(first.Trim().Split('\n'));
        Assert.Equal(2, Shell("dotnet \"$0\" models show nosuch 2>/dev/full").Status);
    }

    [Fact]
    public void What_the_framework_says_is_put_into_sentences_without_traces()
    {
        Directory.CreateDirectory(_shop["run"]);
        foreach (var (text, expected) in new[] { ("null", "it holds null"), ("{\"status\": 3}", "$.status"), ("{", "line 1"), ("{\"status\": \"x\"}", "missing"), ("{\"status\": \"x\", \"options\": {\"data\": null}}", "$.options.data holds null") })
        {
            File.WriteAllText(_shop["run", "run.json"], text);
            Told(Graft("train", "--resume", _shop["run"]), "run.json", expected);
        }
        Told(With([("HF_ENDPOINT", "http://nosuch.invalid")], "models", "pull", "owner/repo"), "nosuch.invalid", "--weights");
        Told(With([("HF_ENDPOINT", "foo")], "models", "pull", "owner/repo"), "HF_ENDPOINT should begin with https://");
        Directory.CreateDirectory(_shop["data"]);
        File.WriteAllText(_shop["data.zip"], "no zip");
        Told(Graft("data", "inspect", _shop["data.zip"]), "no zip archive", "Central Directory");

        static void Told((int Status, string Output, string Errors) found, params string[] parts)
        {
            Assert.Equal(1, found.Status);
            Assert.Single(found.Errors.Trim().Split('\n'));
            Assert.DoesNotMatch("   at |Graft\\.[A-Z]|System\\.|[a-z]_[A-Z]", found.Errors);
            foreach (var part in parts) Assert.Contains(part, found.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_fault_of_the_program_is_a_sentence_and_GRAFT_TRACE_shows_where()
    {
        var (errors, before) = (new StringWriter(), Console.Error);
        Console.SetError(errors);
        try
        {
            Assert.Equal(1, Cli.Shell.Failed(new InvalidOperationException("no such thing")));
        }
        finally
        {
            Console.SetError(before);
        }
        Assert.Equal("graft: this is a fault of Graft's own: InvalidOperationException: no such thing. GRAFT_TRACE=1 shows where; please report it", errors.ToString().Trim());
        var (_, _, traced) = With([("GRAFT_TRACE", "1")], "models", "show", "nosuch");
        Assert.Contains("   at Graft.", traced, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_is_shown_in_tables_and_words()
    {
        var shown = Graft("models", "show", "mobilenet_v2").Output;
        Assert.Contains("224×224: shorter side to 256, middle 224×224; mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225", shown, StringComparison.Ordinal);
        Assert.Contains("download.pytorch.org/models/mobilenet_v2", shown, StringComparison.Ordinal);
        Assert.DoesNotMatch("[A-Z][A-Za-z]+ \\{", shown);
    }

    [Fact]
    public void The_benchmarks_help_and_refusal_need_no_data()
    {
        var script = Path.Combine(Workshop.Repository, "bench", "run");
        var environment = new Dictionary<string, string> { ["GRAFT_DATA"] = _shop["nowhere"] };
        var help = Workshop.Run("python3", [script, "--help"], null, environment);
        Assert.Equal((0, ""), (help.Status, help.Errors));
        var (status, _, errors) = Workshop.Run("python3", [script], null, environment);
        Assert.Equal(1, status);
        Assert.Contains("set GRAFT_DATA", errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Traceback", errors, StringComparison.Ordinal);
    }
}
