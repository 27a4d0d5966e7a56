using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Inference;
using Graft.Models;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Exports in eight bits.</summary>
public sealed class Int8Tests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    [Fact]
    public void A_run_in_eight_bits_is_a_third_of_the_size_and_answers_nearly_as_before()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear", "arrow"], 12, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear", "arrow"], 16, 2);
        var run = new TransferTask(new TrainOptions { Data = _shop["d"], Strategy = "feature", Out = _shop["run"], NoReport = true, NoCache = true })
            .Run();
        File.Copy(_shop["run", PictureModel.FileName], _shop["q.onnx"]);
        var data = DatasetReader.Open(_shop["d"]);
        var summary = Int8Writer.Write(_shop["q.onnx"], data.Train);
        Assert.Equal(36, summary.Pictures);
        Assert.True(summary.Error < 0.05, $"{summary}");
        Assert.True(new FileInfo(_shop["q.onnx"]).Length < 0.4 * new FileInfo(_shop["run", PictureModel.FileName]).Length);
        using var whole = PictureModel.Open(_shop["q.onnx"]);
        Assert.Equal(run.Classes, whole.Classes);
        var judged = whole.Judge(data.Validation!);
        Assert.InRange(judged.Metrics.Accuracy, run.Metrics.Accuracy - 2.0 / 48 - 1e-9, 1);
        Assert.InRange(run.Answers.Zip(judged.Answers, (a, b) => Math.Abs(a - b)).Average(), 1e-6, 0.05);
        Assert.Contains("QuantizeLinear", Assert.Throws<GraftException>(() => ModelOpener.Load(_shop["q.onnx"])).Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void Depthwise_layers_that_stay_as_they_are_do_so_between_whole_numbers()
    {
        var pictures = DatasetReader.Open(Workshop.Need("hymenoptera")).Train.Subset(Enumerable.Range(0, 8));
        using var model = Classifier.Open(Workshop.Need("weights", "mobilenet_v2_imagenet.safetensors"));
        _ = Exporter.Write(model, _shop["m.onnx"], ExportFormat.Onnx);
        var folded = Int8Writer.Fold(_shop["m.onnx"]);
        var graph = new Int8Graph(folded);
        Assert.Equal((53, 17), (graph.Layers.Count, graph.Layers.Count(layer => layer.Depthwise)));
        using var before = PictureModel.Open(_shop["m.onnx"]);
        var inputs = Int8Writer.Pictures(before, pictures, default);
        var ranges = Int8Writer.Ranges(folded, graph.Activations, inputs, () => { }, default);
        var expected = Int8Writer.Scores(before.Network, inputs);
        double Error(IEnumerable<string> keep)
        {
            using var network = new OnnxNetwork(graph.Write(ranges, keep.ToHashSet()), "kept");
            return Int8Writer.Error(expected, Int8Writer.Scores(network, inputs), network.Outputs);
        }
        Assert.Equal(0, Error(graph.Layers.Select(layer => layer.Name)), 6);
        var (all, kept) = (Error([]), Error(graph.Layers.Where(layer => layer.Depthwise).Select(layer => layer.Name)));
        Assert.InRange(all, 1e-4, 0.2);
        Assert.InRange(kept, 1e-4, 1.2 * all);
    }
}
