using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>
/// Where in a zip the bytes of its unpacked entries lie (PKWARE APPNOTE 4.3), so that tensors can stand on the mapped file. Archives of 4 GB and
/// more, which zip writes differently, give none.
/// </summary>
internal static class StoredEntries
{
    private static readonly uint[] s_crc = [.. Enumerable.Range(0, 256).Select(n => Enumerable.Range(0, 8).Aggregate((uint)n, (c, _) => (c & 1) != 0 ? 0xEDB88320 ^ (c >> 1) : c >> 1))];

    private readonly record struct Entry(long Offset, long Packed, long Length, int Method, uint Crc);

    /// <summary>Checks every entry's bytes against its CRC-32, for a reader that trusts them.</summary>
    /// <exception cref="InvalidDataException">An entry, or the directory, is damaged.</exception>
    public static void Verify(string path)
    {
        using var file = new MappedFile(path);
        var entries = Directory(file);
        if (entries.Count == 0) throw new InvalidDataException("the archive's directory is damaged. Download it again");
        foreach (var (name, entry) in entries)
        {
            var crc = uint.MaxValue;
            void Add(ReadOnlySpan<byte> bytes)
            {
                foreach (var value in bytes) crc = s_crc[(byte)(crc ^ value)] ^ (crc >> 8);
            }
            // What claims to unpack a thousand times is a bomb.
            if (entry.Method is not (0 or 8) || entry.Length > 1000 * Math.Max(1024, entry.Packed)) throw new InvalidDataException($"the archive's entry {name} is packed in a way that torch.jit.save does not use");
            if (entry.Method == 0)
            {
                for (long at = 0; at < entry.Packed; at += 1 << 24) Add(file.Bytes(entry.Offset + at, (int)Math.Min(1 << 24, entry.Packed - at)));
            }
            else
            {
                using var inflated = new DeflateStream(new MemoryStream(file.Bytes(entry.Offset, checked((int)entry.Packed)).ToArray()), CompressionMode.Decompress);
                var buffer = new byte[1 << 16];
                long left = entry.Length;
                for (int count; left >= 0 && (count = inflated.Read(buffer)) > 0; left -= count) Add(buffer.AsSpan(0, count));
            }
            if (~crc != entry.Crc) throw new InvalidDataException($"the archive's entry {name} is damaged: its bytes do not have the checksum that the archive gives. Download it again");
        }
    }

    /// <summary>Offset and length of each entry that is stored as it is.</summary>
    public static Dictionary<string, (long Offset, long Length)> Find(MappedFile file) =>
        Directory(file).Where(item => item.Value.Method == 0 && item.Value.Packed == item.Value.Length).ToDictionary(item => item.Key, item => (item.Value.Offset, item.Value.Length), StringComparer.Ordinal);

    /// <summary>The archive's central directory; empty where it is damaged, or of the kind for 4 GB and more.</summary>
    private static Dictionary<string, Entry> Directory(MappedFile file)
    {
        var found = new Dictionary<string, Entry>(StringComparer.Ordinal);
        var tail = (int)Math.Min(file.Length, 66_000);
        var end = file.Bytes(file.Length - tail, tail).LastIndexOf("PK\x05\x06"u8);
        if (end < 0 || end + 22 > tail) return found;
        var record = file.Bytes(file.Length - tail + end, 22);
        var (count, at) = (BinaryPrimitives.ReadUInt16LittleEndian(record[10..]), (long)BinaryPrimitives.ReadUInt32LittleEndian(record[16..]));
        if (count == ushort.MaxValue || at == uint.MaxValue) return found;
        for (var k = 0; k < count; k++)
        {
            if (at > file.Length - 46) return [];
            var head = file.Bytes(at, 46);
            if (!head[..4].SequenceEqual("PK\x01\x02"u8)) return [];
            int U16(ReadOnlySpan<byte> from, int place) => BinaryPrimitives.ReadUInt16LittleEndian(from[place..]);
            long U32(ReadOnlySpan<byte> from, int place) => BinaryPrimitives.ReadUInt32LittleEndian(from[place..]);
            var (method, crc, packed, length, nameLength, local) = (U16(head, 10), BinaryPrimitives.ReadUInt32LittleEndian(head[16..]), U32(head, 20), U32(head, 24), U16(head, 28), U32(head, 42));
            if (at + 46 + nameLength > file.Length || local > file.Length - 30) return [];
            var name = Encoding.UTF8.GetString(file.Bytes(at + 46, nameLength));
            var start = file.Bytes(local, 30);
            if (!start[..4].SequenceEqual("PK\x03\x04"u8)) return [];
            var offset = local + 30 + U16(start, 26) + U16(start, 28);
            if (length == uint.MaxValue || packed == uint.MaxValue || offset + packed > file.Length || !found.TryAdd(name, new Entry(offset, packed, length, method, crc))) return [];
            at += 46 + nameLength + U16(head, 30) + U16(head, 32);
        }
        return found;
    }
}
