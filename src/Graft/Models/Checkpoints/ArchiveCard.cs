using System.IO.Compression;
using System.Text.Json;

namespace Graft.Models.Checkpoints;

/// <summary>
/// What Graft writes beside the tensors of PyTorch's archives (state dicts and TorchScript): one more entry, which torch passes over, and
/// <c>torch.jit.load(…, _extra_files=…)</c> gives back. It says what the metadata of safetensors and of ONNX say.
/// </summary>
internal static class ArchiveCard
{
    /// <summary>The entry's name below the archive's folder.</summary>
    public const string Name = "graft.json";

    private const long Limit = 64 << 20;

    /// <summary>As the text of the entry.</summary>
    public static string ToText(IReadOnlyDictionary<string, string> card) => JsonSerializer.Serialize(card);

    /// <summary>The card of an archive; empty where it has none.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static IReadOnlyDictionary<string, string> Read(string path)
    {
        using var archive = ZipFile.OpenRead(path);
        if (archive.Entries.FirstOrDefault(entry => entry.FullName.EndsWith($"/extra/{Name}", StringComparison.Ordinal)) is not { } found) return new Dictionary<string, string>();
        if (found.Length > Limit) throw new InvalidDataException($"its entry {found.FullName} is larger than {Limit >> 20} MB: refused");
        var text = new byte[found.Length];
        using (var stream = found.Open()) stream.ReadExactly(text);
        try
        {
            return JsonSerializer.Deserialize<Dictionary<string, string>>(text) ?? [];
        }
        catch (Exception reason) when (reason is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"its entry {found.FullName} cannot be read: {reason.Message}", reason);
        }
    }
}
