using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using Graft.Data;
using Graft.Inference;
using Graft.Torch;

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

/// <summary>One extraction: its lanes share the result and the rows that are still to be cached.</summary>
internal sealed class ExtractionWork(Job job, FeatureCache.Shelf? shelf, Lazy<FrozenNetwork> network, bool cuda)
{
    private const long SegmentBytes = 64L << 20;

    private readonly Tensor _rows = TensorScope.Detach(Ops.Zeros([(long)job.Views * job.Data.Count, job.RowLength]));
    private readonly string?[] _errors = new string?[job.Data.Count];
    private readonly byte[]?[] _keys = new byte[]?[job.Views * job.Data.Count];
    private readonly Lock _saving = new();
    private readonly List<int> _unsaved = [];
    private readonly List<string> _notes = [];
    private int _done, _fromCache;
    private volatile bool _cacheFailed;

    private int Items => job.Views * job.Data.Count;

    public Extraction Run(long[] shape)
    {
        var clock = Stopwatch.StartNew();
        var lanes = new Lanes(network, Items, 3 * job.Preprocessing.Height * job.Preprocessing.Width, job.RowLength) { Batch = cuda ? 64 : 2,
            Count = cuda ? 1 : Cores.Count };
        try
        {
            lanes.Run(Prepare, Take, job.Cancel);
        }
        catch
        {
            _rows.Dispose();
            throw;
        }
        lock (_saving) Save();
        return Result(shape, clock.Elapsed.TotalSeconds);
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

    private unsafe Span<float> Row(int item) => new((float*)_rows.Data + (long)item * job.RowLength, job.RowLength);

    private void Advance(int count) => job.Progress?.Invoke(Interlocked.Add(ref _done, count), Items);

    private void Take(IReadOnlyList<int> items, ReadOnlySpan<float> rows)
    {
        for (var k = 0; k < items.Count; k++) rows.Slice(k * job.RowLength, job.RowLength).CopyTo(Row(items[k]));
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
        var rows = new float[_unsaved.Count * job.RowLength];
        for (var k = 0; k < _unsaved.Count; k++) Row(_unsaved[k]).CopyTo(rows.AsSpan(k * job.RowLength));
        try
        {
            if (!shelf.Append([.. _unsaved.Select(item => _keys[item]!)],
                rows)) _notes.Add("the features are larger than the cache may be, and were not kept (GRAFT_CACHE_LIMIT_MB)");
        }
        catch (IOException reason)
        {
            _cacheFailed = true;
            _notes.Add($"the features could not be cached and will be computed again next time: {reason.Message}");
        }
        _unsaved.Clear();
    }

    private Extraction Result(long[] shape, double seconds)
    {
        int[] good = [.. Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is null)];
        var broken = Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is not null)
            .Select(k => new BrokenPicture(job.Data.Name(k), _errors[k]!)).ToArray();
        var rows = _rows;
        if (broken.Length > 0)
        {
            using var all = rows;
            rows = all.IndexSelect(0, Tensor.From(
                [.. Enumerable.Range(0, job.Views).SelectMany(view => good.Select(k => (long)view * job.Data.Count + k))]));
        }
        return new Extraction(rows, shape, good, broken, _fromCache, seconds, _notes);
    }
}
