using System.Runtime.ExceptionServices;
using Graft.Data;

namespace Graft.Inference.Text;

/// <summary>
/// Many sentences through a frozen network: they are tokenized, sorted by length, and run in batches of one length, so that nothing is filled up and
/// a
/// sentence's answer does not depend on its neighbours. Every lane is a thread with batches of its own.
/// </summary>
/// <param name="network">Made at the first batch.</param>
internal sealed class TextLanes(Lazy<TextNetwork> network)
{
    /// <summary>Takes the answers of these items, row after row. Called by any lane.</summary>
    public delegate void Take(IReadOnlyList<int> items, ReadOnlySpan<float> rows);

    private const int MostSentences = 32, MostTokens = 2048;

    private volatile Exception? _failure;
    private int _next;

    /// <summary>Tokens of many sentences, on all cores.</summary>
    public static int[][] Tokenize(int count, Func<int, int[]> encode, CancellationToken cancel = default)
    {
        var tokens = new int[count][];
        Parallel.For(0, (count + 63) / 64, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Cores.Count }, block =>
        {
            for (var k = 64 * block; k < Math.Min(count, 64 * block + 64); k++) tokens[k] = encode(k);
        });
        return tokens;
    }

    /// <summary>Runs all of them.</summary>
    public void Run(IReadOnlyList<int[]> tokens, Take take, CancellationToken cancel)
    {
        var batches = new List<int[]>();
        // Long ones first: the lanes end together.
        foreach (var group in Enumerable.Range(0, tokens.Count).GroupBy(k => tokens[k].Length).OrderByDescending(group => group.Key))
            batches.AddRange(group.Chunk(Math.Clamp(MostTokens / Math.Max(1, group.Key), 1, MostSentences)));
        var lanes = Math.Clamp(batches.Count, 1, network.IsValueCreated ? network.Value.Lanes : Cores.Count);
        if (lanes == 1) Lane(batches, tokens, take, cancel);
        else
        {
            var threads = Enumerable.Range(0, lanes).Select(_ =>
                new Thread(() => Lane(batches, tokens, take, cancel)) { IsBackground = true, Name = "lane" }).ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();
        }
        cancel.ThrowIfCancellationRequested();
        if (_failure is { } failure) ExceptionDispatchInfo.Capture(failure).Throw();
    }

    private void Lane(List<int[]> batches, IReadOnlyList<int[]> tokens, Take take, CancellationToken cancel)
    {
        try
        {
            while (_failure is null && !cancel.IsCancellationRequested)
            {
                var at = Interlocked.Increment(ref _next) - 1;
                if (at >= batches.Count) break;
                var batch = batches[at];
                var length = tokens[batch[0]].Length;
                var ids = new long[batch.Length * length];
                for (var k = 0; k < batch.Length; k++)
                {
                    for (var t = 0; t < length; t++) ids[k * length + t] = tokens[batch[k]][t];
                }
                var rows = new float[batch.Length * network.Value.Outputs];
                network.Value.Run(ids, batch.Length, rows);
                take(batch, rows);
            }
        }
#pragma warning disable CA1031 // a thread's failure is thrown again by the one that started it
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _failure = failure;
        }
    }
}
