namespace Graft.Data;

/// <summary>The pictures and folders that a folder or a zip holds, before anyone knows what the folders mean.</summary>
internal sealed class Listing(string root, string layout)
{
    private readonly List<LeftOut> _leftOut = [];
    private readonly Dictionary<string, int> _hidden = [];

    public string Root => root;

    /// <summary>folder or zip.</summary>
    public string Layout => layout;

    /// <summary>Each picture's path below the root, composed, with / between.</summary>
    public List<string> Names { get; } = [];

    /// <summary>Where to open each picture.</summary>
    public List<string> Paths { get; } = [];

    /// <summary>Where to find each picture in a zip.</summary>
    public List<int> Places { get; } = [];

    /// <summary>Folders that are not hidden.</summary>
    public HashSet<string> Folders { get; } = [];

    /// <summary>How names were understood.</summary>
    public List<string> Remarks { get; } = [];

    /// <summary>What was passed over.</summary>
    public DatasetNotes Notes => new([.. _leftOut, .. _hidden.Select(pair => new LeftOut(LeftOutKind.Hidden, pair.Key, pair.Value))], Remarks);

    /// <summary>Opens some of the pictures.</summary>
    public required Func<Listing, int[], PictureSource> Open { get; init; }

    /// <summary>Takes a file up, or notes why not.</summary>
    public void AddFile(string name, string path, int place = -1)
    {
        name = Slashes(name);
        var parts = name.Split('/');
        var hidden = Array.FindIndex(parts, PictureFiles.IsHidden);
        // macOS keeps what a file system cannot hold in a ._ file beside each picture.
        if (hidden >= 0 && (!PictureFiles.IsPicture(name) || parts[^1].StartsWith("._", StringComparison.Ordinal))) return;
        if (hidden >= 0) _hidden[Top(parts, hidden)] = _hidden.GetValueOrDefault(Top(parts, hidden)) + 1;
        else if (!PictureFiles.IsPicture(name)) _leftOut.Add(new LeftOut(LeftOutKind.OtherFile, name, 0));
        else if (name.Contains('\ufffd')) _leftOut.Add(new LeftOut(LeftOutKind.UnreadableName, name, 1));
        else
        {
            Names.Add(UnicodeNames.Compose(name));
            Paths.Add(path);
            Places.Add(place);
        }
    }

    /// <summary>Takes a folder up.</summary>
    public void AddFolder(string name)
    {
        name = UnicodeNames.Compose(Slashes(name).TrimEnd('/'));
        if (name.Length > 0 && !IsHidden(name)) Folders.Add(name);
    }

    /// <summary>Notes a folder that was not entered.</summary>
    public void Skip(LeftOutKind kind, string name, string? error = null)
    {
        if (!IsHidden(name)) _leftOut.Add(new LeftOut(kind, name.Length == 0 ? "." : Slashes(name), 0, null, error));
    }

    internal static bool IsHidden(string name) => Slashes(name).Split('/').Any(PictureFiles.IsHidden);

    private static string Top(string[] parts, int hidden) => string.Join('/', parts[..(hidden + 1)]);

    // Zips that Windows programs wrote have backslashes, which some unzip into file names.
    private static string Slashes(string name) => name.Replace('\\', '/');
}
