using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Graft.Models.Hub;
using Graft.Testing;

namespace Graft.Tests;

public sealed class HubTests : IDisposable
{
    private readonly Workshop _shop = new();
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly byte[] _file = RandomNumberGenerator.GetBytes(300_000);
    private readonly CancellationTokenSource _stop = new();
    private Func<string, long, int, Answer> _answer;
    private int _requests;

    /// <summary>What the server does: headers, so many bytes of the body, then the end or silence.</summary>
    private sealed record Answer(string Status, string Headers, byte[] Body, int Sent = int.MaxValue, bool Stall = false);

    public HubTests()
    {
        _answer = (_, from, _) => Whole(from);
        _listener.Start();
        _ = Task.Run(async () =>
        {
            while (!_stop.IsCancellationRequested)
            {
                var client = await _listener.AcceptTcpClientAsync(_stop.Token).ConfigureAwait(false);
                _ = Task.Run(() => Serve(client));
            }
        });
    }

    private Answer Whole(long from) => from == 0 ? new Answer("200 OK", "", _file) : new Answer("206 Partial Content", $"Content-Range: bytes {from}-{_file.Length - 1}/{_file.Length}\r\n", _file[(int)from..]);

    private async Task Serve(TcpClient client)
    {
        using var owned = client;
        var stream = client.GetStream();
        var reader = new StreamReader(stream);
        var lines = new List<string>();
        while (await reader.ReadLineAsync(_stop.Token).ConfigureAwait(false) is { Length: > 0 } line) lines.Add(line);
        if (lines.Count == 0) return;
        var range = lines.FirstOrDefault(line => line.StartsWith("Range: bytes=", StringComparison.OrdinalIgnoreCase));
        var from = range is null ? 0 : long.Parse(range["Range: bytes=".Length..].TrimEnd('-'));
        var answer = _answer(lines[0].Split(' ')[1] + (lines.Any(line => line.StartsWith("Authorization:", StringComparison.OrdinalIgnoreCase)) ? "#token" : ""), from, Interlocked.Increment(ref _requests));
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {answer.Status}\r\n{answer.Headers}Content-Length: {answer.Body.Length}\r\nConnection: close\r\n\r\n"), _stop.Token).ConfigureAwait(false);
        if (!lines[0].StartsWith("HEAD", StringComparison.Ordinal)) await stream.WriteAsync(answer.Body.AsMemory(0, Math.Min(answer.Sent, answer.Body.Length)), _stop.Token).ConfigureAwait(false);
        await stream.FlushAsync(_stop.Token).ConfigureAwait(false);
        if (answer.Stall) await Task.Delay(Timeout.Infinite, _stop.Token).ConfigureAwait(false);
    }

    /// <summary>No wait ends by it but the first one after Late was set.</summary>
    private sealed class HandClock : TimeProvider
    {
        public bool Late { get; set; }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var due = Late ? TimeSpan.Zero : Timeout.InfiniteTimeSpan;
            Late = false;
            return new Timer(callback, state, due, Timeout.InfiniteTimeSpan);
        }
    }

    private Uri Address(string path = "/file.bin") => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}{path}");

    private string Digest => Convert.ToHexStringLower(SHA256.HashData(_file));

    // Patient, so that a busy machine does not look like a silent server.
    private static Downloader Make(string? token = null) => new(token) { Pause = TimeSpan.FromMilliseconds(10) };

    [Fact]
    public async Task A_file_lands_whole_and_is_fetched_once()
    {
        using var downloader = Make();
        Assert.Equal(_file, File.ReadAllBytes(await downloader.Fetch(Address(), _shop["a.bin"], Digest[..8])));
        await downloader.Fetch(Address(), _shop["a.bin"], Digest);
        Assert.Equal(1, _requests);
        Assert.Equal([_shop["a.bin"]], Directory.GetFiles(_shop.Root));
    }

    [Fact]
    public async Task A_dropped_connection_goes_on_where_it_stopped()
    {
        var froms = new List<long>();
        _answer = (_, from, number) =>
        {
            lock (froms) froms.Add(from);
            return Whole(from) with { Sent = number < 3 ? 100_000 : int.MaxValue };
        };
        using var downloader = Make();
        Assert.Equal(_file, File.ReadAllBytes(await downloader.Fetch(Address(), _shop["b.bin"], Digest)));
        Assert.Equal([0, 100_000, 200_000], froms);
    }

    [Fact]
    public async Task A_server_that_falls_silent_is_asked_again()
    {
        _answer = (_, from, number) => Whole(from) with { Sent = number == 1 ? 50_000 : int.MaxValue, Stall = number == 1 };
        var clock = new HandClock();
        using var downloader = new Downloader { Clock = clock, Pause = TimeSpan.FromMilliseconds(10), Progress = report => clock.Late |= report.Done == 50_000 };
        Assert.Equal(_file, File.ReadAllBytes(await downloader.Fetch(Address(), _shop["c.bin"], Digest)));
        Assert.Equal(2, _requests);
    }

    [Fact]
    public async Task A_server_without_ranges_sends_all_again()
    {
        _answer = (_, _, number) => Whole(0) with { Sent = number == 1 ? 50_000 : int.MaxValue };
        using var downloader = Make();
        Assert.Equal(_file, File.ReadAllBytes(await downloader.Fetch(Address(), _shop["d.bin"], Digest)));
    }

    [Fact]
    public async Task Wrong_bytes_are_thrown_away()
    {
        using var downloader = Make();
        Assert.Contains("other bytes than were published", (await Assert.ThrowsAsync<GraftException>(() => downloader.Fetch(Address(), _shop["e.bin"], "00000000"))).Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_shop.Root));
    }

    [Fact]
    public async Task Redirects_are_followed_without_the_token_and_circles_are_not()
    {
        var paths = new List<string>();
        _answer = (path, from, _) =>
        {
            lock (paths) paths.Add(path);
            return path.StartsWith("/file.bin", StringComparison.Ordinal) ? new Answer("302 Found", $"Location: http://localhost:{Address().Port}/there\r\n", []) : path.StartsWith("/circle", StringComparison.Ordinal) ? new Answer("302 Found", "Location: /circle\r\n", []) : Whole(from);
        };
        using var downloader = Make("secret");
        await downloader.Fetch(Address(), _shop["f.bin"], Digest);
        Assert.Equal(["/file.bin#token", "/there"], paths);
        Assert.Contains("circle", (await Assert.ThrowsAsync<GraftException>(() => downloader.Fetch(Address("/circle"), _shop["g.bin"]))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_not_there_or_not_allowed_or_a_web_page_says_so()
    {
        using var downloader = Make();
        _answer = (path, _, _) => path switch { "/page" => new Answer("200 OK", "Content-Type: text/html\r\n", _file), "/private" => new Answer("403 Forbidden", "", []), "/gone" => new Answer("404 Not Found", "", []), _ => new Answer("500 Broken", "", []) };
        async Task<string> Refusal(string path) => (await Assert.ThrowsAsync<GraftException>(() => downloader.Fetch(Address(path), _shop["h.bin"]))).Message;
        Assert.Contains("web page", await Refusal("/page"), StringComparison.Ordinal);
        Assert.Contains("HF_TOKEN", await Refusal("/private"), StringComparison.Ordinal);
        Assert.Contains("404", await Refusal("/gone"), StringComparison.Ordinal);
        Assert.Contains("5 attempts", await Refusal("/other"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_Hugging_Face_repository_lies_in_its_own_layout_and_is_found_again_offline()
    {
        var digest = Digest;
        _answer = (path, from, _) => path.Split('#')[0] switch
        {
            "/owner/name/resolve/main/model.safetensors" => Whole(from) with { Headers = $"X-Repo-Commit: abc123\r\nX-Linked-Etag: \"{digest}\"\r\n" + Whole(from).Headers },
            "/owner/name/resolve/main/config.json" => new Answer("200 OK", "X-Repo-Commit: abc123\r\nETag: \"c0ffee\"\r\n", "{}"u8.ToArray()),
            _ => new Answer("404 Not Found", "", []),
        };
        var before = new[] { "HF_ENDPOINT", "HF_HOME" }.ToDictionary(name => name, Environment.GetEnvironmentVariable);
        Environment.SetEnvironmentVariable("HF_ENDPOINT", Address("").ToString());
        Environment.SetEnvironmentVariable("HF_HOME", _shop["hf"]);
        try
        {
            using var downloader = Make();
            var file = await new ModelHub(downloader).Pull("owner/name");
            Assert.Equal(_shop["hf", "hub", "models--owner--name", "snapshots", "abc123", "model.safetensors"], file);
            Assert.Equal(_file, File.ReadAllBytes(file));
            Assert.Equal(_file, File.ReadAllBytes(_shop["hf", "hub", "models--owner--name", "blobs", digest]));
            Assert.Equal("abc123", File.ReadAllText(_shop["hf", "hub", "models--owner--name", "refs", "main"]));
            Assert.True(File.Exists(_shop["hf", "hub", "models--owner--name", "snapshots", "abc123", "config.json"]));
            Assert.Equal(file, ModelHub.Resolve("owner/name"));
            Assert.Contains("has none of", (await Assert.ThrowsAsync<GraftException>(() => new ModelHub(downloader).Pull("owner/other"))).Message, StringComparison.Ordinal);
        }
        finally
        {
            foreach (var (name, value) in before) Environment.SetEnvironmentVariable(name, value);
        }
    }

    [Fact]
    public async Task Several_at_once_fetch_once()
    {
        using var downloader = Make();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => downloader.Fetch(Address(), _shop["i.bin"], Digest)));
        Assert.Equal(1, _requests);
    }

    public void Dispose()
    {
        _stop.Cancel();
        _listener.Stop();
        _shop.Dispose();
        _stop.Dispose();
    }
}
