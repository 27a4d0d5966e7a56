using System.Buffers.Binary;
using System.Text;
using Graft.Torch;

namespace Graft.Checkpoints;

/// <summary>
/// Where in a zip the bytes of its unpacked entries lie (PKWARE APPNOTE 4.3), so that tensors can stand on the mapped file. Archives of 4 GB and
/// more, which zip writes differently, give none.
/// </summary>
internal static class StoredEntries
{
    private static readonly uint[] s_crc = [.. Enumerable.Range(0, 256).Select(n => Enumerable.Range(0, 8).Aggregate((uint)n, (c, _) => (c & 1) != 0 ? 0xEDB88320 ^ (c >> 1) : c >> 1))];

    /// <summary>Checks every entry's bytes against its CRC-32, for a reader that trusts them.</summary>
    /// <exception cref="InvalidDataException">An entry is damaged, packed, or the directory is.</exception>
    public static void Verify(string path)
    {
        using var file = new MappedFile(path);
        var sums = new Dictionary<string, uint>(StringComparer.Ordinal);
        var found = Find(file, sums);
        if (found.Count == 0 || found.Count != sums.Count) throw new InvalidDataException("the archive's directory is damaged, or its entries are packed, which torch.jit.save never does");
        foreach (var (name, (offset, length)) in found)
        {
            var crc = uint.MaxValue;
            for (long at = 0; at < length; at += 1 << 24)
                foreach (var value in file.Bytes(offset + at, (int)Math.Min(1 << 24, length - at))) crc = s_crc[(byte)(crc ^ value)] ^ (crc >> 8);
            if (~crc != sums[name]) throw new InvalidDataException($"the archive's entry {name} is damaged: its bytes do not have the checksum that the archive gives. Download it again");
        }
    }

    /// <summary>Offset and length of each entry that is stored as it is.</summary>
    public static Dictionary<string, (long Offset, long Length)> Find(MappedFile file, Dictionary<string, uint>? sums = null)
    {
        var found = new Dictionary<string, (long, long)>(StringComparer.Ordinal);
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
            var (method, length, nameLength, local) = (U16(head, 10), U32(head, 24), U16(head, 28), U32(head, 42));
            if (at + 46 + nameLength > file.Length || local > file.Length - 30) return [];
            var name = Encoding.UTF8.GetString(file.Bytes(at + 46, nameLength));
            var start = file.Bytes(local, 30);
            if (!start[..4].SequenceEqual("PK\x03\x04"u8)) return [];
            var offset = local + 30 + U16(start, 26) + U16(start, 28);
            if (method == 0 && length != uint.MaxValue && offset + length <= file.Length) found[name] = (offset, length);
            if (sums is not null) sums[name] = BinaryPrimitives.ReadUInt32LittleEndian(head[16..]);
            at += 46 + nameLength + U16(head, 30) + U16(head, 32);
        }
        return found;
    }
}
