using System.Buffers.Text;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using Graft.Inference.Text;

namespace Graft.Inference.Words;

/// <summary>Vectors as text, a word and its numbers a line: GloVe's .txt; with the count and the size in the first line word2vec's .txt and
/// fastText's .vec. The numbers are counted from the end of the line, for some of GloVe's words have spaces.</summary>
internal static class TextVectors
{
    /// <summary>Whether a file's first line is that of such a file.</summary>
    public static bool Sees(string path)
    {
        using var lines = new LineReader(path);
        if (!lines.Next(out var line)) return false;
        if (Header(line) is not null) return true;
        return line.Length > 0 && Numbers(line) >= 8;
    }

    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static WordVectors Read(string path)
    {
        var (count, stated, size) = (Lines(path), 0L, 0);
        using var lines = new LineReader(path);
        if (!lines.Next(out var line)) throw new InvalidDataException("it is empty");
        if (Header(line) is { } header)
        {
            (stated, size) = (header.Count, header.Size);
            if (stated != --count)
                throw new InvalidDataException($"its first line speaks of {stated} words, and {count} lines follow: it is cut off, or the line is wrong");
            if (!lines.Next(out line)) throw new InvalidDataException("it has no words");
        }
        else size = Numbers(line);
        if (size == 0) throw new InvalidDataException($"its first line is no word with its numbers: {Shown(line)}");
        var (words, table, twice) = (new WordList(), WordFile.Table(count, size), 0);
        do
        {
            var row = table.AsSpan(words.Count * size, size);
            var end = line.Length;
            for (var k = size - 1; k >= 0; k--)
            {
                while (end > 0 && IsSpace(line[end - 1])) end--;
                var start = end;
                while (start > 0 && !IsSpace(line[start - 1])) start--;
                var field = line[start..end];
                if (!Utf8Parser.TryParse(field, out float value, out var read) || read != field.Length || !float.IsFinite(value) || start == 0)
                    throw new InvalidDataException($"line {lines.Number} is no word with {size} numbers: {Shown(line)}");
                (row[k], end) = (value, start - 1);
            }
            if (!words.Add(line[..end])) twice++;
        }
        while (lines.Next(out line));
        if (twice > 0) Array.Resize(ref table, words.Count * size);
        return new WordVectors(words, table, size, null)
        {
            Notes = twice == 0 ? [] : [$"{twice} words stand in {Path.GetFileName(path)} a second time: the first vector of each is taken"],
        };
    }

    public static void Write(WordVectors vectors, Stream stream)
    {
        var (whole, size) = (vectors.Whole(), vectors.Size);
        stream.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{vectors.Count} {size}\n")));
        Span<byte> number = stackalloc byte[32];
        for (var k = 0; k < vectors.Count; k++)
        {
            stream.Write(vectors.List.Utf8(k));
            foreach (var value in whole.AsSpan(k * size, size))
            {
                stream.WriteByte((byte)' ');
                value.TryFormat(number, out var length, "G6", CultureInfo.InvariantCulture);
                stream.Write(number[..length]);
            }
            stream.WriteByte((byte)'\n');
        }
    }

    private static (long Count, int Size)? Header(ReadOnlySpan<byte> line)
    {
        var text = Encoding.UTF8.GetString(line.Trim((byte)' ')).Split(' ');
        return text.Length == 2 && long.TryParse(text[0], NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            && int.TryParse(text[1], NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? (count, size) : null;
    }

    // Of the first word, which has no spaces in any file that is known: as many as follow.
    private static int Numbers(ReadOnlySpan<byte> line)
    {
        var count = -1;
        for (var k = 0; k < line.Length;)
        {
            var end = k;
            while (end < line.Length && !IsSpace(line[end])) end++;
            if (end > k && count++ >= 0 && (!Utf8Parser.TryParse(line[k..end], out float _, out var read) || read != end - k)) return 0;
            k = end + 1;
        }
        return Math.Max(0, count);
    }

    private static bool IsSpace(byte letter) => letter is (byte)' ' or (byte)'\t';

    private static string Shown(ReadOnlySpan<byte> line) => Encoding.UTF8.GetString(line[..Math.Min(60,
        line.Length)]) + (line.Length > 60 ? "…" : "");

    private static long Lines(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        var (buffer, count, last) = (new byte[1 << 18], 0L, (byte)'\n');
        for (int read; (read = file.Read(buffer)) > 0; last = buffer[read - 1]) count += buffer.AsSpan(0, read).Count((byte)'\n');
        return last == '\n' ? count : count + 1;
    }

    /// <summary>Lines of bytes, without their ends and spaces behind.</summary>
    private sealed class LineReader(string path) : IDisposable
    {
        private readonly FileStream _file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1);
        private byte[] _buffer = new byte[1 << 16];
        private int _from, _to;

        public int Number { get; private set; }

        public bool Next(out ReadOnlySpan<byte> line)
        {
            while (true)
            {
                var end = _buffer.AsSpan(_from, _to - _from).IndexOf((byte)'\n');
                if (end >= 0)
                {
                    line = _buffer.AsSpan(_from, end).TrimEnd(" \r\t"u8);
                    _from += end + 1;
                    Number++;
                    return true;
                }
                if (_from > 0)
                {
                    _buffer.AsSpan(_from, _to - _from).CopyTo(_buffer);
                    (_from, _to) = (0, _to - _from);
                }
                if (_to == _buffer.Length)
                {
                    if (_to > 1 << 24) throw new InvalidDataException($"line {Number + 1} is longer than any word with its numbers");
                    Array.Resize(ref _buffer, 2 * _buffer.Length);
                }
                var read = _file.Read(_buffer.AsSpan(_to));
                _to += read;
                if (read > 0) continue;
                line = _buffer.AsSpan(0, _to).TrimEnd(" \r\t"u8);
                (_from, _to) = (0, 0);
                if (line.Length == 0) return false;
                Number++;
                return true;
            }
        }

        public void Dispose() => _file.Dispose();
    }
}
