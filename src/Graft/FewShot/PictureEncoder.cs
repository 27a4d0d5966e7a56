using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Pictures to features that can be compared: a pretrained network as it is, or what a metric method learned. A pretrained network is run by ONNX
/// Runtime where it can be; its weights are opened by libtorch once, and from then on by the cache.
/// </summary>
public sealed class PictureEncoder : IDisposable
{
    // One of the three encodes.
    private FeatureNetwork? _network;
    private FeatureExtractor? _extractor;
    private FewShotModel? _model;
    private Backbone? _backbone;
    private Func<Backbone>? _open;

    private PictureEncoder(string source) => Source = source;

    /// <summary>Where it comes from.</summary>
    public string Source { get; }

    /// <summary>What was noticed when it was opened, such as a preprocessing that its file does not say.</summary>
    public IReadOnlyList<string> Notes { get; private init; } = [];

    /// <summary>The few-shot model; null where a pretrained network encodes.</summary>
    internal FewShotModel? Model => _model;

    /// <summary>The network that ONNX Runtime runs; null where libtorch encodes.</summary>
    internal FeatureNetwork? Network => _network;

    /// <summary>The pretrained network with its weights, by libtorch; null where there is none.</summary>
    internal Backbone? Backbone => _backbone ??= _open?.Invoke();

    /// <summary>Whether libtorch has opened its weights.</summary>
    internal bool IsOpened => _backbone is not null || _model is not null;

    /// <summary>Numbers of a picture's features.</summary>
    internal int Size
    {
        get
        {
            if (_network is { } network) return network.Size;
            if (_model is not { } model) return _backbone!.FeatureSize;
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            return (int)Learner!.Encode(Ops.Zeros([1, model.Grey ? 1 : 3, model.Preprocessing.Height, model.Preprocessing.Width])).Shape[1];
        }
    }

    /// <summary>Compares like the trained method does; null for a pretrained network.</summary>
    public MetricLearner? Learner => _model?.Learner as MetricLearner;

    /// <summary>A pretrained network in any format, or a model that fewshot train saved.</summary>
    /// <exception cref="GraftException">The model's method has no features to compare.</exception>
    public static PictureEncoder Open(string path, InputOptions? input = null, FeatureCache? cache = null)
    {
        input?.Validate();
        if (FewShotModel.Is(path)) return Of(FewShotModel.Load(path), path);
        var (resolved, asked) = (ModelHub.Resolve(path), input ?? new InputOptions());
        var file = SavedRun.FileOf(resolved);
        if (asked == new InputOptions() && ProgramFeatures.FileOf(resolved) is { } program
            && OfProgram(program, () => ModelOpener.LoadForPictures(file, asked).Backbone, cache) is { } known) return known;
        return Of(FeatureNetworks.KeyOf(file, asked), Path.GetFileName(file), () => ModelOpener.LoadForPictures(file, asked), cache);
    }

    /// <summary>Of weights that are opened only where the cache does not have their network.</summary>
    internal static PictureEncoder Of(string? key, string source, Func<(Backbone Backbone, IReadOnlyList<string> Notes)> open, FeatureCache? cache)
    {
        if (Kept(key, source, () => open().Backbone, cache) is { } kept) return kept;
        var (backbone, notes) = open();
        try
        {
            return new FeatureNetworks(cache).Make(key, backbone, notes) is { } made
                ? new PictureEncoder(source) { _network = made, _backbone = backbone, Notes = notes } : ByTorch(backbone, cache, notes);
        }
        catch
        {
            backbone.Dispose();
            throw;
        }
    }

    /// <summary>Of a network that the cache has; null: it has not.</summary>
    internal static PictureEncoder? Kept(string? key, string source, Func<Backbone> open, FeatureCache? cache) =>
        new FeatureNetworks(cache).Find(key, open) is { } known
            ? new PictureEncoder(source) { _network = known, _open = open, Notes = FeatureNetworks.NotesOf(known) } : null;

    private static PictureEncoder? OfProgram(string program, Func<Backbone> open, FeatureCache? cache)
    {
        var key = FeatureNetworks.KeyOf(program, new InputOptions());
        return Kept(key, Path.GetFileName(program), open, cache)
            ?? (new FeatureNetworks(cache).Cut(key, program) is { } cut
                ? new PictureEncoder(Path.GetFileName(program)) { _network = cut, _open = open } : null);
    }

    /// <summary>Of a few-shot model, which it owns from here on.</summary>
    /// <exception cref="GraftException">The model's method has no features to compare.</exception>
    internal static PictureEncoder Of(FewShotModel model, string path)
    {
        if (model.Learner is MetricLearner { EncodesVectors: true }) return new PictureEncoder(path) { _model = model };
        var method = model.Learner.Options.Method;
        model.Dispose();
        throw new GraftException($"{path} was trained with the method '{method}', which has no features that could be compared: use a model of protonet, matching or siamese, or a pretrained backbone");
    }

    /// <summary>Of a backbone, which it owns from here on.</summary>
    public static PictureEncoder Of(Backbone backbone, FeatureCache? cache = null) =>
        Of(null, backbone.Provenance.Source, () => (backbone, []), cache);

    /// <summary>Of a network from a file that says all.</summary>
    internal static PictureEncoder Of(FeatureNetwork network, string source) => new(source) { _network = network };

    private static PictureEncoder ByTorch(Backbone backbone, FeatureCache? cache, IReadOnlyList<string> notes) =>
        new(backbone.Provenance.Source) { _backbone = backbone, _extractor = new FeatureExtractor(backbone, cache) { KeepNetwork = true },
            Notes = notes };

    /// <summary>Features of the pictures that can be read, row after row, which they are, and the others.</summary>
    public (float[] Features, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Encode(Dataset data)
    {
        if (_network is { } network) return network.Encode(data);
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        if (_extractor is { } extractor)
        {
            var extraction = extractor.Pooled(data, _backbone!.Preprocessing);
            using var rows = extraction.Rows;
            return (extraction.Stage(_backbone, _backbone.Stages.Count - 1).Contiguous().ToArray<float>(), extraction.Indices, extraction.Broken);
        }
        var model = _model!;
        var pool = EpisodePool.Read(data, model.Preprocessing, model.Grey);
        int[] good = [.. pool.Classes.SelectMany(found => found.Rows).Order()];
        var rng = new Rng(1);
        var parts = new List<float[]>();
        foreach (var chunk in good.Chunk(256))
        {
            using var inner = new TensorScope();
            parts.Add(Learner!.Encode(pool.Take(chunk, new int[chunk.Length], null, ref rng)).Contiguous().ToArray<float>());
        }
        return ([.. parts.SelectMany(part => part)], good, pool.Broken);
    }

    /// <summary>Distances of every row of features to every other, n×m: by the distance asked for; a Siamese network's own, where it is one.</summary>
    public float[] Apart(float[] a, float[] b, DistanceKind distance) => Siamese(a, b)
        ?? FeatureDistance.Between(a, b, Size, distance);

    /// <summary>The same of row k to row k.</summary>
    internal float[] ApartInPairs(float[] a, float[] b, DistanceKind distance)
    {
        if (Siamese(a, b) is not { } all) return FeatureDistance.Pairs(a, b, Size, distance);
        var count = (int)Math.Sqrt(all.Length);
        return [.. Enumerable.Range(0, count).Select(k => all[k * count + k])];
    }

    private float[]? Siamese(float[] a, float[] b)
    {
        if (Learner is not SiameseNetwork siamese) return null;
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        Tensor Rows(float[] values) => Tensor.From(values, values.Length / Size, Size);
        return (-siamese.Alike(Rows(a), Rows(b))).Contiguous().ToArray<float>();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _extractor?.Dispose();
        _network?.Dispose();
        _backbone?.Dispose();
        _model?.Dispose();
    }
}
