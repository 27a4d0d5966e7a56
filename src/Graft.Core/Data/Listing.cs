namespace Graft.Data;

/// <summary>Which files of a folder or a zip are items of a dataset.</summary>
/// <param name="Noun">What they are called.</param>
/// <param name="Example">A file's name, for messages.</param>
/// <param name="Takes">Whether a name is one of such a file.</param>
internal sealed record ListedFiles(ItemNoun Noun, string Example, Func<string, bool> Takes)
{
    public static ListedFiles Pictures { get; } = new(ItemNoun.Picture, "picture.jpg", PictureFiles.IsPicture);

    public static ListedFiles Texts { get; } =
        new(ItemNoun.Sentence, "review.txt", name => name.EndsWith(".txt", StringComparison.OrdinalIgnoreCase));
}

/// <summary>The pictures, or texts, and folders that a folder or a zip holds, before anyone knows what the folders mean.</summary>
internal sealed class Listing(string root, string layout, ListedFiles files)
{
    private readonly List<LeftOut> _leftOut = [];
    private readonly Dictionary<string, int> _hidden = [];

    public string Root => root;

    /// <summary>folder or zip.</summary>
    public string Layout => layout;

    /// <summary>Which of the files are taken up.</summary>
    public ListedFiles Files => files;

    /// <summary>Each one's path below the root, composed, with / between.</summary>
    public List<string> Names { get; } = [];

    /// <summary>Where to open each.</summary>
    public List<string> Paths { get; } = [];

    /// <summary>Where to find each in a zip.</summary>
    public List<int> Places { get; } = [];

    /// <summary>Folders that are not hidden.</summary>
    public HashSet<string> Folders { get; } = [];

    /// <summary>How names were understood.</summary>
    public List<string> Remarks { get; } = [];

    /// <summary>What was passed over.</summary>
    public DatasetNotes Notes => new(
        [.. _leftOut.Concat(_hidden.Select(pair => new LeftOut(LeftOutKind.Hidden, pair.Key, pair.Value))).Select(one => one with { Noun = files.Noun })], Remarks);

    /// <summary>Opens some of them.</summary>
    public required Func<Listing, int[], ItemSource> Open { get; init; }

    /// <summary>Takes a file up, or notes why not.</summary>
    public void AddFile(string name, string path, int place = -1)
    {
        name = Slashes(name);
        var parts = name.Split('/');
        var hidden = Array.FindIndex(parts, PictureFiles.IsHidden);
        // macOS keeps what a file system cannot hold in a ._ file beside each picture.
        if (hidden >= 0 && (!files.Takes(name) || parts[^1].StartsWith("._", StringComparison.Ordinal))) return;
        if (hidden >= 0) _hidden[Top(parts, hidden)] = _hidden.GetValueOrDefault(Top(parts, hidden)) + 1;
        else if (!files.Takes(name)) _leftOut.Add(new LeftOut(LeftOutKind.OtherFile, name, 0));
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

    /// <summary>Takes up what another listing of the same has; what has no text is left out.</summary>
    public void Take(Listing other, Func<string, bool> hasText)
    {
        for (var k = 0; k < other.Names.Count; k++)
        {
            if (!hasText(other.Names[k]))
            {
                _leftOut.Add(new LeftOut(LeftOutKind.EmptyText, other.Names[k], 1));
                continue;
            }
            Names.Add(other.Names[k]);
            Paths.Add(other.Paths[k]);
            Places.Add(other.Places[k]);
        }
        Folders.UnionWith(other.Folders);
        Remarks.AddRange(other.Remarks);
        _leftOut.AddRange(other._leftOut);
        foreach (var (name, count) in other._hidden) _hidden[name] = count;
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
