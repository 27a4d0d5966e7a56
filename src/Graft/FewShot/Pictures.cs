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
        var parts = DatasetReader.OpenParts(folder, null, TargetKind.Classes);
        if (parts.HasParts) throw new GraftException($"{folder} has the parts {parts.Names}: give one of them, or a folder with a folder for each class");
        if (parts.Notes.LeftOut.FirstOrDefault(one => one.Kind is LeftOutKind.EmptyFolder or LeftOutKind.UnreadableFolder) is { } empty)
            throw new GraftException($"{Path.Combine(folder, empty.Name.TrimEnd('/'))} {(empty.Kind == LeftOutKind.EmptyFolder ? "holds no picture" : $"cannot be read ({empty.Error})")}: every class of a support set needs at least one; add one, or remove the folder");
        var data = parts.All.Values.Single();
        return new Dataset(new Listed([.. Enumerable.Range(0, data.Count).Select(k => Path.Combine(folder, data.Name(k)))]), data.Labels, data.Classes) { Notes = data.Notes };
    }

    private sealed class Listed(string[] files) : PictureSource
    {
        public override string Name(int index) => files[index];

        public override byte[] Read(int index) => File.Exists(files[index]) ? File.ReadAllBytes(files[index]) : throw new IOException("there is no such file");
    }
}
