using System.Security.Cryptography;
using Graft.Torch;

namespace Graft.Checkpoints;

/// <summary>The tensors of a file by name, whatever format it has.</summary>
public sealed record Checkpoint(string Path, IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Of the file, in hexadecimal; read when asked for.</summary>
    public string Sha256()
    {
        using var file = File.OpenRead(Path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    /// <summary>Reads a checkpoint; its first bytes tell the format. Nothing in it is ever executed.</summary>
    /// <exception cref="GraftException">Not there, damaged, or of another kind: what is wrong and what to do.</exception>
    public static Checkpoint Read(string path)
    {
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file");
        try
        {
            Span<byte> first = stackalloc byte[16];
            using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 16, throwOnEndOfStream: false)];
            if (first.Length == 0) throw new GraftException($"{path} is empty: download it again");
            // A safetensors header's length may begin with any byte; its JSON begins with the ninth.
            var named = first.Length > 8 && first[8] == '{' && first[7] == 0;
            if (!named && first[0] == '<') throw new GraftException($"{path} is a web page, not a checkpoint: the download gave a page in place of the file. Download it again");
            if (!named && (first is [0x80, _, ..] || first is [(byte)'P', (byte)'K', ..])) return new Checkpoint(path, PyTorchCheckpoint.Read(path), new Dictionary<string, string>());
            var contents = Safetensors.Read(path);
            return new Checkpoint(path, contents.Tensors, contents.Metadata);
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new GraftException(reason.Message.Contains(path, StringComparison.Ordinal) ? reason.Message : $"{path}: {reason.Message}", reason);
        }
    }
}
