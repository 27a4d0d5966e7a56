using System.CommandLine;
using Graft.Features;

namespace Graft.Cli.Commands;

internal static class CacheCommand
{
    public static Command Create()
    {
        var show = new Command("show", "What the feature cache holds.");
        Shell.Handle(show, (shell, _) => Show(shell));
        var clear = new Command("clear", "Empty the feature cache.");
        Shell.Handle(clear, (shell, _) =>
        {
            var cache = FeatureCache.Default();
            var before = cache.Summary();
            cache.Clear();
            shell.Result(new { path = before.Path, freed_bytes = before.Bytes });
            if (!shell.Json) shell.Say($"{before.Bytes / 1e6:0.0} MB freed in {before.Path}");
        });
        var command = new Command("cache", """
            The cache of frozen features: look and clear.

            It lies in GRAFT_CACHE, or in the user's cache folder; GRAFT_CACHE_LIMIT_MB bounds it (default 4096).

            Examples:
              graft cache show
              graft cache clear
            """) { show, clear };
        Shell.Handle(command, (shell, _) => Show(shell));
        return command;
    }

    private static void Show(Shell shell)
    {
        var found = FeatureCache.Default().Summary();
        shell.Result(new { path = found.Path, bytes = found.Bytes, limit_bytes = found.LimitBytes, functions = found.Functions, rows = found.Rows });
        if (!shell.Json) shell.Say($"{found.Path}: {found.Rows:N0} rows of {found.Functions} function(s), {found.Bytes / 1e6:0.0} MB of at most {found.LimitBytes / 1e6:0} MB");
    }
}
