namespace Graft.Data;

/// <summary>Finds files that a table names: with / or \ between, and with names composed otherwise than on the disk.</summary>
internal sealed class FileFinder(string folder)
{
    private readonly Dictionary<string, ILookup<string, string>> _entries = [];

    public string Folder => folder;

    /// <summary>The file's path, or null.</summary>
    public string? Find(string name)
    {
        var slashes = name.Replace('\\', '/');
        foreach (var given in new[] { name, slashes })
        {
            if (File.Exists(Path.Combine(folder, given))) return Path.Combine(folder, given);
        }
        return System.Text.Ascii.IsValid(name) ? null : Search(slashes);
    }

    private string? Search(string name)
    {
        var at = Path.IsPathRooted(name) ? Path.GetPathRoot(name)! : folder;
        foreach (var part in name.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            var next = Path.Combine(at, part);
            if (!Path.Exists(next) && Entries(at)[UnicodeNames.Compose(part)].FirstOrDefault() is { } other) next = other;
            if (!Path.Exists(next)) return null;
            at = next;
        }
        return File.Exists(at) ? at : null;
    }

    private ILookup<string, string> Entries(string place)
    {
        if (_entries.TryGetValue(place, out var known)) return known;
        try
        {
            return _entries[place] = Directory.EnumerateFileSystemEntries(place).ToLookup(entry => UnicodeNames.Compose(Path.GetFileName(entry)));
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            return _entries[place] = Enumerable.Empty<string>().ToLookup(entry => entry);
        }
    }
}
