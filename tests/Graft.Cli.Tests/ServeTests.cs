using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>A server in a process of its own, asked as a client asks it.</summary>
public sealed class ServeTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();
    private readonly Process _server;
    private readonly HttpClient _http;

    public ServeTests()
    {
        ShapeWorld.Write(_shop["data"], ["star4", "gear"], 8, 1);
        var environment = new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] };
        var (status, _, errors) = Workshop.Run("dotnet",
            [s_cli, "train", _shop["data"], "--strategy", "feature", "--out", _shop["run"], "--no-report"], null, environment);
        Assert.True(status == 0, errors);
        // A port that is free, and no limit of time: a busy machine answers late.
        _server = Process.Start(new ProcessStartInfo("dotnet", [s_cli, "serve", _shop["run"], "--watch", "--urls", "http://127.0.0.1:0", "--api-key", "secret", "--max-megabytes", "1", "--max-seconds", "3600"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var line = _server.StandardError.ReadLine();
        Assert.Contains("Serving 2 classes", line, StringComparison.Ordinal);
        _http = new HttpClient { BaseAddress = new Uri(line!.Split(' ').Single(word => word.StartsWith("http://", StringComparison.Ordinal))),
            Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.Add("X-API-Key", "secret");
    }

    public void Dispose()
    {
        if (!_server.HasExited) _server.Kill();
        _server.Dispose();
        _http.Dispose();
        _shop.Dispose();
    }

    private byte[] Picture(string label) => File.ReadAllBytes(Directory.GetFiles(_shop["data", label]).Order().First());

    private static ByteArrayContent Jpeg(byte[] bytes) => new(bytes) { Headers = { ContentType = new MediaTypeHeaderValue("image/jpeg") } };

    private static async Task<JsonElement> Body(HttpResponseMessage response) => JsonDocument.Parse(await response.Content.ReadAsStringAsync())
        .RootElement;

    private void Until(string says)
    {
        string? line;
        while ((line = _server.StandardError.ReadLine()) is not null && !line.Contains(says, StringComparison.Ordinal)) { }
        Assert.NotNull(line);
    }

    [Fact]
    public async Task A_model_that_is_replaced_answers_from_then_on_and_a_broken_one_is_refused()
    {
        async Task<string?> Label() => (await Body(await _http.PostAsync(new Uri("/predict", UriKind.Relative), Jpeg(Picture("gear")))))
            .GetProperty("predictions")[0].GetProperty("label").GetString();
        Assert.Equal("gear", await Label());
        var model = _shop["run", "model.onnx"];
        var whole = File.ReadAllBytes(model);
        AtomicFile.Write(model, stream => stream.Write(whole.AsSpan(0, whole.Length / 2)));
        Until("is refused; the model before it goes on answering");
        Assert.Equal("gear", await Label());

        Directory.Move(_shop["data"], _shop["first"]);
        ShapeWorld.Write(_shop["data"], ["star4", "gear"], 8, 1);
        Directory.Move(_shop["data", "gear"], _shop["data", "wheel"]);
        var (status, _, errors) = Workshop.Run("dotnet",
            [s_cli, "train", _shop["data"], "--strategy", "feature", "--out", _shop["other"], "--no-report"], null,
            new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"] });
        Assert.True(status == 0, errors);
        Directory.Delete(_shop["data"], true);
        Directory.Move(_shop["first"], _shop["data"]);
        var other = File.ReadAllBytes(_shop["other", "model.onnx"]);
        AtomicFile.Write(model, stream => stream.Write(other));
        Until("the new model answers from here on. It no longer has gear");
        Assert.Equal("wheel", await Label());
    }

    [Fact]
    public async Task Pictures_are_predicted_however_they_come_and_errors_say_why()
    {
        var gear = Picture("gear");
        var raw = await Body(await _http.PostAsync(new Uri("/predict", UriKind.Relative), Jpeg(gear)));
        Assert.Equal("gear", raw.GetProperty("predictions")[0].GetProperty("label").GetString());
        using var form = new MultipartFormDataContent { { Jpeg(gear), "files", "a.jpg" }, { Jpeg(Picture("star4")), "files", "b.jpg" },
            { Jpeg("no picture"u8.ToArray()), "files", "c.jpg" } };
        var several = await Body(await _http.PostAsync(new Uri("/predict", UriKind.Relative), form));
        Assert.Equal(["a.jpg", "b.jpg"], several.GetProperty("predictions").EnumerateArray().Select(item => item.GetProperty("file").GetString()));
        Assert.Equal("c.jpg", several.GetProperty("errors")[0].GetProperty("file").GetString());
        var json = await Body(await _http.PostAsJsonAsync("/predict", new { image = "data:image/jpeg;base64," + Convert.ToBase64String(gear) }));
        Assert.Equal(raw.GetProperty("predictions")[0].GetProperty("probability").GetDouble(), json.GetProperty("predictions")[0]
            .GetProperty("probability").GetDouble(), 5);

        async Task<int> Status(HttpContent content) => (int)(await _http.PostAsync(new Uri("/predict", UriKind.Relative), content)).StatusCode;
        Assert.Equal(422, await Status(Jpeg("no picture"u8.ToArray())));
        Assert.Equal(400, await Status(Jpeg([])));
        Assert.Equal(400, await Status(new StringContent("{\"image\": \"%%%\"}", System.Text.Encoding.UTF8, "application/json")));
        Assert.Equal(400, await Status(new StringContent("{", System.Text.Encoding.UTF8, "application/json")));
        Assert.Equal(413, await Status(Jpeg(new byte[2 << 20])));
        _http.DefaultRequestHeaders.Remove("X-API-Key");
        Assert.Equal(401, await Status(Jpeg(gear)));
        Assert.Equal(200, (int)(await _http.GetAsync(new Uri("/health", UriKind.Relative))).StatusCode);
        var metrics = await _http.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        Assert.Contains("graft_requests_total{status=\"200\"} 3", metrics, StringComparison.Ordinal);
        Assert.Equal("3.0.3", JsonDocument.Parse(await _http.GetStringAsync(new Uri("/openapi.json", UriKind.Relative)))
            .RootElement.GetProperty("openapi").GetString());
    }

    [Fact]
    public async Task Many_at_once_are_all_answered_and_a_stop_lets_them_finish()
    {
        var gear = Picture("gear");
        var answers = await Task.WhenAll(Enumerable.Range(0, 60).Select(_ => _http.PostAsync(new Uri("/predict", UriKind.Relative), Jpeg(gear))));
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Workshop.Run("kill", ["-INT", $"{_server.Id}"]);
        _server.WaitForExit();
        Assert.Equal(0, _server.ExitCode);
    }
}
