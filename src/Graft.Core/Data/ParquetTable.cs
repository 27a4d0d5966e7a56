using System.Globalization;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace Graft.Data;

/// <summary>Reads Parquet, as Hugging Face's data sets are stored. Class numbers become the names that the file's own card gives them.</summary>
internal static class ParquetTable
{
    private const int RowLimit = 50_000_000;

    /// <param name="path">The file.</param>
    public static Table Read(string path)
    {
        try
        {
            return ReadAsync(path).GetAwaiter().GetResult();
        }
        // What the library throws at a damaged file is of many kinds.
        catch (Exception reason) when (reason is not (GraftException or UnauthorizedAccessException or FileNotFoundException))
        {
            throw new GraftException($"{path} is no Parquet file that can be read ({reason.Message.Split('\n')[0].TrimEnd('.', ' ')}): "
                + "it is cut off or damaged. Download it again", reason);
        }
    }

    private static async Task<Table> ReadAsync(string path)
    {
        await using var reader = await ParquetReader.CreateAsync(path).ConfigureAwait(false);
        // Lists and structures are no cells.
        DataField[] fields = [.. reader.Schema.DataFields.Where(field => !field.IsArray && field.MaxRepetitionLevel == 0 && IsCell(field))];
        if (fields.Length == 0) throw new GraftException($"{path} has no column of texts or numbers, only {string.Join(", ", reader.Schema.Fields.Select(field => field.Name))}");
        var names = ClassNames(reader);
        var rows = new List<TableRow>();
        for (var group = 0; group < reader.RowGroupCount; group++)
        {
            using var part = reader.OpenRowGroupReader(group);
            // What a file says of itself may be anything.
            if (part.RowCount is < 0 or > RowLimit) throw new GraftException($"{path} says that it has {part.RowCount} rows in one group: it is damaged. Download it again");
            var columns = new string[fields.Length][];
            for (var k = 0; k < fields.Length; k++) columns[k] = await Cells(part, fields[k],
                names.GetValueOrDefault(fields[k].Name)).ConfigureAwait(false);
            for (var k = 0; k < part.RowCount; k++) rows.Add(new TableRow(rows.Count + 1, [.. columns.Select(column => column[k].Trim())]));
        }
        if (rows.Count == 0) throw new GraftException($"{path} is empty: it has columns ({string.Join(", ", fields.Select(field => field.Name))}) and no rows");
        return new Table(path, [.. fields.Select(field => field.Name)], rows, [], []);
    }

    private static bool IsText(DataField field) => field.ClrType == typeof(ReadOnlyMemory<char>) || field.ClrType == typeof(string);

    private static bool IsCell(DataField field) => IsText(field) || Type.GetTypeCode(field.ClrType) is TypeCode.Boolean
        or TypeCode.SByte or TypeCode.Byte or TypeCode.Int16 or TypeCode.UInt16 or TypeCode.Int32 or TypeCode.UInt32 or TypeCode.Int64 or TypeCode.UInt64
        or TypeCode.Single or TypeCode.Double;

    private static async Task<string[]> Cells(ParquetRowGroupReader part, DataField field, string[]? names)
    {
        var count = (int)part.RowCount;
        if (IsText(field))
        {
            var texts = new string?[count];
            await part.ReadAsync(field, texts.AsMemory()!).ConfigureAwait(false);
            return [.. texts.Select(text => text ?? "")];
        }
        return Type.GetTypeCode(field.ClrType) switch
        {
            TypeCode.Boolean => await Values<bool>(value => value ? "true" : "false").ConfigureAwait(false),
            TypeCode.SByte => await Values<sbyte>(value => Number(value)).ConfigureAwait(false),
            TypeCode.Byte => await Values<byte>(value => Number(value)).ConfigureAwait(false),
            TypeCode.Int16 => await Values<short>(value => Number(value)).ConfigureAwait(false),
            TypeCode.UInt16 => await Values<ushort>(value => Number(value)).ConfigureAwait(false),
            TypeCode.Int32 => await Values<int>(value => Number(value)).ConfigureAwait(false),
            TypeCode.UInt32 => await Values<uint>(value => Number(value)).ConfigureAwait(false),
            TypeCode.Int64 => await Values<long>(Number).ConfigureAwait(false),
            TypeCode.UInt64 => await Values<ulong>(value => value.ToString(CultureInfo.InvariantCulture)).ConfigureAwait(false),
            TypeCode.Single => await Values<float>(value => value.ToString("R", CultureInfo.InvariantCulture)).ConfigureAwait(false),
            _ => await Values<double>(value => value.ToString("R", CultureInfo.InvariantCulture)).ConfigureAwait(false),
        };

        // -1 stands for a label that is withheld.
        string Number(long value) => names is null ? value.ToString(CultureInfo.InvariantCulture)
            : value >= 0 && value < names.Length ? names[value] : value == -1 ? "" : value.ToString(CultureInfo.InvariantCulture);

        async Task<string[]> Values<T>(Func<T, string> show) where T : unmanaged
        {
            if (field.IsNullable)
            {
                var some = new T?[count];
                await part.ReadAsync<T>(field, some.AsMemory()).ConfigureAwait(false);
                return [.. some.Select(value => value is { } known ? show(known) : "")];
            }
            var all = new T[count];
            await part.ReadAsync<T>(field, all.AsMemory()).ConfigureAwait(false);
            return [.. all.Select(show)];
        }
    }

    /// <summary>Hugging Face's card in the file: the names of each column's classes.</summary>
    private static Dictionary<string, string[]> ClassNames(ParquetReader reader)
    {
        var found = new Dictionary<string, string[]>();
        if (!reader.CustomMetadata.TryGetValue("huggingface", out var card)) return found;
        try
        {
            using var json = JsonDocument.Parse(card);
            if (!json.RootElement.TryGetProperty("info", out var info) || !info.TryGetProperty("features", out var features)) return found;
            foreach (var feature in features.EnumerateObject())
            {
                if (feature.Value.ValueKind == JsonValueKind.Object && feature.Value.TryGetProperty("names", out var names)
                    && names.ValueKind == JsonValueKind.Array)
                    found[feature.Name] = [.. names.EnumerateArray().Select(name => name.ToString())];
            }
        }
        catch (Exception reason) when (reason is JsonException or InvalidOperationException)
        {
            // A card that is none: the numbers stand for themselves.
        }
        return found;
    }
}
