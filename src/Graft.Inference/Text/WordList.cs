using System.Text;

namespace Graft.Inference.Text;

/// <summary>Words and their numbers from 0, in two arrays and no object for each: millions of them take little more than their letters.</summary>
internal sealed class WordList
{
    private byte[] _letters = new byte[1 << 12];
    private int[] _ends = new int[1 << 8];
    private int[] _slots = [.. Enumerable.Repeat(-1, 1 << 10)];

    /// <summary>How many.</summary>
    public int Count { get; private set; }

    /// <summary>A word's UTF-8.</summary>
    public ReadOnlySpan<byte> Utf8(int word)
    {
        var start = word == 0 ? 0 : _ends[word - 1];
        return _letters.AsSpan(start, _ends[word] - start);
    }

    /// <summary>A word.</summary>
    public string this[int word] => Encoding.UTF8.GetString(Utf8(word));

    /// <summary>A word's number; −1: it is none of them.</summary>
    public int Find(ReadOnlySpan<byte> utf8) => _slots[Slot(utf8)];

    /// <summary>The same.</summary>
    public int Find(ReadOnlySpan<char> word)
    {
        var most = Encoding.UTF8.GetMaxByteCount(word.Length);
        Span<byte> utf8 = most <= 512 ? stackalloc byte[most] : new byte[most];
        return Find(utf8[..Encoding.UTF8.GetBytes(word, utf8)]);
    }

    /// <summary>Adds a word; false: it is there already.</summary>
    public bool Add(ReadOnlySpan<byte> utf8)
    {
        var slot = Slot(utf8);
        if (_slots[slot] >= 0) return false;
        var start = Count == 0 ? 0 : _ends[Count - 1];
        if (start + (long)utf8.Length > Array.MaxLength) throw new GraftException("the words have more letters than memory can hold in one piece");
        if (start + utf8.Length > _letters.Length) Array.Resize(ref _letters, (int)Math.Min(Array.MaxLength, Math.Max(2L * _letters.Length,
            start + utf8.Length)));
        if (Count == _ends.Length) Array.Resize(ref _ends, 2 * Count);
        utf8.CopyTo(_letters.AsSpan(start));
        (_ends[Count], _slots[slot]) = (start + utf8.Length, Count);
        Count++;
        if (2 * Count > _slots.Length) Grow();
        return true;
    }

    /// <summary>All of them, a line each.</summary>
    public byte[] ToLines()
    {
        var lines = new byte[(Count == 0 ? 0 : _ends[Count - 1]) + Count];
        for (var (k, at) = (0, 0); k < Count; k++)
        {
            Utf8(k).CopyTo(lines.AsSpan(at));
            at += Utf8(k).Length;
            lines[at++] = (byte)'\n';
        }
        return lines;
    }

    /// <summary>What <see cref="ToLines"/> made.</summary>
    /// <exception cref="InvalidDataException">A word stands there twice.</exception>
    public static WordList OfLines(ReadOnlySpan<byte> lines)
    {
        var words = new WordList();
        while (lines.Length > 0)
        {
            var end = lines.IndexOf((byte)'\n');
            if (!words.Add(end < 0 ? lines : lines[..end])) throw new InvalidDataException($"line {words.Count + 1} repeats a word");
            lines = end < 0 ? default : lines[(end + 1)..];
        }
        return words;
    }

    private void Grow()
    {
        _slots = new int[2 * _slots.Length];
        Array.Fill(_slots, -1);
        for (var k = 0; k < Count; k++) _slots[Slot(Utf8(k))] = k;
    }

    // Where the word is, or where it would go: FNV-1a, then the next free place.
    private int Slot(ReadOnlySpan<byte> utf8)
    {
        var hash = 2166136261u;
        foreach (var letter in utf8) hash = (hash ^ letter) * 16777619;
        hash ^= hash >> 15;
        for (var slot = (int)(hash & (uint)(_slots.Length - 1)); ; slot = (slot + 1) & (_slots.Length - 1))
        {
            if (_slots[slot] < 0 || Utf8(_slots[slot]).SequenceEqual(utf8)) return slot;
        }
    }
}
