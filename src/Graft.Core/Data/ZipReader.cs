using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Graft.Data;

/// <summary>Lists a zip. Names are read from its directory by Graft itself: .NET tells neither their bytes nor their extra fields.</summary>
internal static class ZipReader
{
    // APPNOTE 4.3.12, 4.3.16, 4.3.14, 4.3.15; 4.4.4; 4.6.9.
    private const uint HeaderMark = 0x02014b50, EndMark = 0x06054b50, End64Mark = 0x06064b50, Locator64Mark = 0x07064b50;
    private const int HeaderSize = 46, EndSize = 22, LocatorSize = 20, Utf8Flag = 1 << 11, EncryptedFlag = 1;
    private const ushort UnicodePath = 0x7075;

    private sealed record Entry(byte[] Raw, string? Name, bool Encrypted);

    public static Listing Read(string path, ListedFiles? files = null)
    {
        List<Entry> entries;
        try
        {
            using (var archive = ZipFile.OpenRead(path)) _ = archive.Entries.Count; // refuses what is no zip
            entries = ReadDirectory(path);
        }
        catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException)
        {
            throw new GraftException($"{path} is no zip archive that can be read ({reason.Message}). Download it again", reason);
        }
        if (entries.Count(entry => entry.Encrypted) is > 0 and var locked)
            throw new GraftException($"{path} is encrypted ({locked} of its {entries.Count} entries): unpack it with its password (7z x {Path.GetFileName(path)}) and give the folder");
        var listing = new Listing(path, "zip", files ?? ListedFiles.Pictures)
        {
            Open = (all, chosen) => new ZipSource(path, [.. chosen.Select(k => all.Places[k])], [.. chosen.Select(k => all.Paths[k])]),
        };
        var names = Names(entries, path, listing.Remarks);
        foreach (var place in Enumerable.Range(0, names.Length).OrderBy(k => names[k], StringComparer.Ordinal))
        {
            var name = names[place].Replace('\\', '/');
            if (name.EndsWith('/')) listing.AddFolder(name);
            else listing.AddFile(name, name, place);
            for (var cut = name.LastIndexOf('/'); cut > 0; cut = name.LastIndexOf('/', cut - 1)) listing.AddFolder(name[..cut]);
        }
        return listing;
    }

    private static string[] Names(List<Entry> entries, string path, List<string> remarks)
    {
        var unknown = entries.Where(entry => entry.Name is null).ToArray();
        if (unknown.Length == 0) return [.. entries.Select(entry => entry.Name!)];
        byte[][] raw = [.. unknown.Select(entry => entry.Raw)];
        var texts = TextDecoder.AsUtf8(raw);
        if (texts is null)
        {
            var found = TextDecoder.Readings(raw);
            if (found.Where(reading => reading.Plausible).ToArray() is not [var only])
            {
                var example = raw.First(bytes => TextDecoder.AsUtf8([bytes]) is null);
                var tried = string.Join(", ", found.Select(reading => $"'{reading.Texts[Array.IndexOf(raw, example)]}' in {reading.Encoding}"));
                throw new GraftException($"{path}: nobody can tell in which encoding its names are{(tried.Length > 0 ? $" (it would be {tried})" : "")}. "
                    + $"Zip the folder again with UTF-8 names (7z a -mcu=on photos.zip photos/), or unpack it and give the folder");
            }
            texts = only.Texts;
            remarks.Add($"the names in {Path.GetFileName(path)} are read as {only.Encoding}");
        }
        var next = 0;
        return [.. entries.Select(entry => entry.Name ?? texts[next++])];
    }

    private static List<Entry> ReadDirectory(string path)
    {
        using var file = File.OpenRead(path);
        var (offset, size, count) = FindDirectory(file);
        // What it says of itself may be anything: nothing is reserved for more than there is.
        if (offset < 0 || size < 0 || size > file.Length - offset || size > Array.MaxLength) throw new InvalidDataException("its directory is damaged");
        var directory = new byte[size];
        file.Position = offset;
        file.ReadExactly(directory);
        var entries = new List<Entry>();
        var rest = directory.AsSpan();
        for (var k = 0L; k < count; k++)
        {
            if (rest.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(rest) != HeaderMark)
                throw new InvalidDataException("its directory is damaged");
            var (flags, name, extra, comment) = (U16(rest, 8), U16(rest, 28), U16(rest, 30), U16(rest, 32));
            if (rest.Length < HeaderSize + name + extra + comment) throw new InvalidDataException("its directory is cut off");
            var raw = rest.Slice(HeaderSize, name);
            entries.Add(new Entry(raw.ToArray(), Decode(raw, (flags & Utf8Flag) != 0, rest.Slice(HeaderSize + name, extra)),
                (flags & EncryptedFlag) != 0));
            rest = rest[(HeaderSize + name + extra + comment)..];
        }
        return entries;
    }

    /// <summary>The name where the zip says how it is written; null: it does not.</summary>
    private static string? Decode(ReadOnlySpan<byte> raw, bool utf8, ReadOnlySpan<byte> extra)
    {
        if (utf8 || Ascii.IsValid(raw)) return TextDecoder.AsUtf8([raw.ToArray()])?[0];
        while (extra.Length >= 4)
        {
            var (id, size) = (U16(extra, 0), U16(extra, 2));
            if (size > extra.Length - 4) break;
            var field = extra.Slice(4, size);
            // Version 1, the CRC of the name that it stands for, the name in UTF-8.
            if (id == UnicodePath && field.Length > 5 && field[0] == 1 && BinaryPrimitives.ReadUInt32LittleEndian(field[1..]) == Crc32(raw))
                return TextDecoder.AsUtf8([field[5..].ToArray()])?[0];
            extra = extra[(4 + size)..];
        }
        return null;
    }

    private static (long Offset, long Size, long Count) FindDirectory(FileStream file)
    {
        var tail = new byte[(int)Math.Min(file.Length, EndSize + LocatorSize + ushort.MaxValue)];
        file.Position = file.Length - tail.Length;
        file.ReadExactly(tail);
        for (var k = tail.Length - EndSize; k >= 0; k--)
        {
            var end = tail.AsSpan(k);
            if (BinaryPrimitives.ReadUInt32LittleEndian(end) != EndMark) continue;
            var (count, size, offset) = (U16(end, 10), BinaryPrimitives.ReadUInt32LittleEndian(end[12..]),
                BinaryPrimitives.ReadUInt32LittleEndian(end[16..]));
            if (count != ushort.MaxValue && size != uint.MaxValue && offset != uint.MaxValue) return (offset, size, count);
            if (k < LocatorSize || BinaryPrimitives.ReadUInt32LittleEndian(tail.AsSpan(k - LocatorSize)) != Locator64Mark)
                return (offset, size, count);
            var large = new byte[56];
            var place = BinaryPrimitives.ReadInt64LittleEndian(tail.AsSpan(k - LocatorSize + 8));
            if (place < 0 || place > file.Length) throw new InvalidDataException("its directory is damaged");
            file.Position = place;
            file.ReadExactly(large);
            if (BinaryPrimitives.ReadUInt32LittleEndian(large) != End64Mark) throw new InvalidDataException("its directory is damaged");
            return (BinaryPrimitives.ReadInt64LittleEndian(large.AsSpan(48)), BinaryPrimitives.ReadInt64LittleEndian(large.AsSpan(40)),
                BinaryPrimitives.ReadInt64LittleEndian(large.AsSpan(32)));
        }
        throw new InvalidDataException("it has no directory");
    }

    private static uint Crc32(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var value in bytes)
        {
            crc ^= value;
            for (var bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320 & (0 - (crc & 1)));
        }
        return ~crc;
    }

    private static int U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);
}
