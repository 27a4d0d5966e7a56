using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Graft.Inference.Text;

namespace Graft.Inference.Words;

/// <summary>
/// fastText's .bin, versions 11 and 12, little-endian: a magic number and the version; twelve options and a threshold; the words with their counts;
/// the table of words and of the buckets of their pieces; the table of the outputs, which is of no use here. A quantised model (.ftz) is refused.
/// </summary>
internal static class FastTextModel
{
    private const int Magic = 793712314, Version = 12, LongestWord = 1 << 16;

    // The loss and the kind of model that a file says it was trained with.
    private const int NegativeSampling = 2, SkipGram = 2, Supervised = 3;

    /// <summary>Whether a file begins so.</summary>
    public static bool Begins(ReadOnlySpan<byte> first) => first.Length >= 4 && MemoryMarshal.Read<int>(first) == Magic;

    /// <exception cref="InvalidDataException">It is damaged, or of a kind that is not read.</exception>
    /// <exception cref="EndOfStreamException">It is cut off.</exception>
    public static WordVectors Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 18);
        using var reader = new BinaryReader(file);
        reader.ReadInt32();
        var version = reader.ReadInt32();
        if (version is not (11 or Version)) throw new InvalidDataException($"it is of version {version} of fastText's files: 11 and 12 are read");
        var options = new int[12];
        for (var k = 0; k < options.Length; k++) options[k] = reader.ReadInt32();
        reader.ReadDouble();
        var (size, kind, buckets, least, most) = (options[0], options[7], options[8], options[9], options[10]);
        if (version == 11 && kind == Supervised) most = 0;
        var (entries, count, labels) = (reader.ReadInt32(), reader.ReadInt32(), reader.ReadInt32());
        reader.ReadInt64();
        var pruned = reader.ReadInt64();
        if (count < 1 || labels < 0 || entries != count + (long)labels || entries > file.Length)
            throw new InvalidDataException($"it speaks of {entries} entries, {count} words and {labels} labels");
        if (pruned > 0) throw new InvalidDataException("its dictionary is pruned, as a quantised model's is: give the .bin that it was made from");
        var (words, counts, word) = (new WordList(), new long[count], new byte[LongestWord]);
        for (var k = 0; k < entries; k++)
        {
            var letters = 0;
            for (var letter = reader.ReadByte(); letter != 0; letter = reader.ReadByte())
            {
                if (letters == LongestWord) throw new InvalidDataException($"word {k + 1} has no end");
                word[letters++] = letter;
            }
            var seen = reader.ReadInt64();
            reader.ReadByte();
            if (k >= count) continue;
            counts[k] = seen;
            if (!words.Add(word.AsSpan(0, letters)))
                throw new InvalidDataException($"the word '{words[words.Find(word.AsSpan(0, letters))]}' stands there twice");
        }
        if (reader.ReadBoolean()) throw new InvalidDataException("it is quantised (.ftz): give the .bin that it was made from");
        var (rows, columns) = (reader.ReadInt64(), reader.ReadInt64());
        if (columns != size || buckets < 0 || rows != count + (long)buckets)
            throw new InvalidDataException($"its table has {rows} rows of {columns} in place of {count} words and {buckets} buckets of {size}");
        if (file.Length - file.Position < rows * size * 4) throw new EndOfStreamException();
        var table = WordFile.Table(rows, size);
        for (var row = 0L; row < rows; row++)
        {
            var into = MemoryMarshal.CreateSpan(ref table[row * size], size);
            file.ReadExactly(MemoryMarshal.AsBytes(into));
            if (!float.IsFinite(TensorPrimitives.Sum<float>(into))) throw new InvalidDataException($"row {row + 1} of its table is not finite");
        }
        var grams = buckets > 0 && most > 0 ? new CharacterGrams(least, most, buckets) : null;
        if (grams is not null && (least < 1 || most < least || most > 1000))
            throw new InvalidDataException($"its pieces of words would have {least} to {most} characters");
        if (grams is null && buckets > 0) Array.Resize(ref table, count * size);
        return new WordVectors(words, table, size, grams) { Counts = counts };
    }

    /// <summary>Writes a model that fastText reads too. The table of the outputs is written as nothing: for vectors it is of no use.</summary>
    public static void Write(WordVectors vectors, Stream stream)
    {
        var grams = vectors.Grams!;
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        // dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
        foreach (var option in new[] { vectors.Size, 5, 5, 5, 5, 1, NegativeSampling, SkipGram, grams.Buckets, grams.Least, grams.Most,
            100 }) writer.Write(option);
        writer.Write(1e-4);
        writer.Write(vectors.Count);
        writer.Write(vectors.Count);
        writer.Write(0);
        writer.Write(vectors.Counts?.Sum() ?? vectors.Count);
        writer.Write(-1L);
        for (var k = 0; k < vectors.Count; k++)
        {
            writer.Write(vectors.List.Utf8(k));
            writer.Write((byte)0);
            writer.Write(vectors.Counts?[k] ?? 1);
            writer.Write((byte)0);
        }
        writer.Write(false);
        writer.Write((long)vectors.Count + grams.Buckets);
        writer.Write((long)vectors.Size);
        for (var row = 0; row < vectors.Count + grams.Buckets; row++) writer.Write(MemoryMarshal.AsBytes(vectors.Row(row)));
        writer.Write(false);
        writer.Write((long)vectors.Count);
        writer.Write((long)vectors.Size);
        var nothing = new byte[vectors.Size * 4];
        for (var row = 0; row < vectors.Count; row++) writer.Write(nothing);
    }
}
