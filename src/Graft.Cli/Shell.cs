using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Inference;
using Graft.Learning;
using Spectre.Console;

namespace Graft.Cli;

/// <summary>What every command shares: --json, errors as sentences, exit statuses, progress on a terminal or in plain lines.</summary>
internal sealed class Shell : IDisposable
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
            Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) },
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _signals;
    private volatile bool _watched;
    private int _status = 130;
    private bool _answered;
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
        _signals = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM,
            PosixSignal.SIGHUP }.Select(signal => PosixSignalRegistration.Create(signal, Signalled))];
    }

    // Ctrl-C, kill, a service that is stopped, a terminal that is closed: the first lets what watches the token stop cleanly. A second one, or
    // one where nothing watches, ends the process as it would any other.
    private void Signalled(PosixSignalContext context)
    {
        if (!_watched || _stop.IsCancellationRequested) return;
        context.Cancel = true;
        _status = 128 + context.Signal switch { PosixSignal.SIGHUP => 1, PosixSignal.SIGTERM => 15, _ => 2 };
        _stop.Cancel();
    }

    /// <summary>Whether stdout holds one JSON object and nothing else.</summary>
    public bool Json { get; }

    /// <summary>For people: stdout, or stderr with --json.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Asked to stop. Who takes this token watches it: from then on a signal no longer ends the process at once.</summary>
    public CancellationToken Stop
    {
        get
        {
            _watched = true;
            return _stop.Token;
        }
    }

    /// <summary>The exit status of a body that ends by itself: 1 where a part of what was asked for failed.</summary>
    public int Status { get; set; }

    public static Option<bool> JsonOption => new("--json") { Description = "Print one JSON object on stdout and nothing else" };

    /// <summary>Nothing that is there is written over without it.</summary>
    public static Option<bool> OverwriteOption(string what) =>
        new("--overwrite") { Description = $"Replace {what}, which is otherwise left as it is" };

    /// <summary>Every command has it, and a task's options too.</summary>
    internal const string ThreadsName = "--threads";

    /// <summary>How many threads are asked for; null: as many as there are.</summary>
    /// <exception cref="GraftException">Less than one.</exception>
    public static int? ThreadsOf(ParseResult parsed)
    {
        var threads = parsed.GetValue<int?>(ThreadsName);
        Bounds.Whole(ThreadsName, threads, 1, 4096);
        return threads;
    }

    /// <summary>Runs a command's body; errors become one sentence on stderr and an exit status.</summary>
    public static void Handle(Command command, Action<Shell, ParseResult> body)
    {
        var json = JsonOption;
        command.Options.Add(json);
        var engine = new Option<string?>("--engine")
            { Description = "What runs frozen networks: auto, onnx (ONNX Runtime) or torch (default: GRAFT_ENGINE, or auto)", HelpName = "NAME" };
        command.Options.Add(engine);
        command.Options.Add(new Option<int?>(ThreadsName) { Description = "Processor threads to work with (default: OMP_NUM_THREADS, or all)",
            HelpName = "N" });
        command.SetAction(parsed =>
        {
            using var shell = new Shell(parsed.GetValue(json));
            try
            {
                if (ThreadsOf(parsed) is { } threads) Cores.Use(threads);
                if (parsed.GetValue(engine) is { } wanted) Engine.Use(Engine.Parse(wanted));
                body(shell, parsed);
                shell.CloseLine();
                return shell.Status;
            }
#pragma warning disable CA1031 // whatever it is, a person reads one sentence
            catch (Exception reason)
#pragma warning restore CA1031
            {
                return shell.Fail(reason);
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

    private int Fail(Exception reason)
    {
        CloseLine();
        var (message, status) = Explain(reason, _status);
        if (Json && !_answered) TellProgram(message);
        TellPerson(message, reason);
        return status;
    }

    /// <summary>What went wrong outside of any command, as one sentence; the exit status.</summary>
    public static int Failed(Exception reason)
    {
        var (message, status) = Explain(reason, 130);
        TellPerson(message, reason);
        return status;
    }

    /// <summary>Words that are no command: what is wrong with them, and where help is.</summary>
    public static int Misused(string[] errors, string[] help, bool json)
    {
        if (json) TellProgram(string.Join("; ", errors));
        foreach (var error in errors) Console.Error.WriteLine($"graft: {error}");
        Console.Error.WriteLine($"graft: see {NextCommand.Of(help)}");
        return 2;
    }

    private static void TellProgram(string message)
    {
        try
        {
            Console.Out.WriteLine(JsonSerializer.Serialize(new { error = message }, s_json));
        }
        catch (OutputException)
        {
            // stderr says it all the same.
        }
    }

    private static void TellPerson(string message, Exception reason)
    {
        Console.Error.WriteLine($"graft: {message}");
        if (Environment.GetEnvironmentVariable("GRAFT_TRACE") is "1" or "true") Console.Error.WriteLine(reason);
    }

    /// <summary>One sentence for a person, and the exit status.</summary>
    private static (string Message, int Status) Explain(Exception reason, int stopped) => reason switch
    {
        // The framework's own words for it say nothing.
        OperationCanceledException => (reason.Message == new OperationCanceledException().Message
            || reason is TaskCanceledException ? "Stopped" : reason.Message, stopped),
        AggregateException or TypeInitializationException or System.Reflection.TargetInvocationException
            when reason.InnerException is { } inner => Explain(inner, stopped),
        GraftException { IsUsage: true } => (reason.Message, 2),
        GraftException or IOException or UnauthorizedAccessException or ArgumentException => (reason.Message, 1),
        _ => ($"this is a fault of Graft's own: {reason.GetType().Name}: {reason.Message.ReplaceLineEndings(" ").TrimEnd('.')}. GRAFT_TRACE=1 shows where; please report it", 1),
    };

    /// <summary>The JSON object, with --json.</summary>
    public void Result(object value)
    {
        if (!Json) return;
        _answered = true;
        Console.Out.WriteLine(JsonSerializer.Serialize(value, s_json));
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
            var left = report.Done > _stageBegan.Done ? (now - _stageBegan.Time) / (report.Done - _stageBegan.Done) * (report.Total - report.Done)
                : (TimeSpan?)null;
            var text = $"{report}{(left is { TotalSeconds: > 0.5 } time ? $", {time:m\\:ss} left" : "")}";
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
        for (var k = 0; k < headers.Length; k++) table.AddColumn(
            new TableColumn(Markup.Escape(headers[k])) { Alignment = right.Contains(k) ? Justify.Right : Justify.Left });
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

    public void Dispose()
    {
        foreach (var signal in _signals) signal.Dispose();
        _stop.Dispose();
    }
}
