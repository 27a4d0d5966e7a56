namespace Graft.Inference.Words;

/// <summary>Files of word vectors by their kinds.</summary>
internal static class WordFile
{
    /// <summary>Whether a file is one of word vectors, by its name and its first bytes.</summary>
    public static bool Is(string path)
    {
        if (!File.Exists(path)) return false;
        var extension = Path.GetExtension(path).ToLowerInvariant();
        if (extension is ".vec" or ".glove") return true;
        if (extension is not (".txt" or ".bin")) return false;
        try
        {
            Span<byte> first = stackalloc byte[64];
            using var file = File.OpenRead(path);
            first = first[..file.ReadAtLeast(first, 64, throwOnEndOfStream: false)];
            return extension == ".txt" ? TextVectors.Sees(path) : FastTextModel.Begins(first) || BinaryVectors.Begins(first);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return false;
        }
    }

    /// <summary>Reads one.</summary>
    /// <exception cref="GraftException">It is of no kind that is known, or it is damaged.</exception>
    public static WordVectors Read(string path)
    {
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file of word vectors");
        try
        {
            Span<byte> first = stackalloc byte[64];
            using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 64, throwOnEndOfStream: false)];
            if (first.Length == 0) throw new InvalidDataException("it is empty");
            if (first is [0x1f, 0x8b, ..] or [(byte)'P', (byte)'K', ..]) throw new InvalidDataException("it is packed (gzip, zip): unpack it first");
            if (FastTextModel.Begins(first)) return FastTextModel.Read(path);
            return Path.GetExtension(path).ToLowerInvariant() == ".bin" && BinaryVectors.Begins(first) ? BinaryVectors.Read(path)
                : TextVectors.Read(path);
        }
        catch (Exception reason) when (reason is InvalidDataException or EndOfStreamException or OverflowException)
        {
            var why = reason is EndOfStreamException ? "it is cut off" : reason.Message;
            throw new GraftException($"{path} holds no word vectors that can be read: {why}", reason);
        }
        catch (OutOfMemoryException reason)
        {
            throw new GraftException($"{path}: its vectors are more than memory holds", reason);
        }
    }

    /// <summary>Writes one.</summary>
    /// <exception cref="GraftException">The name ends in neither .vec nor .bin.</exception>
    public static void Write(WordVectors vectors, string path)
    {
        CheckName(path);
        if (!path.EndsWith(".bin", StringComparison.OrdinalIgnoreCase)) AtomicFile.Write(path, stream => TextVectors.Write(vectors, stream));
        else if (vectors.Grams is null) AtomicFile.Write(path, stream => BinaryVectors.Write(vectors, stream));
        else AtomicFile.Write(path, stream => FastTextModel.Write(vectors, stream));
    }

    /// <summary>Refuses a name that says no kind.</summary>
    /// <exception cref="GraftException">It ends in neither .vec, .txt nor .bin.</exception>
    public static void CheckName(string path)
    {
        if (Path.GetExtension(path).ToLowerInvariant() is not (".vec" or ".txt" or ".bin"))
            throw Bounds.Refuse($"{path}: word vectors are written as .vec (text) or .bin (with --subwords fastText's model, else word2vec's): let the name end so");
    }

    /// <summary>A table of so many numbers.</summary>
    /// <exception cref="InvalidDataException">There are none, or more than one piece of memory holds.</exception>
    public static float[] Table(long rows, int size)
    {
        if (size is < 1 or > 100_000) throw new InvalidDataException($"its vectors would have {size} numbers");
        if (rows < 1 || rows * size > Array.MaxLength)
            throw new InvalidDataException($"it speaks of {rows} vectors of {size} numbers: none, or more than one piece of memory holds");
        return GC.AllocateUninitializedArray<float>((int)(rows * size));
    }
}
