using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Graft.Data;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Features;

/// <summary>Outputs of frozen stages for the pictures of a dataset that could be read.</summary>
/// <param name="Rows">Views × pictures rows of floats; row v·n + k is view v of picture Indices[k].</param>
/// <param name="Shape">Of one row.</param>
/// <param name="Indices">Which of the dataset's pictures they are.</param>
/// <param name="Broken">Pictures left out.</param>
/// <param name="FromCache">Rows that were not computed.</param>
/// <param name="Seconds">Wall time.</param>
/// <param name="Notes">What could not be done, such as writing the cache.</param>
public sealed record Extraction(Tensor Rows, long[] Shape, int[] Indices, IReadOnlyList<BrokenPicture> Broken, int FromCache, double Seconds, IReadOnlyList<string> Notes)
{
    /// <summary>The rows of one stage's pooled output, where the extraction was of all of them.</summary>
    public Tensor Stage(Backbone backbone, int stage) => Rows.Narrow(1, backbone.Stages.Take(stage).Sum(found => found.Channels), backbone.Stages[stage].Channels);
}

/// <summary>
/// Runs the frozen part of a backbone once over each picture: decoding, resizing and the network side by side, one picture
/// batch to a core, the network traced and optimised for inference. What the cache has is not computed again.
/// </summary>
public sealed class FeatureExtractor(Backbone backbone, FeatureCache? cache, Device device = default) : IDisposable
{
    private readonly Dictionary<string, Script> _kept = [];

    /// <summary>The traced network is kept for further extractions, until this is disposed: for a backbone that no longer changes.</summary>
    public bool KeepNetwork { get; init; }

    /// <summary>Frees what was kept.</summary>
    public void Dispose()
    {
        foreach (var script in _kept.Values) script.Dispose();
        _kept.Clear();
    }

    // All batches have this many pictures (the last one is filled up): so every picture meets the same kernels, and its
    // features do not depend on its neighbours.
    private const int BatchSize = 2;
    private const int CudaBatchSize = 64;
    private const long SegmentBytes = 64L << 20;

    private sealed record Job(Dataset Data, Preprocessing Preprocessing, long Seed, int Views, int RowLength, Func<Tensor, Tensor> Forward,
        Action<int, int>? Progress, CancellationToken Cancel);

    /// <summary>Every stage's pooled output, one after another: what heads and the advisor use.</summary>
    public Extraction Pooled(Dataset data, Preprocessing preprocessing, int views = 1, long seed = 0, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var length = backbone.Stages.Sum(stage => stage.Channels);
        Tensor Forward(Tensor x)
        {
            var pooled = new List<Tensor>();
            foreach (var stage in backbone.Stages) pooled.Add(backbone.Pool(x = stage.Forward(x)));
            return Ops.Cat(pooled, 1);
        }
        return Run(data, preprocessing, views, seed, $"pooled", length, [length], Forward, progress, cancel);
    }

    /// <summary>What a function of the whole network gives for each picture, such as its own classifier's probabilities.</summary>
    public Extraction Outputs(Dataset data, Preprocessing preprocessing, int length, Func<Tensor, Tensor> forward, Action<int, int>? progress = null, CancellationToken cancel = default) =>
        Run(data, preprocessing, 1, 0, "outputs", length, [length], forward, progress, cancel);

    /// <summary>The output of stage <paramref name="below"/> − 1: what stages from <paramref name="below"/> on are trained on.</summary>
    public Extraction Activations(Dataset data, Preprocessing preprocessing, int below, int views = 1, long seed = 0, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        backbone.Eval();
        long[] shape = [.. backbone.Forward(Ops.Zeros([1, 3, preprocessing.Height, preprocessing.Width]), 0, below).Shape[1..]];
        var extraction = Run(data, preprocessing, views, seed, $"stages {below}", (int)shape.Aggregate((a, b) => a * b), shape, x => backbone.Forward(x, 0, below).Contiguous(), progress, cancel);
        TensorScope.Detach(extraction.Rows);
        return extraction;
    }

    private Extraction Run(Dataset data, Preprocessing preprocessing, int views, long seed, string stages, int rowLength, long[] shape, Func<Tensor, Tensor> forward, Action<int, int>? progress, CancellationToken cancel)
    {
        var clock = Stopwatch.StartNew();
        var random = preprocessing.IsRandom ? $"seed {seed}" : "";
        if (!preprocessing.IsRandom) views = 1;
        var function = $"{backbone.Fingerprint()} {JsonSerializer.Serialize(preprocessing)} {stages} {random} libtorch {TorchRuntime.Version} {(device.IsCuda ? "cuda" : "cpu")}";
        var job = new Job(data, preprocessing, seed, views, rowLength, forward, progress, cancel);
        using var shelf = cache?.Open(function, rowLength);
        var key = $"{stages} {preprocessing.Width}x{preprocessing.Height}";
        using var work = new Work(job, shelf, backbone, device, _kept.GetValueOrDefault(key));
        work.Run();
        if (KeepNetwork && work.TakeScript() is { } script) _kept[key] = script;
        return work.Result(shape, clock.Elapsed.TotalSeconds);
    }

    /// <summary>One extraction: its threads share a counter, the result, and the rows that are still to be cached.</summary>
    private sealed unsafe class Work : IDisposable
    {
        private readonly Job _job;
        private readonly FeatureCache.Shelf? _shelf;
        private readonly Backbone _backbone;
        private readonly Device _device;
        private readonly Tensor _rows;
        private readonly string?[] _errors;
        private readonly Lazy<Script> _script;
        private readonly Lock _saving = new();
        private readonly List<(byte[] Hash, int Row)> _unsaved = [];
        private readonly List<string> _notes = [];
        private int _next, _done, _fromCache;
        private volatile bool _cacheFailed;
        private volatile Exception? _failure;

        private bool _ownsScript;

        public Work(Job job, FeatureCache.Shelf? shelf, Backbone backbone, Device device, Script? kept)
        {
            _ownsScript = kept is null;
            (_job, _shelf, _backbone, _device) = (job, shelf, backbone, device);
            _rows = TensorScope.Detach(Ops.Zeros([(long)job.Views * job.Data.Count, job.RowLength]));
            _errors = new string?[job.Data.Count];
            _script = kept is null ? new Lazy<Script>(Compile) : new Lazy<Script>(kept);
        }

        private int Items => _job.Views * _job.Data.Count;

        private Script Compile()
        {
            var was = _backbone.Training;
            _backbone.Eval();
            using var scope = new TensorScope();
            using var example = Ops.Zeros([1, 3, _job.Preprocessing.Height, _job.Preprocessing.Width]);
            using var traced = Script.Trace(_backbone, inputs => [_job.Forward(inputs[0])], example);
            _backbone.Train(was);
            return traced.Optimize();
        }

        public void Run()
        {
            var threads = _device.IsCuda ? 1 : Math.Max(1, Math.Min(Cores.Count, (Items + BatchSize - 1) / BatchSize));
            var before = TorchRuntime.Threads;
            if (_device.IsCuda) _backbone.To(_device);
            var workers = Enumerable.Range(0, threads).Select(_ => new Thread(Worker) { IsBackground = true }).ToArray();
            foreach (var worker in workers) worker.Start();
            foreach (var worker in workers) worker.Join();
            TorchRuntime.Threads = before;
            if (_device.IsCuda) _backbone.To(Device.Cpu);
            _job.Cancel.ThrowIfCancellationRequested();
            if (_failure is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(_failure).Throw();
            lock (_saving) Save();
        }

        private void Worker()
        {
            try
            {
                TorchRuntime.Threads = _device.IsCuda ? Cores.Count : 1;
                using var mode = Autograd.Inference();
                var size = _device.IsCuda ? CudaBatchSize : BatchSize;
                using var inputs = Ops.Zeros([size, 3, _job.Preprocessing.Height, _job.Preprocessing.Width]);
                var waiting = new List<(byte[] Hash, int Row)>();
                while (_failure is null && !_job.Cancel.IsCancellationRequested)
                {
                    var item = Interlocked.Increment(ref _next) - 1;
                    if (item >= Items) break;
                    if (Prepare(item, inputs, waiting.Count) is { } hash) waiting.Add((hash, item));
                    if (waiting.Count == size) Flush(inputs, waiting);
                }
                if (waiting.Count > 0 && _failure is null) Flush(inputs, waiting);
            }
#pragma warning disable CA1031 // a thread's failure is thrown again by the one that started it
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _failure = failure;
            }
        }

        /// <summary>Reads a picture; takes its row from the cache, or writes it into the batch and gives its hash.</summary>
        private byte[]? Prepare(int item, Tensor inputs, int place)
        {
            var (view, index) = (item / _job.Data.Count, item % _job.Data.Count);
            try
            {
                // A digest that is known saves reading what the cache has.
                if (_job.Data.KnownDigest(index) is { } known && FromCache(Key(known, view), item)) return null;
                var bytes = _job.Data.Read(index);
                var content = SHA256.HashData(bytes);
                var hash = Key(content, view);
                if (FromCache(hash, item)) return null;
                var rng = new Rng(_job.Seed, view, BinaryPrimitives.ReadInt64LittleEndian(content));
                using var picture = _job.Data.Source.Decode(bytes, _job.Preprocessing);
                TransformRunner.Run(picture, _job.Preprocessing, ref rng, true, (float*)inputs.Data + place * inputs.Strides[0]);
                return hash;
            }
            catch (Exception reason) when (reason is PictureException or IOException or UnauthorizedAccessException or InvalidDataException)
            {
                _errors[index] = reason.Message;
                Advance(1);
                return null;
            }
        }

        private byte[] Key(byte[] content, int view) => _job.Preprocessing.IsRandom ? SHA256.HashData([.. content, .. BitConverter.GetBytes(view)]) : content;

        private bool FromCache(byte[] key, int item)
        {
            if (_shelf?.TryRead(key, Row(item)) != true) return false;
            Interlocked.Increment(ref _fromCache);
            Advance(1);
            return true;
        }

        private Span<float> Row(int item) => new((float*)_rows.Data + (long)item * _job.RowLength, _job.RowLength);

        private void Advance(int count) => _job.Progress?.Invoke(Interlocked.Add(ref _done, count), Items);

        private void Flush(Tensor inputs, List<(byte[] Hash, int Row)> waiting)
        {
            using (var scope = new TensorScope())
            {
                var outputs = _device.IsCuda ? _job.Forward(inputs.To(_device)).To(Device.Cpu) : _script.Value.Run(inputs)[0];
                var values = outputs.Contiguous().Flatten(1).Span<float>();
                for (var k = 0; k < waiting.Count; k++) values.Slice(k * _job.RowLength, _job.RowLength).CopyTo(Row(waiting[k].Row));
            }
            Advance(waiting.Count);
            lock (_saving)
            {
                _unsaved.AddRange(waiting);
                if (4L * _job.RowLength * _unsaved.Count >= SegmentBytes) Save();
            }
            waiting.Clear();
        }

        private void Save()
        {
            if (_shelf is null || _unsaved.Count == 0 || _cacheFailed) { _unsaved.Clear(); return; }
            var rows = new float[_unsaved.Count * _job.RowLength];
            for (var k = 0; k < _unsaved.Count; k++) Row(_unsaved[k].Row).CopyTo(rows.AsSpan(k * _job.RowLength));
            try
            {
                if (!_shelf.Append([.. _unsaved.Select(item => item.Hash)], rows)) _notes.Add("the features are larger than the cache may be, and were not kept (GRAFT_CACHE_LIMIT_MB)");
            }
            catch (IOException reason)
            {
                _cacheFailed = true;
                _notes.Add($"the features could not be cached and will be computed again next time: {reason.Message}");
            }
            _unsaved.Clear();
        }

        public Extraction Result(long[] shape, double seconds)
        {
            int[] good = [.. Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is null)];
            var broken = Enumerable.Range(0, _errors.Length).Where(k => _errors[k] is not null).Select(k => new BrokenPicture(_job.Data.Name(k), _errors[k]!)).ToArray();
            var rows = _rows;
            if (broken.Length > 0)
            {
                using var all = rows;
                rows = all.IndexSelect(0, Tensor.From([.. Enumerable.Range(0, _job.Views).SelectMany(view => good.Select(k => (long)view * _job.Data.Count + k))]));
            }
            return new Extraction(rows, shape, good, broken, _fromCache, seconds, _notes);
        }

        /// <summary>The network as it was traced, if it was; whoever takes it disposes it.</summary>
        public Script? TakeScript()
        {
            _ownsScript = false;
            return _script.IsValueCreated ? _script.Value : null;
        }

        public void Dispose()
        {
            if (_ownsScript && _script.IsValueCreated) _script.Value.Dispose();
        }
    }
}
