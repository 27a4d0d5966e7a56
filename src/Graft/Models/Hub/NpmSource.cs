using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;

namespace Graft.Models.Hub;

/// <summary>A file that a package of npm's holds.</summary>
/// <param name="Name">What it is called once taken out.</param>
/// <param name="Path">Within the package.</param>
/// <param name="Sha256">Of its bytes.</param>
internal sealed record NpmFile(string Name, string Path, string Sha256);

/// <summary>A release of a package of npm's, and what of it is wanted.</summary>
/// <param name="Name">The package's.</param>
/// <param name="Version">The release that the digests are of.</param>
/// <param name="Sha256">Of the archive that the registry gives.</param>
/// <param name="Files">What is taken out.</param>
internal sealed record NpmPackage(string Name, string Version, string Sha256, IReadOnlyList<NpmFile> Files)
{
    /// <summary>ONNX Runtime for browsers: the script with its loader inside, and WebAssembly for processors. MIT.</summary>
    public static NpmPackage OnnxRuntimeWeb { get; } = new("onnxruntime-web", "1.30.0",
        "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
        [
            new("onnxruntime.js", "package/dist/ort.wasm.bundle.min.mjs", "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90"),
            new("onnxruntime.wasm", "package/dist/ort-wasm-simd-threaded.wasm", "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
        ]);

    /// <summary>As the registry calls its archive.</summary>
    public string FileName => $"{Name}-{Version}.tgz";

    /// <summary>The folder that its files are taken to.</summary>
    public string Place => System.IO.Path.Combine(CacheFolder.Path, "npm", $"{Name}-{Version}");

    /// <summary>Whether they are there.</summary>
    public bool IsHere => Files.All(file => File.Exists(System.IO.Path.Combine(Place, file.Name)));
}

/// <summary>Files out of packages on the registry that the user's npm is set to, checked and kept; npm itself is not needed, and nothing of a package
/// is executed.</summary>
internal sealed class NpmSource(NpmConfiguration configuration)
{
    /// <summary>Told often.</summary>
    public Action<DownloadProgress>? Progress { get; init; }

    /// <summary>What takes an archive that was fetched elsewhere.</summary>
    public string Option { get; init; } = "";

    /// <summary>The folder of a package's files; they are fetched if need be.</summary>
    /// <exception cref="GraftException">They cannot be fetched, or are others.</exception>
    public async Task<string> Pull(NpmPackage package, CancellationToken cancel)
    {
        if (package.IsHere) return package.Place;
        using var downloader = new Downloader(configuration.Token)
        {
            Progress = Progress, Option = Option, Access = "npm login, or a token in ~/.npmrc, may help",
        };
        var archive = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(package.Place)!, package.FileName);
        await downloader.Fetch(new Uri(configuration.Registry, $"{package.Name}/-/{package.FileName}"), archive, package.Sha256, cancel)
            .ConfigureAwait(false);
        var place = Take(package, archive);
        File.Delete(archive);
        return place;
    }

    /// <summary>Takes the files out of an archive that is here; all of them, or none.</summary>
    /// <exception cref="GraftException">It is none, or another.</exception>
    public static string Take(NpmPackage package, string archive)
    {
        if (!File.Exists(archive)) throw new GraftException($"{archive}: there is no such file");
        var taken = new Dictionary<string, byte[]>();
        try
        {
            using var packed = File.OpenRead(archive);
            using var unpacked = new GZipStream(packed, CompressionMode.Decompress);
            using var tar = new TarReader(unpacked);
            while (tar.GetNextEntry() is { } entry)
            {
                if (package.Files.FirstOrDefault(file => file.Path == entry.Name) is not { } wanted || entry.DataStream is not { } data) continue;
                var bytes = new byte[entry.Length];
                data.ReadExactly(bytes);
                if (!Convert.ToHexStringLower(SHA256.HashData(bytes)).Equals(wanted.Sha256, StringComparison.Ordinal))
                    throw new GraftException($"{archive}: its {wanted.Path} is not that of {package.Name} {package.Version}, which is the release that is known: take {package.FileName}");
                taken[wanted.Name] = bytes;
            }
        }
        catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException or IOException)
        {
            throw new GraftException($"{archive} is no package of npm's, or is cut off ({reason.Message.TrimEnd('.')}): take {package.FileName}", reason);
        }
        if (package.Files.FirstOrDefault(file => !taken.ContainsKey(file.Name)) is { } lacking)
            throw new GraftException($"{archive} has no {lacking.Path}: take {package.FileName}");
        foreach (var (name, bytes) in taken) AtomicFile.Write(System.IO.Path.Combine(package.Place, name), stream => stream.Write(bytes));
        return package.Place;
    }
}
