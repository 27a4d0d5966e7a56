using Graft.Data;

namespace Graft.Cli;

/// <summary>What a command says of the data that it did not use: the one place for people, and the one shape for --json.</summary>
internal static class LeftOutView
{
    private const int Shown = 5;

    /// <summary>For the JSON object.</summary>
    public static object Json(DatasetNotes notes, IEnumerable<BrokenPicture> broken) => LeftOut.Group(All(notes, broken));

    /// <summary>For people, on stdout.</summary>
    public static void Say(Shell shell, DatasetNotes notes, IEnumerable<BrokenPicture> broken) => Write(notes, broken, shell.Say);

    /// <summary>For people, on stderr, where stdout is for answers.</summary>
    public static void Log(Shell shell, DatasetNotes notes, IEnumerable<BrokenPicture> broken) => Write(notes, broken, shell.Log);

    private static void Write(DatasetNotes notes, IEnumerable<BrokenPicture> broken, Action<string> line)
    {
        foreach (var remark in notes.Remarks) line($"Note: {remark}");
        var groups = LeftOut.Group(All(notes, broken));
        if (groups.Count == 0) return;
        var pictures = groups.Sum(group => group.Pictures);
        var noun = groups[0].Noun;
        line($"Left out:{(pictures > 0 ? $" {pictures} {(pictures == 1 ? noun.One : noun.Many)}" : "")}");
        foreach (var group in groups)
        {
            var more = group.Names.Count > Shown ? $"; … and {group.Names.Count - Shown} more" : "";
            line($"  {group.Reason} ({(group.Pictures > 0 ? group.Pictures : group.Names.Count)}): {string.Join("; ", group.Names.Take(Shown))}{more}");
        }
    }

    private static IEnumerable<LeftOut> All(DatasetNotes notes, IEnumerable<BrokenPicture> broken) => notes.LeftOut.Concat(broken.Select(LeftOut.Of));
}
