using System.Globalization;
using System.Security.Cryptography;
using Graft.Data;
using Graft.Features;
using Graft.Inference;
using Graft.Inference.Search;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Exports;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Search;

/// <summary>What became of an index.</summary>
/// <param name="Index">Its folder.</param>
/// <param name="Count">Items.</param>
/// <param name="Size">Numbers of a vector.</param>
/// <param name="IsText">Whether the items are sentences.</param>
/// <param name="Broken">Pictures that could not be read.</param>
/// <param name="Notes">What was left out, and what was noticed.</param>
public sealed record BuiltIndex(string Index, int Count, int Size, bool IsText, IReadOnlyList<BrokenPicture> Broken, DatasetNotes Notes);

/// <summary>Makes an index of a dataset's vectors: the last stage's pooled output of a frozen network, which the feature cache keeps too, and beside
/// them the network itself as ONNX, so that questions need neither libtorch nor the weights.</summary>
/// <param name="options">What of.</param>
/// <param name="cache">Keeps features; null: nothing is kept.</param>
public sealed class IndexBuilder(SearchOptions options, FeatureCache? cache = null)
{
    // The output of every stage is in memory for so many.
    private const int Chunk = 16384;

    /// <summary>Told of items done and of all.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Ends it.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Whether an index that is there may be replaced.</summary>
    public bool Overwrite { get; init; }

    /// <summary>Makes it.</summary>
    /// <exception cref="GraftException">The data or the weights cannot be opened, or do not go together; or something is there already.</exception>
    public BuiltIndex Build()
    {
        var weights = options.Weights ??
            throw Bounds.Refuse($"whose vectors? Name a network with --weights, such as --weights all-minilm-l6-v2 ({NextCommand.Of("models", "pull", "all-minilm-l6-v2")} fetches it)");
        var path = options.Out ?? throw Bounds.Refuse("where to? Name a folder with --out INDEX");
        IndexWriter.Check(path, Overwrite);
        var (backbone, noticed) = ModelOpener.Load(weights, null, new InputOptions());
        using var owned = backbone;
        var data = Open(backbone);
        using var writer = new IndexWriter(path, backbone.FeatureSize, options.Half, Overwrite);
        var (broken, notes) = (new List<BrokenPicture>(), new List<string>(noticed));
        var network = backbone is TextEncoder encoder ? AddSentences(encoder, data, writer, notes) : AddPictures(backbone, noticed, data, writer,
            broken);
        writer.Finish(network, data.IsText, backbone.Provenance.Source, backbone.Architecture, RunOf(weights), options.Data);
        return new BuiltIndex(path, writer.Count, backbone.FeatureSize, data.IsText, broken, data.Notes.With(new DatasetNotes([], notes)));
    }

    private Dataset Open(Backbone backbone)
    {
        var text = backbone is TextEncoder;
        var data = Labelled() is { } labelled ? labelled : text ? DatasetReader.OpenUnlabelledText(options.Data, options.Columns) : Pictures();
        if (data.IsText == text) return data;
        throw new GraftException(data.IsText
            ? $"{options.Data} holds sentences, and {backbone.Architecture} sees pictures: give a text encoder with --weights, such as all-minilm-l6-v2"
            : $"{options.Data} holds pictures, and {backbone.Provenance.Source} reads text: give a network of pictures with --weights, such as resnet18-imagenet");

        Dataset? Labelled()
        {
            if (options.Data.EndsWith(".txt", StringComparison.OrdinalIgnoreCase)) return null;
            try
            {
                var parts = DatasetReader.OpenParts(options.Data, null, null, options.Columns);
                if (options.Split is not null) return parts.Pick(options.Split);
                var train = parts.Part(Parts.Train) ?? parts.All.Values.First();
                return train.With(new DatasetNotes([.. parts.All.Values.Where(part => part != train)
                    .Select(part => new LeftOut(LeftOutKind.UnusedPart, part.Part + "/", part.Count, part.Part) { Noun = part.Noun })], []));
            }
            catch (GraftException) when (options.Split is null && options.Columns.Label is null)
            {
                return null; // without labels; what is wrong otherwise, the next reader says
            }
        }
    }

    private Dataset Pictures()
    {
        if (!Directory.Exists(options.Data) && !File.Exists(options.Data))
            throw new GraftException($"{options.Data}: there is no such file or folder");
        var (files, notes) = PictureFiles.Below(options.Data);
        if (files.Count == 0) throw new GraftException($"{options.Data} holds no picture{notes.Hint}");
        var root = Directory.Exists(options.Data) ? options.Data : Path.GetDirectoryName(Path.GetFullPath(options.Data))!;
        return new Dataset(new FileSource(root, [.. files]), new LabelTargets([.. files.Select(_ => Array.Empty<int>())], [])) { Notes = notes };
    }

    private byte[] AddSentences(TextEncoder encoder, Dataset data, IndexWriter writer, List<string> notes)
    {
        using var mode = Autograd.NoGrad();
        using var extractor = new FeatureExtractor(encoder, cache);
        foreach (var items in Enumerable.Range(0, data.Count).Chunk(Chunk))
        {
            using var scope = new TensorScope();
            var extraction = extractor.Pooled(data.Subset(items), encoder.Preprocessing, progress: (done, _) => Report(items[0] + done, data),
                cancel: Cancel);
            using var rows = extraction.Rows;
            notes.AddRange(extraction.Notes.Except(notes));
            var vectors = extraction.Stage(encoder, encoder.Stages.Count - 1).Contiguous().ToArray<float>();
            for (var k = 0; k < items.Length; k++)
                writer.Add(new IndexItem(data.Name(items[k]), data.Text(items[k]).ToString(), ClassOf(data, items[k])),
                    vectors.AsSpan(k * encoder.FeatureSize, encoder.FeatureSize));
        }
        using var stream = new MemoryStream();
        OnnxCard.Write(stream, EncoderWriter.AllPooled(encoder), new Dictionary<string, string>
        {
            ["format"] = FeatureNetworks.Format, [VectorModel.FeaturesKey] = encoder.FeatureSize.ToString(CultureInfo.InvariantCulture),
            ["tokenizer"] = encoder.Tokenizer.ToCard(), ["tokens"] = encoder.MostTokens.ToString(CultureInfo.InvariantCulture),
            ["separator"] = encoder.Shape.Separator.ToString(CultureInfo.InvariantCulture), ["architecture"] = encoder.Architecture,
            ["licence"] = encoder.Provenance.Licence, ["upstream"] = ModelCard.Text(encoder.Provenance),
        });
        return stream.ToArray();
    }

    private byte[] AddPictures(Backbone backbone, IReadOnlyList<string> noticed, Dataset data, IndexWriter writer, List<BrokenPicture> broken)
    {
        using var network = new FeatureNetworks(cache).Make(null, backbone, noticed)
            ?? throw new GraftException($"ONNX Runtime cannot run {backbone.Provenance.Source}, and questions to an index are answered by it: no index can be made of this network");
        foreach (var items in Enumerable.Range(0, data.Count).Chunk(Chunk / 8))
        {
            Cancel.ThrowIfCancellationRequested();
            var part = data.Subset(items);
            var (vectors, good, unreadable) = network.Encode(part);
            for (var k = 0; k < good.Length; k++)
                writer.Add(new IndexItem(part.Name(good[k]), null, ClassOf(part, good[k])), vectors.AsSpan(k * network.Size, network.Size));
            broken.AddRange(unreadable);
            Report(items[^1] + 1, data);
        }
        if (writer.Count == 0)
            throw new GraftException($"none of the {data.Count} pictures of {options.Data} can be read{(broken.Count > 0 ? $". The first: {broken[0].File}: {broken[0].Error}" : "")}");
        using var stream = new MemoryStream();
        OnnxCard.Write(stream, network.File(), network.Card);
        return stream.ToArray();
    }

    private readonly System.Diagnostics.Stopwatch _clock = System.Diagnostics.Stopwatch.StartNew();

    private void Report(int done, Dataset data) => Progress?.Invoke(new ProgressReport("vectors", done, data.Count,
        done / Math.Max(1e-9, _clock.Elapsed.TotalSeconds)) { Unit = data.Noun.Many });

    private static string? ClassOf(Dataset data, int item) => data.Targets.Names.Count == 0 ? null : data.Targets.Describe(item);

    // What predict will see of a run.
    private static string? RunOf(string weights)
    {
        var program = Path.Combine(weights, PictureModel.FileName);
        if (!Directory.Exists(weights) || !File.Exists(program) || !File.Exists(Path.Combine(weights, RunFolder.Record))) return null;
        using var stream = File.OpenRead(program);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }
}
