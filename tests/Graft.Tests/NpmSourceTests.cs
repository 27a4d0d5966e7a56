using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Graft.Models.Hub;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Packages from the registry that npm is set to, and from files.</summary>
public sealed class NpmSourceTests : IDisposable
{
    private readonly Workshop _shop = new();

    // Two packages of one test must not meet in the cache.
    private readonly string _version = $"1.0.0-{Guid.NewGuid():N}";

    public void Dispose()
    {
        var package = Package("x");
        if (Directory.Exists(package.Place)) Directory.Delete(package.Place, true);
        _shop.Dispose();
    }

    private static string Digest(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));

    private NpmPackage Package(string text, byte[]? archive = null) => new("graft-test", _version, archive is null ? "" : Digest(archive),
        [new("a.js", "package/dist/a.mjs", Digest(Encoding.UTF8.GetBytes(text)))]);

    private static byte[] Archive(string text, string path = "package/dist/a.mjs")
    {
        using var memory = new MemoryStream();
        using (var zipped = new GZipStream(memory, CompressionLevel.Fastest))
        using (var tar = new TarWriter(zipped))
        {
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, "package/other.txt") { DataStream = new MemoryStream("other"u8.ToArray()) });
            tar.WriteEntry(new UstarTarEntry(TarEntryType.RegularFile, path) { DataStream = new MemoryStream(Encoding.UTF8.GetBytes(text)) });
        }
        return memory.ToArray();
    }

    private string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(_shop[name], bytes);
        return _shop[name];
    }

    private NpmConfiguration Set(string project = "", string user = "", params (string Name, string Value)[] variables)
    {
        foreach (var (folder, text) in new[] { ("project", project), ("home", user) }) File.WriteAllText(Path.Combine(Directory.CreateDirectory(_shop[folder]).FullName, ".npmrc"), text);
        return new(_shop["project"], _shop["home"], name => name.EndsWith("globalconfig", StringComparison.OrdinalIgnoreCase) ? _shop["none"]
            : variables.FirstOrDefault(pair => pair.Name == name).Value);
    }

    [Fact]
    public void The_registry_is_the_one_that_npm_asks()
    {
        Assert.Equal("https://registry.npmjs.org/", $"{Set().Registry}");
        Assert.Equal("https://npm.company.example/all/", $"{Set(user: "; ours\nregistry = https://npm.company.example/all\n").Registry}");
        Assert.Equal("https://one.example/", $"{Set("registry=\"https://one.example/\"", "registry=https://two.example/").Registry}");
        Assert.Equal("https://three.example/", $"{Set("registry=https://one.example/", "", ("npm_config_registry", "https://three.example")).Registry}");
        Assert.Equal("https://four.example/", $"{Set("", "registry=https://${PLACE}.example/", ("PLACE", "four")).Registry}");
        Assert.Contains("'nowhere'", Assert.Throws<GraftException>(() => Set("registry=nowhere").Registry).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_is_that_of_the_registry_and_of_no_other()
    {
        Assert.Null(Set("", "registry=https://a.example/npm/\n//b.example/:_authToken=secret").Token);
        Assert.Equal("secret", Set("", "registry=https://a.example/npm/\n//a.example/npm/:_authToken=secret").Token);
        Assert.Equal("above", Set("", "registry=https://a.example/npm/all\n//a.example/npm/:_authToken=${T}", ("T", "above")).Token);
    }

    [Fact]
    public void A_file_is_taken_out_of_an_archive()
    {
        var place = NpmSource.Take(Package("hello"), Write("p.tgz", Archive("hello")));
        Assert.Equal("hello", File.ReadAllText(Path.Combine(place, "a.js")));
        Assert.True(Package("hello").IsHere);
    }

    [Fact]
    public void An_archive_that_is_another_is_refused_and_leaves_nothing()
    {
        string Refusal(string file) => Assert.Throws<GraftException>(() => NpmSource.Take(Package("hello"), file)).Message;
        Assert.Contains($"is not that of graft-test {_version}", Refusal(Write("p.tgz", Archive("hullo"))), StringComparison.Ordinal);
        Assert.Contains("has no package/dist/a.mjs", Refusal(Write("q.tgz", Archive("hello", "package/a.mjs"))), StringComparison.Ordinal);
        Assert.Contains("no package of npm's", Refusal(Write("r.tgz", "text"u8.ToArray())), StringComparison.Ordinal);
        Assert.Contains("cut off", Refusal(Write("s.tgz", Archive("hello")[..60])), StringComparison.Ordinal);
        Assert.Contains("no such file", Refusal(_shop["none.tgz"]), StringComparison.Ordinal);
        Assert.False(Package("hello").IsHere);
    }

    [Fact]
    public async Task It_is_fetched_from_the_registry_with_its_token_once()
    {
        var archive = Archive("hello");
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var asked = new List<string>();
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            var stream = client.GetStream();
            using var reader = new StreamReader(stream);
            while (await reader.ReadLineAsync() is { Length: > 0 } line) asked.Add(line);
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {archive.Length}\r\nConnection: close\r\n\r\n"));
            await stream.WriteAsync(archive);
        });
        var registry = $"127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/npm/";
        var source = new NpmSource(Set("", $"registry=http://{registry}\n//{registry}:_authToken=secret")) { Option = "--runtime" };
        var package = Package("hello", archive);
        var place = await source.Pull(package, default);
        await serving;
        listener.Stop();
        Assert.Equal("hello", File.ReadAllText(Path.Combine(place, "a.js")));
        Assert.StartsWith($"GET /npm/graft-test/-/graft-test-{_version}.tgz ", asked[0], StringComparison.Ordinal);
        Assert.Contains("Authorization: Bearer secret", asked);
        Assert.False(File.Exists(place + ".tgz"));
        // The server is gone; what was fetched is not asked for again.
        Assert.Equal(place, await source.Pull(package, default));
    }
}
