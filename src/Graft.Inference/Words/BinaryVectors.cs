using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Graft.Inference.Text;

namespace Graft.Inference.Words;

/// <summary>word2vec's .bin: a line with the count and the size, then for each word its letters, a space, its numbers as 32-bit floats,
/// little-endian, and in some files the end of a line.</summary>
internal static class BinaryVectors
{
    private const int LongestWord = 1 << 16;

    /// <summary>Whether a file begins so.</summary>
    public static bool Begins(ReadOnlySpan<byte> first) => Header(first) is not null;

    private static (long Count, int Size, int Length)? Header(ReadOnlySpan<byte> first)
    {
        var end = first.IndexOf((byte)'\n');
        if (end <= 0) return null;
        var text = Encoding.ASCII.GetString(first[..end]).TrimEnd('\r', ' ').Split(' ');
        return text.Length == 2 && long.TryParse(text[0], NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && int.TryParse(text[1], NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? (count, size, end + 1) : null;
    }

    /// <exception cref="InvalidDataException">It is damaged.</exception>
    /// <exception cref="EndOfStreamException">It is cut off.</exception>
    public static WordVectors Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18);
        Span<byte> first = stackalloc byte[64];
        first = first[..file.ReadAtLeast(first, 64, throwOnEndOfStream: false)];
        var (count, size, length) = Header(first) ?? throw new InvalidDataException("its first line is not a count and a size");
        if (count > file.Length || (file.Length - length) / 4 / Math.Max(1, size) < count - 1)
            throw new InvalidDataException($"its first line speaks of {count} words of {size} numbers, more than its {file.Length} bytes hold: it is cut off");
        var (words, table, twice) = (new WordList(), WordFile.Table(count, size), 0);
        file.Position = length;
        Span<byte> word = new byte[LongestWord];
        for (var k = 0L; k < count; k++)
        {
            var letters = 0;
            for (var letter = file.ReadByte(); letter != ' '; letter = file.ReadByte())
            {
                if (letter < 0) throw new EndOfStreamException();
                if (letters == LongestWord) throw new InvalidDataException($"word {k + 1} has no end: it is damaged, or of another kind");
                if (letter != '\n' || letters > 0) word[letters++] = (byte)letter;
            }
            var row = table.AsSpan(words.Count * size, size);
            file.ReadExactly(MemoryMarshal.AsBytes(row));
            if (!float.IsFinite(TensorPrimitives.Sum<float>(row))) throw new InvalidDataException($"the vector of word {k + 1} is not finite");
            if (!words.Add(word[..letters])) twice++;
        }
        if (twice > 0) Array.Resize(ref table, words.Count * size);
        return new WordVectors(words, table, size, null)
        {
            Notes = twice == 0 ? [] : [$"{twice} words stand in {Path.GetFileName(path)} a second time: the first vector of each is taken"],
        };
    }

    public static void Write(WordVectors vectors, Stream stream)
    {
        stream.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{vectors.Count} {vectors.Size}\n")));
        for (var k = 0; k < vectors.Count; k++)
        {
            stream.Write(vectors.List.Utf8(k));
            stream.WriteByte((byte)' ');
            stream.Write(MemoryMarshal.AsBytes(vectors.Row(k)));
            stream.WriteByte((byte)'\n');
        }
    }
}
