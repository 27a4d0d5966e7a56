using System.Globalization;

namespace Graft.Data;

/// <summary>A row of a table: where it stands in its file, from 1, and what is in it.</summary>
internal readonly record struct TableRow(int Line, string[] Fields);

/// <summary>A table of text from a CSV, a TSV, JSON lines or Parquet.</summary>
/// <param name="Path">The file.</param>
/// <param name="Headers">Names of the columns: 1, 2, … where the file has none.</param>
/// <param name="Rows">Each with as many fields as there are columns.</param>
/// <param name="Blank">Lines with nothing in them.</param>
/// <param name="Remarks">How the file was understood.</param>
internal sealed record Table(string Path, string[] Headers, IReadOnlyList<TableRow> Rows, IReadOnlyList<int> Blank, IReadOnlyList<string> Remarks)
{
    public const string Kinds = ".csv, .tsv, .jsonl or .parquet";

    private static readonly string[] s_extensions = [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"];

    /// <summary>CSV, TSV, JSONL or Parquet.</summary>
    public string Format => Kind(Path) switch { ".parquet" => "Parquet", ".ndjson" => "JSONL", var other => other[1..].ToUpperInvariant() };

    /// <summary>The file's name.</summary>
    public string Name => System.IO.Path.GetFileName(Path);

    /// <summary>Whether the file itself names its columns.</summary>
    public bool HasNames { get; init; } = true;

    /// <summary>A column by its name, or by its place from 1; -1: there is none.</summary>
    public int Column(string name)
    {
        var plain = TableReader.Plain(name);
        var found = Array.FindIndex(Headers, header => string.Equals(header, name, StringComparison.OrdinalIgnoreCase));
        if (found < 0) found = Array.FindIndex(Headers, header => TableReader.Plain(header) == plain);
        return found >= 0 ? found : int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var place) && place >= 1 && place <= Headers.Length
            ? place - 1 : -1;
    }

    /// <summary>Where a row stands, for messages.</summary>
    public string At(int line) => $"{Path}, {(Format == "Parquet" ? "row" : "line")} {line}";

    /// <summary>Whether a file may hold a table of text, by its name.</summary>
    public static bool IsTable(string path) => s_extensions.Contains(Kind(path));

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="columns">Names that are asked for: where the first line has them, it names the columns.</param>
    /// <exception cref="GraftException">It cannot be read.</exception>
    public static Table Read(string path, TextColumns? columns) => Kind(path) switch
    {
        ".jsonl" or ".ndjson" => JsonLines.Read(path),
        ".parquet" => ParquetTable.Read(path),
        _ => DelimitedText.Read(path, columns),
    };

    private static string Kind(string path) => System.IO.Path.GetExtension(path).ToLowerInvariant();

    /// <summary>Some of a text, for messages.</summary>
    public static string Short(string text)
    {
        var line = text.Trim().ReplaceLineEndings(" ");
        return line.Length <= 80 ? line : line[..80] + "…";
    }
}
