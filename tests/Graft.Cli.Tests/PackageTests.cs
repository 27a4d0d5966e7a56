using System.Diagnostics;
using System.Text.Json;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>The packages as a stranger's project takes them, and pictures where Graft's own libraries are not.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly string s_cli = Path.Combine(AppContext.BaseDirectory, "graft-cli.dll");

    private readonly Workshop _shop = new();

    public PackageTests()
    {
        ShapeWorld.Write(_shop["data", "train"], ["star4", "gear"], 6, 1);
        ShapeWorld.Write(_shop["data", "val"], ["star4", "gear"], 6, 2);
        Run("dotnet", s_cli, "train", _shop["data"], "--strategy", "feature", "--out", _shop["run"], "--no-report", "--json");
    }

    public void Dispose() => _shop.Dispose();

    private string Run(string program, params string[] arguments) => Run(program, new Dictionary<string, string>(), arguments);

    private string Run(string program, Dictionary<string, string> environment, params string[] arguments)
    {
        environment["GRAFT_CACHE"] = _shop["cache"];
        var (status, output, errors) = Workshop.Run(program, arguments, null, environment);
        Assert.True(status == 0, $"{output}\n{errors}");
        return output;
    }

    private JsonElement Predict(string pictures, string road)
    {
        var (_, output, _) = Workshop.Run("dotnet", [s_cli, "predict", _shop["run"], pictures, "--json"], null,
            new Dictionary<string, string> { ["GRAFT_PICTURES"] = road });
        return JsonDocument.Parse(output).RootElement;
    }

    [SkippableFact]
    public void Pictures_of_every_kind_are_read_alike_by_both_roads()
    {
        Directory.CreateDirectory(_shop["pictures"]);
        Workshop.Python("""
            import sys, numpy as np
            from PIL import Image
            out, rng = sys.argv[1], np.random.default_rng(1)
            x = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((9, 9, 1))).astype('u1')
            im = Image.fromarray(x)
            for name, picture, options in [('a.png', im, {}), ('a.webp', im, {'lossless': True}), ('a.gif', im.convert('P'), {}), ('a.tif', im, {}), ('a.bmp', im, {}), ('a.jpg', im, {'quality': 95}),
                                           ('grey.png', im.convert('L'), {}), ('grey.jpg', im.convert('L'), {}), ('alpha.png', im.convert('RGBA'), {})]:
                picture.save(f'{out}/{name}', **options)
            Image.fromarray((x[..., 0].astype('u2') * 257)).save(f'{out}/deep.png')
            exif = Image.Exif(); exif[0x0112] = 6
            im.save(f'{out}/turned.jpg', exif=exif)
            whole = open(f'{out}/a.png', 'rb').read()
            open(f'{out}/cut.png', 'wb').write(whole[:len(whole) // 2])
            open(f'{out}/none.png', 'wb').write(b'no picture at all')
            open(f'{out}/empty.png', 'wb').write(b'')
            """, _shop["pictures"]);
        var (native, portable) = (Predict(_shop["pictures"], "native"), Predict(_shop["pictures"], "netvips"));
        static Dictionary<string, double> Said(JsonElement answer) =>
            answer.GetProperty("predictions").EnumerateArray()
                .ToDictionary(one => Path.GetFileName(one.GetProperty("file").GetString()!), one => one.GetProperty("probability").GetDouble());
        static string[] Failed(JsonElement answer) =>
            [.. answer.GetProperty("errors").EnumerateArray().Select(one => Path.GetFileName(one.GetProperty("file").GetString()!))
            .Order(StringComparer.Ordinal)];
        Assert.Equal(["cut.png", "empty.png", "none.png"], Failed(native));
        Assert.Equal(Failed(native), Failed(portable));
        var (a, b) = (Said(native), Said(portable));
        Assert.Equal(11, a.Count);
        Assert.Equal(a.Keys.Order(), b.Keys.Order());
        Assert.All(a, one => Assert.Equal(one.Value, b[one.Key], 1e-2));
        Assert.Equal(a["a.png"], b["a.png"], 1e-6);
    }

    [Fact]
    public async Task The_samples_run_from_the_packages_alone()
    {
        Run(Path.Combine(Workshop.Repository, "scripts", "pack"), _shop["feed"]);
        var samples = _shop["samples"];
        foreach (var file in Directory.GetFiles(Path.Combine(Workshop.Repository, "samples"), "*", SearchOption.AllDirectories))
        {
            var relative = Path.GetRelativePath(Path.Combine(Workshop.Repository, "samples"), file);
            if (relative.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or "packages")) continue;
            var to = Path.Combine(samples, relative);
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.WriteAllText(to, File.ReadAllText(file).Replace("../artifacts/packages", _shop["feed"], StringComparison.Ordinal));
        }
        foreach (var name in new[] { "ClassifyApi", "FiveLines", "OneEach" }) Run("dotnet", "build",
            Path.Combine(samples, name), "-c", "Release", "-v", "quiet", "-nologo");
        string Built(string name) => Path.Combine(samples, name, "bin", "Release", "net10.0", $"{name}.dll");

        var picture = _shop["data", "val", "gear", "0000.jpg"];
        Assert.Contains("gear", Run("dotnet", Built("FiveLines"), _shop["data"], picture), StringComparison.Ordinal);
        Assert.Contains("gear", Run("dotnet", Built("OneEach"), _shop["data", "train"], picture).Split(": ")[^1], StringComparison.Ordinal);

        // What answers needs nothing of libtorch's, and nothing that was compiled here.
        var beside = Directory.GetFiles(Path.GetDirectoryName(Built("ClassifyApi"))!, "*", SearchOption.AllDirectories).Select(Path.GetFileName)
            .ToArray();
        Assert.DoesNotContain(beside, file => file!.Contains("torch", StringComparison.OrdinalIgnoreCase)
            || file.StartsWith("libgraft", StringComparison.Ordinal));
        var expected = Predict(picture, "netvips").GetProperty("predictions")[0];
        var start = new ProcessStartInfo("dotnet",
            [Built("ClassifyApi"), _shop["run"], "--urls", "http://127.0.0.1:0"]) { RedirectStandardOutput = true };
        using var server = Process.Start(start)!;
        try
        {
            string? line;
            while ((line = server.StandardOutput.ReadLine()) is not null && !line.Contains("Now listening on: ", StringComparison.Ordinal)) { }
            Assert.NotNull(line);
            using var client = new HttpClient { BaseAddress = new Uri(line.Split("Now listening on: ")[1]) };
            using var answer = await client.PostAsync("/classify", new ByteArrayContent(File.ReadAllBytes(picture)));
            using var said = JsonDocument.Parse(await answer.Content.ReadAsStringAsync());
            Assert.Equal(expected.GetProperty("label").GetString(), said.RootElement.GetProperty("label").GetString());
            Assert.Equal(expected.GetProperty("probability").GetDouble(), said.RootElement.GetProperty("probability").GetDouble());
        }
        finally
        {
            server.Kill(entireProcessTree: true);
        }

        Run("dotnet", "tool", "install", "--tool-path", _shop["tool"], "Graft.Cli", "--add-source", _shop["feed"]);
        Assert.Contains("graft quickstart", Run(Path.Combine(_shop["tool"], "graft"), "--help"), StringComparison.Ordinal);
        using var answered = JsonDocument.Parse(Run(Path.Combine(_shop["tool"], "graft"), "predict", _shop["run"], picture, "--json"));
        Assert.Equal(expected.GetProperty("label").GetString(), answered.RootElement.GetProperty("predictions")[0].GetProperty("label").GetString());
    }
}
