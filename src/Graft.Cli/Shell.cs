using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Torch;
using Graft.Training;
using Spectre.Console;

namespace Graft.Cli;

/// <summary>What every command shares: --json, errors as sentences, exit statuses, progress on a terminal or in plain lines.</summary>
internal sealed class Shell : IDisposable
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _drawing = new();
    private readonly bool _live = !Console.IsErrorRedirected && Environment.GetEnvironmentVariable("TERM") is not ("dumb" or null);
    private DateTime _shown = DateTime.MinValue;
    private string _lastStage = "";
    private (DateTime Time, long Done) _stageBegan;
    private bool _lineOpen;

    private Shell(bool json)
    {
        Json = json;
        Out = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(json ? Console.Error : Console.Out) });
        if (Console.IsOutputRedirected) Out.Profile.Width = 160;
        Console.CancelKeyPress += (_, pressed) =>
        {
            // The first Ctrl-C stops cleanly; a second one ends the process.
            pressed.Cancel = !_stop.IsCancellationRequested;
            _stop.Cancel();
        };
    }

    /// <summary>Whether stdout holds one JSON object and nothing else.</summary>
    public bool Json { get; }

    /// <summary>For people: stdout, or stderr with --json.</summary>
    public IAnsiConsole Out { get; }

    public CancellationToken Stop => _stop.Token;

    public static Option<bool> JsonOption => new("--json") { Description = "Print one JSON object on stdout and nothing else" };

    /// <summary>Nothing that is there is written over without it.</summary>
    public static Option<bool> OverwriteOption(string what) => new("--overwrite") { Description = $"Replace {what}, which is otherwise left as it is" };

    /// <summary>Runs a command's body; errors become one sentence on stderr and an exit status.</summary>
    public static void Handle(Command command, Action<Shell, ParseResult> body)
    {
        var json = JsonOption;
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            using var shell = new Shell(parsed.GetValue(json));
            try
            {
                body(shell, parsed);
                shell.CloseLine();
                return 0;
            }
            catch (OperationCanceledException stopped)
            {
                shell.Fail(stopped.Message);
                return 130;
            }
            catch (AggregateException many) when (many.InnerException is OperationCanceledException)
            {
                shell.Fail("Stopped.");
                return 130;
            }
            catch (Exception reason) when (reason is GraftException or PictureException or TorchException or TrainingStoppedException or IOException or UnauthorizedAccessException or ArgumentException)
            {
                shell.Fail(reason.Message);
                return reason is GraftException { IsUsage: true } ? 2 : 1;
            }
        });
    }

    /// <summary>With this option no other may be given, but for --json: a resumed run keeps the options that it began with.</summary>
    public static void Alone(Command command, Option option) => command.Validators.Add(given =>
    {
        if (given.GetResult(option) is null) return;
        string[] others = [.. given.Children.Select(child => child switch
        {
            ArgumentResult { Tokens.Count: > 0 } argument => argument.Argument.Name,
            OptionResult { Implicit: false } other when other.Option != option && other.Option.Name != JsonOption.Name => other.Option.Name,
            _ => null,
        }).OfType<string>()];
        if (others.Length > 0) given.AddError($"{string.Join(", ", others)} beside {option.Name}: a run goes on with what it began with. Leave {(others.Length > 1 ? "them" : "it")} out, or start a new run");
    });

    private void Fail(string message)
    {
        CloseLine();
        if (Json) Console.Out.WriteLine(JsonSerializer.Serialize(new { error = message }, s_json));
        Console.Error.WriteLine($"graft: {message}");
    }

    /// <summary>The JSON object, with --json.</summary>
    public void Result(object value)
    {
        if (Json) Console.Out.WriteLine(JsonSerializer.Serialize(value, s_json));
    }

    /// <summary>A line for people, on stderr.</summary>
    public void Log(string text)
    {
        lock (_drawing)
        {
            CloseLine();
            Console.Error.WriteLine(text);
        }
    }

    /// <summary>A line that is rewritten on a terminal; elsewhere a line now and then.</summary>
    public void Progress(ProgressReport report)
    {
        lock (_drawing)
        {
            var now = DateTime.UtcNow;
            var done = report.Done >= report.Total;
            if (report.Stage == _lastStage && !done && now - _shown < (_live ? TimeSpan.FromMilliseconds(100) : TimeSpan.FromSeconds(5))) return;
            if (!_live && done && report.Stage == _lastStage && now - _shown < TimeSpan.FromMilliseconds(200)) return;
            if (_live && report.Stage != _lastStage) CloseLine();
            if (report.Stage != _lastStage || report.Done < _stageBegan.Done) _stageBegan = (now, report.Done);
            (_shown, _lastStage) = (now, report.Stage);
            var left = report.Done > _stageBegan.Done ? (now - _stageBegan.Time) / (report.Done - _stageBegan.Done) * (report.Total - report.Done) : (TimeSpan?)null;
            var text = $"{report.Stage}: {report.Done}/{report.Total} ({100.0 * report.Done / Math.Max(1, report.Total):0}%)" + (report.Rate > 0 ? $", {report.Rate:0.0} {report.Unit}/s" : "")
                + (left is { TotalSeconds: > 0.5 } time ? $", {time:m\\:ss} left" : "") + (double.IsNaN(report.Loss) ? "" : $", loss {report.Loss:0.0000}") + (double.IsNaN(report.Accuracy) ? "" : $", right {report.Accuracy:P1}");
            if (!_live) { Console.Error.WriteLine(text); return; }
            Console.Error.Write($"\r\e[2K{text}");
            _lineOpen = true;
        }
    }

    private void CloseLine()
    {
        if (_lineOpen) Console.Error.Write("\r\e[2K");
        _lineOpen = false;
    }

    /// <summary>A table for people.</summary>
    public void Table(string[] headers, IEnumerable<string[]> rows, params int[] right)
    {
        CloseLine();
        var table = new Table().Border(TableBorder.Rounded);
        for (var k = 0; k < headers.Length; k++) table.AddColumn(new TableColumn(Markup.Escape(headers[k])) { Alignment = right.Contains(k) ? Justify.Right : Justify.Left });
        foreach (var row in rows) table.AddRow([.. row.Select(cell => new Text(cell))]);
        Out.Write(table);
    }

    /// <summary>A line for people.</summary>
    public void Say(string text = "")
    {
        CloseLine();
        // Whole: a terminal wraps by itself, and a file is searched line by line.
        Out.Profile.Out.Writer.WriteLine(text);
    }

    public void Dispose() => _stop.Dispose();
}
