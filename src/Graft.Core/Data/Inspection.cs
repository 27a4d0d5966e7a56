using System.Numerics;
using System.Security.Cryptography;
using System.Text.Json.Serialization;

namespace Graft.Data;

/// <summary>What <c>graft data inspect</c> finds.</summary>
internal sealed record InspectionReport(
    string Path, string Layout, IReadOnlyList<string> Classes, IReadOnlyDictionary<string, int[]> CountsBySplit,
    int Narrowest, int Widest, int Lowest, int Tallest, int MedianWidth, int MedianHeight,
    IReadOnlyList<BrokenPicture> Broken, IReadOnlyList<DuplicateGroup> Duplicates, IReadOnlyList<string> Ignored)
{
    /// <summary>What was passed over, by reasons.</summary>
    [JsonPropertyName("left_out")]
    public IReadOnlyList<LeftOutGroup> LeftOut { get; init; } = [];

    /// <summary>What is told of the pictures.</summary>
    public TargetKind Task { get; init; }

    /// <summary>Of numbers: each column of each part.</summary>
    public IReadOnlyList<NumberSummary> Numbers { get; init; } = [];

    /// <summary>How names were understood.</summary>
    public IReadOnlyList<string> Remarks { get; init; } = [];
}

/// <summary>A column of numbers in a part.</summary>
internal sealed record NumberSummary(string Part, string Column, int Pictures, double Mean, double Deviation, double Least, double Most);

/// <summary>Pictures that are the same file (exact) or look the same, sentences that are equal or nearly; whether they stand in more than one split or class.</summary>
internal sealed record DuplicateGroup(bool Exact, bool AcrossSplits, bool AcrossClasses, IReadOnlyList<string> Files)
{
    /// <summary>Of sentences: how the first begins.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Text { get; init; }
}

/// <summary>Counts, sizes, broken files and duplicates of a dataset, across its splits.</summary>
internal static class Inspection
{
    // Hamming distance of two 64-bit difference hashes under which pictures are called alike.
    private const int NearDistance = 3;

    private sealed record Seen(string Split, string File, string Label, int Width, int Height, string Sha, ulong Look, string? Error);

    /// <summary>Reads every picture once, in parallel.</summary>
    public static InspectionReport Run(DatasetSplits splits, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        (string Name, Dataset? Data)[] parts = [("train", splits.Train), ("val", splits.Validation), ("test", splits.Test)];
        var all = parts.Where(part => part.Data is not null)
            .SelectMany(part => Enumerable.Range(0, part.Data!.Count).Select(k => (part.Name, Data: part.Data!, Index: k))).ToArray();
        var seen = new Seen[all.Length];
        var done = 0;
        Parallel.For(0, all.Length, new ParallelOptions { CancellationToken = cancel }, k =>
        {
            seen[k] = Look(all[k].Name, all[k].Data, all[k].Index);
            progress?.Invoke(Interlocked.Increment(ref done), all.Length);
        });
        var good = seen.Where(item => item.Error is null).ToArray();
        int[] widths = [.. good.Select(item => item.Width).Order()], heights = [.. good.Select(item => item.Height).Order()];
        return new InspectionReport(splits.Path, splits.Layout, splits.Train.Targets.Names,
            parts.Where(part => part.Data is not null).ToDictionary(part => part.Name, part => Counts(part.Data!)),
            widths.FirstOrDefault(), widths.LastOrDefault(), heights.FirstOrDefault(), heights.LastOrDefault(),
            widths.ElementAtOrDefault(widths.Length / 2), heights.ElementAtOrDefault(heights.Length / 2),
            [.. seen.Where(item => item.Error is not null).Select(item => new BrokenPicture($"{item.Split}: {item.File}", item.Error!))],
            [.. Exact(good), .. Near(good)], splits.Ignored) { Task = splits.Train.Targets.Kind, Numbers = Summaries(parts),
                LeftOut = LeftOut.Group(splits.Notes.LeftOut), Remarks = splits.Notes.Remarks };
    }

    // Of each class or label; a column has a number of every picture.
    internal static int[] Counts(Dataset data) => data.Targets switch
    {
        LabelTargets labels => labels.Counts(),
        NumberTargets numbers => [.. numbers.Names.Select(_ => data.Count)],
        _ => data.CountsByClass(),
    };

    internal static NumberSummary[] Summaries(IEnumerable<(string Name, Dataset? Data)> parts) =>
        [.. parts.Where(part => part.Data?.Targets is NumberTargets).SelectMany(part =>
    {
        var numbers = (NumberTargets)part.Data!.Targets;
        return numbers.Names.Select((name, c) =>
        {
            double[] values = [.. numbers.Rows.Select(row => (double)row[c])];
            var mean = values.Average();
            return new NumberSummary(part.Name, name, values.Length, mean, Math.Sqrt(values.Average(value => (value - mean) * (value - mean))),
                values.Min(), values.Max());
        });
    })];

    private static Seen Look(string split, Dataset data, int index)
    {
        var name = data.Name(index);
        try
        {
            var bytes = data.Read(index);
            using var picture = data.Decode(bytes);
            return new Seen(split, name, data.Targets.Describe(index), picture.Width, picture.Height, Convert.ToHexString(SHA256.HashData(bytes)),
                DifferenceHash(picture), null);
        }
        catch (Exception reason) when (reason is PictureException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            return new Seen(split, name, data.Targets.Describe(index), 0, 0, "", 0, reason.Message);
        }
    }

    /// <summary>Krawetz's dHash: the picture at 9×8 grey levels, one bit for each pair of neighbours.</summary>
    private static ulong DifferenceHash(Picture picture)
    {
        using var small = picture.Resize(9, 8);
        var pixels = small.Pixels;
        ulong bits = 0;
        for (var y = 0; y < 8; y++)
        {
            for (var x = 0; x < 8; x++)
            {
                var at = 3 * (9 * y + x);
                var (left, right) = (pixels[at] + 2 * pixels[at + 1] + pixels[at + 2], pixels[at + 3] + 2 * pixels[at + 4] + pixels[at + 5]);
                bits = bits << 1 | (left > right ? 1UL : 0UL);
            }
        }
        return bits;
    }

    private static IEnumerable<DuplicateGroup> Exact(Seen[] seen) =>
        seen.GroupBy(item => item.Sha).Where(group => group.Count() > 1).Select(group => Group(true, [.. group]));

    /// <summary>Pairs within the distance share one of its (distance + 1) bands of bits, so only those pairs are compared.</summary>
    private static IEnumerable<DuplicateGroup> Near(Seen[] seen)
    {
        var distinct = seen.DistinctBy(item => item.Sha).ToArray();
        var parent = Enumerable.Range(0, distinct.Length).ToArray();
        int Root(int k) => parent[k] == k ? k : parent[k] = Root(parent[k]);
        for (var band = 0; band <= NearDistance; band++)
        {
            foreach (var bucket in Enumerable.Range(0, distinct.Length).GroupBy(k => distinct[k].Look >> (16 * band) & 0xffff))
            {
                // Flat pictures share whole bands; such a bucket says nothing.
                int[] members = [.. bucket.Take(2000)];
                for (var a = 0; a < members.Length; a++)
                {
                    for (var b = a + 1; b < members.Length; b++)
                    {
                        var (x, y) = (distinct[members[a]], distinct[members[b]]);
                        var informative = BitOperations.PopCount(x.Look) is > 8 and < 56;
                        if (informative && BitOperations.PopCount(x.Look ^ y.Look) <= NearDistance) parent[Root(members[a])] = Root(members[b]);
                    }
                }
            }
        }
        return Enumerable.Range(0, distinct.Length).GroupBy(Root).Where(group => group.Count() > 1)
            .Select(group => Group(false, [.. group.Select(k => distinct[k])]));
    }

    private static DuplicateGroup Group(bool exact, Seen[] members) =>
        new(exact, members.DistinctBy(item => item.Split).Count() > 1, members.DistinctBy(item => item.Label).Count() > 1,
            [.. members.Select(item => $"{item.Split}: {item.File}")]);
}
