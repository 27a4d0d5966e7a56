using System.Globalization;

namespace Graft.Data;

/// <summary>Reads a folder of IDX files, named as MNIST's are.</summary>
internal static class IdxReader
{
    public static bool IsImages(string path) => Path.GetFileName(path).Contains("idx3-ubyte", StringComparison.Ordinal);

    public static DatasetParts Read(string folder)
    {
        var parts = new Dictionary<string, Dataset>();
        foreach (var (part, start) in new[] { (Parts.Train, "train"), (Parts.Test, "t10k") })
        {
            if (ReadPart(folder, part, start) is { } found) parts[part] = found;
        }
        if (parts.Count == 0) throw new GraftException($"{folder} has neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte");
        return new DatasetParts(folder, "IDX", true, parts, DatasetNotes.None);
    }

    private static Dataset? ReadPart(string folder, string part, string start)
    {
        var images = Directory.EnumerateFiles(folder, $"{start}-images*idx3-ubyte*").FirstOrDefault();
        if (images is null) return null;
        var labels = Directory.EnumerateFiles(folder, $"{start}-labels*idx1-ubyte*").FirstOrDefault()
            ?? throw new GraftException($"{images} has no {start}-labels-idx1-ubyte beside it");
        var (sizes, pixels) = IdxSource.ReadFile(images);
        var (count, values) = IdxSource.ReadFile(labels);
        if (sizes.Length != 3 || count.Length != 1
            || sizes[0] != count[0]) throw new GraftException($"{images} holds {sizes[0]} pictures and {labels} {count[0]} labels");
        var fashion = folder.Contains("fashion", StringComparison.OrdinalIgnoreCase) && values.Max() == 9;
        string[] classes = fashion
            ? ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
            : [.. Enumerable.Range(0, values.Max() + 1).Select(k => k.ToString(CultureInfo.InvariantCulture))];
        return new Dataset(new IdxSource(images, pixels, sizes[2], sizes[1]), Array.ConvertAll(values, value => (int)value), classes) { Part = part };
    }
}
