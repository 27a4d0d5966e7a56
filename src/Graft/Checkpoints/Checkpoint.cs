using System.Text.Json;
using Graft.Torch;

namespace Graft.Checkpoints;

/// <summary>The tensors of a file by name, whatever format it has.</summary>
public sealed record Checkpoint(string Path, IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Reads a checkpoint; its first bytes tell the format. Nothing in it is ever executed.</summary>
    /// <exception cref="GraftException">Not there, damaged, or of another kind: what is wrong and what to do.</exception>
    public static Checkpoint Read(string path)
    {
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file");
        try
        {
            if (path.EndsWith(".index.json", StringComparison.Ordinal)) return Sharded(path);
            Span<byte> first = stackalloc byte[16];
            using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 16, throwOnEndOfStream: false)];
            if (first.Length == 0) throw new GraftException($"{path} is empty: download it again");
            // A safetensors header's length may begin with any byte; its JSON begins with the ninth.
            var named = first.Length > 8 && first[8] == '{' && first[7] == 0;
            if (!named && first[0] == '<') throw new GraftException($"{path} is a web page, not a checkpoint: the download gave a page in place of the file. Download it again");
            if (!named && (first is [0x80, _, ..] || first is [(byte)'P', (byte)'K', ..])) return new Checkpoint(path, PyTorchCheckpoint.Read(path), first[0] == 'P' ? ArchiveCard.Read(path) : new Dictionary<string, string>());
            var contents = Safetensors.Read(path);
            return new Checkpoint(path, contents.Tensors, contents.Metadata);
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new GraftException(reason.Message.Contains(path, StringComparison.Ordinal) ? reason.Message : $"{path}: {reason.Message}", reason);
        }
    }

    /// <summary>Hugging Face's index of a checkpoint in several files: which tensor lies in which.</summary>
    private static Checkpoint Sharded(string path)
    {
        Dictionary<string, string> map;
        try
        {
            using var index = JsonDocument.Parse(File.ReadAllText(path));
            map = index.RootElement.GetProperty("weight_map").EnumerateObject().ToDictionary(item => item.Name, item => item.Value.GetString()!);
        }
        catch (Exception reason) when (reason is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new InvalidDataException($"it is no index of a checkpoint (weight_map): {reason.Message}", reason);
        }
        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        var tensors = new Dictionary<string, Tensor>();
        foreach (var part in map.GroupBy(item => item.Value, item => item.Key))
        {
            // A name with a way out of the folder is not a part of this checkpoint.
            if (System.IO.Path.GetFileName(part.Key) != part.Key) throw new InvalidDataException($"its index names the file '{part.Key}', outside its folder: refused");
            var found = Read(System.IO.Path.Combine(folder, part.Key)).Tensors;
            foreach (var name in part) tensors[name] = found.GetValueOrDefault(name) ?? throw new InvalidDataException($"{part.Key} should hold '{name}' and does not");
        }
        return new Checkpoint(path, tensors, new Dictionary<string, string>());
    }
}
