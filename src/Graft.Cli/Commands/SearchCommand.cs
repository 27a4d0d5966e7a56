using System.CommandLine;

namespace Graft.Cli.Commands;

internal static class SearchCommand
{
    public static Command Create() => new("search", """
        Find sentences or pictures by what they mean: vectors of a frozen network, and the nearest of them.

        Examples:
          graft search build reviews.tsv --weights all-minilm-l6-v2 --out reviews.index
          graft search query reviews.index "a waste of time"
          graft search duplicates reviews.index --above 0.95
          graft search build photos/ --weights mobilenet_v2.safetensors --out photos.index
          graft search query photos.index new.jpg --top 5
        """) { SearchBuildCommand.Create(), SearchQueryCommand.Create(), SearchDuplicatesCommand.Create() };

    /// <summary>An index's folder.</summary>
    public static Argument<string> Index() => new("INDEX") { Description = "A folder that search build wrote" };
}
