using Graft.Data;

namespace Graft.MultiTask;

/// <summary>One task of several: what a column of a table tells.</summary>
/// <param name="Name">The column's.</param>
/// <param name="Kind">One class, several labels, a number.</param>
/// <param name="Names">Of the classes or the labels, in the order of the outputs; of a number the column's name alone.</param>
public sealed record TaskColumn(string Name, TargetKind Kind, IReadOnlyList<string> Names)
{
    /// <summary>Numbers in a row of targets: a class is one, its number.</summary>
    internal int Width => Kind == TargetKind.Classes ? 1 : Names.Count;

    /// <summary>Where the tasks' numbers begin in a row of targets, and how many there are in all.</summary>
    internal static (int[] Starts, int Width) Places(IReadOnlyList<TaskColumn> tasks, Func<TaskColumn, int> width)
    {
        var (starts, at) = (new int[tasks.Count], 0);
        for (var t = 0; t < tasks.Count; t++) (starts[t], at) = (at, at + width(tasks[t]));
        return (starts, at);
    }

    /// <summary>The items of which this task is told, as a dataset's targets.</summary>
    /// <param name="rows">Of targets; what is not told is NaN.</param>
    /// <param name="start">Where this task's numbers begin.</param>
    internal (int[] Items, Targets Targets) Told(IReadOnlyList<float[]> rows, int start)
    {
        int[] items = [.. Enumerable.Range(0, rows.Count).Where(k => !float.IsNaN(rows[k][start]))];
        return (items, Kind switch
        {
            TargetKind.Classes => new ClassTargets([.. items.Select(k => (int)rows[k][start])], Names),
            TargetKind.Labels => new LabelTargets([.. items.Select(k => Enumerable.Range(0, Width).Where(c => rows[k][start + c] > 0.5f).ToArray())],
                Names),
            _ => new NumberTargets([.. items.Select(k => new[] { rows[k][start] })], Names),
        });
    }
}
