namespace Graft.Inference.Text;

/// <summary>A text on its way through normalisation: of each character, where in what was written it comes from.</summary>
internal sealed class AlignedText
{
    private char[] _chars = new char[256];
    private int[] _starts = new int[256];
    private int[] _ends = new int[256];

    public int Count { get; private set; }

    /// <summary>How much it can hold before it grows.</summary>
    public int Capacity => _chars.Length;

    public ReadOnlySpan<char> Chars => _chars.AsSpan(0, Count);

    public int Start(int index) => _starts[index];

    public int End(int index) => _ends[index];

    public void Clear() => Count = 0;

    /// <summary>The character at a place as Unicode numbers it, and how many places it takes; half a pair alone is U+FFFD.</summary>
    public int RuneAt(int index, out int length)
    {
        var c = _chars[index];
        length = 1;
        if (!char.IsSurrogate(c)) return c;
        if (!char.IsHighSurrogate(c) || index + 1 >= Count || !char.IsLowSurrogate(_chars[index + 1])) return 0xfffd;
        length = 2;
        return char.ConvertToUtf32(c, _chars[index + 1]);
    }

    public void Append(char c, int start, int end)
    {
        if (Count == _chars.Length) Grow();
        _chars[Count] = c;
        _starts[Count] = start;
        _ends[Count++] = end;
    }

    public void AppendRune(int rune, int start, int end)
    {
        if (rune < 0x10000)
        {
            Append((char)rune, start, end);
            return;
        }
        Append((char)(0xd7c0 + (rune >> 10)), start, end);
        Append((char)(0xdc00 + (rune & 0x3ff)), start, end);
    }

    /// <summary>Characters that all come from one place.</summary>
    public void Append(ReadOnlySpan<char> text, int start, int end)
    {
        foreach (var c in text) Append(c, start, end);
    }

    /// <summary>A piece of what was written, as it is.</summary>
    public void AppendWritten(ReadOnlySpan<char> text, int start)
    {
        var at = Reserve(text.Length);
        text.CopyTo(_chars.AsSpan(at));
        var starts = _starts.AsSpan(at, text.Length);
        var ends = _ends.AsSpan(at, text.Length);
        for (var k = 0; k < starts.Length; k++) starts[k] = start + k;
        for (var k = 0; k < ends.Length; k++) ends[k] = start + k + 1;
    }

    public void AppendFrom(AlignedText other, int start, int end)
    {
        var length = end - start;
        var at = Reserve(length);
        other._chars.AsSpan(start, length).CopyTo(_chars.AsSpan(at));
        other._starts.AsSpan(start, length).CopyTo(_starts.AsSpan(at));
        other._ends.AsSpan(start, length).CopyTo(_ends.AsSpan(at));
    }

    private int Reserve(int length)
    {
        var at = Count;
        while (at + length > _chars.Length) Grow();
        Count = at + length;
        return at;
    }

    private void Grow()
    {
        var size = _chars.Length * 2;
        Array.Resize(ref _chars, size);
        Array.Resize(ref _starts, size);
        Array.Resize(ref _ends, size);
    }
}
