namespace Graft.Data;

/// <summary>Brings the classes of one dataset into the order of another's.</summary>
internal static class ClassNames
{
    /// <summary>
    /// The pictures whose classes are among the others. Names are equal composed; names that differ by case alone are taken for
    /// one another where that is unambiguous, which is said. What is left is left out, class by class.
    /// </summary>
    public static Dataset Match(Dataset data, IReadOnlyList<string> classes)
    {
        string[] wanted = [.. classes.Select(UnicodeNames.Compose)];
        var (leftOut, remarks) = (new List<LeftOut>(), new List<string>());
        var counts = data.CountsByClass();
        var where = data.Part is { } part ? part + "/" : "";
        var exact = data.Classes.Select(name => Array.IndexOf(wanted, name)).ToArray();
        var map = new int[data.Classes.Count];
        for (var c = 0; c < map.Length; c++)
        {
            var name = data.Classes[c];
            map[c] = exact[c];
            if (map[c] >= 0) continue;
            int[] alike = [.. Enumerable.Range(0, wanted.Length).Where(k => Same(wanted[k], name))];
            var rivals = data.Classes.Count(other => Same(other, name));
            if (alike.Length == 1 && rivals == 1)
            {
                map[c] = alike[0];
                remarks.Add($"{where}{name} is taken for the class {classes[alike[0]]}: the names differ by case alone");
            }
            else
            {
                leftOut.Add(new LeftOut(LeftOutKind.ForeignClass, where + name, counts[c], data.Part));
            }
        }
        return data.Subset(Enumerable.Range(0, data.Count).Where(k => map[data.Labels[k]] >= 0)).Relabel(label => map[label], classes)
            .With(new DatasetNotes(leftOut, remarks));
    }

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);
}
