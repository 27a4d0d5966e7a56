namespace Graft.Models.Hub;

/// <summary>The checkpoint that comes inside the library under the name <c>shapes</c>: a small ConvNet pretrained on drawn shapes.</summary>
internal static class EmbeddedWeights
{
    /// <summary>To ask for it by, as for any other.</summary>
    public const string Name = "shapes";

    private const string File = Name + ".safetensors", Resource = "weights/" + File;

    private static readonly Lazy<byte[]> s_bytes = new(() =>
    {
        using var stream = typeof(EmbeddedWeights).Assembly.GetManifestResourceStream(Resource)
            ?? throw new GraftException($"this build holds no {Resource}: make it with {NextCommand.Of("pretrain-shapes")}");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    });

    /// <summary>Its file beside those that were fetched; in the folder of temporary files where nothing can be written there.</summary>
    public static string Path()
    {
        try
        {
            return WrittenTo(ModelHub.Folder);
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            return WrittenTo(System.IO.Path.GetTempPath());
        }
    }

    // Another version of the library may have left other weights.
    private static string WrittenTo(string folder)
    {
        var path = System.IO.Path.Combine(folder, File);
        if (System.IO.File.Exists(path) && System.IO.File.ReadAllBytes(path).AsSpan().SequenceEqual(s_bytes.Value)) return path;
        Directory.CreateDirectory(folder);
        AtomicFile.Write(path, stream => stream.Write(s_bytes.Value));
        return path;
    }
}
