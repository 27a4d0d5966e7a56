using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>
/// A reader of HDF5 as Keras writes it (The HDF Group, "HDF5 File Format Specification", version 3.0): superblocks 0 to 3, both kinds of
/// object headers, groups by symbol table or by links, contiguous, compact and chunked datasets (deflate, shuffle, Fletcher32), numbers and
/// strings. Every length and address is checked against the file before it is followed, so a damaged file gives an error and nothing else.
/// </summary>
internal sealed class Hdf5
{
    // Deeper nesting, or more objects, than any model has: a file that loops.
    private const int DepthLimit = 64, ObjectLimit = 200_000;

    private readonly byte[] _file;
    private readonly string _path;
    private readonly long _base;
    private readonly Node _root;
    private int _objects;
    private int _offsetSize, _lengthSize;

    /// <summary>A dataset: its place, sizes and type; the values are read when asked for.</summary>
    /// <param name="Shape">Sizes.</param>
    internal sealed record Dataset(long[] Shape, DataType Type, Layout Layout, IReadOnlyList<int> Filters);

    internal sealed record DataType(int Class, int Size, bool Signed, bool BigEndian, bool Variable);

    internal sealed record Layout(int Class, long Address, byte[] Inline, long[] Chunk);

    /// <summary>A group or a dataset, with its attributes.</summary>
    public sealed class Node
    {
        internal Dictionary<string, Lazy<Node>> Links { get; } = [];

        internal Dictionary<string, object> Values { get; } = [];

        internal Dataset? Data { get; set; }

        /// <summary>What stands below a name; null where there is nothing.</summary>
        public Node? Child(string name)
        {
            Node? at = this;
            foreach (var part in name.Split('/', StringSplitOptions.RemoveEmptyEntries)) at = at is not null
                && at.Links.TryGetValue(part, out var found) ? found.Value : null;
            return at;
        }

        /// <summary>An attribute that is text, or null.</summary>
        public string? Text(string name) =>
            Values.GetValueOrDefault(name) switch { string text => text, string[] { Length: 1 } list => list[0], _ => null };

        /// <summary>An attribute that is a list of texts, or null.</summary>
        public string[]? Texts(string name) => Values.GetValueOrDefault(name) switch { string[] list => list, string text => [text], _ => null };
    }

    private Hdf5(string path, byte[] file)
    {
        (_path, _file) = (path, file);
        long at = 0;
        ReadOnlySpan<byte> signature = [0x89, (byte)'H', (byte)'D', (byte)'F', 0x0d, 0x0a, 0x1a, 0x0a];
        // The superblock stands at 0, 512, 1024, …
        while (!Has(at, 8) || !file.AsSpan((int)at, 8).SequenceEqual(signature))
        {
            at = at == 0 ? 512 : 2 * at;
            if (at >= file.Length) throw Bad("it has no HDF5 signature");
        }
        var version = Byte(at + 8);
        long root;
        if (version is 0 or 1)
        {
            (_offsetSize, _lengthSize) = (Byte(at + 13), Byte(at + 14));
            CheckSizes();
            var start = at + (version == 0 ? 24 : 28);
            _base = Offset(start);
            root = Offset(start + 4 * _offsetSize + _offsetSize);
        }
        else if (version is 2 or 3)
        {
            (_offsetSize, _lengthSize) = (Byte(at + 9), Byte(at + 10));
            CheckSizes();
            _base = Offset(at + 12);
            root = Offset(at + 12 + 3 * _offsetSize);
        }
        else
        {
            throw Bad($"its superblock has version {version}");
        }
        _root = Object(root, 0);
    }

    private void CheckSizes()
    {
        if (_offsetSize is not (4 or 8) || _lengthSize is not (4 or 8)) throw Bad($"its offsets have {_offsetSize} bytes");
    }

    /// <summary>Reads a file's names and attributes.</summary>
    /// <exception cref="InvalidDataException">Not HDF5, damaged, or of a kind that Keras does not write: what, and where.</exception>
    public static Hdf5 Read(string path)
    {
        var length = new FileInfo(path).Length;
        if (length > int.MaxValue - 64) throw new InvalidDataException($"{path}: HDF5 files are read up to 2 GB");
        return Read(path, File.ReadAllBytes(path));
    }

    /// <summary>Reads a file's bytes.</summary>
    public static Hdf5 Read(string path, byte[] bytes)
    {
        try
        {
            return new Hdf5(path, bytes);
        }
        catch (Exception reason) when (reason is OverflowException or ArgumentException or IndexOutOfRangeException)
        {
            throw new InvalidDataException($"{path} is damaged: {reason.Message}", reason);
        }
    }

    /// <summary>The top group.</summary>
    public Node Root => _root;

    private InvalidDataException Bad(string what) => new($"{_path} cannot be read as HDF5: {what}");

    private bool Has(long at, long count) => at >= 0 && count >= 0 && at <= _file.Length - count;

    private ReadOnlySpan<byte> Bytes(long at, long count) => Has(at, count) ? _file.AsSpan((int)at, (int)count)
        : throw Bad($"{count} bytes at {at} lie beyond its end: it is cut off or damaged");

    private int Byte(long at) => Bytes(at, 1)[0];

    private int U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(at, 2));

    private uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(at, 4));

    private long Number(long at, int size)
    {
        var value = size switch { 1 => Byte(at), 2 => U16(at), 4 => U32(at), 8 => BinaryPrimitives.ReadInt64LittleEndian(Bytes(at, 8)),
            _ => throw Bad($"a number of {size} bytes") };
        return size == 4 && value == uint.MaxValue ? -1 : value;
    }

    private long Offset(long at) => Number(at, _offsetSize);

    private long Length(long at) => Number(at, _lengthSize) is var value and >= 0 ? value : throw Bad($"a length at {at} is negative");

    private bool Is(long at, string signature) => Has(at, 4) && Bytes(at, 4).SequenceEqual(Encoding.ASCII.GetBytes(signature));

    private string Name(long at)
    {
        var end = Array.IndexOf(_file, (byte)0, (int)Math.Min(_file.Length, Math.Max(0, at)));
        return end >= 0 && end - at < 4096 ? Encoding.UTF8.GetString(Bytes(at, end - at)) : throw Bad($"the name at {at} has no end");
    }

    private Node Object(long address, int depth)
    {
        if (depth > DepthLimit || ++_objects > ObjectLimit) throw Bad("its groups go round in a circle");
        var node = new Node();
        foreach (var (type, at, size) in Messages(_base + address)) Message(node, type, at, size, depth);
        if (node.Data is { Type: null } or { Layout: null }) node.Data = null;
        return node;
    }

    private List<(int Type, long At, int Size)> Messages(long at)
    {
        var found = new List<(int, long, int)>();
        var blocks = new Queue<(long At, long Size)>();
        var second = Is(at, "OHDR");
        var flags = 0;
        if (second)
        {
            flags = Byte(at + 5);
            var start = at + 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
            var width = 1 << (flags & 3);
            blocks.Enqueue((start + width, Number(start, width)));
        }
        else
        {
            if (Byte(at) != 1) throw Bad($"the object header at {at} has version {Byte(at)}");
            blocks.Enqueue((at + 16, U32(at + 8)));
        }
        var header = second ? (flags & 4) != 0 ? 6 : 4 : 8;
        for (var count = 0; blocks.TryDequeue(out var block); count++)
        {
            if (count > 1000) throw Bad("an object header continues without end");
            Bytes(block.At, block.Size);
            for (var p = block.At; p + header <= block.At + block.Size;)
            {
                var (type, size) = second ? (Byte(p), U16(p + 1)) : (U16(p), U16(p + 2));
                var body = p + header;
                if (body + size > block.At + block.Size) break;
                if (type == 0x10)
                {
                    var (to, length) = (_base + Offset(body), Length(body + _offsetSize));
                    blocks.Enqueue(second ? (to + 4, length - 8) : (to, length));
                }
                else if (type != 0)
                {
                    found.Add((type, body, size));
                }
                p = body + size;
            }
        }
        return found;
    }

    private void Message(Node node, int type, long at, int size, int depth)
    {
        switch (type)
        {
            case 0x01: node.Data = (node.Data ?? Empty) with { Shape = Shape(at) }; break;
            case 0x03: node.Data = (node.Data ?? Empty) with { Type = ReadType(at) }; break;
            case 0x06: Link(node, at, depth); break;
            case 0x02 when Byte(at) == 0 && (_ = Byte(at + 1)) >= 0
                && LinkHeap(at) != -1: throw Bad("it keeps a group's names in a fractal heap (libver='latest'): save it again with h5py's default");
            case 0x08: node.Data = (node.Data ?? Empty) with { Layout = ReadLayout(at) }; break;
            case 0x0b: node.Data = (node.Data ?? Empty) with { Filters = ReadFilters(at) }; break;
            case 0x0c: Attribute(node, at, size); break;
            case 0x15 when AttributeHeap(at) != -1: throw Bad("it keeps attributes in a fractal heap: save it again with h5py's default");
            case 0x11: SymbolTable(node, _base + Offset(at), _base + Offset(at + _offsetSize), depth); break;
        }
    }

    private static readonly Dataset Empty = new([], null!, null!, []);

    private long LinkHeap(long at) => Offset(at + 2 + ((Byte(at + 1) & 1) != 0 ? 8 : 0));

    private long AttributeHeap(long at) => Offset(at + 2 + ((Byte(at + 1) & 1) != 0 ? 2 : 0));

    private long[] Shape(long at)
    {
        var (version, rank) = (Byte(at), Byte(at + 1));
        if (version is not (1 or 2) || rank > 16) throw Bad($"a dataspace of version {version} with {rank} dimensions");
        var start = at + (version == 1 ? 8 : 4);
        return [.. Enumerable.Range(0, rank).Select(k => Length(start + k * _lengthSize))];
    }

    private DataType ReadType(long at)
    {
        var (kind, bits) = (Byte(at) & 0x0f, Byte(at + 1));
        var size = (int)U32(at + 4);
        if (kind == 9) return new DataType(9, size, false, false, (bits & 0x0f) == 1);
        return kind is 0 or 1 or 3 ? new DataType(kind, size, (bits & 8) != 0, (bits & 1) != 0 && kind != 3, false)
            : new DataType(kind, size, false, false, false);
    }

    private Layout ReadLayout(long at)
    {
        var version = Byte(at);
        if (version is 1 or 2)
        {
            var (rank, kind) = (Byte(at + 1), Byte(at + 2));
            var address = kind == 0 ? -1 : Offset(at + 8);
            var p = at + 8 + (kind == 0 ? 0 : _offsetSize);
            long[] sizes = [.. Enumerable.Range(0, rank).Select(k => (long)U32(p + 4 * k))];
            return kind == 0 ? new Layout(0, -1, Bytes(p + 4 * rank + 4, U32(p + 4 * rank)).ToArray(), [])
                : new Layout(kind, address, [], kind == 2 ? sizes[..^1] : []);
        }
        if (version is not 3) throw Bad($"a dataset's layout of version {version} (libver='latest'): save it again with h5py's default");
        switch (Byte(at + 1))
        {
            case 0: return new Layout(0, -1, Bytes(at + 4, U16(at + 2)).ToArray(), []);
            case 1: return new Layout(1, Offset(at + 2), [], []);
            case 2:
                var rank = Byte(at + 2);
                var address = Offset(at + 3);
                if (rank is < 2 or > 17) throw Bad($"chunks of {rank} dimensions");
                return new Layout(2, address, [], [.. Enumerable.Range(0, rank - 1).Select(k => (long)U32(at + 3 + _offsetSize + 4 * k))]);
            default: throw Bad($"a dataset's layout of class {Byte(at + 1)}");
        }
    }

    private List<int> ReadFilters(long at)
    {
        var (version, count) = (Byte(at), Byte(at + 1));
        var p = at + (version == 1 ? 8 : 2);
        var filters = new List<int>();
        for (var k = 0; k < count; k++)
        {
            var id = U16(p);
            var named = version == 1 || id >= 256;
            var length = named ? U16(p + 2) : 0;
            var values = U16(p + (named ? 6 : 4));
            p += (named ? 8 : 6) + (version == 1 ? (length + 7) / 8 * 8 : length) + 4 * values + (version == 1 && values % 2 == 1 ? 4 : 0);
            filters.Add(id);
        }
        return filters;
    }

    private void Add(Node node, string name, long address, int depth) => node.Links.TryAdd(name, new Lazy<Node>(() => Object(address, depth + 1)));

    private void Link(Node node, long at, int depth)
    {
        var flags = Byte(at + 1);
        var p = at + 2;
        var kind = (flags & 8) != 0 ? Byte(p++) : 0;
        if ((flags & 4) != 0) p += 8;
        if ((flags & 16) != 0) p++;
        var width = 1 << (flags & 3);
        var length = Number(p, width);
        p += width;
        var name = Encoding.UTF8.GetString(Bytes(p, length));
        if (kind == 0) Add(node, name, Offset(p + length), depth);
    }

    private void SymbolTable(Node node, long tree, long heap, int depth)
    {
        if (!Is(heap, "HEAP")) throw Bad($"there is no local heap at {heap}");
        var names = _base + Offset(heap + 8 + 2 * _lengthSize);
        foreach (var leaf in Leaves(tree, 0, 0, []))
        {
            if (!Is(leaf, "SNOD")) throw Bad($"there is no symbol table at {leaf}");
            var count = U16(leaf + 6);
            for (var k = 0; k < count; k++)
            {
                var entry = leaf + 8 + k * (2L * _offsetSize + 24);
                Add(node, Name(names + Offset(entry)), Offset(entry + _offsetSize), depth);
            }
        }
    }

    /// <summary>Addresses that a version-1 B-tree leads to. Keys: of groups, a length; of chunks, 8 bytes and offsets.</summary>
    private List<long> Leaves(long at, int type, int keySize, List<(long Key, long Leaf)> chunks, int depth = 0)
    {
        if (depth > DepthLimit || ++_objects > ObjectLimit) throw Bad("a B-tree goes round in a circle");
        if (!Is(at, "TREE") || Byte(at + 4) != type) throw Bad($"there is no B-tree at {at}");
        var (level, entries) = (Byte(at + 5), U16(at + 6));
        var key = type == 0 ? _lengthSize : keySize;
        var p = at + 8 + 2 * _offsetSize;
        var found = new List<long>();
        for (var k = 0; k < entries; k++)
        {
            var child = _base + Offset(p + key);
            if (level > 0) found.AddRange(Leaves(child, type, keySize, chunks, depth + 1));
            else { found.Add(child); chunks.Add((p, child)); }
            p += key + _offsetSize;
        }
        return found;
    }

    private void Attribute(Node node, long at, int size)
    {
        var version = Byte(at);
        if (version is < 1 or > 3) return;
        int nameSize = U16(at + 2), typeSize = U16(at + 4), spaceSize = U16(at + 6);
        var p = at + 8 + (version == 3 ? 1 : 0);
        long Padded(int length) => version == 1 ? (length + 7) / 8 * 8 : length;
        var name = Encoding.UTF8.GetString(Bytes(p, nameSize)).TrimEnd('\0');
        p += Padded(nameSize);
        var type = ReadType(p);
        p += Padded(typeSize);
        var shape = Shape(p);
        p += Padded(spaceSize);
        if (p > at + size) throw Bad($"the attribute '{name}' is longer than its message");
        var count = shape.Aggregate(1L, (n, length) => checked(n * length));
        if (type.Class == 9 && type.Variable)
        {
            if (!Has(p, count * (8 + _offsetSize))) throw Bad($"the attribute '{name}' lies beyond the end");
            var texts = new string[count];
            for (var k = 0; k < count; k++) texts[k] = FromHeap(p + k * (8 + _offsetSize));
            node.Values[name] = shape.Length == 0 ? texts[0] : texts;
        }
        else if (type.Class == 3)
        {
            if (!Has(p, checked(count * type.Size))) throw Bad($"the attribute '{name}' lies beyond the end");
            var texts = new string[count];
            for (var k = 0; k < count; k++) texts[k] = Encoding.UTF8.GetString(Bytes(p + k * type.Size, type.Size)).TrimEnd('\0', ' ');
            node.Values[name] = shape.Length == 0 ? texts[0] : texts;
        }
    }

    /// <summary>A text of variable length, in a global heap: its length, the collection's address, its number there.</summary>
    private string FromHeap(long at)
    {
        var (length, address, index) = (U32(at), _base + Offset(at + 4), U32(at + 4 + _offsetSize));
        if (length == 0) return "";
        if (!Is(address, "GCOL")) throw Bad($"there is no heap of texts at {address}");
        var end = address + Length(address + 8);
        for (var p = address + 8 + _lengthSize; p + 8 + _lengthSize <= end;)
        {
            var (number, size) = (U16(p), Length(p + 8));
            if (number == 0) break;
            if (number == index) return Encoding.UTF8.GetString(Bytes(p + 8 + _lengthSize, Math.Min(length, size)));
            p += 8 + _lengthSize + (size + 7) / 8 * 8;
        }
        throw Bad($"the heap at {address} has no text {index}");
    }

    /// <summary>A dataset's values as a tensor of its own type.</summary>
    /// <exception cref="InvalidDataException">Of a type that no weight has, or damaged.</exception>
    public unsafe Tensor Tensor(Node node)
    {
        var data = node.Data ?? throw Bad("a group stands where values should");
        var type = (data.Type.Class, data.Type.Size, data.Type.Signed) switch
        {
            (1, 4, _) => DType.Float32, (1, 8, _) => DType.Float64, (1, 2, _) => DType.Float16, (0, 8, _) => DType.Int64, (0, 4, _) => DType.Int32,
                (0, 2, true) => DType.Int16, (0, 1, true) => DType.Int8, (0, 1, false) => DType.UInt8,
            _ => throw Bad($"values of class {data.Type.Class} with {data.Type.Size} bytes are no weights"),
        };
        if (data.Type.BigEndian) throw Bad("big-endian values: save it again on a little-endian machine");
        long bytes;
        try
        {
            bytes = data.Shape.Aggregate((long)data.Type.Size, (n, size) => checked(n * size));
        }
        catch (OverflowException)
        {
            throw Bad($"a dataset of {string.Join('×', data.Shape)}");
        }
        // Packed or not, no weights are a thousand times larger than their file.
        if (bytes > 1000L * _file.Length) throw Bad($"a dataset says that it has {bytes} bytes, in a file of {_file.Length}");
        if (data.Layout.Class != 2 && data.Layout.Class == 1 && data.Layout.Address != -1) Bytes(_base + data.Layout.Address, bytes);
        var tensor = Ops.Zeros(data.Shape, dtype: type);
        var into = new Span<byte>((void*)tensor.Data, checked((int)bytes));
        switch (data.Layout.Class)
        {
            case 0: data.Layout.Inline.AsSpan(0, Math.Min(data.Layout.Inline.Length, into.Length)).CopyTo(into); break;
            case 1 when data.Layout.Address != -1: Bytes(_base + data.Layout.Address, bytes).CopyTo(into); break;
            case 2 when data.Layout.Address != -1: Chunks(data, into); break;
        }
        return tensor;
    }

    private void Chunks(Dataset data, Span<byte> into)
    {
        var (rank, size) = (data.Shape.Length, data.Type.Size);
        if (data.Layout.Chunk.Length != rank) throw Bad("a dataset's chunks have other dimensions than it");
        var found = new List<(long Key, long Leaf)>();
        Leaves(_base + data.Layout.Address, 1, 8 + 8 * (rank + 1), found);
        var length = data.Layout.Chunk.Aggregate((long)size, (n, part) => checked(n * part));
        if (length <= 0 || length > Math.Max(1L << 20, 4L * into.Length)) throw Bad("a chunk is larger than its dataset");
        foreach (var (key, leaf) in found)
        {
            var stored = Bytes(leaf, U32(key)).ToArray();
            var mask = U32(key + 4);
            for (var k = data.Filters.Count - 1; k >= 0; k--) if ((mask >> k & 1) == 0) stored = Undo(data.Filters[k], stored, size, length);
            if (stored.Length < length) throw Bad("a chunk is cut off");
            long[] start = [.. Enumerable.Range(0, rank).Select(d => Number(key + 8 + 8 * d, 8))];
            if (start.Zip(data.Shape).Any(pair => pair.First < 0 || pair.First >= pair.Second)) throw Bad("a chunk lies outside its dataset");
            Place(data, start, stored, into);
        }
    }

    private static void Place(Dataset data, long[] start, byte[] chunk, Span<byte> into)
    {
        var (rank, size, sizes) = (data.Shape.Length, data.Type.Size, data.Layout.Chunk);
        var row = Math.Min(sizes[^1], data.Shape[^1] - start[^1]) * size;
        var index = new long[rank];
        while (true)
        {
            long from = 0, to = 0;
            var inside = true;
            for (var d = 0; d < rank; d++)
            {
                from = from * sizes[d] + index[d];
                to = to * data.Shape[d] + start[d] + index[d];
                inside &= start[d] + index[d] < data.Shape[d];
            }
            if (inside) chunk.AsSpan((int)(from * size), (int)row).CopyTo(into[(int)(to * size)..]);
            var k = rank - 2;
            while (k >= 0 && ++index[k] == sizes[k]) index[k--] = 0;
            if (k < 0) return;
        }
    }

    private byte[] Undo(int filter, byte[] stored, int size, long length)
    {
        switch (filter)
        {
            case 1:
                var inflated = new byte[length];
                try
                {
                    using var stream = new ZLibStream(new MemoryStream(stored), CompressionMode.Decompress);
                    stream.ReadExactly(inflated);
                }
                catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException)
                {
                    throw Bad("a chunk cannot be inflated");
                }
                return inflated;
            case 2:
                var plain = new byte[stored.Length];
                var count = stored.Length / size;
                for (var k = 0; k < count; k++)
                    for (var b = 0; b < size; b++) plain[k * size + b] = stored[b * count + k];
                return plain;
            case 3: return stored[..^Math.Min(4, stored.Length)];
            default: throw Bad($"a dataset is packed by filter {filter}, which Keras does not use");
        }
    }
}
