using Graft.Data;
using Graft.Features;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Pictures to features that can be compared: a pretrained backbone as it is, or what a metric method learned.</summary>
public sealed class PictureEncoder : IDisposable
{
    private readonly FewShotModel? _model;
    private readonly FeatureExtractor? _extractor;

    private PictureEncoder(Backbone? backbone, FewShotModel? model, FeatureCache? cache, string source) =>
        (Backbone, _model, _extractor, Source) =
            (backbone, model, backbone is null ? null : new FeatureExtractor(backbone, cache) { KeepNetwork = true }, source);

    /// <summary>A pretrained backbone; null where a few-shot model encodes.</summary>
    public Backbone? Backbone { get; }

    /// <summary>The few-shot model; null where a backbone encodes.</summary>
    internal FewShotModel? Model => _model;

    /// <summary>Where it comes from.</summary>
    public string Source { get; }

    /// <summary>What was noticed when it was opened, such as a preprocessing that its file does not say.</summary>
    public IReadOnlyList<string> Notes { get; private set; } = [];

    /// <summary>Numbers of a picture's features.</summary>
    internal long Size
    {
        get
        {
            if (_model is not { } model) return Backbone!.FeatureSize;
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            return Learner!.Encode(Ops.Zeros([1, model.Grey ? 1 : 3, model.Preprocessing.Height, model.Preprocessing.Width])).Shape[1];
        }
    }

    /// <summary>Compares like the trained method does; null for a backbone.</summary>
    public MetricLearner? Learner => _model?.Learner as MetricLearner;

    /// <summary>A pretrained network in any format, or a model that fewshot train saved.</summary>
    /// <exception cref="GraftException">The model's method has no features to compare.</exception>
    public static PictureEncoder Open(string path, InputOptions? input = null, FeatureCache? cache = null)
    {
        input?.Validate();
        if (!FewShotModel.Is(path))
        {
            var (backbone, notes) = ModelOpener.Load(path, null, input ?? new InputOptions());
            var encoder = Of(backbone, cache);
            encoder.Notes = notes;
            return encoder;
        }
        return Of(FewShotModel.Load(path), path);
    }

    /// <summary>Of a few-shot model, which it owns from here on.</summary>
    /// <exception cref="GraftException">The model's method has no features to compare.</exception>
    internal static PictureEncoder Of(FewShotModel model, string path)
    {
        if (model.Learner is MetricLearner { EncodesVectors: true }) return new PictureEncoder(null, model, null, path);
        var method = model.Learner.Options.Method;
        model.Dispose();
        throw new GraftException($"{path} was trained with the method '{method}', which has no features that could be compared: use a model of protonet, matching or siamese, or a pretrained backbone");
    }

    /// <summary>Of a backbone, which it owns from here on.</summary>
    public static PictureEncoder Of(Backbone backbone, FeatureCache? cache = null) => new(backbone, null, cache, backbone.Provenance.Source);

    /// <summary>Features of the pictures that can be read: n×d, which they are, and the others.</summary>
    public (Tensor Features, int[] Indices, IReadOnlyList<BrokenPicture> Broken) Encode(Dataset data)
    {
        using var mode = Autograd.NoGrad();
        if (Backbone is { } backbone)
        {
            var extraction = _extractor!.Pooled(data, backbone.Preprocessing);
            using var rows = extraction.Rows;
            return (extraction.Stage(backbone, backbone.Stages.Count - 1).Contiguous().Clone(), extraction.Indices, extraction.Broken);
        }
        var model = _model!;
        var pool = EpisodePool.Read(data, model.Preprocessing, model.Grey);
        int[] good = [.. pool.Classes.SelectMany(found => found.Rows).Order()];
        var rng = new Rng(1);
        var parts = new List<Tensor>();
        foreach (var chunk in good.Chunk(256))
        {
            using var scope = new TensorScope();
            parts.Add(scope.Keep(Learner!.Encode(pool.Take(chunk, new int[chunk.Length], null, ref rng))));
        }
        return (Ops.Cat(parts, 0), good, pool.Broken);
    }

    /// <summary>n×m distances between features: by the distance asked for; a Siamese network's own, where it is one.</summary>
    public Tensor Apart(Tensor a, Tensor b, DistanceKind distance) => Learner is SiameseNetwork siamese ? -siamese.Alike(a, b)
        : Distances.Between(a, b, distance);

    /// <inheritdoc/>
    public void Dispose()
    {
        _extractor?.Dispose();
        Backbone?.Dispose();
        _model?.Dispose();
    }
}
