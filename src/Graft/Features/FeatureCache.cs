using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Graft.Torch;

namespace Graft.Features;

/// <summary>What the cache holds.</summary>
public sealed record CacheSummary(string Path, long Bytes, long LimitBytes, int Functions, long Rows);

/// <summary>
/// Outputs of frozen stages on disk. A shelf is keyed by everything that the output depends on but the picture (weights,
/// preprocessing, stages, libtorch); a row by the sha256 of the picture's bytes. Segments are written whole, renamed into
/// place and never changed, so any number of processes may share the folder, and none can see half a write.
/// </summary>
public sealed class FeatureCache(string root, long limitBytes = FeatureCache.DefaultLimit)
{
    /// <summary>4 GiB.</summary>
    public const long DefaultLimit = 4L << 30;

    private static ReadOnlySpan<byte> Magic => "GRAFTSG1"u8;
    private const int HashBytes = 32, HeaderBytes = 64;

    /// <summary>The folder.</summary>
    public string Root { get; } = root;

    /// <summary>In <c>GRAFT_CACHE</c>, or the user's cache folder.</summary>
    public static FeatureCache Default()
    {
        var limit = long.TryParse(Environment.GetEnvironmentVariable("GRAFT_CACHE_LIMIT_MB"), out var megabytes) ? megabytes << 20 : DefaultLimit;
        return new FeatureCache(Path.Combine(CacheFolder.Path, "features"), limit);
    }

    /// <summary>The rows of one function of pictures.</summary>
    /// <param name="function">Everything that the output depends on, as text.</param>
    /// <param name="rowLength">Floats of a row.</param>
    internal Shelf Open(string function, int rowLength) =>
        new(this, Path.Combine(Root, Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(function)))[..32]), rowLength);

    private IEnumerable<FileInfo> Files(string pattern) => Directory.Exists(Root) ? new DirectoryInfo(Root)
        .EnumerateFiles(pattern, SearchOption.AllDirectories) : [];

    private IEnumerable<FileInfo> Segments() => Files("*.seg");

    private IEnumerable<FileInfo> Graphs() => Files("*.onnx");

    /// <summary>Sizes and counts.</summary>
    public CacheSummary Summary()
    {
        var segments = Segments().ToArray();
        return new CacheSummary(Root, segments.Concat(Graphs()).Sum(file => file.Length), limitBytes, segments.Select(file => file.DirectoryName)
            .Distinct().Count(), segments.Sum(Rows));
    }

    private static long Rows(FileInfo file)
    {
        using var stream = file.OpenRead();
        Span<byte> header = stackalloc byte[HeaderBytes];
        return stream.ReadAtLeast(header, HeaderBytes, false) == HeaderBytes ? BinaryPrimitives.ReadInt64LittleEndian(header[16..]) : 0;
    }

    /// <summary>Removes everything. Processes that are reading keep what they have mapped.</summary>
    public void Clear()
    {
        if (Directory.Exists(Root)) Directory.Delete(Root, recursive: true);
    }

    /// <summary>Removes the least recently used files until one more fits; false: it is larger than the cache may be.</summary>
    internal bool MakeRoom(long bytes)
    {
        if (bytes > limitBytes) return false;
        var files = Segments().Concat(Graphs()).OrderBy(file => file.LastWriteTimeUtc).ToList();
        var used = files.Sum(file => file.Length);
        foreach (var file in files)
        {
            if (used + bytes <= limitBytes) break;
            used -= file.Length;
            file.Delete();
        }
        return true;
    }

    /// <summary>Rows of one function.</summary>
    internal sealed class Shelf : IDisposable
    {
        private readonly FeatureCache _cache;
        private readonly string _folder;
        private readonly int _rowLength;
        private readonly Dictionary<Int128, (MappedFile File, long Offset)> _rows = [];
        private readonly List<MappedFile> _files = [];

        internal Shelf(FeatureCache cache, string folder, int rowLength)
        {
            (_cache, _folder, _rowLength) = (cache, folder, rowLength);
            if (!Directory.Exists(folder)) return;
            foreach (var path in Directory.EnumerateFiles(folder, "*.seg")) Index(path);
        }

        // 128 of the 256 bits: no two pictures will share them.
        private static Int128 Key(ReadOnlySpan<byte> hash) => BinaryPrimitives.ReadInt128LittleEndian(hash);

        private void Index(string path)
        {
            MappedFile file;
            try
            {
                file = new MappedFile(path);
            }
            catch (IOException)
            {
                return; // another process made room; its rows are computed again
            }
            _files.Add(file);
            if (file.Length < HeaderBytes) return;
            var header = file.Bytes(0, HeaderBytes);
            var (length, rows) = (BinaryPrimitives.ReadInt64LittleEndian(header[8..]), BinaryPrimitives.ReadInt64LittleEndian(header[16..]));
            if (!header[..8].SequenceEqual(Magic) || length != _rowLength || rows < 0 || file.Length != HeaderBytes
                + rows * (HashBytes + 4L * length)) return;
            for (long k = 0; k < rows; k++) _rows[Key(file.Bytes(HeaderBytes + k * HashBytes, HashBytes))] =
                (file, HeaderBytes + rows * HashBytes + k * 4 * length);
            try
            {
                File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
            }
            catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
            {
                return; // a cache that may only be read serves as well
            }
        }

        /// <summary>Copies a row out.</summary>
        public bool TryRead(ReadOnlySpan<byte> hash, Span<float> row)
        {
            if (!_rows.TryGetValue(Key(hash), out var found)) return false;
            MemoryMarshal.Cast<byte, float>(found.File.Bytes(found.Offset, 4 * _rowLength)).CopyTo(row);
            return true;
        }

        /// <summary>Writes a segment.</summary>
        /// <param name="hashes">32 bytes for each row.</param>
        /// <param name="rows">Row after row.</param>
        /// <returns>False where it is larger than the cache may be.</returns>
        /// <exception cref="IOException">The disk is full.</exception>
        public bool Append(IReadOnlyList<byte[]> hashes, ReadOnlyMemory<float> rows)
        {
            var bytes = HeaderBytes + hashes.Count * (HashBytes + 4L * _rowLength);
            if (hashes.Count == 0 || !_cache.MakeRoom(bytes)) return false;
            AtomicFile.Write(Path.Combine(_folder, $"{Guid.NewGuid():N}.seg"), stream =>
            {
                Span<byte> header = stackalloc byte[HeaderBytes];
                header.Clear();
                Magic.CopyTo(header);
                BinaryPrimitives.WriteInt64LittleEndian(header[8..], _rowLength);
                BinaryPrimitives.WriteInt64LittleEndian(header[16..], hashes.Count);
                stream.Write(header);
                foreach (var hash in hashes) stream.Write(hash);
                stream.Write(MemoryMarshal.AsBytes(rows.Span));
            });
            return true;
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            foreach (var file in _files) file.Dispose();
        }
    }
}
