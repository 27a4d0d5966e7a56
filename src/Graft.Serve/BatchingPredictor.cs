using System.Diagnostics;
using System.Threading.Channels;
using Graft.Data;
using Graft.Inference;

namespace Graft.Serve;

/// <summary>Too many requests wait already.</summary>
internal sealed class QueueFullException() : GraftException("too many wait already: try again in a moment");

/// <summary>
/// Answers pictures that come from many requests at once: each core has a worker, which takes what waits, a few pictures at a time.
/// </summary>
internal sealed class BatchingPredictor : IPredictor
{
    private sealed record Job(float[] Input, TaskCompletionSource<float[]> Result, long Queued);

    private readonly PictureModel _model;
    private readonly Channel<Job> _queue;
    private readonly Thread[] _workers;
    private readonly int _batch;

    /// <param name="model">Stays the caller's.</param>
    /// <param name="batch">Pictures that a worker takes at most.</param>
    /// <param name="waiting">Pictures that may wait; more are refused.</param>
    /// <param name="workers">Threads; null: one for each core.</param>
    public BatchingPredictor(PictureModel model, int batch = 4, int waiting = 256, int? workers = null)
    {
        (_model, _batch) = (model, batch);
        _queue = Channel.CreateBounded<Job>(new BoundedChannelOptions(waiting) { SingleWriter = false });
        _workers = [.. Enumerable.Range(0, workers ?? Cores.Count).Select(_ => new Thread(Work) { IsBackground = true, Name = "predict" })];
        foreach (var worker in _workers) worker.Start();
        // The first runs compile: no request should wait for that.
        for (var k = 0; k < 3 * _workers.Length; k++) Enqueue(new float[model.Network.InputLength]).GetAwaiter().GetResult();
    }

    /// <summary>Pictures done, batches run, seconds that pictures waited and that the network ran.</summary>
    public (long Pictures, long Batches, double Waited, double Ran) Totals =>
        (Interlocked.Read(ref _pictures), Interlocked.Read(ref _batches), Ticks(ref _waited), Ticks(ref _ran));

    private long _pictures, _batches, _waited, _ran;

    private static double Ticks(ref long ticks) => Interlocked.Read(ref ticks) / (double)Stopwatch.Frequency;

    /// <summary>Probabilities of the classes for a picture's bytes.</summary>
    /// <exception cref="PictureException">They are no picture.</exception>
    /// <exception cref="QueueFullException">Too many wait.</exception>
    public Task<float[]> Predict(byte[] bytes)
    {
        var input = new float[_model.Network.InputLength];
        _model.Read(bytes, input);
        return Enqueue(input);
    }

    private Task<float[]> Enqueue(float[] input)
    {
        var job = new Job(input, new TaskCompletionSource<float[]>(TaskCreationOptions.RunContinuationsAsynchronously), Stopwatch.GetTimestamp());
        return _queue.Writer.TryWrite(job) ? job.Result.Task : throw new QueueFullException();
    }

    private void Work()
    {
        var jobs = new List<Job>();
        var inputs = GC.AllocateArray<float>(_batch * _model.Network.InputLength, pinned: true);
        var rows = GC.AllocateArray<float>(_batch * _model.Network.Outputs, pinned: true);
        while (_queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
        {
            jobs.Clear();
            while (jobs.Count < _batch && _queue.Reader.TryRead(out var job)) jobs.Add(job);
            if (jobs.Count > 0) Run(jobs, inputs, rows);
        }
    }

    private void Run(List<Job> jobs, float[] inputs, float[] rows)
    {
        var start = Stopwatch.GetTimestamp();
        try
        {
            var (length, outputs) = (_model.Network.InputLength, _model.Network.Outputs);
            for (var k = 0; k < jobs.Count; k++) jobs[k].Input.CopyTo(inputs, k * length);
            _model.Network.Run(inputs, jobs.Count, rows);
            for (var k = 0; k < jobs.Count; k++) _model.Finish(rows.AsSpan(k * outputs, outputs));
            Interlocked.Add(ref _pictures, jobs.Count);
            Interlocked.Increment(ref _batches);
            Interlocked.Add(ref _waited, jobs.Sum(job => start - job.Queued));
            Interlocked.Add(ref _ran, Stopwatch.GetTimestamp() - start);
            for (var k = 0; k < jobs.Count; k++) jobs[k].Result.SetResult(rows[(k * outputs)..((k + 1) * outputs)]);
        }
#pragma warning disable CA1031 // whatever went wrong is the requests' to know, and the worker goes on
        catch (Exception reason)
#pragma warning restore CA1031
        {
            foreach (var job in jobs) job.Result.TrySetException(reason);
        }
    }

    /// <summary>Lets what waits finish.</summary>
    public void Dispose()
    {
        _queue.Writer.TryComplete();
        foreach (var worker in _workers) worker.Join();
    }
}
