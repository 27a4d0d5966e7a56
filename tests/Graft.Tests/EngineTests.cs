using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Features;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Frozen networks by ONNX Runtime and by libtorch.</summary>
public sealed class EngineTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>Both engines on the same pictures: every stage's pooled output, to a part in ten thousand of the largest.</summary>
    private static void Same(Backbone backbone)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        backbone.Eval();
        Tensor Pooled(Tensor x)
        {
            var pooled = new List<Tensor>();
            foreach (var stage in backbone.Stages) pooled.Add(backbone.Pool(x = stage.Forward(x)));
            return Ops.Cat(pooled, 1);
        }
        var (height, width) = (backbone.Preprocessing.Height, backbone.Preprocessing.Width);
        using var torch = new TorchNetwork(backbone, Pooled, height, width);
        using var onnx = new FrozenNetworks(null).Onnx("", backbone, Pooled, height, width);
        Assert.Equal(torch.Outputs, onnx.Outputs);
        var rng = new Rng(3);
        var pictures = new float[2 * torch.InputLength];
        for (var k = 0; k < pictures.Length; k++) pictures[k] = (float)(2 * rng.Next() - 1);
        var (expected, found) = (new float[2 * torch.Outputs], new float[2 * torch.Outputs]);
        torch.Run(pictures, 2, expected);
        onnx.Run(pictures, 2, found);
        var eager = Pooled(Tensor.From(pictures, 2, 3, height, width)).ToArray<float>();
        var largest = eager.Max(MathF.Abs);
        Assert.True(largest > 0);
        Assert.True(Far(eager, found) / largest <= 1e-4, $"ONNX Runtime is off by {Far(eager, found)} of {largest}; libtorch's optimised one by {Far(eager, expected)}");
        Assert.InRange(Far(eager, expected) / largest, 0, 1e-4);
    }

    private static float Far(float[] a, float[] b) => a.Zip(b, (x, y) => MathF.Abs(x - y)).Max();

    [Theory]
    [MemberData(nameof(ExportTests.Architectures), MemberType = typeof(ExportTests))]
    public void A_network_of_the_zoo_gives_the_same_features_by_both_engines(string name)
    {
        using var backbone = BackboneCatalogue.Create(name);
        ZooTests.Fill(backbone);
        Same(backbone);
    }

    [SkippableTheory]
    [InlineData("models", "caffe_lenet.caffemodel")]
    [InlineData("models", "keras2_mnist_cnn.h5")]
    [InlineData("models", "keras3_mnist_cnn.h5")]
    [InlineData("weights", "mobilenet_v2_imagenet.safetensors")]
    [InlineData("weights", "squeezenet1_1.safetensors")]
    [InlineData("models/mlperf_tiny", "ic_resnet8_cifar10.h5")]
    [InlineData("detection", "yolox_nano.onnx")]
    public void An_imported_file_gives_the_same_features_by_both_engines(string folder, string file)
    {
        var path = Workshop.Need(folder, file);
        using var backbone = ModelOpener.Load(path).Backbone;
        Same(backbone);
    }

    private sealed class Running(Func<Tensor, Tensor> forward) : Module
    {
        public override Tensor Forward(Tensor x) => forward(x);
    }

    [Fact]
    public void What_ONNX_has_no_word_for_is_run_by_libtorch_and_asked_for_by_name_it_is_refused()
    {
        using var module = new Running(x => x.Flatten(1).Cumsum(1));
        using (var network = FrozenNetworks.Best(module, module.Forward, 2, 2, out var refusal))
        {
            Assert.IsType<TorchNetwork>(network);
            Assert.Contains("libtorch runs the network", refusal, StringComparison.Ordinal);
            var sums = new float[12];
            network.Run(Enumerable.Repeat(1f, 12).ToArray(), 1, sums);
            Assert.Equal(Enumerable.Range(1, 12).Select(k => (float)k), sums);
        }
        try
        {
            Engine.Use(EngineKind.Onnx);
            Assert.Contains("--engine onnx", Assert.Throws<GraftException>(() => FrozenNetworks.Best(module, module.Forward, 2, 2, out _)).Message,
                StringComparison.Ordinal);
        }
        finally
        {
            Engine.Use(EngineKind.Auto);
        }
    }

    private string Exported()
    {
        var file = _shop["shapes.onnx"];
        var backbone = ModelOpener.Load("shapes").Backbone;
        using var model = new Classifier(backbone, Heads.Head.Create(Heads.HeadKind.Softmax, backbone.FeatureSize, 2), backbone.Stages.Count - 1,
            ["round", "square"]);
        _ = Exporter.Write(model, file, ExportFormat.Onnx);
        return file;
    }

    [Fact]
    public void An_exported_model_that_is_cut_off_anywhere_is_refused_by_name()
    {
        var bytes = File.ReadAllBytes(Exported());
        var rng = new Rng(5);
        foreach (var length in new[] { 0, 1, 7, bytes.Length - 1, bytes.Length - 40 }.Concat(Enumerable.Range(0, 40)
            .Select(_ => rng.Below(bytes.Length))))
        {
            var cut = _shop[$"cut{length}.onnx"];
            File.WriteAllBytes(cut, bytes[..length]);
            Assert.Contains(cut, Assert.Throws<GraftException>(() => PictureModel.Open(cut)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_newer_opset_and_an_unknown_operator_are_refused_by_name()
    {
        var model = Models.Imports.Onnx.Model.Parser.ParseFrom(File.ReadAllBytes(Exported()));
        var version = model.OpsetImport[0].Version;
        void Refused(string name, string says)
        {
            using (var stream = File.Create(_shop[name])) Google.Protobuf.MessageExtensions.WriteTo(model, stream);
            var message = Assert.Throws<GraftException>(() => PictureModel.Open(_shop[name])).Message;
            Assert.Contains(_shop[name], message, StringComparison.Ordinal);
            Assert.Contains(says, message, StringComparison.Ordinal);
        }
        model.OpsetImport[0].Version = 999;
        Refused("newer.onnx", "999");
        model.OpsetImport[0].Version = version;
        model.Graph.Node[0].OpType = "Nonesuch";
        Refused("unknown.onnx", "Nonesuch");
    }

    [Fact]
    public void Features_by_one_engine_are_not_taken_for_those_of_the_other_and_a_damaged_graph_is_made_anew()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 2, 2);
        var data = DatasetReader.Open(_shop["d"]).Train;
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var cache = new FeatureCache(_shop["cache"]);
        Extraction By(EngineKind engine)
        {
            Engine.Use(engine);
            try
            {
                return new FeatureExtractor(backbone, cache).Pooled(data, backbone.Preprocessing);
            }
            finally
            {
                Engine.Use(EngineKind.Auto);
            }
        }
        var first = By(EngineKind.Onnx);
        Assert.Equal(0, first.FromCache);
        Assert.Equal(0, By(EngineKind.Torch).FromCache);
        Assert.Equal(data.Count, By(EngineKind.Onnx).FromCache);
        Assert.Equal(data.Count, By(EngineKind.Auto).FromCache);
        var graph = Assert.Single(Directory.GetFiles(_shop["cache"], "*.onnx"));
        foreach (var segment in Directory.GetFiles(_shop["cache"], "*.seg", SearchOption.AllDirectories)) File.Delete(segment);
        File.WriteAllText(graph, "no graph");
        var again = By(EngineKind.Onnx);
        Assert.Equal(0, again.FromCache);
        Assert.Equal(first.Rows.ToArray<float>(), again.Rows.ToArray<float>());
    }
}
