using Graft.Cli.Commands;
using Graft.Data;
using Graft.Inference;
using Graft.Inference.Search;

namespace Graft.Cli;

/// <summary>The training examples nearest to what a run answers, as the reason of the answer: from an index of the run's own vectors.</summary>
internal sealed class Reasons : IDisposable
{
    private readonly SearchIndex _index;
    private readonly int _count;

    private Reasons(SearchIndex index, int count) => (_index, _count) = (index, count);

    /// <summary>What is asked for; null: nothing is.</summary>
    /// <exception cref="GraftException">One option without the other, or an index of another network.</exception>
    public static Reasons? Open(string run, int? count, string? index)
    {
        if (count is null && index is null) return null;
        if (index is null)
        {
            var build = NextCommand.Of("search", "build", "--weights", run, "--out", "reasons.index");
            throw Bounds.Refuse($"--nearest looks among the examples of an index: name it with --index ({build} DATA makes it)");
        }
        Bounds.Whole("--nearest", count ?? throw Bounds.Refuse("--index is for --nearest N: say how many examples"), 1);
        var opened = SearchIndex.Open(index);
        try
        {
            opened.RequireRun(run);
            return new Reasons(opened, count.Value);
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    public Neighbour[][] OfSentences(IReadOnlyList<TextItem> items, CancellationToken stop) => _index.Find(items, _count, stop);

    public Neighbour[][] OfPictures(IReadOnlyList<string> files, CancellationToken stop) =>
        [.. _index.FindPictures(files, _count, stop).Select(answer => answer.Found ?? [])];

    public static object Json(Prediction answer, Neighbour[] because) => new { answer = MetricsView.Json(answer),
        nearest = because.Select(SearchQueryCommand.Json) };

    public static void Write(Neighbour[] because)
    {
        foreach (var found in because) Console.Out.WriteLine($"    {found.Similarity:0.000}  {SearchQueryCommand.Line(found.Item)}");
    }

    public void Dispose() => _index.Dispose();
}
