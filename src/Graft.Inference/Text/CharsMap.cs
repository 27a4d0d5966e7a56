using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Graft.Inference.Text;

/// <summary>SentencePiece's table of what becomes what (Kudo and Richardson 2018; nmt_nfkc and its like), which a model carries within: a
/// double-array trie of UTF-8 with the texts behind it. It is asked as Hugging Face asks it: a grapheme of less than six bytes at a time, else each
/// of its characters.</summary>
internal sealed class CharsMap : Normalizer
{
    private readonly uint[] _units;
    private readonly byte[] _texts;

    // Most characters are of ASCII, and most of these stay: what each becomes is looked up once.
    private readonly string?[] _ascii = new string?[0x80];

    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public CharsMap(ReadOnlySpan<byte> table)
    {
        if (table.Length < 4 || BinaryPrimitives.ReadUInt32LittleEndian(table) is var size && (size % 4 != 0 || size < 4 || size > table.Length - 4))
            throw new InvalidDataException("its table of characters (precompiled_charsmap) is cut off");
        _units = new uint[size / 4];
        for (var k = 0; k < _units.Length; k++) _units[k] = BinaryPrimitives.ReadUInt32LittleEndian(table[(4 + 4 * k)..]);
        _texts = table[(4 + (int)size)..].ToArray();
        for (var k = 0; k < _ascii.Length; k++) _ascii[k] = Find([(char)k]);
    }

    public override void Apply(AlignedText from, AlignedText to)
    {
        var chars = from.Chars;
        for (var k = 0; k < chars.Length;)
        {
            if (chars[k] < 0x80 && chars[k] != '\r' && (k + 1 == chars.Length || chars[k + 1] < 0x80))
            {
                if (_ascii[chars[k]] is { } single) to.Append(single, from.Start(k), from.End(k));
                else to.Append(chars[k], from.Start(k), from.End(k));
                k++;
                continue;
            }
            var length = StringInfo.GetNextTextElementLength(chars[k..]);
            var (start, end) = (from.Start(k), from.End(k + length - 1));
            if (Encoding.UTF8.GetByteCount(chars.Slice(k, length)) < 6 && Find(chars.Slice(k, length)) is { } whole) to.Append(whole, start, end);
            else
            {
                for (var part = k; part < k + length;)
                {
                    from.RuneAt(part, out var halves);
                    if (Find(chars.Slice(part, halves)) is { } text) to.Append(text, from.Start(part), from.End(part + halves - 1));
                    else to.AppendFrom(from, part, part + halves);
                    part += halves;
                }
            }
            k += length;
        }
    }

    /// <summary>What the shortest beginning that the table knows becomes; null: it knows none.</summary>
    private string? Find(ReadOnlySpan<char> text)
    {
        Span<byte> key = stackalloc byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        key = key[..Encoding.UTF8.GetBytes(text, key)];
        var place = Offset(_units[0]);
        foreach (var label in key)
        {
            if (label == 0) return null;
            place ^= label;
            if (place >= _units.Length) return null;
            var unit = _units[place];
            if ((unit & 0x8000_00ff) != label) return null;
            place ^= Offset(unit);
            if ((unit >> 8 & 1) == 0) continue;
            if (place >= _units.Length) return null;
            var at = (int)(_units[place] & 0x7fff_ffff);
            if (at >= _texts.Length) return null;
            var end = _texts.AsSpan(at).IndexOf((byte)0);
            return Encoding.UTF8.GetString(_texts.AsSpan(at, end < 0 ? _texts.Length - at : end));
        }
        return null;
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & 1 << 9) >> 6);
}
