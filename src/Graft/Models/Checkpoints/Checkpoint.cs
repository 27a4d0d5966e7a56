using System.Buffers.Binary;
using System.Text.Json;
using Graft.Torch;

namespace Graft.Models.Checkpoints;

/// <summary>The tensors of a file by name, whatever format it has.</summary>
public sealed record Checkpoint(string Path, IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Reads a checkpoint; its first bytes tell the format. Nothing in it is ever executed.</summary>
    /// <exception cref="GraftException">Not there, damaged, of another kind, or with values that are not finite: what is wrong and what to do.</exception>
    public static Checkpoint Read(string path)
    {
        if (Directory.Exists(path)) ForeignFile.Refuse(path);
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file");
        try
        {
            if (path.EndsWith(".index.json", StringComparison.Ordinal)) return Sharded(path);
            ForeignFile.Refuse(path);
            var found = Open(path);
            Finite.Check(found.Tensors, path);
            return found;
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new GraftException(reason.Message.Contains(path, StringComparison.Ordinal) ? reason.Message : $"{path}: {reason.Message}", reason);
        }
    }

    private static Checkpoint Open(string path)
    {
        Span<byte> first = stackalloc byte[16];
        using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 16, throwOnEndOfStream: false)];
        // A safetensors header's length may begin with any bytes; its JSON begins with the ninth.
        var named = first.Length > 8 && first[8] == '{' && first[7] == 0;
        if (!named && (first is [0x80, _, ..] || first is [(byte)'P', (byte)'K', ..])) return new Checkpoint(path, PyTorchCheckpoint.Read(path), first[0] == 'P' ? ArchiveCard.Read(path) : new Dictionary<string, string>());
        if (first.Length >= 8 && BinaryPrimitives.ReadUInt64LittleEndian(first) > Safetensors.HeaderLimit) throw new InvalidDataException($"it is of no kind that Graft reads (safetensors, PyTorch, Keras, Caffe, ONNX, TorchScript): it begins with the bytes {Convert.ToHexStringLower(first[..8])}");
        var contents = Safetensors.Read(path);
        return new Checkpoint(path, contents.Tensors, contents.Metadata);
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
