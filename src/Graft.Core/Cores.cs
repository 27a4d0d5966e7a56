namespace Graft;

/// <summary>
/// How many processor threads this process works with: operators, workers and readers alike. Asked without loading anything.
/// </summary>
internal static class Cores
{
    private static int s_count = int.TryParse(Environment.GetEnvironmentVariable("OMP_NUM_THREADS"), out var wanted) && wanted > 0 ? wanted
        : Environment.ProcessorCount;

    /// <summary>At first <c>OMP_NUM_THREADS</c>, or all that the machine has.</summary>
    public static int Count => s_count;

    /// <summary>Told of every new number: what has taken the old one up (libtorch, say) listens.</summary>
    internal static event Action<int>? Changed;

    /// <summary>Works with so many from here on; what has begun keeps what it has.</summary>
    /// <exception cref="GraftException">Less than one.</exception>
    public static void Use(int count)
    {
        if (count < 1) throw new GraftException($"--threads {count}: a whole number from 1 on") { IsUsage = true };
        if (count == s_count) return;
        s_count = count;
        Changed?.Invoke(count);
    }
}
