namespace Graft.Data;

/// <summary>Lists a folder, all the way down; follows links, but never into a folder that it is already inside.</summary>
internal static class FolderReader
{
    public static Listing Read(string root, ListedFiles? files = null)
    {
        var listing = new Listing(root, "folder", files ?? ListedFiles.Pictures)
        {
            Open = (all, chosen) => new FileSource(root, [.. chosen.Select(k => all.Paths[k])]),
        };
        Walk(root, "", [], listing);
        return listing;
    }

    private static void Walk(string root, string below, HashSet<string> inside, Listing listing)
    {
        var folder = Path.Combine(root, below);
        string real;
        try
        {
            real = new DirectoryInfo(folder).ResolveLinkTarget(true)?.FullName ?? Path.GetFullPath(folder);
        }
        catch (IOException)
        {
            listing.Skip(LeftOutKind.UnreadableFolder, below, "a link that leads nowhere");
            return;
        }
        if (!inside.Add(real))
        {
            listing.Skip(LeftOutKind.Loop, below);
            return;
        }
        try
        {
            foreach (var file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
                listing.AddFile(Path.Combine(below, Path.GetFileName(file)), file);
            foreach (var child in Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal))
            {
                var name = Path.Combine(below, Path.GetFileName(child));
                if (name.Contains('\ufffd') && !Listing.IsHidden(name))
                    throw new GraftException($"{child}: the folder's name is no UTF-8, so it cannot be opened, and two such names would be one class. "
                        + $"Rename it, for Korean ones by: convmv -f cp949 -t utf8 -r --notest {root}");
                listing.AddFolder(name);
                Walk(root, name, inside, listing);
            }
        }
        catch (UnauthorizedAccessException)
        {
            listing.Skip(LeftOutKind.UnreadableFolder, below, "permission denied");
        }
        catch (IOException reason)
        {
            listing.Skip(LeftOutKind.UnreadableFolder, below, reason.Message);
        }
        finally
        {
            inside.Remove(real);
        }
    }
}
