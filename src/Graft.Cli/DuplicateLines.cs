using Graft.Data;

namespace Graft.Cli;

/// <summary>Duplicates of a dataset, a line a group, for people.</summary>
internal static class DuplicateLines
{
    private const int Shown = 12;

    public static void Say(Shell shell, string title, IEnumerable<DuplicateGroup> groups)
    {
        DuplicateGroup[] all = [.. groups];
        if (all.Length == 0) return;
        shell.Say($"{title}:");
        foreach (var found in all.Take(Shown))
        {
            shell.Say($"  {(found.Exact ? "equal" : "alike")}{(found.AcrossSplits ? ", across splits" : "")}{(found.AcrossClasses ? ", across classes" : "")}: "
                + string.Join(" = ", found.Files.Take(4)) + (found.Files.Count > 4 ? " = …" : "") + (found.Text is null ? "" : $": {found.Text}"));
        }
        if (all.Length > Shown) shell.Say($"  … and {all.Length - Shown} more (--json lists all)");
    }
}
