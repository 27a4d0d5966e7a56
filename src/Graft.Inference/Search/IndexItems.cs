using System.Buffers.Binary;
using System.Text;

namespace Graft.Inference.Search;

/// <summary>An item of an index in words.</summary>
/// <param name="Name">A picture's path, a sentence's file and line.</param>
/// <param name="Text">The sentence; null: it is a picture.</param>
/// <param name="Class">What the data told of it; null: nothing.</param>
public sealed record IndexItem(string Name, string? Text, string? Class);

/// <summary>
/// The words of an index's items in one file: count + 1 places as 64-bit numbers, little-endian, and at each place three strings, each its length in
/// bytes (−1: there is none) as a 32-bit number before its UTF-8.
/// </summary>
internal sealed class IndexItems(MappedBytes file, string path, int count)
{
    public IndexItem this[int item]
    {
        get
        {
            try
            {
                var (at, end) = (Place(item), Place(item + 1));
                string? Next()
                {
                    var length = BinaryPrimitives.ReadInt32LittleEndian(file.Bytes(at, 4));
                    at += 4;
                    if (length < 0) return null;
                    if (length > end - at) throw new InvalidDataException("an item is longer than its place");
                    at += length;
                    return Encoding.UTF8.GetString(file.Bytes(at - length, length));
                }
                return new IndexItem(Next() ?? "", Next(), Next());
            }
            catch (InvalidDataException reason)
            {
                throw new GraftException($"{path} is damaged ({reason.Message}): make the index again", reason);
            }
        }
    }

    private long Place(int item) => (uint)item <= (uint)count ? BinaryPrimitives.ReadInt64LittleEndian(file.Bytes(8L * item, 8))
        : throw new InvalidDataException($"it has {count} items");

    /// <summary>Writes them.</summary>
    public static void Write(Stream stream, IReadOnlyList<IndexItem> items)
    {
        Span<byte> number = stackalloc byte[8];
        var place = 8L * (items.Count + 1);
        foreach (var item in items)
        {
            BinaryPrimitives.WriteInt64LittleEndian(number, place);
            stream.Write(number);
            place += 12 + Length(item.Name) + Length(item.Text) + Length(item.Class);
        }
        BinaryPrimitives.WriteInt64LittleEndian(number, place);
        stream.Write(number);
        foreach (var item in items)
        {
            foreach (var text in new[] { item.Name, item.Text, item.Class })
            {
                BinaryPrimitives.WriteInt32LittleEndian(number, text is null ? -1 : Length(text));
                stream.Write(number[..4]);
                if (text is not null) stream.Write(Encoding.UTF8.GetBytes(text));
            }
        }
    }

    private static int Length(string? text) => text is null ? 0 : Encoding.UTF8.GetByteCount(text);
}
