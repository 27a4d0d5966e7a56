using System.Globalization;

namespace Graft.Data;

/// <summary>Datasets of sentences, or pairs of them, from one table or from a table for each part.</summary>
internal static class TextTables
{
    private sealed record Item(string Part, string Name, string Where, TextItem Text, string[] Fields);

    /// <summary>Reads tables.</summary>
    /// <param name="root">The path that was given.</param>
    /// <param name="files">A file, or several with their parts.</param>
    /// <param name="task">What is told of the sentences; null: what the columns show.</param>
    /// <param name="known">Classes, labels or columns that are looked for; null: any.</param>
    /// <param name="wish">Which columns are named.</param>
    /// <param name="notes">What was passed over before.</param>
    public static DatasetParts Read(string root, IReadOnlyList<(string? Part, string Path)> files, TargetKind? task, IReadOnlyList<string>? known,
        TextColumns? wish, DatasetNotes? notes = null)
    {
        var (items, leftOut, remarks) = (new List<Item>(), new List<LeftOut>(), new List<string>());
        Table[] tables = [.. files.Select(file => Table.Read(file.Path, wish))];
        var first = tables[0];
        var alike = task == TargetKind.Similarity;
        if (alike) task = TargetKind.Numbers;
        var columns = TableColumns.Of(first, wish, task, true);
        if (columns.Remark is { } said) remarks.Add(said);
        var parted = files.Any(file => file.Part is not null);
        var paired = columns.Pair >= 0;
        if (alike && !paired)
            throw new GraftException($"{first.Path} has no second column of text, only {string.Join(", ", first.Headers)}: how alike two texts are is learned of pairs. "
                + "Call the columns sentence1 and sentence2, or name them: --text COLUMN --pair COLUMN");
        // A score of a pair says how alike the two are.
        if (task is null && paired && columns.IsScore && known is null)
        {
            (alike, task) = (true, TargetKind.Numbers);
            remarks.Add($"the column {first.Headers[columns.Label]} of {first.Name} says how alike the two texts are: each is read by itself (--task numbers reads both at once)");
        }
        for (var f = 0; f < tables.Length; f++)
        {
            var table = tables[f];
            remarks.AddRange(table.Remarks);
            if (Places(first, table, columns, files[f].Part, wish, leftOut) is not { } places) continue;
            leftOut.AddRange(table.Blank.Select(line => Left(LeftOutKind.EmptyText, $"{table.Name}:{line}", 1, files[f].Part)));
            var rows = f == 0 || places.Select((place, k) => place == k).All(same => same) ? table.Rows
                : [.. table.Rows.Select(row => row with { Fields = [.. places.Select(place => place < 0 ? "" : row.Fields[place])] })];
            var words = columns.Part < 0 || parted ? null
                : TableReader.PartsOf(table.Name, [.. rows.Select(row => (table.At(row.Line), row.Fields[columns.Part]))], remarks);
            parted |= words is not null;
            for (var k = 0; k < rows.Count; k++)
            {
                var (line, fields) = rows[k];
                var part = words?[k] ?? files[f].Part;
                var name = string.Create(CultureInfo.InvariantCulture, $"{table.Name}:{line}");
                if (string.IsNullOrWhiteSpace(fields[columns.Text]) || (paired && string.IsNullOrWhiteSpace(fields[columns.Pair])))
                    leftOut.Add(Left(LeftOutKind.EmptyText, name, 1, part));
                else
                    items.Add(new Item(part ?? Parts.Train, name, table.At(line), new TextItem(fields[columns.Text], paired ? fields[columns.Pair] : null), fields));
            }
        }
        var told = TableTargets.Of(first.Path, first.Headers, [.. first.Headers.Select(TableReader.Plain)], [.. items.Select(item => item.Fields)], columns.Label,
            [columns.Text, columns.Pair, columns.Part], alike ? TargetKind.Similarity : columns.IsScore ? task ?? TargetKind.Numbers : task, known,
                ItemNoun.Sentence) ?? throw NoLabel(first);
        if (alike && told.Columns.Length > 1)
            throw new GraftException($"{first.Path}: {string.Join(", ", told.Columns.Select(k => first.Headers[k]))} each hold numbers, and one says how alike the two texts are. Say which: --label {first.Headers[told.Columns[0]]}");
        if (told.Remark is { } remark && task is null) remarks.Add(remark);
        var unlabelled = items.Where(item => told.IsBlank(item.Fields)).ToArray();
        leftOut.AddRange(unlabelled.Select(item => Left(LeftOutKind.IncompleteRow, item.Name, 1, parted ? item.Part : null)));
        items.RemoveAll(item => told.IsBlank(item.Fields));
        var all = new DatasetNotes([.. (notes ?? DatasetNotes.None).LeftOut, .. leftOut], [.. (notes ?? DatasetNotes.None).Remarks, .. remarks, .. Oddities(items)]);
        if (items.Count == 0) throw new GraftException($"{root} has no sentence with text and label{all.Hint}");
        if (told.Kind == TargetKind.Classes && task is null && known is null) RefuseDistinct(first, columns.Label, items);

        var formats = string.Join(" and ", tables.Select(table => table.Format).Distinct());
        var layout = $"{(tables.Length > 1 || Directory.Exists(root) ? $"folder of {formats}" : formats)} of {(paired ? "sentence pairs" : "sentences")}"
            + told.Kind switch { TargetKind.Labels => " with labels", TargetKind.Numbers => alike ? " with scores" : " with numbers", _ => "" };
        Targets Read(int[] these)
        {
            var read = told.Read(first.Path, first.Headers, [.. these.Select(k => (items[k].Where, items[k].Fields))], ItemNoun.Sentence);
            return alike && read is NumberTargets numbers ? new NumberTargets(numbers.Rows, numbers.Names, TargetKind.Similarity) : read;
        }

        TextSource Open(int[] these) => new([.. these.Select(k => items[k].Text)], [.. these.Select(k => items[k].Name)]);
        return told.Kind == TargetKind.Classes
            ? DatasetParts.Of(root, layout, parted, [.. items.Select(item => (item.Part, UnicodeNames.Compose(item.Fields[told.Columns[0]])))], all, Open)
            : DatasetParts.Of(root, layout, parted, [.. items.Select(item => item.Part)], all, Open, Read);
    }

    /// <summary>The sentences of a table, whatever else it says.</summary>
    public static (List<TextItem> Items, List<string> Names, DatasetNotes Notes) Unlabelled(string path, TextColumns? wish)
    {
        var table = Table.Read(path, wish);
        var columns = TableColumns.Of(table, wish, null, false);
        var (items, names, leftOut) = (new List<TextItem>(), new List<string>(), new List<LeftOut>());
        leftOut.AddRange(table.Blank.Select(line => Left(LeftOutKind.EmptyText, $"{table.Name}:{line}", 1, null)));
        foreach (var (line, fields) in table.Rows)
        {
            var name = string.Create(CultureInfo.InvariantCulture, $"{table.Name}:{line}");
            if (string.IsNullOrWhiteSpace(fields[columns.Text]) || (columns.Pair >= 0 && string.IsNullOrWhiteSpace(fields[columns.Pair])))
            {
                leftOut.Add(Left(LeftOutKind.EmptyText, name, 1, null));
                continue;
            }
            items.Add(new TextItem(fields[columns.Text], columns.Pair >= 0 ? fields[columns.Pair] : null));
            names.Add(name);
        }
        return (items, names, new DatasetNotes(leftOut, [.. table.Remarks, .. columns.Remark is { } said ? [said] : Array.Empty<string>()]));
    }

    /// <summary>Something that was left out of sentences.</summary>
    public static LeftOut Left(LeftOutKind kind, string name, int count, string? part, string? error = null) =>
        new(kind, name, count, part, error) { Noun = ItemNoun.Sentence };

    // Where each column of the first table stands in this one; null: it tells nothing of its sentences, and is left out.
    private static int[]? Places(Table first, Table table, TableColumns columns, string? part, TextColumns? wish, List<LeftOut> leftOut)
    {
        if (table == first || (!first.HasNames && !table.HasNames && first.Headers.Length == table.Headers.Length)) return [.. first.Headers.Select((_, k) => k)];
        if (first.HasNames != table.HasNames)
            throw new GraftException($"{(first.HasNames ? table : first).At(1)}: it names no columns, and {(first.HasNames ? first : table).Name} does: write the same first line in both");
        int[] places = [.. first.Headers.Select(table.Column)];
        foreach (var column in new[] { columns.Text, columns.Pair })
        {
            if (column >= 0 && places[column] < 0)
                throw new GraftException($"{table.Path} has no column {first.Headers[column]}, which {first.Name} has, only {string.Join(", ", table.Headers)}");
        }
        if (columns.Label < 0 || places[columns.Label] >= 0) return places;
        if (part is null or Parts.Train)
            throw new GraftException($"{table.Path} has no column {first.Headers[columns.Label]}, which {first.Name} has, only {string.Join(", ", table.Headers)}");
        // GLUE's test sets come without labels.
        leftOut.Add(Left(LeftOutKind.IncompleteRow, table.Name, table.Rows.Count, part, $"no column {first.Headers[columns.Label]}, {table.Rows.Count} sentences"));
        return null;
    }

    private static GraftException NoLabel(Table table) => new($"{table.Path} tells nothing of its sentences: "
        + $"{(table.HasNames ? $"the columns are {string.Join(", ", table.Headers)}; one" : $"line {table.Rows[0].Line} names no columns, and none of them repeats its values; one")} "
        + "must be called label (or class, sentiment, score), or be named: --label COLUMN");

    // A column of identifiers, or the sentences themselves, makes as many classes as there are rows: nothing could be learned of one each.
    private static void RefuseDistinct(Table table, int label, List<Item> items)
    {
        var train = items.Where(item => item.Part == Parts.Train).ToArray();
        if (train.Length == 0) train = [.. items];
        var distinct = train.Select(item => item.Fields[label]).Distinct().Count();
        if (train.Length < 20 || distinct < 0.9 * train.Length) return;
        throw new GraftException($"{table.Path}: the column {table.Headers[label]} has {distinct} different values in {train.Length} sentences, so it is hardly their class "
            + $"('{Table.Short(train[0].Fields[label])}'). Name the right one: --label COLUMN; for numbers, --task numbers (with a point for decimals); "
            + "--task classes takes it as it is");
    }

    // What is kept, and will surprise.
    private static IEnumerable<string> Oddities(List<Item> items)
    {
        static bool HasControl(string text) => text.Any(letter => char.IsControl(letter) && letter is not ('\n' or '\r' or '\t'));
        bool Any(Item item, Func<string, bool> odd) => odd(item.Text.First) || (item.Text.Second is { } second && odd(second));
        foreach (var (what, odd) in new (string, Func<string, bool>)[]
        {
            ("control characters", HasControl),
            ("U+FFFD, which stands where another program could not read a letter", text => text.Contains('\ufffd')),
        })
        {
            var found = items.Where(item => Any(item, odd)).ToArray();
            if (found.Length > 0) yield return $"{found.Length} sentence{(found.Length == 1 ? " holds" : "s hold")} {what} (the first: {found[0].Name}): they are kept as they are";
        }
    }
}
