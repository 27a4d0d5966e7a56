namespace Graft.Data;

/// <summary>Brings the classes, the labels or the columns of one dataset into the order of another's.</summary>
internal static class ClassNames
{
    /// <summary>
    /// The pictures whose classes are among the others. Names are equal composed; names that differ by case alone are taken for
    /// one another where that is unambiguous, which is said. What is left is left out, class by class.
    /// </summary>
    public static Dataset Match(Dataset data, IReadOnlyList<string> classes, TargetKind kind = TargetKind.Classes)
    {
        if (data.Targets.Kind != kind)
            throw new GraftException($"the data holds {Words(data.Targets.Kind, data.Noun)}, and {Words(kind, data.Noun)} are asked for{(kind == TargetKind.Classes ? "" : ": give a CSV with the columns that training had")}");
        if (data.Targets is LabelTargets labels) return MatchLabels(data, labels, classes);
        if (data.Targets is NumberTargets numbers) return MatchNumbers(data, numbers, classes);
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
                leftOut.Add(new LeftOut(LeftOutKind.ForeignClass, where + name, counts[c], data.Part) { Noun = data.Noun });
            }
        }
        return data.Subset(Enumerable.Range(0, data.Count).Where(k => map[data.Labels[k]] >= 0)).Relabel(label => map[label], classes)
            .With(new DatasetNotes(leftOut, remarks));
    }

    private static string Words(TargetKind kind, ItemNoun noun) =>
        kind switch { TargetKind.Labels => $"several labels for each {noun.One}", TargetKind.Numbers => "numbers",
            TargetKind.Similarity => "scores of pairs", _ => "classes" };

    // A label that training does not have is taken off its pictures, which stay.
    private static Dataset MatchLabels(Dataset data, LabelTargets own, IReadOnlyList<string> wanted)
    {
        int[] map = [.. own.Names.Select(name => wanted.Select(UnicodeNames.Compose).ToList().FindIndex(other => Same(other, name)))];
        var counts = own.Counts();
        var where = data.Part is { } part ? $" of the {part} part" : "";
        string[] remarks = [.. own.Names.Select((name, k) => (name, k)).Where(pair => map[pair.k] < 0 && counts[pair.k] > 0)
            .Select(pair => $"the label '{pair.name}'{where} is none that training has: it is taken off its {counts[pair.k]} {data.Noun.Many}")];
        int[][] sets = [.. own.Sets.Select(set => set.Select(label => map[label]).Where(label => label >= 0).Distinct().Order().ToArray())];
        return data.With(new LabelTargets(sets, wanted)).With(new DatasetNotes([], remarks));
    }

    private static Dataset MatchNumbers(Dataset data, NumberTargets own, IReadOnlyList<string> wanted)
    {
        int[] map = [.. wanted.Select(name => own.Names.ToList().FindIndex(other => Same(other, UnicodeNames.Compose(name))))];
        if (Array.IndexOf(map, -1) is var missing
            and >= 0) throw new GraftException($"the data has no column '{wanted[missing]}' of numbers, only {string.Join(", ", own.Names)}");
        return data.With(new NumberTargets([.. own.Rows.Select(row => map.Select(column => row[column]).ToArray())], wanted, own.Kind));
    }

    private static bool Same(string a, string b) => string.Equals(a, b, StringComparison.OrdinalIgnoreCase);
}
