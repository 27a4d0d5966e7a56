using System.Globalization;

namespace Graft.Data;

/// <summary>
/// What the columns of a table tell of its items. A label column with ; or | in a cell holds several labels. One of numbers holds numbers,
/// but for codes of classes: two values; or, in a column not called target, up to twenty whole numbers, or the whole numbers from 0 or 1 on,
/// each twice at least on average. Without a label column, columns of 0 and 1 alone are labels, and other columns of numbers numbers.
/// </summary>
/// <param name="Kind">What is told.</param>
/// <param name="Columns">Which columns tell it.</param>
/// <param name="Remark">What was decided, where another reading was possible; null: nothing else could be meant.</param>
/// <param name="Flags">Whether the columns are labels of their own, 1 where an item has them.</param>
internal sealed record TableTargets(TargetKind Kind, int[] Columns, string? Remark, bool Flags = false)
{
    private const int FewCodes = 20;

    // Columns of numbers that say nothing of what is in an item.
    internal static readonly string[] Aside = ["", "id", "index", "idx", "row", "width", "height", "unnamed:0", "imageid", "fold"];

    private static readonly char[] s_between = [';', '|'];

    /// <summary>Decides.</summary>
    /// <param name="path">Of the CSV, for messages.</param>
    /// <param name="headers">As written.</param>
    /// <param name="plain">Without _ - and spaces, in lower case.</param>
    /// <param name="rows">Fields.</param>
    /// <param name="label">The label column; -1: there is none.</param>
    /// <param name="taken">Columns of paths and parts.</param>
    /// <param name="wish">What is asked for; null: what the data shows.</param>
    /// <param name="known">Names that are looked for; null: any.</param>
    /// <param name="noun">What the items are called.</param>
    /// <returns>Null: there is nothing to learn in it.</returns>
    public static TableTargets? Of(string path, string[] headers, string[] plain, IReadOnlyList<string[]> rows, int label, int[] taken,
        TargetKind? wish, IReadOnlyList<string>? known, ItemNoun noun)
    {
        if (wish == TargetKind.Classes) return label < 0 ? null : new TableTargets(TargetKind.Classes, [label], null);
        IEnumerable<string> Cells(int column) => rows.Select(row => row[column]).Where(cell => cell.Length > 0);
        // A bad cell does not make a column of numbers one of words: it is named when it is read. Where a task is asked for, half will do.
        bool Holds(int column, Func<string, bool> good, double share) =>
            Cells(column).Any() && Cells(column).Count(good) >= share * Cells(column).Count();
        bool IsNumbers(int column) => Holds(column, cell => Number(cell) is not null, wish is null ? 0.9 : 0.5);
        bool IsFlags(int column) => Holds(column, cell => cell is "0" or "1", wish is null ? 1 : 0.5);
        int[] others = [.. Enumerable.Range(0, headers.Length).Where(k => !taken.Contains(k) && k != label)];
        int Column(string name) => Array.FindIndex(headers, header => string.Equals(header, name, StringComparison.OrdinalIgnoreCase));
        int[] Named(Func<int, bool> fits) => [.. (known ?? []).Select(Column).Where(k => k >= 0 && fits(k))];

        if (wish == TargetKind.Labels)
        {
            if (known is not null && Named(IsFlags) is { Length: > 0 } own && own.Length == known.Count)
                return new TableTargets(TargetKind.Labels, own, null, true);
            if (label >= 0) return new TableTargets(TargetKind.Labels, [label], null);
            return others.Where(IsFlags).ToArray() is { Length: > 0 } flags ? new TableTargets(TargetKind.Labels, flags, null, true) : null;
        }
        if (wish is TargetKind.Numbers or TargetKind.Similarity)
        {
            if (known is not null && Named(IsNumbers) is { Length: > 0 } own) return new TableTargets(TargetKind.Numbers, own, null);
            int[] numbers = label >= 0 && IsNumbers(label) ? [label] : [.. others.Where(k => !Aside.Contains(plain[k]) && IsNumbers(k))];
            return numbers.Length > 0 ? new TableTargets(TargetKind.Numbers, numbers, null)
                : throw new GraftException($"--task {wish.ToString()!.ToLowerInvariant()}: no column of {path} holds numbers (with a point for decimals), only {string.Join(", ", headers)}");
        }
        var file = Path.GetFileName(path);
        TableTargets Said(TargetKind kind, int[] columns, string what, bool flags = false) =>
            new(kind, columns, $"the column{(columns.Length > 1 ? "s" : "")} {Names(headers, columns)} of {file} {what}", flags);
        if (label >= 0)
        {
            if (Cells(label).Any(cell => cell.IndexOfAny(s_between) >= 0))
                return Said(TargetKind.Labels, [label], $"holds several labels for a {noun.One}, with ; or | between (--task says otherwise)");
            return IsNumbers(label) && !AreCodes(plain[label], [.. Cells(label)])
                ? Said(TargetKind.Numbers, [label], "holds numbers (--task classes takes each for a class)")
                : new TableTargets(TargetKind.Classes, [label], null);
        }
        int[] all = [.. others.Where(k => !Aside.Contains(plain[k]) && IsNumbers(k))];
        if (all.Length == 0) return null;
        var one = all.Length == 1;
        return all.All(IsFlags) ? Said(TargetKind.Labels,
            all, $"{(one ? "is a label" : "are labels")}, 1 where a {noun.One} has it (--task says otherwise)", true)
            : Said(TargetKind.Numbers, all, $"{(one ? "holds" : "hold")} numbers (--task says otherwise)");
    }

    private static string Names(string[] headers, int[] columns) =>
        string.Join(", ", columns.Take(8).Select(k => headers[k])) + (columns.Length > 8 ? ", …" : "");

    private static bool AreCodes(string column, string[] cells)
    {
        double[] values = [.. cells.Select(Number).OfType<double>()];
        if (values.Any(value => value != Math.Floor(value))) return false;
        double[] distinct = [.. values.Distinct().Order()];
        if (distinct.Length <= 2) return true;
        if (column == "target" || distinct[0] < 0) return false;
        return distinct.Length <= FewCodes
            || (distinct[0] <= 1 && distinct[^1] - distinct[0] == distinct.Length - 1 && cells.Length >= 2 * distinct.Length);
    }

    /// <summary>A number with a point for decimals; null: it is none.</summary>
    public static double? Number(string cell) =>
        double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value) ? value : null;

    /// <summary>The targets of rows that were chosen.</summary>
    /// <param name="path">Of the table, for messages.</param>
    /// <param name="headers">As written.</param>
    /// <param name="rows">Where each stands, for messages, and its fields.</param>
    /// <param name="noun">What the items are called.</param>
    public Targets Read(string path, string[] headers, IReadOnlyList<(string Where, string[] Fields)> rows, ItemNoun noun)
    {
        if (Kind == TargetKind.Numbers)
        {
            float[][] values = [.. rows.Select(row => Columns.Select(column => Number(row.Fields[column]) is { } value ? (float)value
                : throw new GraftException($"{row.Where}: the {headers[column]} '{row.Fields[column]}' is no number. "
                    + $"Write it with a point for decimals, such as 12.5, or leave it blank: the {noun.One} is then left out")).ToArray())];
            return new NumberTargets(values, [.. Columns.Select(column => UnicodeNames.Compose(headers[column]))]);
        }
        if (Flags)
        {
            int[][] flags = [.. rows.Select(row => Enumerable.Range(0, Columns.Length).Where(k => row.Fields[Columns[k]] switch
            {
                "1" => true,
                "0" => false,
                var other => throw new GraftException($"{row.Where}: the {headers[Columns[k]]} '{other}' is neither 0 nor 1"),
            }).ToArray())];
            return new LabelTargets(flags, [.. Columns.Select(column => UnicodeNames.Compose(headers[column]))]);
        }
        const StringSplitOptions Bare = StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries;
        string[][] words = [.. rows.Select(row => row.Fields[Columns[0]].Split(s_between, Bare).Select(UnicodeNames.Compose).Distinct().ToArray())];
        string[] names = [.. words.SelectMany(set => set).Distinct().Order(StringComparer.Ordinal)];
        var number = names.Select((name, k) => (name, k)).ToDictionary(pair => pair.name, pair => pair.k);
        return names.Length > 0 ? new LabelTargets([.. words.Select(set => set.Select(word => number[word]).Order().ToArray())], names)
            : throw new GraftException($"{path}: the column {headers[Columns[0]]} is blank from top to bottom, so there is no label to learn");
    }

    /// <summary>Whether a row says nothing where it has to: one of several labels may be blank, which is none of them.</summary>
    public bool IsBlank(string[] fields) => (Flags || Kind != TargetKind.Labels) && Columns.Any(column => fields[column].Length == 0);
}
