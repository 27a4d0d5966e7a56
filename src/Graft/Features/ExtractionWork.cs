using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using Graft.Data;
using Graft.Inference;

namespace Graft.Features;

/// <summary>What is to be extracted.</summary>
/// <param name="Data">The pictures.</param>
/// <param name="Preprocessing">What they go through.</param>
/// <param name="Views">Random looks at each.</param>
/// <param name="Seed">Of the looks.</param>
/// <param name="RowLength">Numbers that the network gives for one.</param>
/// <param name="Progress">Told of rows done and of all.</param>
/// <param name="Cancel">Ends it.</param>
internal sealed record Job(Dataset Data, Preprocessing Preprocessing, int Views, long Seed, int RowLength, Action<int, int>? Progress,
    CancellationToken Cancel);

/// <summary>What became of an extraction.</summary>
/// <param name="Indices">The dataset's pictures that could be read.</param>
/// <param name="Broken">The others.</param>
/// <param name="FromCache">Rows that were not computed.</param>
/// <param name="Seconds">Wall time.</param>
/// <param name="Notes">What could not be done, such as writing the cache.</param>
internal sealed record Extracted(int[] Indices, IReadOnlyList<BrokenPicture> Broken, int FromCache, double Seconds, IReadOnlyList<string> Notes);

/// <summary>One extraction: its lanes share the result and the rows that are still to be cached. It needs no libtorch; the network may.</summary>
/// <param name="job">What is extracted.</param>
/// <param name="shelf">What the cache has of it, and gets.</param>
/// <param name="network">Made when the first picture needs it.</param>
/// <param name="cuda">It runs on a graphics processor.</param>
/// <param name="rows">Where views × pictures rows of floats go; those of pictures that cannot be read stay as they are.</param>
internal sealed class ExtractionWork(Job job, FeatureCache.Shelf? shelf, Lazy<FrozenNetwork> network, bool cuda, nint rows)
{
    private const long SegmentBytes = 64L << 20;

    private readonly string?[] _errors = new string?[job.Data.Count];
    private readonly byte[]?[] _keys = new byte[]?[job.Views * job.Data.Count];
    private readonly Lock _saving = new();
    private readonly List<int> _unsaved = [];
    private readonly List<string> _notes = [];
    private int _done, _fromCache;
    private volatile bool _cacheFailed;

    private int Items => job.Views * job.Data.Count;

    public Extracted Run()
    {
        var clock = Stopwatch.StartNew();
        var lanes = new Lanes(network, Items, 3 * job.Preprocessing.Height * job.Preprocessing.Width, job.RowLength) { Batch = cuda ? 64 : 2,
            Count = cuda ? 1 : Cores.Count };
        lanes.Run(Prepare, Take, job.Cancel);
        lock (_saving) Save();
        int[] good = [.. Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is null)];
        BrokenPicture[] broken = [.. Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is not null)
            .Select(k => new BrokenPicture(job.Data.Name(k), _errors[k]!))];
        return new Extracted(good, broken, _fromCache, clock.Elapsed.TotalSeconds, _notes);
    }

    /// <summary>Reads a picture; takes its row from the cache, or writes it into the batch.</summary>
    private unsafe bool Prepare(int item, Span<float> input)
    {
        var (view, index) = (item / job.Data.Count, item % job.Data.Count);
        try
        {
            // A digest that is known saves reading what the cache has.
            if (job.Data.KnownDigest(index) is { } known && FromCache(Key(known, view), item)) return false;
            var bytes = job.Data.Read(index);
            var content = SHA256.HashData(bytes);
            _keys[item] = Key(content, view);
            if (FromCache(_keys[item]!, item)) return false;
            var rng = new Rng(job.Seed, view, BinaryPrimitives.ReadInt64LittleEndian(content));
            using var picture = job.Data.Decode(bytes, job.Preprocessing);
            fixed (float* into = input) TransformRunner.Run(picture, job.Preprocessing, ref rng, true, into);
            return true;
        }
        catch (Exception reason) when (reason is PictureException or IOException or UnauthorizedAccessException or InvalidDataException)
        {
            _errors[index] = reason.Message;
            Advance(1);
            return false;
        }
    }

    private byte[] Key(byte[] content, int view) => job.Preprocessing.IsRandom ? SHA256.HashData([.. content, .. BitConverter.GetBytes(view)])
        : content;

    private bool FromCache(byte[] key, int item)
    {
        if (shelf?.TryRead(key, Row(item)) != true) return false;
        Interlocked.Increment(ref _fromCache);
        Advance(1);
        return true;
    }

    private unsafe Span<float> Row(int item) => new((float*)rows + (long)item * job.RowLength, job.RowLength);

    private void Advance(int count) => job.Progress?.Invoke(Interlocked.Add(ref _done, count), Items);

    private void Take(IReadOnlyList<int> items, ReadOnlySpan<float> made)
    {
        for (var k = 0; k < items.Count; k++) made.Slice(k * job.RowLength, job.RowLength).CopyTo(Row(items[k]));
        Advance(items.Count);
        lock (_saving)
        {
            _unsaved.AddRange(items);
            if (4L * job.RowLength * _unsaved.Count >= SegmentBytes) Save();
        }
    }

    private void Save()
    {
        if (shelf is null || _unsaved.Count == 0 || _cacheFailed) { _unsaved.Clear(); return; }
        var saved = new float[_unsaved.Count * job.RowLength];
        for (var k = 0; k < _unsaved.Count; k++) Row(_unsaved[k]).CopyTo(saved.AsSpan(k * job.RowLength));
        try
        {
            if (!shelf.Append([.. _unsaved.Select(item => _keys[item]!)],
                saved)) _notes.Add("the features are larger than the cache may be, and were not kept (GRAFT_CACHE_LIMIT_MB)");
        }
        catch (IOException reason)
        {
            _cacheFailed = true;
            _notes.Add($"the features could not be cached and will be computed again next time: {reason.Message}");
        }
        _unsaved.Clear();
    }
}
