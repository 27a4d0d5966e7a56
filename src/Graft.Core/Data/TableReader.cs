using System.Globalization;
using CsvHelper;
using CsvHelper.Configuration;

namespace Graft.Data;

/// <summary>Reads a CSV or TSV of paths, what they are labelled with (<see cref="TableTargets"/>) and, where there is a column for it,
/// parts.</summary>
internal static class TableReader
{
    // Without _ - and spaces, in lower case; the first that is there is taken.
    public static readonly string[] FileWords =
    [
        "path", "filepath", "imagepath", "imgpath", "picturepath", "imagesource",
        "file", "filename", "imagefile", "imagefilename", "imagename", "imgname", "image", "img", "picture", "photo",
    ];
    public static readonly string[] LabelWords =
        ["label", "class", "classname", "labelname", "target", "category", "categoryname", "labels", "species"];
    public static readonly string[] PartWords = ["split", "set", "subset", "part", "partition", "phase"];

    private sealed record Row(int Line, string File, string Part, string[] Fields);

    private sealed record Table(IReadOnlyList<Row> Rows, bool HasParts, string[] Headers, int File, int Label, int Part)
    {
        public int Existing(FileFinder files) => Rows.Count(row => files.Find(row.File) is not null);
    }

    /// <summary>A header without _ - and spaces, in lower case.</summary>
    public static string Plain(string header) => new([.. header.ToLowerInvariant().Where(letter => letter is not ('_' or '-' or ' '))]);

    /// <param name="path">The CSV.</param>
    /// <param name="task">What is told of the pictures; null: what the columns show.</param>
    /// <param name="known">Classes, labels or columns that are looked for; null: any.</param>
    public static DatasetParts Read(string path, TargetKind? task = null, IReadOnlyList<string>? known = null)
    {
        var files = new FileFinder(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var (table, remarks) = Decode(path, files);
        var (headers, plain) = (table.Headers, table.Headers.Select(Plain).ToArray());
        var columns = TableTargets.Of(path, headers, plain, [.. table.Rows.Select(row => row.Fields)], table.Label, [table.File, table.Part], task,
            known, ItemNoun.Picture) ?? throw NoColumns(path, headers);
        if (columns.Remark is { } remark && task is null) remarks.Add(remark);
        var (leftOut, pictures, chosen, found) = (new List<LeftOut>(), new List<string>(), new List<Row>(), new List<string>());
        var parts = table.HasParts ? PartsOf(Path.GetFileName(path), [.. table.Rows.Select(row => ($"{path}, line {row.Line}", row.Part))], remarks) : null;
        for (var k = 0; k < table.Rows.Count; k++)
        {
            var row = table.Rows[k];
            var part = parts?[k];
            if (row.File.Length == 0 || columns.IsBlank(row.Fields))
                leftOut.Add(new LeftOut(LeftOutKind.IncompleteRow, $"line {row.Line}", 0, part));
            else if (!Path.IsPathRooted(row.File)
                && Listing.IsHidden(row.File)) leftOut.Add(new LeftOut(LeftOutKind.Hidden, $"line {row.Line}: {row.File}", 1, part));
            else if (files.Find(row.File) is not { } file) leftOut.Add(new LeftOut(LeftOutKind.MissingFile, $"line {row.Line}: {row.File}", 1, part));
            else
            {
                pictures.Add(part ?? Parts.Train);
                chosen.Add(row);
                found.Add(file);
            }
        }
        var notes = new DatasetNotes(leftOut, remarks);
        if (pictures.Count == 0) throw new GraftException($"{path} names no picture that exists{notes.Hint}. Paths are taken from the folder of the CSV");
        PictureSource Open(int[] these) => new FileSource(files.Folder, [.. these.Select(k => found[k])]);
        if (columns.Kind == TargetKind.Classes)
            return DatasetParts.Of(path, "CSV", parts is not null,
                [.. pictures.Zip(chosen, (part, row) => (part, UnicodeNames.Compose(row.Fields[columns.Columns[0]])))], notes, Open);
        return DatasetParts.Of(path, columns.Kind == TargetKind.Labels ? "CSV of labels" : "CSV of numbers", parts is not null, pictures, notes, Open,
            these => columns.Read(path, headers, [.. these.Select(k => ($"{path}, line {chosen[k].Line}", chosen[k].Fields))], ItemNoun.Picture));
    }

    /// <summary>The rows, in the encoding that fits; where the text alone does not tell, in the one whose paths exist.</summary>
    private static (Table Table, List<string> Remarks) Decode(string path, FileFinder files)
    {
        var bytes = File.ReadAllBytes(path);
        if ((TextDecoder.ByMark(bytes) ?? TextDecoder.AsUtf8([bytes])?[0]) is { } text) return (Parse(path, text), []);
        var readings = TextDecoder.Readings([bytes]);
        var chosen = readings.Where(reading => reading.Plausible).ToArray();
        if (chosen.Length != 1)
        {
            var existing = readings.Select(reading => (Reading: reading, Count: Parse(path, reading.Texts[0]).Existing(files)))
                .OrderByDescending(pair => pair.Count).ToArray();
            if (existing is not [{ Count: > 0 } best, ..] || existing.Skip(1).Any(other => other.Count == best.Count))
                throw new GraftException($"{path} is not in UTF-8, and nobody can tell in which encoding it is. Save it as UTF-8 (in Excel: CSV UTF-8)");
            chosen = [best.Reading];
        }
        return (Parse(path, chosen[0].Texts[0]), [$"{Path.GetFileName(path)} is read as {chosen[0].Encoding}"]);
    }

    private static Table Parse(string path, string text)
    {
        var rows = new List<Row>();
        using var csv = new CsvReader(new StringReader(text), new CsvConfiguration(CultureInfo.InvariantCulture)
        {
            DetectDelimiter = true, DetectDelimiterValues = [",", ";", "\t"], TrimOptions = TrimOptions.Trim,
            BadDataFound = bad => throw new GraftException($"{path}, line {bad.Context.Parser?.RawRow}: a stray quote in '{bad.RawRecord.Trim()}'. Double the quotes inside a quoted field"),
        });
        try
        {
            if (!csv.Read() || !csv.ReadHeader()) throw new GraftException($"{path} is empty: the first line names the columns, such as path,label");
            var headers = csv.HeaderRecord!;
            string[] plain = [.. headers.Select(Plain)];
            int Column(string[] names) => names.Select(name => Array.IndexOf(plain, name)).FirstOrDefault(index => index >= 0, -1);
            var (file, label, part) = (Column(FileWords), Column(LabelWords), Column(PartWords));
            if (file < 0) throw NoColumns(path, headers);
            while (csv.Read())
            {
                var (line, fields) = (csv.Parser.RawRow, csv.Parser.Record!);
                if (fields.All(field => field.Length == 0)) continue;
                foreach (var (column, what) in new[] { (file, "path"), (label, "label"), (part, "split") })
                {
                    if (column >= fields.Length)
                        throw new GraftException($"{path}, line {line}: it has {fields.Length} of the {headers.Length} fields that line 1 names ({string.Join(", ", headers)}), "
                            + $"and its {what} is not among them: '{csv.Parser.RawRecord.Trim()}'");
                }
                if (fields.Skip(headers.Length).Any(field => field.Length > 0))
                    throw new GraftException($"{path}, line {line}: it has {fields.Length} fields, and line 1 names {headers.Length} ({string.Join(", ", headers)}). "
                        + $"A field with '{csv.Parser.Delimiter}' in it stands in double quotes: '{csv.Parser.RawRecord.Trim()}'");
                if (fields.Length < headers.Length) fields = [.. fields, .. Enumerable.Repeat("", headers.Length - fields.Length)];
                rows.Add(new Row(line, fields[file], part < 0 ? "" : fields[part], fields));
            }
            return new Table(rows, part >= 0, headers, file, label, part);
        }
        catch (CsvHelperException reason)
        {
            throw new GraftException($"{path}, line {csv.Parser.RawRow}: {reason.Message.Split('\n')[0].Trim()}", reason);
        }
    }

    private static GraftException NoColumns(string path, string[] headers) => new($"{path}, line 1: the columns are {string.Join(", ", headers)}; "
        + "one must be called path (or file, image, filename, ImagePath) and one label (or class); or others hold 0 and 1, or numbers");

    /// <summary>Each row's part; null: the column is blank from top to bottom.</summary>
    /// <param name="file">The table's name.</param>
    /// <param name="rows">Where each stands, for messages, and what its split column says.</param>
    /// <param name="remarks">For what is to be said.</param>
    public static string[]? PartsOf(string file, IReadOnlyList<(string Where, string Word)> rows, List<string> remarks)
    {
        if (rows.All(row => row.Word.Length == 0))
        {
            remarks.Add($"the split column of {file} is blank: the CSV has no parts");
            return null;
        }
        string Of((string Where, string Word) row) => Parts.Of(row.Word) ?? throw new GraftException(row.Word.Length == 0
            ? $"{row.Where}: its split is blank, and other rows have one. Known are {Parts.Known}"
            : int.TryParse(row.Word, out _)
                ? $"{row.Where}: the split '{row.Word}' is a number, and may mean training as well as testing. Write {Parts.Known}"
            : $"{row.Where}: the split '{row.Word}' is not known. Known are {Parts.Known}");
        var parts = rows.Select(Of).ToArray();
        foreach (var words in rows.Select(row => row.Word).Distinct().GroupBy(Parts.Of))
        {
            if (words.All(word => word.Equals(words.Key, StringComparison.OrdinalIgnoreCase))) continue;
            remarks.Add($"the split {string.Join(" and ", words.Select(word => $"'{word}'"))} of {file} is the {words.Key} part");
        }
        return parts;
    }
}
