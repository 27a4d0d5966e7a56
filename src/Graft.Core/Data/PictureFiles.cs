namespace Graft.Data;

/// <summary>Which files and folders count, by their names: one rule for folders, zips, CSVs, support sets and pictures to predict.</summary>
internal static class PictureFiles
{
    private static readonly HashSet<string> s_extensions = new(StringComparer.OrdinalIgnoreCase)
    {
        ".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".heic", ".avif", ".jfif",
    };

    // Of macOS's zips, Synology's thumbnails, Windows's and ext4's drives.
    private static readonly HashSet<string> s_systems = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

    /// <summary>A file or a folder that nobody put there as data: hidden (.ipynb_checkpoints), or a system's own (__MACOSX).</summary>
    internal static bool IsHidden(string name) => (name.StartsWith('.') && name is not ("." or "..")) || s_systems.Contains(name);

    /// <summary>Whether a name ends as pictures' do.</summary>
    internal static bool IsPicture(string name) => s_extensions.Contains(Path.GetExtension(name));

    /// <summary>The pictures below a folder, and what else lies there; or the one file.</summary>
    public static (IReadOnlyList<string> Files, DatasetNotes Notes) Below(string path)
    {
        if (!Directory.Exists(path)) return ([path], DatasetNotes.None);
        var listing = FolderReader.Read(path);
        return ([.. listing.Paths.Order(StringComparer.Ordinal)],
            listing.Notes with { LeftOut = [.. listing.Notes.LeftOut.Select(one => one with { Name = Path.Combine(path, one.Name) })] });
    }
}
