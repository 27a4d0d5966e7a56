using Graft.Data;

namespace Graft.Cli;

/// <summary>Pictures as a command names them: files, and folders in which only what is called like a picture is one.</summary>
internal static class PictureFiles
{
    /// <summary>The pictures below a folder, in order; a file stays what it is.</summary>
    /// <exception cref="GraftException">A folder without pictures.</exception>
    public static IReadOnlyList<string> Of(string path)
    {
        if (!Directory.Exists(path)) return [path];
        string[] found = [.. Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Where(DatasetReader.IsPicture).Order(StringComparer.Ordinal)];
        return found.Length > 0 ? found : throw new GraftException($"{path} holds no pictures");
    }
}
