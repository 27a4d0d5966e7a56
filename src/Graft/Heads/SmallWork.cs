using Graft.Torch;

namespace Graft.Heads;

/// <summary>Many small computations: one to a core is faster than each on every core.</summary>
internal static class SmallWork
{
    /// <summary>Runs body(0) … body(n − 1), each with one thread for its operators and no gradients.</summary>
    public static void InParallel(int n, Action<int> body)
    {
        var before = TorchRuntime.Threads;
        Parallel.For(0, n, new ParallelOptions { MaxDegreeOfParallelism = Cores.Count }, k =>
        {
            TorchRuntime.Threads = 1;
            using var mode = Autograd.NoGrad();
            body(k);
        });
        TorchRuntime.Threads = before;
    }
}
