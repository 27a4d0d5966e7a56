using System.Text.Json;

namespace Graft.Data;

/// <summary>Reads JSON lines: an object a line, its keys the columns. A list of words becomes them with ; between, as labels are written.</summary>
internal static class JsonLines
{
    /// <param name="path">The file.</param>
    public static Table Read(string path)
    {
        var (text, remark) = TextDecoder.ReadText(path);
        var (columns, rows, blank, number) = (new List<string>(), new List<TableRow>(), new List<int>(), 0);
        var places = new Dictionary<string, int>();
        foreach (var piece in text.TrimEnd().Split('\n'))
        {
            number++;
            if (string.IsNullOrWhiteSpace(piece))
            {
                blank.Add(number);
                continue;
            }
            var fields = new List<string>();
            try
            {
                using var json = JsonDocument.Parse(piece);
                if (json.RootElement.ValueKind != JsonValueKind.Object)
                    throw new GraftException($"{path}, line {number}: it holds {(json.RootElement.ValueKind == JsonValueKind.Array ? "a list" : "a bare value")}, "
                        + "and each line is an object, such as {\"text\": \"…\", \"label\": \"…\"}");
                foreach (var property in json.RootElement.EnumerateObject())
                {
                    if (!places.TryGetValue(property.Name, out var place))
                    {
                        places[property.Name] = place = columns.Count;
                        columns.Add(property.Name);
                    }
                    while (fields.Count <= place) fields.Add("");
                    fields[place] = Cell(property.Value).Trim();
                }
            }
            catch (JsonException reason)
            {
                var why = JsonFault.Of(new JsonException(reason.Message, reason.Path, null, null)).TrimStart(':', ' ');
                throw new GraftException($"{path}, line {number}: it is no JSON ({why}): '{Table.Short(piece)}'. "
                    + "Each line is an object, such as {\"text\": \"…\", \"label\": \"…\"}", reason);
            }
            catch (InvalidOperationException reason)
            {
                throw new GraftException($"{path}, line {number}: a text of it holds half of a letter (\\ud800 to \\udfff alone). Write the line again", reason);
            }
            rows.Add(new TableRow(number, [.. fields]));
        }
        if (rows.Count == 0) throw new GraftException($"{path} is empty: each line is an object, such as {{\"text\": \"…\", \"label\": \"…\"}}");
        return new Table(path, [.. columns],
            [.. rows.Select(row => row.Fields.Length == columns.Count ? row : row with { Fields = [.. row.Fields, .. Enumerable.Repeat("", columns.Count - row.Fields.Length)] })],
            blank, remark is null ? [] : [remark]);
    }

    private static string Cell(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        JsonValueKind.Null => "",
        JsonValueKind.Array => string.Join(';', value.EnumerateArray().Select(Cell)),
        _ => value.GetRawText(),
    };
}
