using System.IO.Compression;
using Graft.Inference;
using Graft.Models.Checkpoints;
using Graft.Models.Graphs;
using Graft.Models.Imports;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Models;

/// <summary>Files that hold a whole network, not tensors alone.</summary>
internal static class ModelFiles
{
    /// <summary>The network of such a file, and whether its preprocessing is a guess; null where it holds tensors by name.</summary>
    /// <param name="path">Keras's .h5 and .keras, Caffe's .caffemodel and .prototxt, .onnx, a TorchScript archive.</param>
    /// <param name="size">Pixels of the square input, where the file leaves it open.</param>
    /// <exception cref="GraftException">It is of such a kind, and damaged, not supported, or with values that are not finite; or it is of a kind that is not read.</exception>
    public static (Backbone Backbone, IReadOnlyList<string> Notes, bool Guessed)? Open(string path, int? size = null)
    {
        if (Directory.Exists(path)) ForeignFile.Refuse(path);
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file");
        try
        {
            ForeignFile.Refuse(path);
            if (Read(path, size) is not { } imported) return null;
            Finite.Check(imported.Weights, path);
            // What answers at many places (boxes, maps) classifies no picture.
            var places = imported.Graph.Shapes[imported.Graph.Output].Skip(2).Any(size => size != 1);
            var backbone = new GraphBackbone(imported.Graph, imported.Weights, imported.Preprocessing, Path.GetFileNameWithoutExtension(path), headless: places);
            backbone.Provenance = ModelCard.Origin(path, imported.Card, "", $"{(backbone.UpstreamClasses is { } classes ? $"{classes} classes " : "")}({Path.GetFileName(path)})");
            backbone.TaskCard = ModelCard.Task(imported.Card);
            backbone.ClassNames = ModelCard.Classes(imported.Card, backbone.UpstreamClasses);
            return (backbone, imported.Notes, imported.Guessed);
        }
        catch (Exception reason) when (reason is InvalidDataException or IOException or UnauthorizedAccessException or TorchException or GraftException or OverflowException or OutOfMemoryException or System.Text.Json.JsonException)
        {
            throw new GraftException(reason.Message.Contains(path, StringComparison.Ordinal) ? reason.Message : $"{path}: {reason.Message}", reason);
        }
    }

    private static Imported? Read(string path, int? size)
    {
        var extension = Path.GetExtension(path).ToLowerInvariant();
        if (extension is ".caffemodel" or ".prototxt") return CaffeReader.Read(path);
        if (extension is ".onnx" && OnnxCard.FormatOf(path) == ModelCard.Support) throw SavedRun.OfSupport();
        if (extension is ".onnx") return OnnxReader.Read(path, size);
        Span<byte> first = stackalloc byte[8];
        using (var file = File.OpenRead(path)) first = first[..file.ReadAtLeast(first, 8, throwOnEndOfStream: false)];
        if (first is [0x89, (byte)'H', (byte)'D', (byte)'F', ..] || extension is ".h5" or ".hdf5") return KerasReader.Read(path);
        if (first is not [(byte)'P', (byte)'K', ..]) return null;
        if (extension is ".keras") return KerasReader.Read(path);
        try
        {
            using var archive = ZipFile.OpenRead(path);
            if (archive.GetEntry("model.weights.h5") is null && !archive.Entries.Any(entry => entry.FullName.EndsWith("/constants.pkl", StringComparison.Ordinal))) return null;
            extension = archive.GetEntry("model.weights.h5") is not null ? ".keras" : ".pt";
        }
        catch (InvalidDataException)
        {
            // The reader of checkpoints says what is wrong with the archive.
            return null;
        }
        return extension is ".keras" ? KerasReader.Read(path) : TorchScriptReader.Read(path, size);
    }
}
