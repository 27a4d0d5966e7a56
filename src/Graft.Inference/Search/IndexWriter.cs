using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;

namespace Graft.Inference.Search;

/// <summary>Writes an index: vectors as they come, everything else at the end, in a folder beside, whose files then take their places.</summary>
internal sealed class IndexWriter : IDisposable
{
    private readonly string _path, _beside;
    private readonly FileStream _vectors;
    private readonly int _size;
    private readonly bool _half;
    private readonly List<IndexItem> _items = [];

    /// <param name="path">The index's folder, which must not be there, but for an index when <paramref name="overwrite"/> says so.</param>
    /// <param name="size">Numbers of a vector.</param>
    /// <param name="half">Whether they are kept as half numbers.</param>
    /// <param name="overwrite">Whether an index that is there may be replaced.</param>
    /// <exception cref="GraftException">Something is there already.</exception>
    public IndexWriter(string path, int size, bool half, bool overwrite)
    {
        Check(path, overwrite);
        (_path, _size, _half) = (Path.GetFullPath(path), size, half);
        _beside = $"{_path.TrimEnd(Path.DirectorySeparatorChar)}.{Environment.ProcessId}.{Guid.NewGuid():N}.partial";
        Directory.CreateDirectory(_beside);
        _vectors = new FileStream(Path.Combine(_beside, IndexFiles.Vectors), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
    }

    /// <summary>Refuses a folder that is there, unless it is an index that may be replaced.</summary>
    /// <exception cref="GraftException">It is there.</exception>
    public static void Check(string path, bool overwrite)
    {
        if (File.Exists(path)) throw Bounds.Refuse($"{path} is a file, and an index is a folder: name another");
        if (!Directory.Exists(path) || !Directory.EnumerateFileSystemEntries(path).Any()) return;
        if (!File.Exists(Path.Combine(path, IndexFiles.Card))) throw Bounds.Refuse($"{path} is there already and is no index: name another folder");
        if (!overwrite) throw Bounds.Refuse($"{path} is there already: name another folder, or replace it with --overwrite");
    }

    /// <summary>Items so far.</summary>
    public int Count => _items.Count;

    /// <summary>Adds an item; its vector is brought to length one.</summary>
    public void Add(IndexItem item, ReadOnlySpan<float> vector)
    {
        Span<float> unit = new float[_size];
        Normalise(vector, unit);
        if (_half)
        {
            Span<Half> halves = new Half[_size];
            TensorPrimitives.ConvertToHalf(unit, halves);
            _vectors.Write(MemoryMarshal.AsBytes(halves));
        }
        else _vectors.Write(MemoryMarshal.AsBytes(unit));
        _items.Add(item);
    }

    /// <summary>The same direction with the length one; nothing stays nothing.</summary>
    public static void Normalise(ReadOnlySpan<float> vector, Span<float> unit)
    {
        var length = TensorPrimitives.Norm(vector);
        if (length > 0 && float.IsFinite(length)) TensorPrimitives.Divide(vector, length, unit);
        else unit.Clear();
    }

    /// <summary>Writes the rest, and puts all of it in its place; what else lies there stays.</summary>
    /// <param name="encoder">The network's ONNX file.</param>
    /// <param name="text">Whether the items are sentences.</param>
    /// <param name="source">What the network is called.</param>
    /// <param name="architecture">The name of its shape.</param>
    /// <param name="run">Of <see cref="IndexEncoder.Run"/>.</param>
    /// <param name="data">What the items are of.</param>
    public void Finish(byte[] encoder, bool text, string source, string architecture, string? run, string data)
    {
        _vectors.Dispose();
        File.WriteAllBytes(Path.Combine(_beside, IndexFiles.Encoder), encoder);
        var items = Path.Combine(_beside, IndexFiles.Items);
        using (var stream = new FileStream(items, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16)) IndexItems.Write(stream, _items);
        var card = new IndexCard(IndexFiles.Format, text ? IndexFiles.Sentences : IndexFiles.Pictures, _items.Count, _size,
            _half ? IndexFiles.Half : IndexFiles.Single,
            new IndexEncoder(source, architecture, encoder.Length, Convert.ToHexStringLower(SHA256.HashData(encoder)), run),
                new FileInfo(items).Length)
        {
            Data = data,
        };
        File.WriteAllBytes(Path.Combine(_beside, IndexFiles.Card), JsonSerializer.SerializeToUtf8Bytes(card, IndexFiles.Json));
        Directory.CreateDirectory(_path);
        // Without its card the folder is no index until all is there.
        File.Delete(Path.Combine(_path, IndexFiles.Card));
        foreach (var name in new[] { IndexFiles.Vectors, IndexFiles.Items, IndexFiles.Encoder, IndexFiles.Card })
            File.Move(Path.Combine(_beside, name), Path.Combine(_path, name), overwrite: true);
    }

    /// <summary>Takes away what was not finished.</summary>
    public void Dispose()
    {
        _vectors.Dispose();
        if (Directory.Exists(_beside)) Directory.Delete(_beside, recursive: true);
    }
}
