using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// A thread for each core, each with a learner of its own that shares the parameters. Episodes are small: one on each core,
/// with operators of one thread, is much faster than one after another on all cores.
/// </summary>
internal sealed class EpisodeWorkers : IDisposable
{
    private readonly BlockingCollection<Action<EpisodeLearner>>[] _queues;
    private readonly Thread[] _threads;
    private readonly IDisposable? _oneThread;

    public EpisodeWorkers(EpisodeLearner learner, int count)
    {
        if (learner.Another is null) count = 1;
        Learners = [learner, .. Enumerable.Range(1, Math.Max(0, count - 1)).Select(_ => learner.Share())];
        _queues = [.. Learners.Select(_ => new BlockingCollection<Action<EpisodeLearner>>())];
        _threads = [.. Learners.Select((own, k) => new Thread(() => Work(own, _queues[k], count)) { IsBackground = true })];
        _oneThread = count > 1 ? TorchRuntime.OneBlasThread() : null;
        foreach (var thread in _threads) thread.Start();
    }

    /// <summary>The first is the original.</summary>
    public IReadOnlyList<EpisodeLearner> Learners { get; }

    private static void Work(EpisodeLearner learner, BlockingCollection<Action<EpisodeLearner>> queue, int count)
    {
        TorchRuntime.Threads = Math.Max(1, TorchRuntime.DefaultThreads / count);
        foreach (var action in queue.GetConsumingEnumerable()) action(learner);
    }

    /// <summary>Runs work item k on worker k mod count, so that the same seed gives the same sums; the first failure is thrown.</summary>
    public void Run(int items, Action<int, EpisodeLearner> work)
    {
        using var left = new CountdownEvent(Math.Min(items, Learners.Count));
        ExceptionDispatchInfo? failure = null;
        for (var w = 0; w < Math.Min(items, Learners.Count); w++)
        {
            var first = w;
            _queues[w].Add(learner =>
            {
                try
                {
                    for (var k = first; k < items && failure is null; k += Learners.Count) work(k, learner);
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

    /// <summary>Each worker's running statistics, replaced by their mean.</summary>
    public void AverageBuffers()
    {
        if (Learners.Count == 1) return;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var buffers = Learners.Select(learner => Statistics(learner).Select(slot => slot.Value).ToArray()).ToArray();
        for (var k = 0; k < buffers[0].Length; k++)
        {
            var mean = Ops.Stack([.. buffers.Select(own => own[k])]).Mean([0L]);
            foreach (var own in buffers) own[k].CopyInPlace(mean);
        }
    }

    /// <summary>Runs something while every worker has the mean of the statistics; training then goes on with each worker's own, as if nothing had been.</summary>
    public void WithAverageBuffers(Action action)
    {
        using var scope = new TensorScope();
        var own = OwnBuffers().ToDictionary(item => item.Key, item => item.Value.Clone());
        AverageBuffers();
        try { action(); }
        finally { RestoreBuffers(own); }
    }

    /// <summary>Each worker's running statistics by name.</summary>
    public IReadOnlyDictionary<string, Tensor> OwnBuffers() =>
        Learners.SelectMany((learner, w) => Statistics(learner).Select(slot => ($"{w}.{slot.Name}", slot.Value))).ToDictionary();

    /// <summary>What <see cref="OwnBuffers"/> gave; workers that were not there then keep what they have.</summary>
    public void RestoreBuffers(IReadOnlyDictionary<string, Tensor> saved)
    {
        using var mode = Autograd.NoGrad();
        foreach (var (name, tensor) in OwnBuffers())
        {
            if (saved.TryGetValue(name, out var found)) tensor.CopyInPlace(found);
        }
    }

    private static IEnumerable<(string Name, Tensor Value)> Statistics(EpisodeLearner learner) =>
        learner.NamedSlots().Where(slot => slot.Slot.IsBuffer && slot.Slot.Value.Type == DType.Float32).Select(slot => (slot.Name, slot.Slot.Value));

    public void Dispose()
    {
        foreach (var queue in _queues) queue.CompleteAdding();
        foreach (var thread in _threads) thread.Join();
        foreach (var queue in _queues) queue.Dispose();
        _oneThread?.Dispose();
    }
}
