using System.Text;
using System.Text.Json.Serialization;

namespace Graft.Data;

/// <summary>What <c>graft data inspect</c> finds in sentences.</summary>
internal sealed record TextInspectionReport(
    string Path, string Layout, TargetKind Task, IReadOnlyList<string> Classes, IReadOnlyDictionary<string, int[]> CountsBySplit,
    IReadOnlyList<TextLengths> Lengths, IReadOnlyDictionary<string, double> Scripts, IReadOnlyList<DuplicateGroup> Duplicates,
    IReadOnlyList<TextOverlap> Overlaps, IReadOnlyList<NumberSummary> Numbers, IReadOnlyList<string> Remarks,
    [property: JsonPropertyName("left_out")] IReadOnlyList<LeftOutGroup> LeftOut);

/// <summary>How long the sentences of a part are, in characters and in words (what stands between spaces); a pair counts together.</summary>
internal sealed record TextLengths(string Part, int Sentences, LengthSummary Characters, LengthSummary Words, string LongestName);

/// <summary>Half are no longer than the median, 95 of 100 no longer than the second.</summary>
internal sealed record LengthSummary(int Median, int NinetyFive, int Longest);

/// <summary>Sentences of a part that the train part holds as well.</summary>
/// <param name="Part">val or test.</param>
/// <param name="Exact">The same, letter for letter.</param>
/// <param name="Near">Nearly the same.</param>
/// <param name="OtherLabel">Of both, those that train labels otherwise.</param>
internal sealed record TextOverlap(string Part, int Exact, int Near, int OtherLabel);

/// <summary>Counts, lengths, scripts and duplicates of sentences, across the parts of their dataset.</summary>
internal static class TextInspection
{
    private sealed record Seen(string Part, string Name, string Label, string Text);

    // Where a script's letters lie; a sentence is of the script that most of its letters are of.
    private static readonly (string Name, int From, int To)[] s_scripts =
    [
        ("Latin", 0x41, 0x24f), ("Latin", 0x1e00, 0x1eff), ("Greek", 0x370, 0x3ff), ("Cyrillic", 0x400, 0x52f), ("Armenian", 0x530, 0x58f),
            ("Hebrew", 0x590, 0x5ff),
        ("Arabic", 0x600, 0x6ff), ("Arabic", 0x750, 0x77f), ("Arabic", 0xfb50, 0xfdff), ("Arabic", 0xfe70, 0xfeff), ("Devanagari", 0x900, 0x97f),
            ("Bengali", 0x980, 0x9ff),
        ("Tamil", 0xb80, 0xbff), ("Telugu", 0xc00, 0xc7f), ("Thai", 0xe00, 0xe7f), ("Georgian", 0x10a0, 0x10ff), ("Hangul", 0x1100, 0x11ff),
            ("Hangul", 0x3130, 0x318f),
        ("Hangul", 0xac00, 0xd7a3), ("Kana", 0x3040, 0x30ff), ("Kana", 0x31f0, 0x31ff), ("Kana", 0xff66, 0xff9f), ("Han", 0x3400, 0x4dbf),
            ("Han", 0x4e00, 0x9fff),
        ("Han", 0xf900, 0xfaff), ("Han", 0x20000, 0x323af), ("Latin", 0xff21, 0xff5a),
    ];

    /// <summary>Looks at every sentence.</summary>
    public static TextInspectionReport Run(DatasetSplits splits, CancellationToken cancel = default)
    {
        (string Name, Dataset? Data)[] parts = [("train", splits.Train), ("val", splits.Validation), ("test", splits.Test)];
        var here = parts.Where(part => part.Data is not null).Select(part => (part.Name, Data: part.Data!)).ToArray();
        Seen[] all = [.. here.SelectMany(part => Enumerable.Range(0, part.Data.Count).Select(k =>
            new Seen(part.Name, part.Data.Name(k), part.Data.Targets.Describe(k), Joined(part.Data.Text(k)))))];
        var remarks = splits.Notes.Remarks.ToList();
        if (all.Length > NearTexts.Limit) remarks.Add($"near duplicates are sought among the first {NearTexts.Limit:N0} sentences of {all.Length:N0}; equal ones among all");
        var exact = all.GroupBy(one => one.Text).Where(group => group.Count() > 1).Select(group => group.ToArray()).ToArray();
        // Of equal ones one stands for all, so that near groups add to exact ones.
        var distinct = all.DistinctBy(one => one.Text).Take(NearTexts.Limit).ToArray();
        var copies = exact.ToDictionary(group => group[0].Text);
        var near = NearTexts.Groups([.. distinct.Select(one => one.Text)], cancel)
            .Select(group => group.SelectMany(k => copies.GetValueOrDefault(distinct[k].Text) ?? [distinct[k]]).ToArray()).ToArray();
        return new TextInspectionReport(splits.Path, splits.Layout, splits.Train.Targets.Kind, splits.Train.Targets.Names,
            here.ToDictionary(part => part.Name, part => Inspection.Counts(part.Data)),
                [.. here.Select(part => Lengths(part.Name, [.. all.Where(one => one.Part == part.Name)]))],
            Scripts(all), [.. exact.Select(group => Group(true, group)), .. near.Select(group => Group(false, group))],
            [.. here.Where(part => part.Name != "train").Select(part => Overlap(part.Name, exact, near))],
            Inspection.Summaries(parts), remarks, Data.LeftOut.Group(splits.Notes.LeftOut));
    }

    private static string Joined(TextItem item) => item.Second is null ? item.First : $"{item.First}\u001f{item.Second}";

    private static TextLengths Lengths(string part, Seen[] sentences)
    {
        static LengthSummary Of(IEnumerable<int> lengths)
        {
            int[] sorted = [.. lengths.Order()];
            return new LengthSummary(sorted[sorted.Length / 2], sorted[Math.Min(sorted.Length - 1, (int)(0.95 * sorted.Length))], sorted[^1]);
        }
        return new TextLengths(part, sentences.Length, Of(sentences.Select(one => Characters(one.Text))),
            Of(sentences.Select(one => Words(one.Text))),
            sentences.MaxBy(one => one.Text.Length)!.Name);
    }

    // A letter outside of the basic plane, as 😀, is two chars and one character.
    private static int Characters(string text) => text.Count(letter => !char.IsLowSurrogate(letter) && letter != '\u001f');

    private static int Words(string text)
    {
        var (count, inside) = (0, false);
        foreach (var letter in text)
        {
            var space = char.IsWhiteSpace(letter) || letter == '\u001f';
            if (!space && !inside) count++;
            inside = !space;
        }
        return count;
    }

    // Shares of the sentences; those without letters count too.
    private static Dictionary<string, double> Scripts(Seen[] all)
    {
        var counts = all.AsParallel().WithDegreeOfParallelism(Cores.Count).GroupBy(one => Script(one.Text)).Select(group =>
            (group.Key, Count: group.Count())).ToArray();
        return counts.OrderByDescending(pair => pair.Count).ThenBy(pair => pair.Key, StringComparer.Ordinal).ToDictionary(pair => pair.Key, pair =>
            pair.Count / (double)all.Length);
    }

    internal static string Script(string text)
    {
        var counts = new Dictionary<string, int>();
        foreach (var rune in text.EnumerateRunes())
        {
            if (!Rune.IsLetter(rune)) continue;
            var name = Array.Find(s_scripts, script => rune.Value >= script.From && rune.Value <= script.To).Name ?? "other";
            counts[name] = counts.GetValueOrDefault(name) + 1;
        }
        if (counts.Count == 0) return "no letters";
        // Japanese is written with Han too, and told by its Kana.
        if (counts.TryGetValue("Kana", out var kana) && counts.TryGetValue("Han", out var han)) counts["Kana"] = kana + han;
        return counts.MaxBy(pair => pair.Value).Key;
    }

    private static DuplicateGroup Group(bool exact, Seen[] members) =>
        new(exact, members.DistinctBy(one => one.Part).Count() > 1, members.DistinctBy(one => one.Label).Count() > 1,
            [.. members.Select(one => $"{one.Part}: {one.Name}")])
        { Text = Table.Short(members[0].Text.Replace("\u001f", " | ", StringComparison.Ordinal)) };

    private static TextOverlap Overlap(string part, Seen[][] exact, Seen[][] near)
    {
        var (same, alike, other) = (new HashSet<string>(), new HashSet<string>(), new HashSet<string>());
        foreach (var (groups, found) in new[] { (exact, same), (near, alike) })
        {
            foreach (var group in groups)
            {
                var labels = group.Where(one => one.Part == "train").Select(one => one.Label).ToHashSet();
                if (labels.Count == 0) continue;
                foreach (var one in group.Where(one => one.Part == part && !same.Contains(one.Name)))
                {
                    found.Add(one.Name);
                    if (!labels.Contains(one.Label)) other.Add(one.Name);
                }
            }
        }
        return new TextOverlap(part, same.Count, alike.Count, other.Count);
    }
}
