using System.Runtime.ExceptionServices;

namespace Graft.Inference;

/// <summary>
/// Many items through a frozen network: every lane is a thread that fills a batch of its own and runs it, so that decoding and the network
/// share the cores without waiting for each other. All batches have the same size (the last one is filled up with what stood there), so that an
/// item's answer never depends on its neighbours.
/// </summary>
/// <param name="network">Made at the first full batch.</param>
/// <param name="items">How many.</param>
/// <param name="inputLength">Numbers of one item's input.</param>
/// <param name="outputs">Numbers of one item's answer.</param>
internal sealed class Lanes(Lazy<FrozenNetwork> network, int items, int inputLength, int outputs)
{
    /// <summary>Writes an item's input; false: it needs no run.</summary>
    public delegate bool Fill(int item, Span<float> input);

    /// <summary>Takes the answers of these items, row after row. Called by any lane.</summary>
    public delegate void Take(IReadOnlyList<int> items, ReadOnlySpan<float> rows);

    private int _next;
    private volatile Exception? _failure;

    /// <summary>Items that run together.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>Threads.</summary>
    public int Count { get; init; } = Cores.Count;

    /// <summary>Runs all items.</summary>
    public void Run(Fill fill, Take take, CancellationToken cancel)
    {
        var lanes = Math.Clamp((items + Batch - 1) / Batch, 1, Count);
        if (lanes == 1) Lane(fill, take, cancel);
        else
        {
            var threads = Enumerable.Range(0, lanes).Select(_ => new Thread(() => Lane(fill, take, cancel)) { IsBackground = true, Name = "lane" })
                .ToArray();
            foreach (var thread in threads) thread.Start();
            foreach (var thread in threads) thread.Join();
        }
        cancel.ThrowIfCancellationRequested();
        if (_failure is { } failure) ExceptionDispatchInfo.Capture(failure).Throw();
    }

    private void Lane(Fill fill, Take take, CancellationToken cancel)
    {
        try
        {
            // Pinned: the network reads them where they are.
            var inputs = GC.AllocateArray<float>(Batch * inputLength, pinned: true);
            var rows = GC.AllocateArray<float>(Batch * outputs, pinned: true);
            var waiting = new List<int>();
            void Flush()
            {
                network.Value.Run(inputs, Batch, rows);
                take(waiting, rows.AsSpan(0, waiting.Count * outputs));
                waiting.Clear();
            }
            while (_failure is null && !cancel.IsCancellationRequested)
            {
                var item = Interlocked.Increment(ref _next) - 1;
                if (item >= items) break;
                if (fill(item, inputs.AsSpan(waiting.Count * inputLength, inputLength))) waiting.Add(item);
                if (waiting.Count == Batch) Flush();
            }
            if (waiting.Count > 0 && _failure is null && !cancel.IsCancellationRequested) Flush();
        }
#pragma warning disable CA1031 // a thread's failure is thrown again by the one that started it
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _failure = failure;
        }
    }
}
