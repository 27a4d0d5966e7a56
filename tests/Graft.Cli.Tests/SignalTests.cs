using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Commands that go on until they are told to stop, as Docker, systemd and a closed terminal tell them.</summary>
public sealed class SignalTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    private readonly Dictionary<string, string> _environment;

    public SignalTests()
    {
        ShapeWorld.Write(_shop["data"], ["star4", "gear"], 8, 1);
        _environment = new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] };
    }

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(Action<Process>? meanwhile, params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], meanwhile, _environment);

    private static void Kill(string signal, int process) => Workshop.Run("/bin/kill", [$"-{signal}", $"{process}"]);

    private void Trained() => Assert.Equal(0, Graft(null, "train", _shop["data"], "--strategy", "feature", "--out", _shop["run"], "--no-report").Status);

    private static int Free()
    {
        using var free = new TcpListener(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    [Fact]
    public async Task A_server_that_is_told_to_stop_finishes_what_it_has_accepted_and_ends_with_0()
    {
        Trained();
        foreach (var signal in new[] { "TERM", "HUP" })
        {
            var port = Free();
            using var server = Process.Start(new ProcessStartInfo("dotnet", [s_cli, "serve", _shop["run"], "--urls", $"http://127.0.0.1:{port}"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            Assert.Contains("Serving 2 classes", await server.StandardError.ReadLineAsync(), StringComparison.Ordinal);
            var picture = await File.ReadAllBytesAsync(Directory.GetFiles(_shop["data", "gear"]).Order().First());
            if (signal == "TERM") await AnswersWhateverTheHeaderSays(port, picture);

            // Half of a request is here when the signal comes.
            using var client = new TcpClient("127.0.0.1", port);
            var stream = client.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {picture.Length}\r\nConnection: close\r\n\r\n"));
            await stream.WriteAsync(picture.AsMemory(0, picture.Length / 2));
            await Task.Delay(500);
            Kill(signal, server.Id);
            Assert.Contains("Stopping", await server.StandardError.ReadLineAsync(), StringComparison.Ordinal);
            await stream.WriteAsync(picture.AsMemory(picture.Length / 2));
            Assert.StartsWith("HTTP/1.1 200", await new StreamReader(stream).ReadToEndAsync(), StringComparison.Ordinal);
            Assert.True(server.WaitForExit(60_000));
            Assert.Equal(0, server.ExitCode);
            Assert.Equal("", await server.StandardOutput.ReadToEndAsync());
        }
    }

    private static async Task AnswersWhateverTheHeaderSays(int port, byte[] picture)
    {
        using var http = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };
        async Task<(int Status, JsonElement Body)> Ask(HttpMethod method, string path, byte[]? bytes = null, string? type = null)
        {
            using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
            if (bytes is not null) request.Content = new ByteArrayContent(bytes) { Headers = { ContentType = type is null ? null : new MediaTypeHeaderValue(type) } };
            using var response = await http.SendAsync(request);
            return ((int)response.StatusCode, JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement);
        }
        // curl --data-binary @picture.jpg says that it is a form; others say nothing, or that it is text.
        foreach (var type in new[] { "application/x-www-form-urlencoded", null, "text/plain", "application/json", "application/octet-stream" })
            Assert.Equal("gear", (await Ask(HttpMethod.Post, "/predict", picture, type)).Body.GetProperty("predictions")[0].GetProperty("label").GetString());
        foreach (var (expected, method, path, bytes, type) in new[]
        {
            (422, HttpMethod.Post, "/predict", "no picture", "application/x-www-form-urlencoded"), (400, HttpMethod.Post, "/predict", "{", "application/json"), (400, HttpMethod.Post, "/predict", "", "image/png"),
            (400, HttpMethod.Post, "/predict", "x", "multipart/form-data"), (404, HttpMethod.Get, "/nosuch", null, null), (405, HttpMethod.Get, "/predict", null, null),
        })
        {
            var (status, body) = await Ask(method, path, bytes is null ? null : Encoding.ASCII.GetBytes(bytes), type);
            Assert.Equal(expected, status);
            Assert.InRange(body.GetProperty("error").GetString()!.Length, 20, 200);
        }
    }

    [Fact]
    public void An_address_that_cannot_be_listened_on_is_a_sentence()
    {
        Trained();
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var busy = $"http://127.0.0.1:{((IPEndPoint)taken.LocalEndpoint).Port}";
        foreach (var (urls, expectedStatus, expected) in new[]
        {
            ("foo", 2, "no address to listen on"), (busy, 1, "another program does"), ("https://127.0.0.1:1", 2, "only http"), ("http://192.0.2.1:8080", 1, "no such address"), ("http://127.0.0.1:99999", 2, "no address to listen on"),
        })
        {
            var (status, output, errors) = Graft(null, "serve", _shop["run"], "--urls", urls);
            Assert.Equal((expectedStatus, ""), (status, output));
            Assert.Single(errors.Trim().Split('\n'));
            Assert.Contains(expected, errors, StringComparison.Ordinal);
            Assert.Contains(urls, errors, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("TERM", 143)]
    [InlineData("HUP", 129)]
    public void A_training_that_is_told_to_stop_keeps_its_state_and_says_how_to_go_on(string signal, int expected)
    {
        var (status, _, errors) = Graft(process => WhenUnderWay(process, () => Kill(signal, process.Id)), "train", _shop["data"], "--strategy", "full", "--epochs", "4000", "--out", _shop["run"], "--no-report");
        Assert.Equal(expected, status);
        Assert.Contains($"graft train --resume {_shop["run"]}", errors, StringComparison.Ordinal);
        Assert.True(File.Exists(_shop["run", "state.safetensors"]));
    }

    [Fact]
    public void Under_nohup_a_closed_terminal_stops_nothing()
    {
        var (status, _, errors) = Workshop.Run("nohup", ["dotnet", s_cli, "train", _shop["data"], "--strategy", "full", "--epochs", "60", "--out", _shop["run"], "--no-report"],
            process => WhenUnderWay(process, () => Kill("HUP", process.Id)), _environment);
        Assert.True(status == 0, errors);
    }

    private void WhenUnderWay(Process process, Action then)
    {
        while (!File.Exists(_shop["run", "run.json"]) && !process.HasExited) Thread.Sleep(20);
        Thread.Sleep(700);
        then();
    }
}
