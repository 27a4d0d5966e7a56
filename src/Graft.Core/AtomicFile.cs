namespace Graft;

/// <summary>Files that are complete or not there: written beside, synced to the disk, then renamed.</summary>
internal static class AtomicFile
{
    /// <summary>Writes a file; on any failure nothing is left behind and the old file stays.</summary>
    /// <exception cref="IOException">The disk is full or the folder cannot be written: the message names both.</exception>
    public static void Write(string path, Action<Stream> write) => Replace(path, beside =>
    {
        using var stream = new FileStream(beside, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1 << 16);
        write(stream);
        stream.Flush(flushToDisk: true);
    });

    /// <summary>The same for what writes to a path by itself.</summary>
    public static void Replace(string path, Action<string> write)
    {
        var beside = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}.partial";
        try
        {
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder) Directory.CreateDirectory(folder);
            write(beside);
            File.Move(beside, path, overwrite: true);
        }
        catch (Exception reason)
        {
            if (File.Exists(beside)) File.Delete(beside);
            if (reason is IOException or UnauthorizedAccessException)
                throw new IOException($"{path} could not be written: {reason.Message.TrimEnd('.')}. Free some space or choose another folder; what was there before is untouched", reason);
            throw;
        }
    }

    /// <summary>Writes text as UTF-8.</summary>
    public static void WriteText(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));
}
