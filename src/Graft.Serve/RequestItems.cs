using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;

namespace Graft.Serve;

/// <summary>What a request asks about: pictures, or sentences, as bytes.</summary>
internal static class RequestItems
{
    /// <summary>Pictures: a body of one, a form of files, or base64 in JSON.</summary>
    public static async Task<List<(string? Name, byte[] Bytes)>> Pictures(HttpRequest request, CancellationToken cancel)
    {
        var found = new List<(string?, byte[])>();
        // A form is what says that it is one in parts: curl --data-binary calls anything else a form too, when it is given no type.
        if (request.ContentType?.StartsWith("multipart/form-data", StringComparison.OrdinalIgnoreCase) == true)
        {
            var form = await request.ReadFormAsync(cancel).ConfigureAwait(false);
            foreach (var file in form.Files)
            {
                using var memory = new MemoryStream();
                await file.CopyToAsync(memory, cancel).ConfigureAwait(false);
                found.Add((file.FileName, memory.ToArray()));
            }
            return found;
        }
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, cancel).ConfigureAwait(false);
        var bytes = body.GetBuffer().AsMemory(0, (int)body.Length);
        // The bytes say what they are, whatever the header says: no picture begins as JSON does.
        if (bytes.Span.TrimStart(" \t\r\n"u8) is [(byte)'{' or (byte)'[' or (byte)'"', ..])
        {
            using var json = JsonDocument.Parse(bytes);
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw new FormatException("the JSON should be {\"image\": …} or {\"images\": […]}");
            if (json.RootElement.TryGetProperty("image", out var one)) found.Add((null, Decoded(one)));
            if (json.RootElement.TryGetProperty("images", out var many) && many.ValueKind == JsonValueKind.Array) found.AddRange(many.EnumerateArray()
                .Select(item => ((string?)null, Decoded(item))));
            return found;
        }
        if (body.Length > 0) found.Add((null, body.ToArray()));
        return found;
    }

    /// <summary>Sentences: a body of text is one; of JSON {"text": …}, with "pair" beside it for the second, or {"texts": [… or {"text": …, "pair":
    /// …}]}.</summary>
    public static async Task<List<(string? Name, byte[] Bytes)>> Sentences(HttpRequest request, CancellationToken cancel)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, cancel).ConfigureAwait(false);
        var bytes = body.ToArray();
        if (bytes.Length == 0) return [];
        if (request.ContentType?.Contains("json", StringComparison.OrdinalIgnoreCase) != true) return [(null, bytes)];
        using var json = JsonDocument.Parse(bytes);
        static byte[] Item(JsonElement item) => item.ValueKind switch
        {
            JsonValueKind.String => Encoding.UTF8.GetBytes(item.GetString()!),
            JsonValueKind.Object when item.TryGetProperty("text", out var first) && first.ValueKind == JsonValueKind.String => Encoding.UTF8.GetBytes(
                item.TryGetProperty("pair", out var second) && second.ValueKind == JsonValueKind.String
                    ? $"{first.GetString()}\u001f{second.GetString()}" : first.GetString()!),
            _ => throw new FormatException("the JSON should be {\"text\": …} or {\"texts\": […]}"),
        };
        return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("texts", out var many)
            && many.ValueKind == JsonValueKind.Array ? [.. many.EnumerateArray().Select(item => ((string?)null, Item(item)))]
                : [(null, Item(json.RootElement))];
    }

    private static byte[] Decoded(JsonElement item)
    {
        var text = item.ValueKind == JsonValueKind.String ? item.GetString()! : throw new FormatException("an image should be text in base64");
        // A data URL's head is not part of the bytes.
        var comma = text.StartsWith("data:", StringComparison.Ordinal) ? text.IndexOf(',', StringComparison.Ordinal) + 1 : 0;
        try
        {
            return Convert.FromBase64String(text[comma..]);
        }
        catch (FormatException reason)
        {
            throw new FormatException("an image is no base64: letters, digits, + and / alone", reason);
        }
    }
}
