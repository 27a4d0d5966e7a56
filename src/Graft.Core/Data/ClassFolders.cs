namespace Graft.Data;

/// <summary>What the folders of a listing mean: class folders, or train/, val/ and test/ with class folders in them.</summary>
internal static class ClassFolders
{
    /// <summary>Gives each item its part and its class.</summary>
    /// <param name="listing">Of a folder or a zip.</param>
    /// <param name="known">Classes that are looked for: a folder of such a name is no part and no wrapping; null: any.</param>
    /// <exception cref="GraftException">Nothing lies in a class folder.</exception>
    public static DatasetParts Arrange(Listing listing, IReadOnlyList<string>? known = null)
    {
        var noun = listing.Files.Noun;
        var example = $"Put each class's {noun.Many} in a folder of its own: {Path.GetFileName(listing.Root.TrimEnd('/'))}/CLASS/{listing.Files.Example}";
        if (listing.Names.Count == 0) throw new GraftException($"{listing.Root} holds no {noun.Many}{listing.Notes.Hint}. {example}");
        var classes = (known ?? []).Select(UnicodeNames.Compose).ToHashSet(StringComparer.OrdinalIgnoreCase);
        var above = Wrapping(listing, classes);
        string[][] paths = [.. listing.Names.Select(name => name[above.Length..].Split('/'))];
        var (parts, remarks) = FindParts(paths, classes);
        var depth = parts.Count > 0 ? 1 : 0;
        if (depth == 0 && known is null && Alike(paths) is { } alike) remarks.Add(alike);

        var (leftOut, items, chosen) = (new List<LeftOut>(), new List<(string, string)>(), new List<int>());
        for (var k = 0; k < paths.Length; k++)
        {
            var part = depth == 0 ? Parts.Train : parts.GetValueOrDefault(paths[k][0]);
            if (paths[k].Length < depth + 2)
            {
                leftOut.Add(new LeftOut(LeftOutKind.NoClassFolder, listing.Names[k], 1, part));
            }
            else if (part is not null)
            {
                items.Add((part, paths[k][depth]));
                chosen.Add(k);
            }
        }
        if (depth == 1)
        {
            leftOut.AddRange(paths.Where(path => path.Length > 2 && !parts.ContainsKey(path[0])).GroupBy(path => path[0])
                .Select(group => new LeftOut(LeftOutKind.UnknownPart, above + group.Key + "/", group.Count())));
        }
        if (items.Count == 0) throw new GraftException($"{listing.Root} holds {noun.Many}, but none in a class folder. {example}");
        // Where the parts are known, so is whose loss it is.
        string? PartOf(string name) => depth == 0 ? Parts.Train
            : name.StartsWith(above, StringComparison.Ordinal) ? parts.GetValueOrDefault(name[above.Length..].Split('/')[0]) : null;
        var passed = listing.Notes.LeftOut.Select(one => one with { Part = PartOf(one.Name) });
        leftOut.AddRange(Empty(listing, above, depth).Select(name => new LeftOut(LeftOutKind.EmptyFolder, name + "/", 0, PartOf(name))));
        var notes = new DatasetNotes([.. passed, .. leftOut.Select(one => one with { Noun = noun })], [.. listing.Remarks, .. remarks]);
        int[] places = [.. chosen];
        var layout = depth == 1 ? $"{listing.Layout} with splits" : $"{listing.Layout} of class folders";
        return DatasetParts.Of(listing.Root, layout, depth == 1, items, notes,
            some => listing.Open(listing, [.. some.Select(k => places[k])]));
    }

    /// <summary>The folders that hold everything, as archives often have one: nest/photos/ of nest/photos/{ants,bees}.</summary>
    private static string Wrapping(Listing listing, HashSet<string> classes)
    {
        var above = "";
        while (true)
        {
            string[] names = [.. listing.Names.Where(name => name.StartsWith(above, StringComparison.Ordinal)).Select(name => name[above.Length..])];
            var folders = listing.Folders.Where(name => name.StartsWith(above, StringComparison.Ordinal)).Select(name => name[above.Length..] + "/");
            string[] tops = [.. names.Concat(folders).Where(name => name.Contains('/')).Select(name => name.Split('/')[0]).Distinct()];
            if (names.Any(name => !name.Contains('/')) || tops is not [var top] || Parts.Of(top) is not null || classes.Contains(top)) return above;
            // A single class has its pictures right below.
            var inner = names.Select(name => name.Split('/')).ToArray();
            if (inner.Any(path => path.Length == 2) && inner.Where(path => path.Length > 2).Select(path => path[1]).Distinct()
                .Count() < 2) return above;
            above += top + "/";
        }
    }

    /// <summary>Which top folders are which parts: none, unless there is a train folder or all are parts.</summary>
    private static (Dictionary<string, string> Parts, List<string> Remarks) FindParts(string[][] paths, HashSet<string> classes)
    {
        string[] tops = [.. paths.Where(path => path.Length > 1).Select(path => path[0]).Distinct()];
        string[] deep = [.. paths.Where(path => path.Length > 2).Select(path => path[0]).Distinct()];
        var found = deep.Where(top => Parts.Of(top) is not null).ToDictionary(top => top, top => Parts.Of(top)!);
        if (tops.Any(classes.Contains) || found.Count == 0 || (!found.ContainsValue(Parts.Train) && found.Count < tops.Length)) return ([], []);
        // Said where the name is not the part's own, or where two folders make one part.
        return (found, [.. found.GroupBy(pair => pair.Value).Where(group => group.Count() > 1 || Unusual(group.First().Key))
            .Select(group => $"{string.Join(" and ", group.Select(pair => pair.Key + "/"))} {(group.Count() > 1 ? "are together" : "is")} the {group.Key} part")]);
    }

    /// <summary>Folders that all hold the same folders may be parts by a name that nobody knows.</summary>
    private static string? Alike(string[][] paths)
    {
        var tops = paths.GroupBy(path => path[0])
            .Select(top => (top.Key, Inner: top.Select(path => path.Length > 2 ? path[1] : "").Distinct().Order(StringComparer.Ordinal).ToArray()))
                .ToArray();
        return tops.Length > 1 && tops[0].Inner.Length > 1 && tops.All(top => top.Inner[0].Length > 0 && top.Inner.SequenceEqual(tops[0].Inner))
            ? $"{string.Join(" and ", tops.Take(3).Select(top => top.Key + "/"))} hold the same folders ({string.Join(", ", tops[0].Inner.Take(3))})"
                + " and are taken for classes: if they are parts of the data, call them train/, val/ and test/" : null;
    }

    private static bool Unusual(string folder) =>
        folder.ToLowerInvariant() is not ("train" or "training" or "val" or "valid" or "validation" or "test" or "testing");

    /// <summary>Part and class folders with nothing in them that could be read.</summary>
    private static IEnumerable<string> Empty(Listing listing, string above, int depth)
    {
        var full = new HashSet<string>();
        var closed = listing.Notes.LeftOut.Where(one => one.Kind is LeftOutKind.UnreadableFolder or LeftOutKind.Loop).Select(one => one.Name + "/");
        foreach (var name in listing.Names.Concat(closed))
        {
            for (var cut = name.LastIndexOf('/'); cut > 0; cut = name.LastIndexOf('/', cut - 1)) full.Add(name[..cut]);
        }
        return listing.Folders.Where(name => !full.Contains(name) && name.StartsWith(above, StringComparison.Ordinal)
            && name[above.Length..].Count(letter => letter == '/') <= depth).Order(StringComparer.Ordinal);
    }
}
