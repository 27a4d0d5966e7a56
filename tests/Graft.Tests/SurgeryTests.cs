using Graft.Exports;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class SurgeryTests
{
    private static Backbone Network(string name, int classes = 10)
    {
        var backbone = BackboneCatalogue.Create(name, classes);
        ZooTests.Fill(backbone);
        backbone.Eval();
        return backbone;
    }

    private static void Same(Tensor expected, Tensor value, double tolerance = 1e-5)
    {
        Assert.Equal(expected.Shape, value.Shape);
        Assert.InRange(((expected - value).Abs().Max() / expected.Abs().Max()).Item(), 0, tolerance);
    }

    [Fact]
    public void Any_backbone_as_a_graph_is_the_same_function_with_the_same_names()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        foreach (var name in new[] { "resnet18", "mobilenet_v3_small", "squeezenet1_1", "cifar_resnet20" })
        {
            using var backbone = Network(name);
            using var graph = GraphBackbone.From(backbone);
            graph.Eval();
            var x = Ops.Rand([2, 3, backbone.Preprocessing.Height, backbone.Preprocessing.Width]);
            Same(backbone.Classify(x), graph.Classify(x));
            Assert.Empty(graph.State().Keys.Where(key => !key.StartsWith("constant", StringComparison.Ordinal)).Except(backbone.State().Keys));
        }
    }

    [Fact]
    public void A_graph_trains_like_its_backbone_frozen_statistics_included()
    {
        using var scope = new TensorScope();
        using var backbone = Network("cifar_resnet20");
        using var graph = GraphBackbone.From(backbone);
        backbone.FreezeBelow(0, freezeStatistics: true);
        graph.FreezeBelow(0, freezeStatistics: true);
        backbone.Train();
        graph.Train();
        var x = Ops.Randn([2, 3, 32, 32]);
        backbone.Forward(x).Square().Sum().Backward();
        graph.Forward(x).Square().Sum().Backward();
        var theirs = backbone.NamedParameters().ToDictionary(item => item.Name, item => item.Tensor.Grad);
        foreach (var (name, tensor) in graph.NamedParameters().Where(item => !item.Name.StartsWith("linear", StringComparison.Ordinal))) Same(theirs[name]!, tensor.Grad!, 1e-3);
    }

    [Fact]
    public void A_network_is_cut_behind_a_layer()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = Network("resnet18");
        using var body = Surgery.CutAfter(backbone, "layer2");
        body.Eval();
        var x = Ops.Rand([1, 3, 224, 224]);
        Same(backbone.Pool(backbone.Forward(x, 0, 3)), body.Forward(x));
        Assert.False(body.CanClassify);
        Assert.Equal(128, body.FeatureSize);
        Assert.Contains("has no layer 'layer9'", Assert.Throws<GraftException>(() => Surgery.CutAfter(backbone, "layer9")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_are_dropped_inserted_replaced_and_initialised_anew()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = Network("cifar_resnet20");
        var before = backbone.Fingerprint();
        using var graph = GraphBackbone.From(backbone);
        var x = Ops.Rand([2, 3, 32, 32]);
        var norms = graph.Graph.Layers.Where(layer => layer.EndsWith("bn2", StringComparison.Ordinal)).ToArray();
        using var dropped = Surgery.Drop(backbone, norms[0]);
        Assert.DoesNotContain(norms[0], dropped.Graph.Layers);
        Assert.Contains("could not read its input", Assert.Throws<GraftException>(() => Surgery.Drop(backbone, "conv1")).Message, StringComparison.Ordinal);
        using var replaced = Surgery.Replace(backbone, "conv1", new Conv2d(3, 16, 5, 1, 2, bias: false));
        Assert.Equal([16L, 3, 5, 5], replaced.Weights["conv1.weight"].Shape);
        Assert.Contains("cannot read its output", Assert.Throws<GraftException>(() => Surgery.Replace(backbone, "conv1", new Conv2d(3, 8, 3, 1, 1))).Message, StringComparison.Ordinal);
        using var inserted = Surgery.InsertAfter(backbone, "bn1", new Sequential(new Conv2d(16, 16, 1), Lambda.Relu()), "extra");
        Assert.Contains("extra.0.weight", inserted.Weights.Keys);
        Assert.Equal([2L, 10], inserted.Classify(x).Shape);
        using var fresh = Surgery.Reinitialise(backbone, "layer3");
        Assert.True(fresh.Weights["conv1.weight"].ToArray<float>().SequenceEqual(backbone.State()["conv1.weight"].ToArray<float>()));
        Assert.False(fresh.Weights["layer3.0.conv1.weight"].ToArray<float>().SequenceEqual(backbone.State()["layer3.0.conv1.weight"].ToArray<float>()));
        using var shape = Surgery.CloneShape(backbone);
        Assert.Equal(backbone.ParameterCount, shape.ParameterCount);
        Assert.Equal(before, backbone.Fingerprint());
    }

    [Fact]
    public void A_new_classifier_and_other_inputs()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = Network("resnet18");
        using var five = Surgery.NewHead(backbone, 5);
        Assert.Equal(5, five.UpstreamClasses);
        using var grey = Surgery.InputChannels(backbone, 1, ChannelRule.Sum);
        grey.Eval();
        var one = Ops.Rand([1, 1, 224, 224]).Expand([1, 3, 224, 224]);
        Same(backbone.Classify(one), grey.Classify(one));
        Exporter.Save(grey, shop["grey.safetensors"]);
        using var back = ModelOpener.Load(shop["grey.safetensors"]).Backbone;
        back.Eval();
        Same(grey.Classify(one), back.Classify(one));
        Assert.Equal(grey.Preprocessing.Steps, back.Preprocessing.Steps);
    }

    [Fact]
    public void A_vision_transformer_takes_another_size_by_interpolated_positions()
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = Network("vit_tiny_16");
        using var larger = Surgery.InputSize(backbone, 256);
        larger.Eval();
        Assert.Equal([2L, 10], larger.Classify(Ops.Rand([2, 3, 256, 256])).Shape);
        Assert.Equal([1L, 257, 192], larger.Weights["encoder.pos_embedding"].Shape);
        Assert.True(VisionTransformer.Interpolate(backbone.State()["encoder.pos_embedding"], 197).Sub(backbone.State()["encoder.pos_embedding"]).Abs().Max().Item() < 1e-5);
        Assert.Contains("multiple", Assert.Throws<GraftException>(() => Surgery.InputSize(backbone, 250)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("alexnet")]
    [InlineData("vgg11")]
    public void Dense_layers_as_convolutions_give_the_map_that_sliding_the_dense_layers_gives(string name)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var backbone = Network(name);
        using var convolutional = Surgery.Convolutional(backbone);
        var small = Ops.Rand([1, 3, 224, 224]) * 2L - 1L;
        Same(backbone.Classify(small), convolutional.Forward(small).Flatten(1), 1e-4);
        // cs231n: the dense layers slid over the pooling volume of a larger picture.
        var large = Ops.Rand([1, 3, 320, 288]) * 2L - 1L;
        var volume = backbone.Stages.ToList().FindIndex(stage => stage.Name == "fc6");
        Tensor map = backbone.Forward(large, 0, volume);
        var window = name == "alexnet" ? 6 : 7;
        var scores = convolutional.Forward(large);
        Assert.Equal([1L, 10, map.Shape[2] - window + 1, map.Shape[3] - window + 1], scores.Shape);
        for (long y = 0; y < scores.Shape[2]; y++)
            for (long x = 0; x < scores.Shape[3]; x++)
                Same(backbone.UpstreamHead!.Forward(backbone.Forward(map.Narrow(2, y, window).Narrow(3, x, window).Contiguous(), volume, backbone.Stages.Count)), scores.Narrow(2, y, 1).Narrow(3, x, 1).Flatten(1), 1e-4);
    }

    [Fact]
    public void A_file_cannot_call_what_reaches_files_or_memory()
    {
        const string Good = """{"input":"x","output":"y","nodes":[["","OP",[{"v":"x"}],["y"]]],"shapes":{"x":[-1,3,8,8],"y":[-1,3,8,8]},"weights":{}}""";
        Assert.Single(Graph.FromJson(Good.Replace("OP", "aten::relu", StringComparison.Ordinal)).Nodes);
        foreach (var op in new[] { "aten::from_file", "aten::as_strided", "aten::set_.source_Tensor", "aten::_reshape_alias", "prim::Print" })
            Assert.Contains("refused", Assert.Throws<GraftException>(() => Graph.FromJson(Good.Replace("OP", op, StringComparison.Ordinal))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_whose_name_begins_like_the_classifiers_is_part_of_the_fingerprint()
    {
        using var builder = new GraphBuilder(1);
        var x = builder.Input([3, 8, 8]);
        var flat = builder.Call("aten::reshape", x, (long[])[-1, 192]);
        builder.Layer = "dense_1";
        var hidden = builder.Call("aten::relu", builder.Call("aten::linear", flat, builder.Weight("dense_1.weight", Ops.Rand([16, 192])), null));
        builder.Layer = "dense";
        var (graph, weights) = builder.Build(builder.Call("aten::linear", hidden, builder.Weight("dense.weight", Ops.Rand([4, 16])), null));
        using var backbone = new GraphBackbone(graph, weights, Data.Preprocessing.Small(8, Data.Normalize.Symmetric));
        Assert.Equal("dense", backbone.HeadName);
        var before = backbone.Fingerprint();
        using (Autograd.NoGrad()) backbone.Weights["dense_1.weight"].ZeroInPlace();
        Assert.NotEqual(before, backbone.Fingerprint());
    }
}
