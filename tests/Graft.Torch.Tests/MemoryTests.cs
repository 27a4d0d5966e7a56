using System.Runtime.InteropServices;

namespace Graft.Torch.Tests;

/// <summary>Runs by itself: what other tests allocate would be counted here too.</summary>
[CollectionDefinition("memory", DisableParallelization = true)]
public sealed class MemoryCollection;

[Collection("memory")]
public sealed class MemoryTests
{
    [Fact]
    public void Memory_stays_flat_over_ten_thousand_steps()
    {
        using var model = new Sequential(new Linear(64, 64), Lambda.Relu(), new Linear(64, 4));
        using var optimizer = new AdamW([new ParameterGroup("all", [.. model.Parameters()], 1e-3)]);
        long early = 0;
        for (var step = 0; step <= 10_000; step++)
        {
            using (new TensorScope())
            {
                optimizer.ZeroGrad();
                Losses.CrossEntropy(model.Forward(Ops.Randn([64, 64])), Ops.Randint(0, 4, [64], dtype: DType.Int64)).Backward();
                optimizer.Step();
            }
            if (step == 2000) early = InUse();
        }
        // A tensor header a step would be close to two megabytes.
        Assert.InRange(InUse() - early, long.MinValue, 1 << 20);
    }

    /// <summary>Bytes that the C heap and the managed heap hold, without what they keep free for later: resident memory varies with fragmentation.</summary>
    static long InUse()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var managed = GC.GetTotalMemory(forceFullCollection: true);
        var heap = MallInfo2();
        return managed + (long)heap.Mapped + (long)heap.Used;
    }

    [DllImport("libc", EntryPoint = "mallinfo2")]
    static extern HeapInfo MallInfo2();

    /// <summary>glibc's struct mallinfo2.</summary>
    [StructLayout(LayoutKind.Sequential)]
    struct HeapInfo
    {
        public nuint Arena, FreeChunks, FastChunks, MappedChunks, Mapped, Unused, FastFree, Used, Free, Trimmable;
    }
}
