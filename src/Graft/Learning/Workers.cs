using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>
/// Replicas of a module that share its parameters, and threads that run them: small work is done much faster side by side, with
/// operators of one thread, than one after another on all cores. Which replica does what follows from the work's number, not from the
/// machine, so that the same seed gives the same sums on any number of cores. With one replica, the calling thread does the work.
/// </summary>
public sealed class Workers : IDisposable
{
    private readonly BlockingCollection<Action>[] _queues;
    private readonly Thread[] _threads;
    private readonly IDisposable? _oneThread;

    /// <param name="replicas">The first is the original.</param>
    internal Workers(IReadOnlyList<Module> replicas)
    {
        Replicas = replicas;
        var count = replicas.Count == 1 ? 0 : Math.Min(replicas.Count, Cores.Count);
        _queues = [.. Enumerable.Range(0, count).Select(_ => new BlockingCollection<Action>())];
        _threads = [.. _queues.Select(queue => new Thread(() => Work(queue)) { IsBackground = true })];
        _oneThread = count > 0 ? TorchRuntime.OneBlasThread() : null;
        foreach (var thread in _threads) thread.Start();
    }

    /// <summary>An objective with replicas of itself, as many as it can have of the number wanted.</summary>
    internal static Workers Of<TBatch>(Objective<TBatch> objective, int wanted)
    {
        var replicas = new List<Module> { objective };
        while (replicas.Count < wanted && objective.Share() is { } another) replicas.Add(another);
        return new Workers(replicas);
    }

    /// <summary>The first is the original.</summary>
    public IReadOnlyList<Module> Replicas { get; }

    private static void Work(BlockingCollection<Action> queue)
    {
        TorchRuntime.Threads = 1;
        foreach (var action in queue.GetConsumingEnumerable()) action();
    }

    /// <summary>Runs work item k on replica k mod count; the first failure is thrown.</summary>
    public void Run(int items, Action<int, Module> work)
    {
        if (_threads.Length == 0)
        {
            for (var k = 0; k < items; k++) work(k, Replicas[0]);
            return;
        }
        var busy = Math.Min(items, _threads.Length);
        using var left = new CountdownEvent(busy);
        ExceptionDispatchInfo? failure = null;
        for (var t = 0; t < busy; t++)
        {
            var own = t;
            _queues[t].Add(() =>
            {
                try
                {
                    for (var k = 0; k < items && failure is null; k++)
                    {
                        var replica = k % Replicas.Count;
                        if (replica % _threads.Length == own) work(k, Replicas[replica]);
                    }
                }
#pragma warning disable CA1031 // thrown again by the thread that waits
                catch (Exception reason)
#pragma warning restore CA1031
                {
                    failure = ExceptionDispatchInfo.Capture(reason);
                }
                finally
                {
                    left.Signal();
                }
            });
        }
        left.Wait();
        failure?.Throw();
    }

    /// <summary>Each replica's running statistics, replaced by their mean.</summary>
    internal void AverageStatistics()
    {
        if (Replicas.Count == 1) return;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var all = Replicas.Select(replica => StatisticsOf(replica).Select(slot => slot.Value).ToArray()).ToArray();
        for (var k = 0; k < all[0].Length; k++)
        {
            var mean = Ops.Stack([.. all.Select(own => own[k])]).Mean([0L]);
            foreach (var own in all) own[k].CopyInPlace(mean);
        }
    }

    /// <summary>Runs something while every replica has the mean of the statistics; training then goes on with each one's own, as if nothing had
    /// been.</summary>
    internal void WithAverageStatistics(Action action)
    {
        if (Replicas.Count == 1)
        {
            action();
            return;
        }
        using var scope = new TensorScope();
        var own = Statistics().ToDictionary(item => item.Key, item => item.Value.Clone());
        AverageStatistics();
        try { action(); }
        finally { Restore(own); }
    }

    /// <summary>Each replica's running statistics by name; nothing where there is but one.</summary>
    internal IReadOnlyDictionary<string, Tensor> Statistics() => Replicas.Count == 1 ? new Dictionary<string, Tensor>()
        : Replicas.SelectMany((replica, k) => StatisticsOf(replica).Select(slot => ($"{k}.{slot.Name}", slot.Value))).ToDictionary();

    /// <summary>What <see cref="Statistics"/> gave.</summary>
    internal void Restore(IReadOnlyDictionary<string, Tensor> saved)
    {
        using var mode = Autograd.NoGrad();
        foreach (var (name, tensor) in Statistics())
        {
            if (saved.TryGetValue(name, out var found)) tensor.CopyInPlace(found);
        }
    }

    private static IEnumerable<(string Name, Tensor Value)> StatisticsOf(Module replica) =>
        replica.NamedSlots().Where(slot => slot.Slot.IsBuffer && slot.Slot.Value.Type == DType.Float32).Select(slot => (slot.Name, slot.Slot.Value));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var queue in _queues) queue.CompleteAdding();
        foreach (var thread in _threads) thread.Join();
        foreach (var queue in _queues) queue.Dispose();
        _oneThread?.Dispose();
    }
}
