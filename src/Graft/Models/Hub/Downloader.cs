using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace Graft.Models.Hub;

/// <summary>How a download goes on: bytes so far, of so many (0: not told).</summary>
public sealed record DownloadProgress(string Name, long Done, long Total);

/// <summary>
/// Fetches a file once: resumed where it stopped, checked against its digest, and in its place only when whole. Processes that want the same
/// file wait for one another. Proxies are taken from HTTPS_PROXY and its like.
/// </summary>
public sealed class Downloader : IDisposable
{
    private const int Attempts = 5, BufferSize = 1 << 17;

    private readonly HttpClient _http;

    /// <summary>Nothing that comes for so long is a failure, after which it goes on where it stopped.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What <see cref="Patience"/> is measured by.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Waited before the second attempt; twice as long before each further one.</summary>
    public TimeSpan Pause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Told often.</summary>
    public Action<DownloadProgress>? Progress { get; init; }

    /// <summary>What takes a file that was fetched elsewhere.</summary>
    internal string Option { get; init; } = "--weights";

    /// <summary>What to do where reading is not allowed.</summary>
    internal string Access { get; init; } = "set HF_TOKEN to a token that may, and accept its terms in a browser if it has any";

    /// <summary>With a bearer token, or without.</summary>
    public Downloader(string? token = null)
    {
        _http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(20) }) { Timeout = Timeout.InfiniteTimeSpan };
        _http.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("graft", "0.1"));
        if (token is { Length: > 0 }) _token = token;
    }

    private readonly string? _token;

    /// <summary>Whether GRAFT_OFFLINE or HF_HUB_OFFLINE forbids the network.</summary>
    public static bool Offline => new[] { "GRAFT_OFFLINE", "HF_HUB_OFFLINE" }.Any(name => Environment.GetEnvironmentVariable(name) is "1" or "true");

    /// <summary>Fetches an address into a file.</summary>
    /// <param name="address">http or https.</param>
    /// <param name="path">Where it is to lie; already there: nothing is done.</param>
    /// <param name="sha256">The digest in hexadecimal, or as many of its first digits as are known; empty: none is.</param>
    /// <param name="cancel">Leaves what came so far, to go on with.</param>
    /// <exception cref="GraftException">The network, the server or the bytes: what, and what to do.</exception>
    internal async Task<string> Fetch(Uri address, string path, string sha256 = "", CancellationToken cancel = default)
    {
        if (File.Exists(path)) return path;
        if (Offline) throw new GraftException($"{Path.GetFileName(path)} is not in the cache, and GRAFT_OFFLINE forbids the network: fetch {address} elsewhere and give the file with {Option}");
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        await using var turn = await Lock(path + ".lock", cancel).ConfigureAwait(false);
        if (File.Exists(path)) return path;
        var partial = path + ".partial";
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                await Receive(address, partial, Path.GetFileName(path), cancel).ConfigureAwait(false);
                break;
            }
            catch (Exception reason) when ((reason is HttpRequestException or IOException or TimeoutException) && !IsFull(reason))
            {
                if (IsUnknown(reason)) throw new GraftException($"{address} could not be fetched: {reason.Message.TrimEnd('.')}. {Elsewhere}",
                    reason);
                if (attempt == Attempts) throw new GraftException($"{address} could not be fetched in {Attempts} attempts: {reason.Message.TrimEnd('.')}. What came is kept: the same command goes on from there", reason);
                await Task.Delay(Pause * (1 << (attempt - 1)), cancel).ConfigureAwait(false);
            }
        }
        var digest = await Digest(partial, cancel).ConfigureAwait(false);
        if (sha256.Length > 0 && !digest.StartsWith(sha256, StringComparison.OrdinalIgnoreCase))
        {
            File.Delete(partial);
            throw new GraftException($"{address} gave other bytes than were published (sha256 {digest}, not {sha256}…): they were thrown away. Try again; if it stays so, the file has changed or the connection is not to be trusted");
        }
        File.Move(partial, path, overwrite: true);
        return path;
    }

    /// <summary>A response's headers, redirects not followed beyond the first that tells what is asked for.</summary>
    internal async Task<HttpResponseMessage> Head(Uri address, CancellationToken cancel = default)
    {
        for (var attempt = 1; ; attempt++)
        {
            using var request = Request(HttpMethod.Head, address, address);
            try
            {
                return await Within(token => _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token), cancel).ConfigureAwait(false);
            }
            catch (Exception reason) when (reason is HttpRequestException or IOException or TimeoutException)
            {
                if (attempt == Attempts || IsUnknown(reason)) throw new GraftException($"{address.Host} could not be asked for {address.AbsolutePath[1..]}: {reason.Message.TrimEnd('.')}. {Elsewhere}", reason);
                await Task.Delay(Pause * (1 << (attempt - 1)), cancel).ConfigureAwait(false);
            }
        }
    }

    private string Elsewhere => $"Without a network: fetch the file elsewhere and give its path with {Option}";

    // A name that no server has will not have one in a moment either.
    private static bool IsUnknown(Exception reason) => reason is HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError };

    private static bool IsFull(Exception reason) => reason is IOException { HResult: 28 or unchecked((int)0x80070070) };

    private HttpRequestMessage Request(HttpMethod method, Uri address, Uri first)
    {
        var request = new HttpRequestMessage(method, address);
        // A token is for the host that was asked, not for where it sends one on.
        if (_token is not null && address.Host == first.Host) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _token);
        return request;
    }

    private async Task<HttpResponseMessage> Follow(Uri address, long from, CancellationToken cancel)
    {
        var at = address;
        for (var hop = 0; hop < 10; hop++)
        {
            using var request = Request(HttpMethod.Get, at, address);
            if (from > 0) request.Headers.Range = new RangeHeaderValue(from, null);
            var response = await Within(token => _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token), cancel)
                .ConfigureAwait(false);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location) return response;
            response.Dispose();
            var next = new Uri(at, location);
            if (at.Scheme == "https" && next.Scheme != "https") throw new GraftException($"{address} sends one on to {next}, which is not encrypted: refused");
            at = next;
        }
        throw new GraftException($"{address} sends one on in a circle");
    }

    private async Task Receive(Uri address, string partial, string name, CancellationToken cancel)
    {
        var from = File.Exists(partial) ? new FileInfo(partial).Length : 0;
        using var response = await Follow(address, from, cancel).ConfigureAwait(false);
        switch (response.StatusCode)
        {
            case HttpStatusCode.RequestedRangeNotSatisfiable when from > 0 && response.Content.Headers.ContentRange?.Length == from: return;
            case HttpStatusCode.RequestedRangeNotSatisfiable when from > 0: File.Delete(partial);
                throw new IOException("what had come is longer than the file: begun anew");
            case HttpStatusCode.NotFound: throw new GraftException($"{address} is not there (404): the name or the revision is wrong, or it was moved");
            case HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden: throw new GraftException($"{address} may not be read ({(int)response.StatusCode}): {Access}");
        }
        if (!response.IsSuccessStatusCode) throw new HttpRequestException($"the server answered {(int)response.StatusCode} {response.ReasonPhrase}");
        if (response.Content.Headers.ContentType?.MediaType == "text/html") throw new GraftException($"{address} gave a web page, not a file: open it in a browser to see why (a login, or a network that asks for one)");
        var resumed = response.StatusCode == HttpStatusCode.PartialContent && response.Content.Headers.ContentRange?.From == from;
        var length = response.Content.Headers.ContentLength;
        var total = length is { } known ? known + (resumed ? from : 0) : 0;
        var done = resumed ? from : 0;
        var file = new FileStream(partial, resumed ? FileMode.Append : FileMode.Create, FileAccess.Write, FileShare.None, 1);
        await using (file.ConfigureAwait(false))
        {
            var stream = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
            var buffer = new byte[BufferSize];
            while (true)
            {
                var count = await Within(token => stream.ReadAsync(buffer, token).AsTask(), cancel).ConfigureAwait(false);
                if (count == 0) break;
                await file.WriteAsync(buffer.AsMemory(0, count), cancel).ConfigureAwait(false);
                done += count;
                Progress?.Invoke(new DownloadProgress(name, done, total));
            }
            file.Flush(flushToDisk: true);
        }
        if (total > 0 && done < total) throw new IOException($"the connection ended after {done} of {total} bytes");
    }

    private async Task<T> Within<T>(Func<CancellationToken, Task<T>> work, CancellationToken cancel)
    {
        using var late = new CancellationTokenSource(Patience, Clock);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel, late.Token);
        try
        {
            return await work(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new TimeoutException($"nothing came for {Patience.TotalSeconds:0} s");
        }
    }

    private static async Task<string> Digest(string path, CancellationToken cancel)
    {
        var file = File.OpenRead(path);
        await using (file.ConfigureAwait(false)) return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel).ConfigureAwait(false));
    }

    private static async Task<FileStream> Lock(string path, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
            }
            catch (IOException) when (!cancel.IsCancellationRequested && Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
            {
                await Task.Delay(200, cancel).ConfigureAwait(false);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();
}
