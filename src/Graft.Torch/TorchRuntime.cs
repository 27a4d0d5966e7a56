using System.Runtime.InteropServices;

namespace Graft.Torch;

/// <summary>What holds for the whole process: version, seeds, threads, devices.</summary>
public static class TorchRuntime
{
    static TorchRuntime()
    {
        // libtorch starts with one thread where OMP_NUM_THREADS is not set.
        Native.gt_set_threads(Cores.Count);
        Cores.Changed += count => Threads = count;
    }

    /// <summary>Runs the initialisation above once, however libtorch is first reached.</summary>
    internal static void Touch() { }

    /// <summary>The libtorch that is loaded, such as 1.13.1.</summary>
    public static string Version => Marshal.PtrToStringUTF8(Native.gt_version()) ?? "";

    /// <summary>Threads that an operator called from this thread may use (OpenMP keeps the number per calling thread).</summary>
    public static int Threads
    {
        get => Native.gt_threads();
        set => Native.gt_set_threads(Math.Max(1, value));
    }

    /// <summary>
    /// Until the result is disposed, matrix products use one thread each: for threads that each run operators of one thread.
    /// OpenBLAS counts its threads for the whole process and would put that many to work for each of them.
    /// </summary>
    public static IDisposable OneBlasThread() => new BlasThreads();

    /// <summary>Until the result is disposed on the same thread, its operators use one thread each: for small tensors, where a second only
    /// waits.</summary>
    public static IDisposable OneThread() => new SingleThread();

    private sealed class SingleThread : IDisposable
    {
        private readonly IDisposable _blas = OneBlasThread();
        private readonly int _before = Threads;

        public SingleThread() => Threads = 1;

        public void Dispose()
        {
            Threads = _before;
            _blas.Dispose();
        }
    }

    private sealed class BlasThreads : IDisposable
    {
        private int _before;

        public BlasThreads()
        {
            Touch();
            _before = Native.gt_set_blas_threads(1);
        }

        public void Dispose()
        {
            if (_before > 0) _ = Native.gt_set_blas_threads(_before);
            _before = 0;
        }
    }

    /// <summary>CUDA devices that this libtorch can use.</summary>
    public static int CudaDevices => Native.gt_cuda_devices();

    /// <summary>Seeds every generator (processor and devices).</summary>
    public static void ManualSeed(long seed) => Native.Check(Native.gt_manual_seed(unchecked((ulong)seed)), "manual_seed");
}
