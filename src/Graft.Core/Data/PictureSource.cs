using System.Buffers.Binary;
using System.IO.Compression;

namespace Graft.Data;

/// <summary>Where pictures come from: files, entries of a zip, an IDX array. Safe to read from several threads.</summary>
public abstract class PictureSource : ItemSource
{
    /// <summary>The picture from its stored bytes; with a preprocessing, at least what that looks at.</summary>
    /// <exception cref="PictureException">They are no picture.</exception>
    internal virtual Picture Decode(byte[] bytes, Preprocessing? preprocessing = null) => Picture.Decode(bytes, preprocessing);

    /// <summary>The picture.</summary>
    /// <exception cref="PictureException">It cannot be read or decoded: the message says why.</exception>
    internal Picture Decode(int index, Preprocessing? preprocessing = null)
    {
        try
        {
            return Decode(Read(index), preprocessing);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new PictureException($"cannot be read ({reason.Message})", reason);
        }
    }
}

/// <summary>Files below a folder.</summary>
internal sealed class FileSource(string root, string[] paths) : PictureSource
{
    public override string Name(int index) => Path.GetRelativePath(root, paths[index]);

    public override byte[] Read(int index) => File.ReadAllBytes(paths[index]);

    private protected override (long, long) State(int index)
    {
        var file = new FileInfo(paths[index]);
        return file.Exists ? (file.Length, file.LastWriteTimeUtc.Ticks) : (-1, 0);
    }
}

/// <summary>Entries of a zip by their places in it, read in place. The archive's reader is not safe for threads, so inflating takes turns.</summary>
internal sealed class ZipSource(string path, int[] places, string[] names) : PictureSource, IDisposable
{
    // A small entry that claims to be enormous is a bomb.
    private const long EntryLimit = 1L << 30;

    private readonly Lock _turn = new();
    private readonly ZipArchive _archive = ZipFile.OpenRead(path);

    public override string Name(int index) => names[index];

    public override byte[] Read(int index)
    {
        lock (_turn)
        {
            var entry = _archive.Entries[places[index]];
            if (entry.Length > EntryLimit) throw new PictureException($"the zip's entry says that it has {entry.Length} bytes, more than {EntryLimit}");
            var bytes = new byte[entry.Length];
            using var stream = entry.Open();
            stream.ReadExactly(bytes);
            return bytes;
        }
    }

    public void Dispose() => _archive.Dispose();
}

/// <summary>Pictures of an IDX file (LeCun's MNIST format): a big-endian header of sizes, then one byte a pixel.</summary>
internal sealed class IdxSource(string path, byte[] pixels, int width, int height) : PictureSource
{
    private int Size => width * height;

    public override string Name(int index) => $"{Path.GetFileName(path)}#{index}";

    public override byte[] Read(int index) => pixels.AsSpan(index * Size, Size).ToArray();

    internal override Picture Decode(byte[] bytes, Preprocessing? preprocessing = null) => Picture.FromGrey(bytes, width, height);

    /// <summary>Reads a file of pictures (three dimensions) or of labels (one), plain or gzipped.</summary>
    /// <exception cref="GraftException">Not IDX, or cut off.</exception>
    public static (int[] Sizes, byte[] Data) ReadFile(string path)
    {
        using var file = File.OpenRead(path);
        using var stream = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : (Stream)file;
        try
        {
            Span<byte> word = stackalloc byte[4];
            stream.ReadExactly(word);
            if (word is not [0, 0, 8, var dimensions] || dimensions is not (1 or 3)) throw new GraftException($"{path} is no IDX file of bytes (its first bytes are {Convert.ToHexString(word)})");
            var sizes = new int[dimensions];
            long count = 1;
            for (var k = 0; k < dimensions; k++)
            {
                stream.ReadExactly(word);
                sizes[k] = BinaryPrimitives.ReadInt32BigEndian(word);
                count *= sizes[k];
                if (sizes[k] <= 0 || count > int.MaxValue) throw new GraftException($"{path} says that it holds {string.Join("×", sizes[..(k + 1)])} bytes, which cannot be");
            }
            using var data = new MemoryStream();
            stream.CopyTo(data);
            return data.Length == count ? (sizes, data.ToArray()) : throw new GraftException($"{path} should hold {count} bytes of data and holds {data.Length}: it is cut off or damaged. Download it again");
        }
        catch (Exception reason) when (reason is EndOfStreamException or InvalidDataException)
        {
            throw new GraftException($"{path} is cut off or damaged ({reason.Message}). Download it again", reason);
        }
    }
}
