namespace Graft.Data;

/// <summary>Why something of a dataset was left out.</summary>
public enum LeftOutKind
{
    /// <summary>Pictures of a class that training does not have.</summary>
    ForeignClass,

    /// <summary>Pictures in a folder that is neither train, val nor test.</summary>
    UnknownPart,

    /// <summary>Pictures in a part that is not used here.</summary>
    UnusedPart,

    /// <summary>A row whose file does not exist.</summary>
    MissingFile,

    /// <summary>A row without a path or a label.</summary>
    IncompleteRow,

    /// <summary>A picture in no class folder.</summary>
    NoClassFolder,

    /// <summary>A picture that cannot be read or decoded.</summary>
    Broken,

    /// <summary>Pictures in a hidden folder, or in one that a system keeps for itself.</summary>
    Hidden,

    /// <summary>A file whose name is no UTF-8, so that it cannot be opened.</summary>
    UnreadableName,

    /// <summary>A folder without a picture.</summary>
    EmptyFolder,

    /// <summary>A folder that cannot be read: nobody knows how many pictures it holds.</summary>
    UnreadableFolder,

    /// <summary>A link back to a folder that it lies in.</summary>
    Loop,

    /// <summary>A file that is no picture by its name.</summary>
    OtherFile,

    /// <summary>A sentence with no text in it, or half a pair.</summary>
    EmptyText,
}

/// <summary>Something of a dataset that was left out.</summary>
/// <param name="Kind">Why.</param>
/// <param name="Name">What: a file, a folder, a class, a line of a CSV.</param>
/// <param name="Pictures">How many pictures, or sentences, it holds; 0: none, or nobody knows.</param>
/// <param name="Part">train, val or test, where it lies in one.</param>
/// <param name="Error">What the reader of it said, where it did.</param>
public sealed record LeftOut(LeftOutKind Kind, string Name, int Pictures, string? Part = null, string? Error = null)
{
    private static readonly Dictionary<LeftOutKind, (string One, string Many)> s_words = new()
    {
        [LeftOutKind.ForeignClass] = ("is a class that training does not have", "{items} of classes that training does not have"),
        [LeftOutKind.UnknownPart] = ("is neither train, val nor test", "{items} in {folders} that are neither train, val nor test"),
        [LeftOutKind.UnusedPart] = ("is not used here", "{items} in parts that are not used here"),
        [LeftOutKind.MissingFile] = ("does not exist", "{items} whose file does not exist"),
        [LeftOutKind.IncompleteRow] = ("has no {what} or no label", "rows without a {what} or a label"),
        [LeftOutKind.NoClassFolder] = ("lies in no class folder", "{items} that lie in no class folder"),
        [LeftOutKind.Broken] = ("cannot be read", "{items} that cannot be read"),
        [LeftOutKind.Hidden] = ("is hidden, or a system's own", "{items} in hidden folders, or in a system's own"),
        [LeftOutKind.UnreadableName] = ("has a name that is no UTF-8", "{items} whose names are no UTF-8"),
        [LeftOutKind.EmptyFolder] = ("holds no {item}", "folders that hold no {item}"),
        [LeftOutKind.UnreadableFolder] = ("cannot be read", "folders that cannot be read"),
        [LeftOutKind.Loop] = ("is a link back to a folder that it lies in", "links back to a folder that they lie in"),
        [LeftOutKind.OtherFile] = ("is no {file} by its name", "files that are no {files} by their names"),
        [LeftOutKind.EmptyText] = ("has no text", "{items} without text"),
    };

    /// <summary>What its items are called.</summary>
    internal ItemNoun Noun { get; init; } = ItemNoun.Picture;

    /// <summary>A picture that could not be decoded.</summary>
    internal static LeftOut Of(BrokenPicture broken) => new(LeftOutKind.Broken, broken.File, 1, null, broken.Error);

    /// <summary>The same by reasons, the weightiest first.</summary>
    internal static IReadOnlyList<LeftOutGroup> Group(IEnumerable<LeftOut> all) =>
        [.. all.Distinct().GroupBy(one => one.Kind).OrderBy(group => group.Key)
        .Select(group => new LeftOutGroup(group.Key, Worded(s_words[group.Key].Many, group.First().Noun), group.Sum(one => one.Pictures),
            [.. group.Select(one => one.Name + one.Detail)]) { Noun = group.First().Noun })];

    /// <summary>As a sentence.</summary>
    public override string ToString() => $"{Name} {Worded(s_words[Kind].One, Noun)}{Detail}";

    private static string Worded(string words, ItemNoun noun)
    {
        var text = noun == ItemNoun.Sentence;
        return words.Replace("{items}", noun.Many).Replace("{item}", noun.One).Replace("{what}", text ? "text" : "path")
            .Replace("{folders}", text ? "folders or files" : "folders")
            .Replace("{files}", text ? "part of the dataset" : "pictures").Replace("{file}", text ? "part of the dataset" : "picture");
    }

    private string Detail => Error is not null ? $" ({Error})" : Pictures > 1 ? $" ({Pictures} {Noun.Many})" : "";
}

/// <summary>All that was left out for one reason.</summary>
/// <param name="Kind">Why.</param>
/// <param name="Reason">What they are, and why they were left out, in words.</param>
/// <param name="Pictures">How many pictures, or sentences, they hold; 0: none, or nobody knows.</param>
/// <param name="Names">What.</param>
internal sealed record LeftOutGroup(LeftOutKind Kind, string Reason, int Pictures, IReadOnlyList<string> Names)
{
    /// <summary>What its items are called.</summary>
    internal ItemNoun Noun { get; init; } = ItemNoun.Picture;
}

/// <summary>What was noticed when a dataset was read; it travels with the dataset, so that whoever uses that can say it.</summary>
/// <param name="LeftOut">What is not in it.</param>
/// <param name="Remarks">How something was understood, where another reading was possible.</param>
public sealed record DatasetNotes(IReadOnlyList<LeftOut> LeftOut, IReadOnlyList<string> Remarks)
{
    /// <summary>Nothing.</summary>
    public static DatasetNotes None { get; } = new([], []);

    /// <summary>A sentence for each.</summary>
    public IReadOnlyList<string> Lines => [.. Remarks, .. LeftOut.Select(one => $"{one}")];

    /// <summary>These and others.</summary>
    internal DatasetNotes With(DatasetNotes more) => new([.. LeftOut.Concat(more.LeftOut).Distinct()], [.. Remarks.Concat(more.Remarks).Distinct()]);

    /// <summary>These and more that was left out.</summary>
    internal DatasetNotes With(IEnumerable<LeftOut> more) => With(new DatasetNotes([.. more], []));

    /// <summary>Without what lies in other parts.</summary>
    internal DatasetNotes OfPart(string part) => this with { LeftOut = [.. LeftOut.Where(one => one.Part is null || one.Part == part)] };

    /// <summary>For an error that one of these may be the reason of.</summary>
    internal string Hint => LeftOut.Count == 0 ? ""
        : $". Left out: {string.Join("; ", LeftOut.Take(3))}{(LeftOut.Count > 3 ? $"; and {LeftOut.Count - 3} more" : "")}";
}
