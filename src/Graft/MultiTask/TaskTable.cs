using System.Globalization;
using Graft.Data;

namespace Graft.MultiTask;

/// <summary>
/// A table with a column for each task. Empty cells are allowed: the item is then left out of that task's loss and of its score. Each row of the
/// dataset's targets holds all tasks' numbers, NaN where a cell is empty.
/// </summary>
/// <param name="Tasks">In the order of the columns.</param>
/// <param name="Whole">All items.</param>
/// <param name="Train">Items to learn from.</param>
/// <param name="HeldOut">Items to judge by.</param>
/// <param name="Notes">What was left out, and how the columns were understood.</param>
internal sealed record TaskTable(IReadOnlyList<TaskColumn> Tasks, Dataset Whole, int[] Train, int[] HeldOut, DatasetNotes Notes)
{
    private const double HeldOutShare = 0.2;

    // Two columns of fewer rows may agree by chance.
    private const int Alike = 10;

    private const int FewCodes = 20;

    private static readonly char[] s_between = [';', '|'];

    /// <summary>Each item's numbers.</summary>
    public float[][] Rows => ((NumberTargets)Whole.Targets).Rows;

    /// <summary>Reads a table to learn from.</summary>
    /// <param name="path">CSV, TSV, JSONL or Parquet, with a column of paths of pictures, or of sentences.</param>
    /// <param name="targets">Columns with commas between, each with :classes, :labels or :numbers behind it or not; null: all that can be.</param>
    /// <param name="text">Which column holds the sentence; null: it is found.</param>
    /// <param name="seed">Of the split, where the table has none.</param>
    /// <exception cref="GraftException">It cannot be read, or a column cannot be learned: which, and why.</exception>
    public static TaskTable Read(string path, string? targets, TextColumns text, long seed)
    {
        var sheet = Sheet.Open(path, text);
        var chosen = Chosen(sheet, targets);
        var remarks = new List<string>(sheet.Table.Remarks);
        var (columns, kinds) = (new List<int>(), new List<TargetKind>());
        foreach (var (column, wish) in chosen)
        {
            if (Unfit(sheet, column) is { } why)
            {
                if (targets is not null) throw Bounds.Refuse($"--targets {sheet.Header(column)}: {why}");
                remarks.Add($"the column {sheet.Header(column)} is no target: {why}");
                continue;
            }
            columns.Add(column);
            kinds.Add(wish ?? KindOf(sheet, column, remarks));
        }
        if (columns.Count == 0)
            throw Bounds.Refuse($"{path} has no column to "
                + $"learn{(remarks.Count > 0 ? $": {string.Join("; ", remarks)}" : $", only {string.Join(", ", sheet.Table.Headers)}")}");
        RefuseTwins(sheet, columns, kinds);
        if (columns.Count == 1)
            throw Bounds.Refuse($"{path} has one task only, {sheet.Header(columns[0])}: for one task use {NextCommand.Of("train", path)}"
                + (remarks.Count > 0 ? $". {string.Join("; ", remarks)}" : ""));
        remarks.AddRange(Folders(sheet, columns, kinds));
        TaskColumn[] tasks = [.. columns.Select((column, t) => Task(sheet, column, kinds[t]))];
        return Make(sheet, tasks, columns, remarks, seed);
    }

    /// <summary>Reads a table for tasks that are known: to evaluate.</summary>
    /// <param name="path">The table.</param>
    /// <param name="tasks">Whose columns it must have, one at least.</param>
    /// <param name="part">train, val or test; null: test, else val, else all.</param>
    /// <param name="text">Which column holds the sentence; null: it is found.</param>
    /// <exception cref="GraftException">It has none of the tasks' columns, or no such part.</exception>
    public static (Dataset Data, DatasetNotes Notes) ReadFor(string path, IReadOnlyList<TaskColumn> tasks, string? part, TextColumns text)
    {
        var sheet = Sheet.Open(path, text);
        int[] columns = [.. tasks.Select(task => sheet.Table.Column(task.Name))];
        if (columns.All(column => column < 0))
            throw new GraftException($"{path} has none of the model's columns {string.Join(", ", tasks.Select(task => task.Name))}, only "
                + $"{string.Join(", ", sheet.Table.Headers)}");
        var remarks = new List<string>(sheet.Table.Remarks);
        remarks.AddRange(tasks.Where((_, t) => columns[t] < 0).Select(task => $"{path} has no column {task.Name}: nothing is said of that task"));
        var whole = Make(sheet, tasks, columns, remarks, 0);
        if (whole.Parts is not { } parts)
            return part is null ? (whole.Whole, whole.Notes) : throw new GraftException($"--split {part}: {path} has no parts: leave --split out");
        var wanted = part is null ? parts.Contains(Data.Parts.Test) ? Data.Parts.Test : parts.Contains(Data.Parts.Validation) ? Data.Parts.Validation
            : Data.Parts.Train : Data.Parts.Of(part) ?? throw new GraftException($"--split {part}: there is no such part: train, val or test");
        int[] items = [.. Enumerable.Range(0, parts.Length).Where(k => parts[k] == wanted)];
        return items.Length > 0 ? (whole.Whole.Subset(items), whole.Notes)
            : throw new GraftException($"--split {part}: {path} has no part '{wanted}', only {string.Join(" and ", parts.Distinct())}");
    }

    // Of each item, where the table says it.
    private string[]? Parts { get; init; }

    /// <summary>The table, and what it says its items are.</summary>
    private sealed record Sheet(Table Table, int File, int Text, int Pair, int Part)
    {
        private readonly Dictionary<int, string[]> _cells = [];

        public string Header(int column) => Table.Headers[column];

        /// <summary>A column from top to bottom; blank cells are empty.</summary>
        public string[] Cells(int column) => _cells.TryGetValue(column, out var found) ? found
            : _cells[column] = [.. Table.Rows.Select(row => UnicodeNames.Compose(row.Fields[column].Trim()))];

        public IEnumerable<(string Cell, int Row)> Told(int column) => Cells(column).Select((cell, row) => (cell, row))
            .Where(pair => pair.cell.Length > 0);

        public string At(int row) => Table.At(Table.Rows[row].Line);

        public static Sheet Open(string path, TextColumns text)
        {
            if (Directory.Exists(path)) throw new GraftException($"{path} is a folder, and several tasks are told in a table: give a {Table.Kinds} "
                + "with a column of paths (or of text) and one for each task");
            if (!System.IO.File.Exists(path)) throw new GraftException($"{path}: there is no such file");
            if (!Table.IsTable(path)) throw new GraftException($"{path} is no table: give a {Table.Kinds} with a column of paths (or of text) and "
                + "one for each task");
            var table = Table.Read(path, text);
            // Names of columns of pictures are not among those that a table of text is known by.
            if (!table.HasNames && table.Rows[0].Fields.Any(TableColumns.IsFile))
                table = table with { Headers = table.Rows[0].Fields, Rows = [.. table.Rows.Skip(1)], HasNames = true };
            if (table.Rows.Count == 0) throw new GraftException($"{path} has no rows below its first line");
            string[] plain = [.. table.Headers.Select(TableReader.Plain)];
            int First(string[] names) => names.Select(name => Array.IndexOf(plain, name)).FirstOrDefault(k => k >= 0, -1);
            var file = text.Text is null ? First(TableReader.FileWords) : -1;
            if (file >= 0) return new Sheet(table, file, -1, -1, First(TableReader.PartWords));
            var found = TableColumns.Of(table, text, TargetKind.Classes, false);
            return new Sheet(table, -1, found.Text, found.Pair, found.Part);
        }

        public bool IsItem(int column) => column == File || column == Text || column == Pair || column == Part;
    }

    private static IReadOnlyList<(int Column, TargetKind? Kind)> Chosen(Sheet sheet, string? targets)
    {
        var table = sheet.Table;
        if (targets is null)
            return [.. Enumerable.Range(0, table.Headers.Length)
                .Where(k => !sheet.IsItem(k) && !TableTargets.Aside.Contains(TableReader.Plain(table.Headers[k])))
                .Select(k => (k, (TargetKind?)null))];
        var chosen = new List<(int, TargetKind?)>();
        foreach (var one in targets.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, kind) = (one, (TargetKind?)null);
            if (table.Column(one) < 0 && one.LastIndexOf(':') is > 0 and var at)
            {
                name = one[..at];
                kind = Enum.TryParse<TargetKind>(one[(at + 1)..], true, out var said) && Enum.IsDefined(said) ? said
                    : throw Bounds.Refuse($"--targets {one}: behind the colon stands classes, labels or numbers");
            }
            var column = table.Column(name);
            if (column < 0) throw Bounds.Refuse(UnknownName.Sentence($"--targets {name}: {table.Name} has no such column", name, table.Headers));
            if (sheet.IsItem(column))
                throw Bounds.Refuse($"--targets {name}: that column says which {(sheet.File >= 0 ? "picture" : "sentence")} a row is of, or which "
                    + "part it belongs to, and is not learned");
            if (chosen.Any(other => other.Item1 == column)) throw Bounds.Refuse($"--targets {targets}: {name} stands there twice");
            chosen.Add((column, kind));
        }
        return chosen.Count > 0 ? chosen : throw Bounds.Refuse("--targets is empty: name columns with commas between, such as --targets shape,size");
    }

    /// <summary>Why a column cannot be learned; null: it can.</summary>
    private static string? Unfit(Sheet sheet, int column)
    {
        var told = sheet.Told(column).ToArray();
        if (told.Length == 0) return "it is empty from top to bottom";
        if (sheet.File >= 0)
        {
            var paths = sheet.Cells(sheet.File);
            if (told.All(pair => pair.Cell == paths[pair.Row] || pair.Cell == Path.GetFileName(paths[pair.Row])
                || pair.Cell == Path.GetFileNameWithoutExtension(paths[pair.Row]))) return "it is the path of each picture again, which names the "
                    + "answer and is none";
        }
        var distinct = told.Select(pair => pair.Cell).Distinct().Count();
        if (distinct == 1) return $"it is '{told[0].Cell}' in every row that says something: there is nothing to tell apart";
        return distinct == told.Length && distinct > 2 && told.All(pair => TableTargets.Number(pair.Cell) is null)
            ? "every row has another value, and none of them ever returns: it names the items" : null;
    }

    private static TargetKind KindOf(Sheet sheet, int column, List<string> remarks)
    {
        var (told, header) = (sheet.Told(column).ToArray(), sheet.Header(column));
        if (told.Any(pair => pair.Cell.IndexOfAny(s_between) >= 0)) return TargetKind.Labels;
        var numbers = told.Where(pair => TableTargets.Number(pair.Cell) is not null).ToArray();
        if (numbers.Length == 0) return TargetKind.Classes;
        bool Codes((string Cell, int Row)[] cells) => cells.All(pair => TableTargets.Number(pair.Cell) is not { } value || value == Math.Floor(value))
            && cells.Select(pair => pair.Cell).Distinct().Count() is var few && (few == 2 || (few <= FewCodes && 2 * few <= cells.Length));
        if (numbers.Length == told.Length)
        {
            var codes = Codes(told);
            remarks.Add(codes ? $"the column {header} is taken for classes, a class for each whole number (--targets {header}:numbers says otherwise)"
                : $"the column {header} holds numbers (--targets {header}:classes says otherwise)");
            return codes ? TargetKind.Classes : TargetKind.Numbers;
        }
        var word = told.First(pair => TableTargets.Number(pair.Cell) is null);
        throw Bounds.Refuse($"{sheet.Table.Path}: the column {header} holds numbers ('{numbers[0].Cell}', {Line(sheet, numbers[0].Row)}) and words "
            + $"('{Table.Short(word.Cell)}', {Line(sheet, word.Row)}). "
            + $"Say what it is with --targets {header}:classes, or mend or empty the cells that are no numbers");
    }

    private static string Line(Sheet sheet, int row) => string.Create(CultureInfo.InvariantCulture, $"line {sheet.Table.Rows[row].Line}");

    // A task that is there twice would weigh twice, and each would seem to help the other.
    private static void RefuseTwins(Sheet sheet, List<int> columns, List<TargetKind> kinds)
    {
        for (var a = 0; a < columns.Count; a++)
        {
            for (var b = a + 1; b < columns.Count; b++)
            {
                var (one, two) = (sheet.Cells(columns[a]), sheet.Cells(columns[b]));
                (string A, string B)[] both = [.. one.Zip(two).Where(pair => pair.First.Length > 0 && pair.Second.Length > 0)];
                if (both.Length < Alike) continue;
                var numbers = kinds[a] == TargetKind.Numbers || kinds[b] == TargetKind.Numbers;
                var pairs = both.Distinct().ToArray();
                var same = numbers ? both.All(pair => TableTargets.Number(pair.A) is { } x && x == TableTargets.Number(pair.B))
                    : pairs.Select(pair => pair.A).Distinct().Count() == pairs.Length && pairs.Select(pair => pair.B).Distinct()
                        .Count() == pairs.Length;
                if (same)
                    throw Bounds.Refuse($"{sheet.Table.Path}: the columns {sheet.Header(columns[a])} and {sheet.Header(columns[b])} tell the same "
                        + "of every row that has both: as two tasks each would give the other's answer away. "
                        + "Take one of them with --targets");
            }
        }
    }

    private static IEnumerable<string> Folders(Sheet sheet, List<int> columns, List<TargetKind> kinds)
    {
        if (sheet.File < 0) yield break;
        var folders = sheet.Cells(sheet.File).Select(path => path.Replace('\\', '/').Split('/')).Select(parts => parts.Length > 1 ? parts[^2] : "")
            .ToArray();
        for (var t = 0; t < columns.Count; t++)
        {
            if (kinds[t] == TargetKind.Classes && sheet.Told(columns[t]).All(pair => pair.Cell == folders[pair.Row]))
                yield return $"the column {sheet.Header(columns[t])} is the name of each picture's folder: where folders are not what you mean to "
                    + "learn, leave it out of --targets";
        }
    }

    private static TaskColumn Task(Sheet sheet, int column, TargetKind kind)
    {
        var name = UnicodeNames.Compose(sheet.Header(column));
        if (kind == TargetKind.Numbers) return new TaskColumn(name, kind, [name]);
        IEnumerable<string> words = kind == TargetKind.Classes ? sheet.Told(column).Select(pair => pair.Cell) : sheet.Told(column)
            .SelectMany(pair => Words(pair.Cell));
        string[] names = [.. words.Distinct().Order(StringComparer.Ordinal)];
        if (names.Length == 0) throw Bounds.Refuse($"--targets {name}:labels: no cell of the column has a label");
        return new TaskColumn(name, kind, names);
    }

    private static string[] Words(string cell) => [.. cell.Split(s_between, StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
        .Distinct()];

    private static TaskTable Make(Sheet sheet, IReadOnlyList<TaskColumn> tasks, IReadOnlyList<int> columns, List<string> remarks, long seed)
    {
        var (table, leftOut) = (sheet.Table, new List<LeftOut>());
        var files = new FileFinder(Path.GetDirectoryName(Path.GetFullPath(table.Path))!);
        var parts = sheet.Part < 0 ? null : TableReader.PartsOf(table.Name,
            [.. table.Rows.Select((row, k) => (sheet.At(k), row.Fields[sheet.Part].Trim()))], remarks);
        var (kept, found) = (new List<int>(), new List<string>());
        var noun = ItemNoun.Of(sheet.File < 0);
        for (var k = 0; k < table.Rows.Count; k++)
        {
            var (fields, where) = (table.Rows[k].Fields, Line(sheet, k));
            LeftOut Left(LeftOutKind kind, string name) => new(kind, name, kind == LeftOutKind.IncompleteRow ? 0 : 1, parts?[k]) { Noun = noun };
            if (columns.All(column => column < 0 || sheet.Cells(column)[k].Length == 0)) leftOut.Add(Left(LeftOutKind.IncompleteRow, where));
            else if (sheet.File >= 0)
            {
                var name = fields[sheet.File].Trim();
                if (name.Length == 0) leftOut.Add(Left(LeftOutKind.IncompleteRow, where));
                else if (!Path.IsPathRooted(name) && Listing.IsHidden(name)) leftOut.Add(Left(LeftOutKind.Hidden, $"{where}: {name}"));
                else if (files.Find(name) is { } file)
                {
                    kept.Add(k);
                    found.Add(file);
                }
                else leftOut.Add(Left(LeftOutKind.MissingFile, $"{where}: {name}"));
            }
            else if (fields[sheet.Text].Trim().Length == 0) leftOut.Add(Left(LeftOutKind.EmptyText, where));
            else kept.Add(k);
        }
        var notes = new DatasetNotes(leftOut, remarks);
        if (kept.Count == 0) throw new GraftException($"{table.Path} has no {noun.One} that exists and of which something is told{notes.Hint}");
        var (starts, width) = TaskColumn.Places(tasks, task => task.Width);
        float[][] rows = [.. kept.Select(k =>
        {
            var row = new float[width];
            Array.Fill(row, float.NaN);
            for (var t = 0; t < tasks.Count; t++)
            {
                if (columns[t] >= 0 && sheet.Cells(columns[t])[k] is { Length: > 0 } cell) Fill(row.AsSpan(starts[t], tasks[t].Width), tasks[t],
                    cell, sheet, k, leftOut);
            }
            return row;
        })];
        ItemSource source = sheet.File >= 0 ? new FileSource(files.Folder, [.. found])
            : new TextSource([.. kept.Select(k => new TextItem(table.Rows[k].Fields[sheet.Text], sheet.Pair < 0 ? null
                : table.Rows[k].Fields[sheet.Pair]))],
                [.. kept.Select(k => string.Create(CultureInfo.InvariantCulture, $"{table.Name}:{table.Rows[k].Line}"))]);
        string[] names = [.. tasks.SelectMany(task => Enumerable.Range(0, task.Width).Select(_ => task.Name))];
        var whole = new Dataset(source, new NumberTargets(rows, names)) { Notes = notes };
        string[]? own = parts is null ? null : [.. kept.Select(k => parts[k])];
        var held = own is null ? null : own.Contains(Data.Parts.Validation) ? Data.Parts.Validation : own.Contains(Data.Parts.Test) ? Data.Parts.Test
            : null;
        var second = held is not null ? Enumerable.Range(0, rows.Length).Where(k => own![k] == held).ToHashSet() : Split(tasks, rows, starts, seed);
        int[] train = [.. Enumerable.Range(0, rows.Length).Where(k => !second.Contains(k) && (own is null || held is null
            || own[k] == Data.Parts.Train))];
        if (held == Data.Parts.Validation && own!.Contains(Data.Parts.Test))
            notes = notes.With(new DatasetNotes([], [$"the {own!.Count(part => part == Data.Parts.Test)} {noun.Many} of the test part are neither "
                + "learned nor judged by: graft evaluate does"]));
        return new TaskTable(tasks, whole, train, [.. second.Order()], notes) { Parts = own };
    }

    private static void Fill(Span<float> row, TaskColumn task, string cell, Sheet sheet, int k, List<LeftOut> leftOut)
    {
        if (task.Kind == TargetKind.Numbers)
        {
            row[0] = TableTargets.Number(cell) is { } value ? (float)value
                : throw new GraftException($"{sheet.At(k)}: the {task.Name} '{cell}' is no number. Write it with a point for decimals, such as "
                    + "12.5, or leave it blank: the row is then left out of that task");
            return;
        }
        if (task.Kind == TargetKind.Classes)
        {
            if (task.Names.ToList().IndexOf(cell) is >= 0 and var number) row[0] = number;
            else leftOut.Add(new LeftOut(LeftOutKind.ForeignClass, $"{task.Name}={cell}", 1));
            return;
        }
        row.Clear();
        foreach (var word in Words(cell))
        {
            if (task.Names.ToList().IndexOf(word) is >= 0 and var label) row[label] = 1;
        }
    }

    // What is told of an item, as labels of it: every class, label and fifth of a column's numbers gives the same share to the part held out.
    private static HashSet<int> Split(IReadOnlyList<TaskColumn> tasks, float[][] rows, int[] starts, long seed)
    {
        var (sets, names) = (rows.Select(_ => new List<int>()).ToArray(), new List<string>());
        for (var t = 0; t < tasks.Count; t++)
        {
            var (items, targets) = tasks[t].Told(rows, starts[t]);
            if (items.Length == 0) continue;
            var first = names.Count;
            switch (targets)
            {
                case ClassTargets classes:
                    for (var i = 0; i < items.Length; i++) sets[items[i]].Add(first + classes.Labels[i]);
                    names.AddRange(classes.Names);
                    break;
                case LabelTargets labels:
                    for (var i = 0; i < items.Length; i++) sets[items[i]].AddRange(labels.Sets[i].Select(label => first + label));
                    names.AddRange(labels.Names);
                    break;
                case NumberTargets numbers:
                    const int Bins = 5;
                    int[] order = [.. Enumerable.Range(0, items.Length).OrderBy(i => numbers.Rows[i][0])];
                    for (var rank = 0; rank < order.Length; rank++) sets[items[order[rank]]].Add(first + rank * Bins / order.Length);
                    names.AddRange(Enumerable.Range(0, Bins).Select(bin => $"{tasks[t].Name} {bin}"));
                    break;
            }
        }
        return [.. new LabelTargets([.. sets.Select(set => set.Order().ToArray())], names).HeldOut(HeldOutShare, seed)];
    }
}
