using Graft.Data;

namespace Graft.FewShot;

/// <summary>Pictures by their paths alone, without labels, or with the classes of a support folder.</summary>
public static class Pictures
{
    /// <summary>Files, in this order, named as they are given.</summary>
    public static Dataset Of(IReadOnlyList<string> files) => new(new Listed([.. files]), new int[files.Count], ["unknown"]);

    /// <summary>A support folder: a folder for each class, with one picture or more.</summary>
    /// <exception cref="GraftException">No folder, no class, or one without pictures.</exception>
    public static Dataset Support(string folder)
    {
        if (File.Exists(folder)) throw new GraftException($"{folder} is no support set that --save wrote, or it is damaged: give such a file, or a folder with a folder for each class");
        if (!Directory.Exists(folder)) throw new GraftException($"{folder}: there is no such folder. A support folder has a folder for each class, with one picture or more: {Path.GetFileName(folder.TrimEnd('/'))}/cat/1.jpg");
        var classes = Directory.EnumerateDirectories(folder).Where(found => !Path.GetFileName(found).StartsWith('.')).Order(StringComparer.Ordinal).ToArray();
        if (classes.Length == 0) throw new GraftException($"{folder} has no class folders: put each class's picture in a folder of its own, such as {Path.GetFileName(folder.TrimEnd('/'))}/cat/1.jpg");
        var (files, labels) = (new List<string>(), new List<int>());
        for (var c = 0; c < classes.Length; c++)
        {
            var own = Directory.EnumerateFiles(classes[c], "*", SearchOption.AllDirectories).Where(DatasetReader.IsPicture).Order(StringComparer.Ordinal).ToArray();
            if (own.Length == 0) throw new GraftException($"{classes[c]} holds no picture: every class of a support set needs at least one; add one, or remove the folder");
            files.AddRange(own);
            labels.AddRange(own.Select(_ => c));
        }
        return new Dataset(new Listed([.. files]), labels, [.. classes.Select(found => Path.GetFileName(found)!)]);
    }

    private sealed class Listed(string[] files) : PictureSource
    {
        public override string Name(int index) => files[index];

        public override byte[] Read(int index) => File.Exists(files[index]) ? File.ReadAllBytes(files[index]) : throw new IOException("there is no such file");
    }
}
