using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Graft.Data;
using Graft.Models.Hub;
using Graft.Quickstart;
using Graft.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Logging;
using Xunit.Abstractions;

namespace Graft.Cli.Tests;

/// <summary>graft export --to web, its page opened in a browser: it says what graft predict says, and asks nobody else.</summary>
public sealed class WebExportTests(ITestOutputHelper told) : IDisposable
{
    private const string Ready = "document.getElementById('status')?.textContent === 'Ready'";

    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private (int Status, string Output, string Errors) Graft(params string[] arguments) => Workshop.Run("dotnet", [s_cli, .. arguments], null,
        new Dictionary<string, string> { ["GRAFT_CACHE"] = _shop["cache"], ["GRAFT_OFFLINE"] = "1" });

    private JsonElement Json(params string[] arguments)
    {
        var (status, output, errors) = Graft([.. arguments, "--json"]);
        Assert.True(status == 0, errors);
        return JsonDocument.Parse(output).RootElement;
    }

    /// <summary>ONNX Runtime Web, fetched once for all tests into the user's cache; the tests' own cache gets a copy.</summary>
    private async Task NeedRuntime()
    {
        string place;
        try
        {
            place = await new NpmSource(NpmConfiguration.Load()) { Option = "--runtime" }.Pull(NpmPackage.OnnxRuntimeWeb, default);
        }
        catch (GraftException reason)
        {
            throw new SkipException($"ONNX Runtime Web is not here: {reason.Message}");
        }
        var copy = Directory.CreateDirectory(_shop["cache", "npm", Path.GetFileName(place)]).FullName;
        foreach (var file in Directory.GetFiles(place)) File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
    }

    [SkippableFact]
    public async Task The_page_answers_twenty_pictures_as_predict_does()
    {
        await NeedRuntime();
        // Real photographs where they are here, else drawn ones.
        var real = Directory.Exists(Path.Combine(Workshop.Data, "hymenoptera", "val"));
        if (!real)
        {
            ShapeWorld.Write(_shop["data", "train"], ["star4", "gear"], 12, 1);
            ShapeWorld.Write(_shop["data", "val"], ["star4", "gear"], 10, 2);
        }
        var data = real ? Path.Combine(Workshop.Data, "hymenoptera") : _shop["data"];
        var weights = Path.Combine(Workshop.Data, "weights", "mobilenet_v2_imagenet.safetensors");
        Json(["train", data, "--strategy", "feature", "--out", _shop["run"], .. real && File.Exists(weights) ? new[] { "--weights", weights } : []]);
        var written = Json("export", _shop["run"], "--to", "web", "--out", _shop["page"]);
        Assert.Equal(_shop["page"], written.GetProperty("folder").GetString());
        Assert.All(written.GetProperty("files").EnumerateArray(), file => Assert.True(File.Exists(_shop["page", file.GetString()!])));
        string[] photographs = [.. Directory.GetDirectories(Path.Combine(data, "val"))
            .SelectMany(folder => Directory.GetFiles(folder, "*.jpg").Order(StringComparer.Ordinal).Take(10))];
        Assert.Equal(20, photographs.Length);
        string[] exact = [.. photographs.Select((file, k) => Png(file, _shop[$"{k}.png"]))];

        await using var site = await Serve(_shop["page"]);
        await using var browser = await Chromium.Open(site.Address, 1280, 900);
        // A few at a time: a machine that is short of memory must not be what is tested.
        var found = new List<JsonNode>();
        foreach (var few in (string[][])[.. exact.Chunk(5), .. photographs.Chunk(5)])
        {
            found.AddRange(await Answers(browser, few));
            await browser.Value("document.getElementById('clear').click()");
        }
        var expected = Json(["predict", _shop["run"], .. exact, .. photographs]).GetProperty("predictions").EnumerateArray().ToArray();
        var differences = found.Zip(expected, Difference).ToArray();
        // What docs/figures.md states; the first picture warms up.
        var times = found.Skip(1).Select(answer => double.Parse(Regex.Match((string)answer["time"]!, @"answered in (\d+) ms").Groups[1].Value, CultureInfo.InvariantCulture)).Order().ToArray();
        told.WriteLine($"{written.GetProperty("bytes").GetInt64() / 1e6:0.0} MB; largest difference of a probability: PNG {differences[..20].Max():G2}, JPEG {differences[20..].Max():G2}; answered in {times[times.Length / 2]} ms (median)");
        // PNG is decoded alike everywhere; that JPEG is too holds where both readers are libjpeg-turbo.
        Assert.All(differences, difference => Assert.InRange(difference, 0, 1e-3));
        Assert.Equal(site.Address, string.Join(' ', browser.Requests.Where(request => !request.Address.StartsWith("blob:", StringComparison.Ordinal))
            .Select(request => new Uri(request.Address).GetLeftPart(UriPartial.Authority) + "/").Distinct()));
        Assert.All(browser.Requests, request => Assert.Equal("GET", request.Method));
        Assert.Contains(browser.Requests, request => request.Address.EndsWith("/onnxruntime.wasm", StringComparison.Ordinal));
        Assert.Empty(browser.Complaints);
    }

    private static double Difference(JsonNode found, JsonElement expected)
    {
        Assert.True(found["wrong"] is null, $"{found["name"]}: {found["wrong"]}");
        var top = expected.GetProperty("top").EnumerateArray().ToArray();
        Assert.Equal(top.Select(label => label.GetProperty("label").GetString()), found["names"]!.AsArray().Select(name => (string?)name));
        Assert.StartsWith(expected.GetProperty("label").GetString()!, (string)found["told"]!, StringComparison.Ordinal);
        return top.Zip(found["values"]!.AsArray(), (label, value) => Math.Abs(label.GetProperty("probability").GetDouble() - Number(value!))).Max();
    }

    private static double Number(JsonNode value) => double.Parse((string)value!, CultureInfo.InvariantCulture);

    [SkippableFact]
    public async Task Several_labels_and_numbers_are_said_as_predict_says_them()
    {
        await NeedRuntime();
        string[] shapes = ["gear", "ring", "star4"];
        ShapeWorld.Write(_shop["p"], shapes, 24, 1);
        string[] All(string shape) => [.. Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal)];
        string Table(string name, string header, Func<int, int, string> cell)
        {
            File.WriteAllText(_shop[name], $"path,{header}\n{string.Join('\n', shapes.SelectMany((shape, k) => All(shape).Select((file, i) => $"{Path.GetRelativePath(_shop.Root, file)},{cell(k, i)}")))}\n");
            return _shop[name];
        }
        string[] pictures = [.. shapes.Select((shape, k) => Png(All(shape)[3], _shop[$"{k}.png"]))];

        Json("train", Table("labels.csv", "labels", (k, _) => new[] { "round;toothed", "round", "" }[k]), "--strategy", "feature", "--out", _shop["labels"]);
        Json("export", _shop["labels"], "--to", "web", "--out", _shop["labels-page"]);
        await using (var site = await Serve(_shop["labels-page"]))
        await using (var browser = await Chromium.Open(site.Address, 1280, 900))
        {
            var found = await Answers(browser, pictures);
            foreach (var (answer, expected) in found.Zip(Json(["predict", _shop["labels"], .. pictures]).GetProperty("predictions").EnumerateArray()))
            {
                var all = expected.GetProperty("all").EnumerateArray().ToArray();
                Assert.Equal(all.Select(label => label.GetProperty("label").GetString()), answer["names"]!.AsArray().Select(name => (string?)name));
                Assert.Equal(expected.GetProperty("labels").EnumerateArray().Select(label => label.GetProperty("label").GetString()), answer["said"]!.AsArray().Select(name => (string?)name));
                Assert.All(all.Zip(answer["values"]!.AsArray()), pair => Assert.Equal(pair.First.GetProperty("probability").GetDouble(), Number(pair.Second!), 1e-3));
            }
            Assert.Equal("none of the labels", (string)found[2]["told"]!);
        }

        Json("train", Table("numbers.csv", "teeth,size", (k, i) => string.Create(CultureInfo.InvariantCulture, $"{1000 * k + i},{0.5 + 0.01 * k}")), "--strategy", "feature", "--out", _shop["numbers"]);
        Json("export", _shop["numbers"], "--to", "web", "--out", _shop["numbers-page"]);
        await using (var site = await Serve(_shop["numbers-page"]))
        await using (var browser = await Chromium.Open(site.Address, 1280, 900))
        {
            foreach (var (answer, expected) in (await Answers(browser, pictures)).Zip(Json(["predict", _shop["numbers"], .. pictures]).GetProperty("predictions").EnumerateArray()))
            {
                foreach (var ((number, name), value) in expected.GetProperty("numbers").EnumerateArray().Zip(answer["names"]!.AsArray()).Zip(answer["values"]!.AsArray()))
                {
                    Assert.Equal(number.GetProperty("name").GetString(), (string?)name);
                    Assert.Equal(1, Number(value!) / number.GetProperty("value").GetDouble(), 1e-3);
                    var low = double.Parse(number.GetProperty("low").GetDouble().ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
                    Assert.Contains($"({low.ToString(CultureInfo.InvariantCulture)} to ", (string)answer["told"]!, StringComparison.Ordinal);
                }
            }
        }
    }

    [SkippableFact]
    public async Task The_page_fits_a_telephone_says_what_is_no_picture_and_takes_the_camera()
    {
        await NeedRuntime();
        ShapeWorld.Write(_shop["data"], ["star4", "gear"], 12, 1);
        Json("train", _shop["data"], "--strategy", "feature", "--out", _shop["run"]);
        Json("export", _shop["run"], "--to", "web", "--out", _shop["page"]);
        var good = Directory.GetFiles(_shop["data", "gear"]).Order(StringComparer.Ordinal).First();
        File.WriteAllText(_shop["a-name-that-is-very-long-and-has-no-place-to-break-anywhere.jpg"], "no picture");
        File.WriteAllText(_shop["empty.png"], "");
        await using var site = await Serve(_shop["page"]);
        await using var browser = await Chromium.Open(site.Address, 360, 740);
        var found = await Answers(browser, good, _shop["a-name-that-is-very-long-and-has-no-place-to-break-anywhere.jpg"], _shop["empty.png"]);
        Assert.StartsWith("gear", (string)found[0]["told"]!, StringComparison.Ordinal);
        Assert.StartsWith("This browser cannot read it as a picture", (string)found[1]["wrong"]!, StringComparison.Ordinal);
        Assert.Equal("The file is empty.", (string)found[2]["wrong"]!);
        Assert.True((int)(await browser.Value("document.documentElement.scrollWidth"))! <= 360);
        await browser.Value("document.getElementById('camera').click()");
        await browser.Until("document.getElementById('video').videoWidth > 0");
        await browser.Value("document.getElementById('shoot').click()");
        await browser.Until("document.querySelector('#answers li canvas') && document.querySelector('#answers li .time')");
        await browser.Value("document.getElementById('stop').click()");
        await browser.Value("document.getElementById('clear').click()");
        Assert.Equal(0, (int)(await browser.Value("document.querySelectorAll('#answers > li').length"))!);
        // What is dropped is taken as what is chosen.
        await browser.Value("""
            (async () => {
              const canvas = new OffscreenCanvas(40, 30);
              canvas.getContext("2d").fillRect(0, 0, 20, 20);
              const data = new DataTransfer();
              data.items.add(new File([await canvas.convertToBlob()], "dropped.png", { type: "image/png" }));
              dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
            })()
            """);
        await browser.Until("document.querySelector('#answers li .time')");
        Assert.Equal("dropped.png", (string)(await browser.Value("document.querySelector('#answers h2').textContent"))!);
        Assert.Empty(browser.Complaints);
    }

    [SkippableFact]
    public async Task A_page_in_eight_bits_answers_as_its_file_does()
    {
        await NeedRuntime();
        ShapeWorld.Write(_shop["data", "train"], ["star4", "gear"], 12, 1);
        ShapeWorld.Write(_shop["data", "val"], ["star4", "gear"], 4, 2);
        Json("train", _shop["data"], "--strategy", "feature", "--out", _shop["run"]);
        var written = Json("export", _shop["run"], "--to", "web", "--int8", "--calibrate", _shop["data"], "--out", _shop["page"]);
        Assert.True(written.GetProperty("int8").GetProperty("layers").GetInt32() > 0);
        string[] pictures = [.. Directory.GetFiles(_shop["data", "val"], "*.jpg", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select((file, k) => Png(file, _shop[$"{k}.png"]))];
        await using var site = await Serve(_shop["page"]);
        await using var browser = await Chromium.Open(site.Address, 1280, 900);
        var found = await Answers(browser, pictures);
        var expected = Json(["predict", _shop["page", "model.onnx"], .. pictures]).GetProperty("predictions").EnumerateArray();
        // Kernels of eight bits round sums in their own order: a step of the scale is some hundredths of a probability at most.
        Assert.All(found.Zip(expected, Difference), difference => Assert.InRange(difference, 0, 0.05));
        Assert.Empty(browser.Complaints);
    }

    [Fact]
    public void Without_a_network_the_remedy_is_named_and_wrong_options_are_refused()
    {
        ShapeWorld.Write(_shop["data"], ["star4", "gear"], 4, 1);
        Json("train", _shop["data"], "--strategy", "feature", "--out", _shop["run"]);
        var (status, _, errors) = Graft("export", _shop["run"], "--to", "web", "--out", _shop["page"]);
        Assert.Equal(1, status);
        Assert.Contains("onnxruntime-web-1.30.0.tgz is not in the cache, and GRAFT_OFFLINE forbids the network: fetch https://", errors, StringComparison.Ordinal);
        Assert.Contains("give the file with --runtime", errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_shop["page"]));
        File.WriteAllText(_shop["r.tgz"], "text");
        Assert.Contains("is no package of npm's", Graft("export", _shop["run"], "--to", "web", "--runtime", _shop["r.tgz"], "--out", _shop["page"]).Errors, StringComparison.Ordinal);
        foreach (var (more, said) in new[]
        {
            (new[] { "--to", "web", "--softmax", "--out", _shop["page"] }, "the page of --to web does both itself"),
            (["--to", "onnx", "--runtime", "r.tgz", "--out", _shop["m.onnx"]], "--runtime is for --to web"),
            (["--to", "web", "--out", _shop["run"], "--overwrite"], "is the folder of a run"),
        })
        {
            var refused = Graft(["export", _shop["run"], .. more]);
            Assert.Equal(2, refused.Status);
            Assert.Contains(said, refused.Errors, StringComparison.Ordinal);
        }
    }

    /// <summary>Gives files to the page; what it says of each, in their order.</summary>
    private static async Task<JsonNode[]> Answers(Chromium browser, params string[] files)
    {
        await browser.Until(Ready);
        await browser.Choose("#files", files);
        await browser.Until($"document.querySelectorAll('#answers > li').length === {files.Length} && {Ready}");
        var found = await browser.Value("""
            [...document.querySelectorAll("#answers > li")].map(item => ({
              name: item.querySelector("h2").textContent, told: item.querySelector(".told")?.textContent, wrong: item.querySelector(".wrong")?.textContent,
              time: item.querySelector(".time")?.textContent,
              names: [...item.querySelectorAll(".bars .name")].map(name => name.textContent),
              said: [...item.querySelectorAll(".bars .is .name")].map(name => name.textContent),
              values: [...item.querySelectorAll(".bars data")].map(data => data.value),
            }))
            """);
        var answers = found!.AsArray().Select(answer => answer!).ToArray();
        Assert.Equal(files.Select(Path.GetFileName), answers.Select(answer => (string?)answer["name"]));
        return answers;
    }

    private sealed class Site(WebApplication application) : IAsyncDisposable
    {
        public string Address { get; } = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First() + "/";

        public ValueTask DisposeAsync() => application.DisposeAsync();
    }

    /// <summary>A static server of the plainest kind: it knows text, scripts and pictures, and calls all else bytes.</summary>
    private static async Task<Site> Serve(string folder)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var application = builder.Build();
        application.Urls.Add("http://127.0.0.1:0");
        var files = new PhysicalFileProvider(folder);
        application.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files });
        application.UseStaticFiles(new StaticFileOptions
        {
            FileProvider = files, ServeUnknownFileTypes = true, DefaultContentType = "application/octet-stream",
            ContentTypeProvider = new FileExtensionContentTypeProvider(new Dictionary<string, string>
            {
                [".html"] = "text/html", [".css"] = "text/css", [".js"] = "text/javascript", [".svg"] = "image/svg+xml", [".txt"] = "text/plain",
            }),
        });
        await application.StartAsync();
        return new Site(application);
    }

    /// <summary>The same pixels in a file that every reader reads alike.</summary>
    private static string Png(string file, string path)
    {
        using var picture = Picture.Decode(File.ReadAllBytes(file));
        using var rows = new MemoryStream();
        using (var packed = new ZLibStream(rows, CompressionLevel.Fastest, leaveOpen: true))
        {
            for (var y = 0; y < picture.Height; y++)
            {
                packed.WriteByte(0);
                packed.Write(picture.Pixels.Slice(3 * picture.Width * y, 3 * picture.Width));
            }
        }
        using var stream = File.Create(path);
        stream.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        var header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, picture.Width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), picture.Height);
        // Eight bits, red, green and blue.
        (header[8], header[9]) = (8, 2);
        foreach (var (kind, data) in new[] { ("IHDR"u8.ToArray(), header), ("IDAT"u8.ToArray(), rows.ToArray()), ("IEND"u8.ToArray(), []) })
        {
            var number = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
            stream.Write(number);
            byte[] body = [.. kind, .. data];
            stream.Write(body);
            BinaryPrimitives.WriteUInt32BigEndian(number, Checksum(body));
            stream.Write(number);
        }
        return path;
    }

    // CRC-32, as PNG's specification has it.
    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var k = 0; k < 8; k++) crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
        }
        return ~crc;
    }
}
