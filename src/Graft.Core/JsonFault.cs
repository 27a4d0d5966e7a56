using System.Text.Json;

namespace Graft;

/// <summary>What is wrong with a file of JSON that people edit or that a run left, in words that name no type of the program.</summary>
internal static class JsonFault
{
    /// <summary>, line 3: what is wrong there. To be put behind the file's name.</summary>
    public static string Of(JsonException reason) => $"{(reason.LineNumber is { } line ? $", line {line + 1}" : "")}: {What(reason)}";

    private static string What(JsonException reason)
    {
        var text = reason.Message;
        string Name() => text.Split('\'') is [_, var name, ..] ? name : "";
        if (text.Contains("could not be mapped", StringComparison.Ordinal)) return $"'{Name()}' is not known here";
        if (text.Contains("missing required properties",
            StringComparison.Ordinal)) return $"{text[(text.LastIndexOf(':') + 1)..].Trim(' ', '.')} is missing";
        if (text.Contains("could not be converted",
            StringComparison.Ordinal)) return $"{reason.Path} holds a value of another kind than belongs there";
        if (text.Contains("null", StringComparison.Ordinal) && reason.Path is { } path) return $"{path} holds null";
        return text.Split(" Path:")[0].Split(" LineNumber:")[0].TrimEnd('.');
    }
}
