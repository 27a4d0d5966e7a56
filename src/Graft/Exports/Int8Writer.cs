using Google.Protobuf;
using Graft.Data;
using Graft.Inference;
using Microsoft.ML.OnnxRuntime;
using Onnx = Graft.Models.Imports.Onnx;

namespace Graft.Exports;

/// <summary>What became of a network in eight bits.</summary>
/// <param name="Layers">Convolutions and dense layers.</param>
/// <param name="Kept">Of these, depthwise ones that lost too much and stay as they were.</param>
/// <param name="Error">Mean square of what the scores changed by on the calibration pictures, as a share of their variance.</param>
/// <param name="Pictures">That the ranges are of.</param>
internal sealed record Int8Summary(int Layers, int Kept, double Error, int Pictures);

/// <summary>
/// Post-training quantisation: an ONNX file of Graft's with convolutions and dense layers in eight bits, the ranges of activations taken from
/// pictures (the 99.99th percentile of each tensor's values on either side). Depthwise convolutions whose own loss is largest are left as they
/// are until the scores are near enough.
/// </summary>
internal static class Int8Writer
{
    /// <summary>Part of the values on either side that ranges leave out.</summary>
    private const double Beyond = 0.0001;

    /// <summary>A share of the scores' variance.</summary>
    private const double Allowed = 0.03;

    private const int Bins = 2048, MostPictures = 128;

    /// <summary>Writes the file anew.</summary>
    /// <param name="file">Of <see cref="Exporter"/>, written over.</param>
    /// <param name="data">Pictures like those that it will see.</param>
    /// <param name="progress">Told of steps done and of all.</param>
    /// <param name="cancel">Ends it; the file is then as it was.</param>
    public static Int8Summary Write(string file, Dataset data, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        var folded = Fold(file);
        var graph = new Int8Graph(folded);
        if (graph.Layers.Count == 0) throw new GraftException($"{file}: it has no convolution and no dense layer to put in eight bits");
        using var model = PictureModel.Open(file);
        var pictures = Pictures(model, data, cancel);
        var depthwise = graph.Layers.Where(layer => layer.Depthwise).Select(layer => layer.Name).ToArray();
        var (steps, done) = (2 * pictures.Count + depthwise.Length + 1, 0);
        void Step() => progress?.Invoke(++done, steps);
        var ranges = Ranges(folded, graph.Activations, pictures, Step, cancel);
        var expected = Scores(model.Network, pictures);
        double ErrorOf(IReadOnlySet<string> keep)
        {
            cancel.ThrowIfCancellationRequested();
            using var network = new OnnxNetwork(graph.Write(ranges, keep), file);
            return Error(expected, Scores(network, pictures), network.Outputs);
        }
        var keep = new HashSet<string>();
        var error = ErrorOf(keep);
        Step();
        if (error > Allowed && depthwise.Length > 0)
        {
            // Each alone in its own numbers: how much better that makes the whole.
            var alone = depthwise.Select(name =>
            {
                var found = ErrorOf(new HashSet<string> { name });
                Step();
                return (name, found);
            }).OrderBy(pair => pair.found).ToArray();
            foreach (var (name, _) in alone)
            {
                keep.Add(name);
                if ((error = ErrorOf(keep)) <= Allowed) break;
            }
        }
        var bytes = graph.Write(ranges, keep);
        AtomicFile.Write(file, stream => stream.Write(bytes));
        progress?.Invoke(steps, steps);
        return new Int8Summary(graph.Layers.Count, keep.Count, error, pictures.Count);
    }

    /// <summary>The graph as ONNX Runtime leaves it when constants and batch normalisation are folded, the card kept.</summary>
    internal static Onnx.Model Fold(string file)
    {
        var beside = $"{file}.{Guid.NewGuid():N}.part";
        try
        {
            OnnxEnvironment.Require();
            using (var options = new SessionOptions { GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_BASIC,
                OptimizedModelFilePath = beside, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL })
            using (new InferenceSession(file, options)) { }
            var folded = Onnx.Model.Parser.ParseFrom(File.ReadAllBytes(beside));
            var card = Onnx.Model.Parser.ParseFrom(File.ReadAllBytes(file)).MetadataProps;
            folded.MetadataProps.Clear();
            folded.MetadataProps.Add(card);
            return folded;
        }
        finally
        {
            File.Delete(beside);
        }
    }

    internal static List<float[]> Pictures(PictureModel model, Dataset data, CancellationToken cancel)
    {
        var found = new List<float[]>();
        foreach (var k in new Rng(0, 8).Permutation(data.Count))
        {
            cancel.ThrowIfCancellationRequested();
            if (found.Count == MostPictures) break;
            var input = new float[model.Network.InputLength];
            try
            {
                using var picture = data.Decode(k, model.Preprocessing);
                model.Read(picture, input);
                found.Add(input);
            }
            catch (PictureException)
            {
                continue; // whoever measures on the data says which
            }
        }
        return found.Count > 0 ? found : throw new GraftException($"none of the {data.Count} pictures to calibrate with can be read");
    }

    internal static float[] Scores(FrozenNetwork network, List<float[]> pictures)
    {
        var scores = new float[pictures.Count * network.Outputs];
        Parallel.For(0, pictures.Count, new ParallelOptions { MaxDegreeOfParallelism = Cores.Count },
            k => network.Run(pictures[k], 1, scores.AsMemory(k * network.Outputs, network.Outputs)));
        return scores;
    }

    internal static double Error(float[] expected, float[] found, int outputs)
    {
        double[] means = [.. Enumerable.Range(0, outputs)
            .Select(c => Enumerable.Range(0, expected.Length / outputs).Average(k => (double)expected[k * outputs + c]))];
        var (off, spread) = (0.0, 0.0);
        for (var k = 0; k < expected.Length; k++)
        {
            off += Math.Pow(found[k] - expected[k], 2);
            spread += Math.Pow(expected[k] - means[k % outputs], 2);
        }
        return off / Math.Max(spread, 1e-12);
    }

    internal static Dictionary<string, ActivationRange> Ranges(Onnx.Model model, IReadOnlyList<string> names, List<float[]> pictures, Action step,
        CancellationToken cancel)
    {
        var watched = model.Clone();
        string[] inner = [.. names.Where(name => watched.Graph.Input.All(input => input.Name != name))];
        foreach (var name in inner) watched.Graph.Output.Add(
            new Onnx.ValueInfo { Name = name, Type = new Onnx.Type { TensorType = new Onnx.TensorType { ElemType = 1 } } });
        using var options = new SessionOptions { GraphOptimizationLevel = GraphOptimizationLevel.ORT_DISABLE_ALL, IntraOpNumThreads = Cores.Count,
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
        using var session = new InferenceSession(watched.ToByteArray(), options);
        using var run = new RunOptions();
        var given = session.InputMetadata.Single();
        long[] shape = [1, .. given.Value.Dimensions.Skip(1).Select(size => (long)size)];
        void Each(Action<string, ReadOnlySpan<float>> look)
        {
            foreach (var picture in pictures)
            {
                cancel.ThrowIfCancellationRequested();
                if (names.Contains(given.Key)) look(given.Key, picture);
                using var input = OrtValue.CreateTensorValueFromMemory(picture, shape);
                using var outputs = session.Run(run, [given.Key], [input], inner);
                for (var k = 0; k < inner.Length; k++) look(inner[k], outputs[k].GetTensorDataAsSpan<float>());
                step();
            }
        }
        var ends = names.ToDictionary(name => name, _ => new ActivationRange(float.PositiveInfinity, float.NegativeInfinity));
        Each((name, values) => ends[name] =
            new(Math.Min(ends[name].Low, System.Numerics.Tensors.TensorPrimitives.Min(values)),
            Math.Max(ends[name].High, System.Numerics.Tensors.TensorPrimitives.Max(values))));
        var counts = names.ToDictionary(name => name, _ => new long[Bins]);
        Each((name, values) =>
        {
            var (low, bins, scale) = (ends[name].Low, counts[name], Bins / Math.Max(ends[name].High - ends[name].Low, 1e-12f));
            foreach (var value in values) bins[Math.Clamp((int)((value - low) * scale), 0, Bins - 1)]++;
        });
        return names.ToDictionary(name => name, name => Cut(ends[name], counts[name]));
    }

    private static ActivationRange Cut(ActivationRange ends, long[] counts)
    {
        var (beyond, width) = ((long)(Beyond * counts.Sum()), (ends.High - ends.Low) / Bins);
        int from = 0, to = Bins;
        for (long sum = 0; from < Bins - 1 && (sum += counts[from]) <= beyond; from++) { }
        for (long sum = 0; to > from + 1 && (sum += counts[to - 1]) <= beyond; to--) { }
        return new ActivationRange(ends.Low + from * width, ends.Low + to * width);
    }
}
