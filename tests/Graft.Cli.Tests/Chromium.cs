using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Graft.Cli.Tests;

/// <summary>Chromium without a window, driven by its own protocol (chromedevtools.github.io/devtools-protocol): one page, and what it asks the network
/// for, its workers included.</summary>
internal sealed class Chromium : IAsyncDisposable
{
    private static readonly string[] s_programs = ["chromium", "chromium-browser", "google-chrome"];

    private readonly string _profile = Directory.CreateTempSubdirectory("graft-chromium-").FullName;
    private readonly ClientWebSocket _socket = new();
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonNode>> _waiting = new();
    private readonly ConcurrentQueue<(string Method, string Address)> _requests = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly SemaphoreSlim _sending = new(1);
    private readonly Process _process;
    private Task _listening = Task.CompletedTask;
    private string? _page;
    private int _calls;
    private volatile bool _gone;

    private Chromium(string program)
    {
        // As root, which containers are, its sandbox cannot be set up.
        string[] arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--remote-debugging-port=0",
            $"--user-data-dir={_profile}", "about:blank"];
        _process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        _ = _process.StandardOutput.ReadToEndAsync();
    }

    /// <summary>What the page and its workers asked for.</summary>
    public IReadOnlyList<(string Method, string Address)> Requests => [.. _requests];

    /// <summary>Errors that scripts did not catch, and what the browser refused them.</summary>
    public IReadOnlyList<string> Complaints => [.. _complaints];

    /// <summary>Opens a page; skips the test where there is no Chromium.</summary>
    public static async Task<Chromium> Open(string address, int width, int height)
    {
        var program = Find();
        Skip.If(program is null, $"no browser is here: apt-get install chromium (looked for {string.Join(", ", s_programs)})");
        var browser = new Chromium(program!);
        try
        {
            await browser.Connect();
            await browser.Size(width, height);
            await browser.Call("Page.navigate", new JsonObject { ["url"] = address });
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    private static string? Find() => s_programs.SelectMany(program => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Select(folder => Path.Combine(folder, program))).FirstOrDefault(File.Exists);

    private async Task Connect()
    {
        const string Begins = "DevTools listening on ";
        string? line;
        var said = new StringBuilder();
        while ((line = await _process.StandardError.ReadLineAsync()) is not null && !line.StartsWith(Begins, StringComparison.Ordinal)) said.AppendLine(line);
        if (line is null) throw new InvalidOperationException($"Chromium did not start: {said}");
        _ = _process.StandardError.ReadToEndAsync();
        await _socket.ConnectAsync(new Uri(line[Begins.Length..]), default);
        _listening = Task.Run(Listen);
        var target = await Call("Target.createTarget", new JsonObject { ["url"] = "about:blank" });
        _page = (string?)(await Call("Target.attachToTarget", new JsonObject { ["targetId"] = (string?)target["targetId"], ["flatten"] = true }))["sessionId"];
        await Watch(_page);
        await Call("Page.enable");
    }

    private async Task Watch(string? session)
    {
        // A worker waits until its requests are watched too.
        await Call("Target.setAutoAttach", new JsonObject { ["autoAttach"] = true, ["waitForDebuggerOnStart"] = true, ["flatten"] = true }, session);
        await Call("Network.enable", null, session);
        await Call("Runtime.enable", null, session);
        await Call("Log.enable", null, session, optional: true);
    }

    /// <summary>Pixels of the page.</summary>
    public Task<JsonNode> Size(int width, int height, bool dark = false)
    {
        return Task.WhenAll(
            Call("Emulation.setDeviceMetricsOverride", new JsonObject { ["width"] = width, ["height"] = height, ["deviceScaleFactor"] = 1, ["mobile"] = width < 600 }),
            Call("Emulation.setEmulatedMedia", new JsonObject { ["features"] = new JsonArray(new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = dark ? "dark" : "light" }) }))
            .ContinueWith(done => done.Result[0], TaskScheduler.Default);
    }

    /// <summary>The value of an expression of JavaScript; a promise is waited for.</summary>
    public async Task<JsonNode?> Value(string expression)
    {
        var answer = await Call("Runtime.evaluate", new JsonObject { ["expression"] = expression, ["awaitPromise"] = true, ["returnByValue"] = true, ["userGesture"] = true });
        return answer["exceptionDetails"] is { } wrong ? throw new InvalidOperationException($"{expression}: {wrong}") : answer["result"]!["value"];
    }

    /// <summary>Waits until an expression is true; after minutes, in which nothing slow is left to wait for, it says what the page shows.</summary>
    public async Task Until(string expression)
    {
        for (var clock = Stopwatch.StartNew(); !(bool)(await Value($"!!({expression})"))!; await Task.Delay(20))
        {
            if (clock.Elapsed > TimeSpan.FromMinutes(2))
                throw new TimeoutException($"{expression} stays false. The page: {await Value("document.body.innerText")}. Complaints: {string.Join('\n', Complaints)}");
        }
    }

    /// <summary>Chooses files in an input. Their bytes are handed over: where the protocol gives paths, the page may read before it is allowed to.</summary>
    public Task Choose(string selector, params string[] files)
    {
        var given = new JsonArray([.. files.Select(file => (JsonNode)new JsonArray(Path.GetFileName(file), Convert.ToBase64String(File.ReadAllBytes(file))))]);
        return Value($$"""
            (() => {
              const chosen = new DataTransfer(), input = document.querySelector('{{selector}}');
              for (const [name, text] of {{given.ToJsonString()}}) chosen.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
              input.files = chosen.files;
              input.dispatchEvent(new Event("change"));
            })()
            """);
    }

    /// <summary>The whole page as a PNG file.</summary>
    public async Task Save(string path)
    {
        var shot = await Call("Page.captureScreenshot", new JsonObject { ["captureBeyondViewport"] = true });
        await File.WriteAllBytesAsync(path, Convert.FromBase64String((string)shot["data"]!));
    }

    private Task<JsonNode> Call(string method, JsonObject? given = null) => Call(method, given, _page);

    private async Task<JsonNode> Call(string method, JsonObject? given, string? session, bool optional = false)
    {
        var id = Interlocked.Increment(ref _calls);
        var answer = _waiting[id] = new TaskCompletionSource<JsonNode>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = given ?? [] };
        if (session is not null) message["sessionId"] = session;
        if (_gone) answer.TrySetException(new InvalidOperationException("the browser is gone"));
        await _sending.WaitAsync();
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, true, default);
        }
        finally
        {
            _sending.Release();
        }
        var said = await answer.Task;
        return said["error"] is { } error && !optional ? throw new InvalidOperationException($"{method}: {error}") : said["result"] ?? new JsonObject();
    }

    private async Task Listen()
    {
        var buffer = new byte[1 << 16];
        try
        {
            while (_socket.State == WebSocketState.Open)
            {
                using var whole = new MemoryStream();
                ValueWebSocketReceiveResult part;
                do
                {
                    part = await _socket.ReceiveAsync(buffer.AsMemory(), default);
                    whole.Write(buffer, 0, part.Count);
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close) break;
                Take(JsonNode.Parse(whole.ToArray())!);
            }
        }
        catch (Exception reason) when (reason is WebSocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The browser is gone.
        }
        _gone = true;
        foreach (var waiting in _waiting.Values) waiting.TrySetException(new InvalidOperationException("the browser is gone"));
    }

    private void Take(JsonNode message)
    {
        if (message["id"] is { } id)
        {
            if (_waiting.TryRemove((int)id, out var waiting)) waiting.TrySetResult(message);
            return;
        }
        var told = message["params"]!;
        switch ((string?)message["method"])
        {
            case "Network.requestWillBeSent":
                _requests.Enqueue(((string)told["request"]!["method"]!, (string)told["request"]!["url"]!));
                break;
            case "Runtime.exceptionThrown":
                _complaints.Enqueue(told["exceptionDetails"]!.ToJsonString());
                break;
            case "Log.entryAdded" when (string?)told["entry"]!["level"] == "error":
                _complaints.Enqueue($"{told["entry"]!["text"]} {told["entry"]!["url"]}");
                break;
            case "Target.attachedToTarget":
                var session = (string)told["sessionId"]!;
                _ = Task.Run(async () =>
                {
                    try
                    {
                        await Watch(session);
                        await Call("Runtime.runIfWaitingForDebugger", null, session);
                    }
                    catch (Exception reason) when (reason is InvalidOperationException or WebSocketException or ObjectDisposedException)
                    {
                        _complaints.Enqueue($"a worker could not be watched: {reason.Message}");
                    }
                });
                break;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _socket.Dispose();
        await _listening;
        _process.Dispose();
        _sending.Dispose();
        for (var attempt = 0; Directory.Exists(_profile); attempt++)
        {
            try
            {
                Directory.Delete(_profile, true);
            }
            catch (IOException) when (attempt < 50)
            {
                // Its children take a moment to end.
                await Task.Delay(100);
            }
        }
    }
}
