using System.Globalization;
using System.Text;
using CsvHelper;
using CsvHelper.Configuration;

namespace Graft.Data;

/// <summary>
/// Reads CSV and TSV of text. Quotes count as RFC 4180 has it, but in a TSV whose quotes do not: GLUE's and NSMC's have them as letters, one here and
/// there, and a reader that takes them for quotes swallows lines.
/// </summary>
internal static class DelimitedText
{
    private const int LinesToLookAt = 200, BytesToLookAt = 1 << 20;

    private static readonly char[] s_delimiters = [',', ';', '\t'];

    /// <param name="path">The file.</param>
    /// <param name="columns">Names that are asked for.</param>
    public static Table Read(string path, TextColumns? columns)
    {
        var (text, remark) = TextDecoder.ReadText(path);
        var remarks = new List<string>();
        if (remark is not null) remarks.Add(remark);
        var tabs = IsTabbed(path);
        var delimiter = tabs ? '\t' : Delimiter(text);
        var lines = tabs ? Plain(text) : null;
        var (rows, blank) = lines is not null && QuotesAreLetters(path, text, lines, remarks) ? Split(lines) : Parse(path, text, delimiter);
        if (rows.Count == 0) throw new GraftException($"{path} is empty: the first line names the columns, such as text{delimiter}label");
        var first = rows[0].Fields;
        var named = IsHeader(first, columns) || StandsOut(rows);
        var headers = named ? first : [.. first.Select((_, k) => (k + 1).ToString(CultureInfo.InvariantCulture))];
        for (var k = 1; k < rows.Count; k++)
        {
            var (line, fields) = rows[k];
            if (fields.Length == headers.Length) continue;
            // Rows that are too short may end in blanks; those that are too long must.
            if (fields.Length > headers.Length && fields.Skip(headers.Length).All(field => field.Length == 0))
                rows[k] = new TableRow(line, fields[..headers.Length]);
            else
                throw new GraftException($"{path}, line {line}: it has {fields.Length} field{(fields.Length == 1 ? "" : "s")}, and line {rows[0].Line} has "
                    + $"{headers.Length}{(named ? $" ({string.Join(", ", headers)})" : "")}: '{Table.Short(string.Join(delimiter, fields))}'. "
                    + (delimiter == '\t' ? "A field with a tab in it stands in double quotes"
                        : $"A field with '{delimiter}' in it stands in double quotes, \"like{delimiter} this\""));
        }
        return new Table(path, headers, named ? [.. rows.Skip(1)] : rows, blank, remarks) { HasNames = named };
    }

    /// <summary>Whether a CSV or TSV tells of sentences and not of pictures: its first line says so, else what stands in its first lines.</summary>
    public static bool TellsOfText(string path)
    {
        using var file = File.OpenRead(path);
        var bytes = new byte[Math.Min(file.Length, BytesToLookAt)];
        file.ReadExactly(bytes);
        var text = TextDecoder.ByMark(bytes) ?? Encoding.UTF8.GetString(bytes);
        var delimiter = IsTabbed(path) ? '\t' : Delimiter(text);
        string[][] lines = [.. text.Split('\n').Take(LinesToLookAt).Select(line =>
            line.Split(delimiter).Select(field => field.Trim().Trim('"')).ToArray())];
        var (files, texts) = (lines[0].Any(TableColumns.IsFile), TableColumns.NameText(lines[0]));
        if (files != texts) return texts;
        // Both are named, or neither is: files of pictures tell.
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        if (lines.Skip(1).Any(line => line.Any(PictureFiles.IsPicture))) return false;
        return files ? !lines.Skip(1).Any(line => line.Any(field => field.Length is > 0 and < 1000 && File.Exists(Path.Combine(folder, field))))
            : 2 * lines.Count(line => line.Any(TableColumns.IsWords)) >= lines.Length;
    }

    private static bool IsTabbed(string path) => Path.GetExtension(path).Equals(".tsv", StringComparison.OrdinalIgnoreCase);

    private static bool IsHeader(string[] fields, TextColumns? columns) =>
        !fields.Any(field => TableTargets.Number(field) is not null)
        && fields.Any(field => TableColumns.IsKnown(field)
            || new[] { columns?.Text, columns?.Pair, columns?.Label }.Any(name => name is not null
                && TableReader.Plain(name) == TableReader.Plain(field)));

    /// <summary>
    /// Whether the first line is unlike the others, and so names columns by words that nobody knows: it has no number where all others have one, or a
    /// value that never returns where those of all others do.
    /// </summary>
    private static bool StandsOut(List<TableRow> rows)
    {
        var first = rows[0].Fields;
        if (rows.Count < 10 || first.Any(field => field.Length == 0 || TableTargets.Number(field) is not null)) return false;
        return Enumerable.Range(0, first.Length).Any(k =>
        {
            string[] others = [.. rows.Skip(1).Select(row => row.Fields.ElementAtOrDefault(k) ?? "")];
            var values = others.ToHashSet();
            return others.All(cell => TableTargets.Number(cell) is not null)
                || (values.Count <= TableColumns.FewClasses && 2 * values.Count <= others.Length && !values.Contains(first[k]));
        });
    }

    // The one that the first line has most of, outside of quotes.
    private static char Delimiter(string text)
    {
        var counts = new int[s_delimiters.Length];
        var quoted = false;
        foreach (var letter in text)
        {
            if (letter == '"') quoted = !quoted;
            if (quoted) continue;
            if (letter == '\n') break;
            if (Array.IndexOf(s_delimiters, letter) is >= 0 and var found) counts[found]++;
        }
        return s_delimiters[Array.IndexOf(counts, counts.Max())];
    }

    private static List<TableRow> Plain(string text) =>
        [.. text.Split('\n').Select((line, k) => new TableRow(k + 1, line.TrimEnd('\r').Split('\t')))];

    private static (List<TableRow> Rows, List<int> Blank) Split(List<TableRow> lines)
    {
        static bool IsBlank(TableRow line) => line.Fields.All(string.IsNullOrWhiteSpace);
        var last = lines.FindLastIndex(line => !IsBlank(line));
        return ([.. lines.Where(line => !IsBlank(line)).Select(line => line with { Fields = [.. line.Fields.Select(field => field.Trim())] })],
            [.. lines.Take(last + 1).Where(IsBlank).Select(line => line.Line)]);
    }

    /// <summary>Whether a TSV has quotes that open nothing or close nothing; then they are letters, if its lines have the same number of fields
    /// so.</summary>
    private static bool QuotesAreLetters(string path, string text, List<TableRow> lines, List<string> remarks)
    {
        if (!text.Contains('"')) return true;
        var stray = lines.Find(line => line.Fields.Any(field => field.Contains('"') && !IsQuoted(field)));
        if (stray.Fields is null) return false;
        var filled = lines.Where(line => line.Fields.Length > 1 || line.Fields[0].Length > 0).ToArray();
        var width = filled[0].Fields.Length;
        // A few bad lines do not make it a quoted file: they are named. Text over several lines, in quotes, does.
        if (filled.Count(line => line.Fields.Length != width) > filled.Length / 20) return false;
        remarks.Add($"the quotes in {Path.GetFileName(path)} are read as letters: they are not balanced (line {stray.Line})");
        return true;
    }

    private static bool IsQuoted(string field)
    {
        field = field.Trim();
        return field.Length >= 2 && field[0] == '"' && field[^1] == '"' && !field[1..^1].Replace("\"\"", "", StringComparison.Ordinal).Contains('"');
    }

    private static (List<TableRow> Rows, List<int> Blank) Parse(string path, string text, char delimiter)
    {
        var (rows, blank, start) = (new List<TableRow>(), new List<int>(), 1);
        using var csv = new CsvParser(new StringReader(text), new CsvConfiguration(CultureInfo.InvariantCulture)
        {
            Delimiter = delimiter.ToString(), TrimOptions = TrimOptions.Trim, IgnoreBlankLines = false,
            BadDataFound = bad => throw new GraftException(IsOpen(bad.RawRecord, delimiter)
                ? $"{path}, line {start}: a quote that opens here never closes: '{Table.Short(bad.RawRecord)}'. Close it, or double the quotes inside a quoted field"
                : $"{path}, line {start}: a stray quote in '{Table.Short(bad.RawRecord)}'. Double the quotes inside a quoted field, or save the table as a .tsv: "
                + "there quotes may be letters"),
        });
        try
        {
            var waiting = new List<int>();
            while (csv.Read())
            {
                var fields = csv.Record!;
                if (fields.All(field => field.Length == 0))
                {
                    waiting.Add(start);
                }
                else
                {
                    // Blank lines at the end are nobody's.
                    blank.AddRange(waiting);
                    waiting.Clear();
                    rows.Add(new TableRow(start, [.. fields]));
                }
                start = csv.RawRow + 1;
            }
        }
        catch (CsvHelperException reason)
        {
            throw new GraftException($"{path}, line {start}: {reason.Message.Split('\n')[0].Trim()}", reason);
        }
        return (rows, blank);
    }

    private static bool IsOpen(string record, char delimiter) =>
        record.Count(letter => letter == '"') % 2 == 1
            && (record.TrimStart().StartsWith('"') || record.Contains($"{delimiter}\"", StringComparison.Ordinal));
}
