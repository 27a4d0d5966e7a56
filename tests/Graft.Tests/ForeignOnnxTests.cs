using System.Runtime.InteropServices;
using System.Text.Json;
using Graft.Classification;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>ONNX files as other people's exporters write them: for a batch of one alone, with channels last, with weights in nodes.</summary>
public class ForeignOnnxTests
{
    private const string ResNet = "Microsoft.ML.DnnImageFeaturizer.ResNet18 (NuGet) ResNet18.onnx";

    private static string Stranger(string name)
    {
        if (name != ResNet) return Workshop.Need(name.Split('/'));
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        var path = Path.Combine(packages, "microsoft.ml.dnnimagefeaturizer.resnet18", "0.23.1", "tools", "DnnImageModels", "ResNet18Onnx", "ResNet18.onnx");
        Skip.IfNot(File.Exists(path), $"{path} is not here: restore the package Microsoft.ML.DnnImageFeaturizer.ResNet18 0.23.1");
        return path;
    }

    // As the data's expected.json says: ((i · 37) mod 256) / 255.
    private static Tensor Pattern(long[] shape, bool levels)
    {
        var values = new float[shape.Aggregate(1L, (n, size) => n * size)];
        for (var k = 0; k < values.Length; k++) values[k] = k * 37L % 256 / 255f;
        var x = Tensor.From<float>(values, shape);
        return levels ? x * 255.0 - 128.0 : x;
    }

    private static GraphBackbone Open(string path)
    {
        var (backbone, _) = ModelOpener.Load(path);
        backbone.Eval();
        return (GraphBackbone)backbone;
    }

    private static Tensor Answer(GraphBackbone network, Tensor x) => network.UpstreamHead is null ? network.Forward(x, 0, network.Stages.Count)
        : network.Classify(x);

    private static void Near(Tensor expected, Tensor found, double tolerance = 1e-4)
    {
        Assert.Equal(expected.Shape, found.Shape);
        Assert.InRange((expected - found).Abs().Max().Item() / Math.Max(1, expected.Abs().Max().Item()), 0, tolerance);
    }

    [SkippableTheory]
    [InlineData("detection/fastestdet/FastestDet.onnx", 240_301)]
    [InlineData("detection/yolox_nano.onnx", 904_463)]
    [InlineData("models/ultraface/slim-320_without_postprocessing.onnx", 224_180)]
    [InlineData(ResNet, 15_897_152)]
    public void A_network_exported_for_a_batch_of_one_gives_eleven_pictures_what_it_gives_each(string name, long parameters)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var path = Stranger(name);
        using var expected = JsonDocument.Parse(File.ReadAllText(Workshop.Need("expected.json")));
        var entry = expected.RootElement.GetProperty(name);
        var output = entry.GetProperty("outputs")[0];
        using var network = Open(path);
        Assert.Equal(parameters, network.Parameters().Sum(parameter => parameter.Count));

        var x = Pattern([.. entry.GetProperty("input").EnumerateArray().Select(size => size.GetInt64())], levels: name == ResNet);
        // Pooling at the end is the head's part.
        long[] shape = [.. output.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())];
        var one = shape is [_, _, 1, 1] ? network.Forward(x).View(shape) : Answer(network, x);
        Assert.Equal(shape, one.Shape);
        var first = output.GetProperty("first").EnumerateArray().Select(value => value.GetDouble()).ToArray();
        var values = one.ToArray<double>();
        for (var k = 0; k < first.Length; k++) Assert.InRange(Math.Abs(values[k] - first[k]), 0, 1e-4 * Math.Max(1, Math.Abs(first[k])));
        var sum = output.GetProperty("sum_abs").GetDouble();
        Assert.InRange(values.Sum(Math.Abs) / sum, 1 - 1e-4, 1 + 1e-4);

        // Eleven pictures, ours the eighth of them.
        var eleven = Ops.Cat([.. Enumerable.Range(0, 11).Select(k => k == 7 ? x : x * (0.1 * k) - 0.3)]);
        for (var stage = 0; stage < network.Stages.Count; stage++) Near(network.Forward(x, 0, stage + 1).X, network.Forward(eleven, 0, stage + 1).X
            .Narrow(0, 7, 1));
    }

    [SkippableFact]
    public void Any_output_of_a_detector_can_stand_first()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var name = "models/ultraface/slim-320_without_postprocessing.onnx";
        Workshop.Python("import sys, onnx; m = onnx.load(sys.argv[1]); o = [m.graph.output.pop() for _ in range(2)]; m.graph.output.extend(o); onnx.save(m, sys.argv[2])", Stranger(name), shop["boxes.onnx"]);
        var (loaded, notes) = ModelOpener.Load(shop["boxes.onnx"]);
        using var network = (GraphBackbone)loaded;
        network.Eval();
        Assert.False(network.CanClassify);
        Assert.Contains("2 outputs (boxes, scores): the first is used", notes[0], StringComparison.Ordinal);
        using var expected = JsonDocument.Parse(File.ReadAllText(Workshop.Need("expected.json")));
        var first = expected.RootElement.GetProperty(name).GetProperty("outputs")[1].GetProperty("first").EnumerateArray()
            .Select(value => value.GetDouble()).ToArray();
        var values = Answer(network, Pattern([1, 3, 240, 320], levels: false)).ToArray<double>();
        for (var k = 0; k < first.Length; k++) Assert.InRange(Math.Abs(values[k] - first[k]), 0, 1e-4);
    }

    // A small network with what exporters do to one: {0} says how.
    private const string Maker = """
        import sys, numpy as np, onnx
        from onnx import helper as h, numpy_helper as nh, TensorProto as T
        path, kind = sys.argv[1:3]
        r = np.random.RandomState(1)
        nodes, inits = [], []
        def w(name, *shape, value=None):
            a = (r.randn(*shape) * 0.3).astype(np.float32) if value is None else np.array(value)
            t = nh.from_array(a, name)
            if 'nodes' in kind: nodes.append(h.make_node('Constant', [], [name], value=t))
            else: inits.append(t)
            return name
        def n(op, ins, out, **k): nodes.append(h.make_node(op, ins, [out], name=out, **k)); return out
        last = 'last' in kind
        batch = 1 if 'one' in kind else 'N'
        size = ['H', 'W'] if 'open' in kind else [22, 44]
        shape = [batch, *size, 3] if last else [batch, 3, *size]
        x = 'x'
        if 'scaled' in kind: x = n('Sub', [n('Mul', [x, w('factor', value=np.float32(2))], 'times'), w('shift', 3)], 'scaled')
        if last: x = n('Transpose', [x], 'nchw', perm=[0, 3, 1, 2])
        x = n('Conv', [x, w('c.w', 8, 3, 3, 3), w('c.b', 8)], 'conv', strides=[2, 2], auto_pad='SAME_UPPER')
        x = n('BatchNormalization', [x, w('g', 8), n('Identity', ['g'], 'b') if 'twin' in kind else w('b', 8), w('m', 8), w('v', value=(np.abs(r.randn(8)) + 1).astype(np.float32))], 'bn')
        x = n('Relu', [x], 'relu')
        if 'shuffle' in kind:
            x = n('Reshape', [x, w('s1', value=np.int64([1, 2, 4, 11, 22]))], 'r1')
            x = n('Transpose', [x], 't', perm=[0, 2, 1, 3, 4])
            x = n('Reshape', [x, w('s2', value=np.int64([1, -1, 11, 22]))], 'r2')
            x = n('Reshape', [x, w('s3', value=np.int64([4, 2, 242]))], 'r3')
            x = n('Transpose', [x], 't2', perm=[1, 0, 2])
            x = n('Reshape', [x, w('s4', value=np.int64([2, -1, 4, 11, 22]))], 'r4')
            x = n('Concat', [n('Gather', [x, w('zero', value=np.int64(1))], 'g1', axis=0), n('Gather', [x, w('one', value=np.int64(0))], 'g0', axis=0)], 'cat', axis=1)
        if 'rows' in kind:
            x = n('Transpose', [n('Reshape', [x, w('q1', value=np.int64([1, 8, 242]))], 'q2')], 'q3', perm=[2, 0, 1])
            x = n('MatMul', [n('Reshape', [x, w('q4', value=np.int64([242, 8]))], 'q5'), w('q.w', 8, 8)], 'q6')
            x = n('Transpose', [n('Reshape', [x, w('q7', value=np.int64([242, 1, 8]))], 'q8')], 'q9', perm=[1, 2, 0])
            x = n('Reshape', [x, w('q0', value=np.int64([1, 8, 11, 22]))], 'back')
        x = n('Conv', [x, w('d.w', 6, 8, 3, 3)], 'conv2', strides=[2, 2], pads=[1, 1, 0, 0])
        x = n('Add', [x, w('d.b', 6, 1, 1)], 'biased')
        x = n('GlobalAveragePool', [x], 'pool')
        if 'mixed' in kind: x = n('Reshape', [n('Softmax', [n('Reshape', [x, w('s5', value=np.int64([6, 1]))], 'r5')], 'soft', axis=0), w('s6', value=np.int64([1, 6, 1, 1]))], 'r6')
        x = n('Reshape', [x, w('s', value=np.int64([1, -1] if batch == 1 else [-1, 6]))], 'flat')
        x = n('Add', [n('MatMul', [x, w('f.w', 6, 5)], 'fc'), w('f.b', 5)], 'y')
        g = h.make_graph(nodes, 'g', [h.make_tensor_value_info('x', T.FLOAT, shape)], [h.make_tensor_value_info('y', T.FLOAT, [batch, 5])], inits)
        m = h.make_model(g, opset_imports=[h.make_opsetid('', 13)]); m.ir_version = 8
        onnx.checker.check_model(m); onnx.save(m, path)
        """;

    private static string Make(Workshop shop, string kind)
    {
        var path = shop[$"{kind.Replace(' ', '-')}.onnx"];
        Workshop.Python(Maker, path, kind);
        return path;
    }

    private static Tensor InOnnxRuntime(Workshop shop, string model, Tensor x)
    {
        File.WriteAllBytes(shop["x.f32"], MemoryMarshal.AsBytes(x.Contiguous().ToArray<float>().AsSpan()));
        using var result = JsonDocument.Parse(Workshop.Node("OnnxRuntime/run.mjs", [model, shop["x.f32"], .. x.Shape.Select(size => $"{size}")]));
        return Tensor.From<float>([.. result.RootElement.GetProperty("values").EnumerateArray().Select(value => value.GetSingle())],
            [.. result.RootElement.GetProperty("dims").EnumerateArray().Select(size => size.GetInt64())]);
    }

    [SkippableTheory]
    [InlineData("first", 44)]
    [InlineData("last", 44)]
    [InlineData("last scaled", 44)]
    [InlineData("last nodes one", 44)]
    [InlineData("last open", 224)]
    [InlineData("one shuffle", 44)]
    [InlineData("one shuffle nodes last", 44)]
    [InlineData("one rows", 44)]
    [InlineData("nodes", 44)]
    [InlineData("twin", 44)]
    public void Each_exporters_way_gives_what_ONNX_Runtime_gives_for_each_picture(string kind, int width)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var path = Make(shop, kind);
        using var network = Open(path);
        var height = width == 44 ? 22 : width;
        Assert.Equal((width, height), (network.Preprocessing.Width, network.Preprocessing.Height));
        Assert.Equal(5, network.UpstreamClasses);
        TorchRuntime.ManualSeed(1);
        var x = Ops.Rand([11, 3, height, width]) * 2L - 1L;
        Tensor Peer(Tensor picture) =>
            InOnnxRuntime(shop, path, kind.Contains("last", StringComparison.Ordinal) ? picture.Permute([0, 2, 3, 1]) : picture);
        foreach (var k in new[] { 0, 7 }) Near(Peer(x.Narrow(0, k, 1)), Answer(network, x).Narrow(0, k, 1));
        Near(Answer(network, x).Narrow(0, 10, 1), Answer(network, x.Narrow(0, 10, 1)));
        if (kind.Contains("last", StringComparison.Ordinal)) Assert.All(network.Stages, stage => Assert.Contains(stage.Channels, new[] { 6, 8 }));
    }

    [SkippableFact]
    public void What_mixes_the_pictures_of_a_batch_is_refused_with_the_reason()
    {
        using var shop = new Workshop();
        var path = Make(shop, "one mixed");
        var refusal = Assert.Throws<GraftException>(() => ModelOpener.Load(path));
        Assert.Contains("mixes the pictures of a batch: it was written for a batch of 1 alone. Export it with a batch that is left open",
            refusal.Message, StringComparison.Ordinal);
        Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void Weights_in_nodes_are_counted_and_train()
    {
        using var shop = new Workshop();
        using var list = Open(Make(shop, "first"));
        using var nodes = Open(Make(shop, "nodes"));
        long Count(Backbone network) => network.Parameters().Sum(parameter => parameter.Count);
        // Two convolutions with biases, one norm's scale and shift, one dense layer; statistics are none.
        Assert.Equal(8 * 27 + 8 + 8 + 8 + 6 * 72 + 6 + 5 * 6 + 5, Count(list));
        Assert.Equal(Count(list), Count(nodes));
        Assert.Equal(list.Weights.Keys.Order(), nodes.Weights.Keys.Order());
        // What began as equal and was written once trains apart.
        using var twin = Open(Make(shop, "twin"));
        Assert.Equal(Count(list), Count(twin));

        ShapeWorld.Write(shop["d", "train"], ["star4", "gear"], 6, 1);
        ShapeWorld.Write(shop["d", "val"], ["star4", "gear"], 4, 2);
        new TransferTask(new TrainOptions { Data = shop["d"], Weights = shop["nodes.onnx"], Strategy = "full", Epochs = 1, Out = shop["run"],
            NoReport = true, NoCache = true }).Run();
        using var trained = Classifier.Load(shop["run"]);
        var after = trained.Backbone.State();
        foreach (var name in new[] { "c.w", "c.b", "g", "b", "d.w", "d.b" }) Assert.NotEqual(nodes.Weights[name].ToArray<float>(), after[name]
            .ToArray<float>());
    }
}
