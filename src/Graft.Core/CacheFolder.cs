namespace Graft;

/// <summary>The folder of everything that can be fetched or computed again: features, measurements, public weights.</summary>
internal static class CacheFolder
{
    /// <summary><c>GRAFT_CACHE</c>, or graft in the user's cache folder.</summary>
    public static string Path => Environment.GetEnvironmentVariable("GRAFT_CACHE") is { Length: > 0 } set ? set : System.IO.Path.Combine(
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg ? xdg
            : System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"), "graft");
}
