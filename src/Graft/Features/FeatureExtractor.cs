using System.Text.Json;
using Graft.Data;
using Graft.Inference;
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
public sealed record Extraction(Tensor Rows, long[] Shape, int[] Indices,
    IReadOnlyList<BrokenPicture> Broken, int FromCache, double Seconds, IReadOnlyList<string> Notes)
{
    /// <summary>Whether a row is of a pair whose texts were read one by one: the first's outputs, then the second's.</summary>
    internal bool Apart { get; init; }

    /// <summary>The rows of one stage's pooled output, where the extraction was of all of them.</summary>
    public Tensor Stage(Backbone backbone, int stage)
    {
        var (from, width) = (backbone.Stages.Take(stage).Sum(found => found.Channels), backbone.Stages[stage].Channels);
        return !Apart ? Rows.Narrow(1, from, width) : Ops.Cat([Rows.Narrow(1, from, width), Rows.Narrow(1, Rows.Shape[1] / 2 + from, width)], 1);
    }
}

/// <summary>
/// Runs the frozen part of a backbone once over each picture: decoding, resizing and the network side by side, one picture
/// batch to a core. What the cache has is not computed again.
/// </summary>
public sealed class FeatureExtractor(Backbone backbone, FeatureCache? cache, Device device = default) : IDisposable
{
    private readonly Dictionary<string, FrozenNetwork> _kept = [];
    private readonly FrozenNetworks _networks = new(cache);

    /// <summary>The network is kept as it was made ready for further extractions, until this is disposed: for a backbone that no longer
    /// changes.</summary>
    public bool KeepNetwork { get; init; }

    /// <summary>Frees what was kept.</summary>
    public void Dispose()
    {
        foreach (var network in _kept.Values) network.Dispose();
        _kept.Clear();
    }

    /// <summary>Every stage's pooled output, one after another: what heads and the advisor use.</summary>
    public Extraction Pooled(Dataset data, Preprocessing preprocessing, int views = 1, long seed = 0, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        if (backbone is TextEncoder encoder)
        {
            var reading = new TextExtraction(encoder, cache, device);
            return data.Targets.Kind == TargetKind.Similarity ? reading.Apart(data, progress, cancel) : reading.Pooled(data, progress, cancel);
        }
        var length = backbone.Stages.Sum(stage => stage.Channels);
        return Run(new Job(data, preprocessing, views, seed, length, progress, cancel), PooledName, [length], AllPooled(backbone));
    }

    /// <summary>What <see cref="AllPooled"/> is called in the cache.</summary>
    internal const string PooledName = "pooled";

    /// <summary>N×3×H×W to every stage's pooled output, one after another; those of the last stage, the features, are last.</summary>
    internal static Func<Tensor, Tensor> AllPooled(Backbone backbone) => x =>
    {
        var (pooled, signal) = (new List<Tensor>(), new Signal(x));
        foreach (var stage in backbone.Stages) pooled.Add(backbone.Pool(signal = stage.Run(signal)));
        return Ops.Cat(pooled, 1);
    };

    /// <summary>A function of a backbone's for pictures of a size, as the cache knows it.</summary>
    internal static string NetworkName(Backbone backbone, string stages, Preprocessing preprocessing) =>
        $"{backbone.Fingerprint()} {stages} {preprocessing.Width}x{preprocessing.Height}";

    /// <summary>The same with what pictures go through before it and what runs it: what a row of the cache depends on but the picture.</summary>
    internal static string RowsName(string network, Preprocessing preprocessing, string random, string engine) =>
        $"{network} {JsonSerializer.Serialize(preprocessing)} {random} {engine}";

    /// <summary>The output of stage <paramref name="below"/> − 1: what stages from <paramref name="below"/> on are trained on.</summary>
    public Extraction Activations(Dataset data, Preprocessing preprocessing, int below, int views = 1, long seed = 0,
        Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        backbone.Eval();
        long[] shape = [.. backbone.Forward(Ops.Zeros([1, 3, preprocessing.Height, preprocessing.Width]), 0, below).X.Shape[1..]];
        var job = new Job(data, preprocessing, views, seed, (int)shape.Aggregate((a, b) => a * b), progress, cancel);
        var extraction = Run(job, $"stages {below}", shape, x => backbone.Forward(x, 0, below).X.Contiguous());
        TensorScope.Detach(extraction.Rows);
        return extraction;
    }

    private Extraction Run(Job job, string stages, long[] shape, Func<Tensor, Tensor> forward)
    {
        var random = job.Preprocessing.IsRandom ? $"seed {job.Seed}" : "";
        if (!job.Preprocessing.IsRandom) job = job with { Views = 1 };
        var network = NetworkName(backbone, stages, job.Preprocessing);
        var refusal = device.IsCuda || Engine.Wanted == EngineKind.Torch ? "" : Engine.Wanted == EngineKind.Auto ? _networks.Refusal(network) : null;
        if (refusal is null)
        {
            try
            {
                return Run(job, stages, shape, forward, network, RowsName(network, job.Preprocessing, random, OnnxNetwork.EngineName), onnx: true);
            }
            catch (EngineException reason) when (Engine.Wanted == EngineKind.Auto)
            {
                refusal = reason.Message;
            }
            catch (EngineException reason)
            {
                throw FrozenNetworks.Asked(reason);
            }
        }
        return Run(job, stages, shape, forward, network, RowsName(network, job.Preprocessing, random, TorchNetwork.NameOf(device)), onnx: false);
    }

    private Extraction Run(Job job, string stages, long[] shape, Func<Tensor, Tensor> forward, string network, string function, bool onnx)
    {
        var key = $"{stages} {job.Preprocessing.Width}x{job.Preprocessing.Height}";
        var kept = _kept.GetValueOrDefault(key);
        var lazy = kept is not null ? new Lazy<FrozenNetwork>(kept) : new Lazy<FrozenNetwork>(() => Make(job.Preprocessing, forward, network, onnx));
        using var shelf = cache?.Open(function, job.RowLength);
        var rows = TensorScope.Detach(Ops.Zeros([(long)job.Views * job.Data.Count, job.RowLength]));
        try
        {
            var done = new ExtractionWork(job, shelf, lazy, device.IsCuda, rows.Data).Run();
            if (done.Broken.Count > 0) rows = Readable(rows, job, done.Indices);
            return new Extraction(rows, shape, done.Indices, done.Broken, done.FromCache, done.Seconds, done.Notes);
        }
        catch
        {
            rows.Dispose();
            throw;
        }
        finally
        {
            // Whatever became of it: a network is native memory.
            if (kept is null && lazy.IsValueCreated)
            {
                if (KeepNetwork) _kept[key] = lazy.Value;
                else lazy.Value.Dispose();
            }
        }
    }

    private static Tensor Readable(Tensor rows, Job job, int[] good)
    {
        using (rows) return rows.IndexSelect(0, Tensor.From(
            [.. Enumerable.Range(0, job.Views).SelectMany(view => good.Select(k => (long)view * job.Data.Count + k))]));
    }

    private FrozenNetwork Make(Preprocessing preprocessing, Func<Tensor, Tensor> forward, string network, bool onnx)
    {
        var was = backbone.Training;
        try
        {
            return onnx ? _networks.Onnx(network, backbone, forward, preprocessing.Height, preprocessing.Width)
                : new TorchNetwork(backbone, forward, preprocessing.Height, preprocessing.Width, device);
        }
        finally
        {
            backbone.Train(was);
        }
    }
}
