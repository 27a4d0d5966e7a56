using Graft.Data;

namespace Graft.Learning;

/// <summary>
/// Decoded pictures of a dataset, kept in memory as far as a budget goes: small pictures are decoded once, not every epoch.
/// </summary>
internal sealed class PictureStore(Dataset dataset, long budget = PictureStore.DefaultBudget) : IDisposable
{
    /// <summary>256 MiB: 80,000 pictures of 32×32, or 400 photographs.</summary>
    public const long DefaultBudget = 1L << 28;

    private readonly Picture?[] _kept = new Picture?[dataset.Count];
    private long _used;

    /// <summary>What the pictures are of.</summary>
    public Dataset Dataset { get; } = dataset;

    /// <summary>Runs an action with the picture, which must not be changed.</summary>
    /// <exception cref="PictureException">It cannot be read or decoded.</exception>
    public void Use(int index, Action<Picture> action)
    {
        if (Volatile.Read(ref _kept[index]) is { } kept) { action(kept); return; }
        var picture = Dataset.Decode(index);
        if (Interlocked.Add(ref _used, picture.Bytes) <= budget && Interlocked.CompareExchange(ref _kept[index], picture, null) is null)
        {
            action(picture);
            return;
        }
        Interlocked.Add(ref _used, -picture.Bytes);
        using (picture) action(picture);
    }

    /// <summary>Decodes every picture once, in parallel, keeping what fits.</summary>
    /// <returns>Indices of the pictures that can be used, and the broken ones.</returns>
    public (int[] Usable, BrokenPicture[] Broken) Check(CancellationToken cancel = default)
    {
        var errors = new string?[Dataset.Count];
        Parallel.For(0, Dataset.Count, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Cores.Count }, k =>
        {
            try { Use(k, _ => { }); }
            catch (PictureException reason) { errors[k] = reason.Message; }
        });
        return ([.. Enumerable.Range(0, errors.Length).Where(k => errors[k] is null)],
            [.. Enumerable.Range(0, errors.Length).Where(k => errors[k] is not null).Select(k => new BrokenPicture(Dataset.Name(k), errors[k]!))]);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var picture in _kept) picture?.Dispose();
    }
}
