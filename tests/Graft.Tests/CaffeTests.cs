using System.Text.Json;
using Google.Protobuf;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Imports;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class CaffeTests
{
    /// <summary>A definition whose input is <c>data</c>, with the weights of its layers.</summary>
    private static Imported Read(Workshop shop, string layers, string input = "1 3 6 8", params (string Layer, float[] Values)[] weights)
    {
        File.WriteAllText(shop["net.prototxt"], $"name: 'net'\ninput: 'data'\n{string.Concat(input.Split(' ').Select(size => $"input_dim: {size}\n"))}{layers}");
        var net = new Graft.Models.Imports.Caffe.Net();
        foreach (var (name, values) in weights.Append(("unused", [0f])))
            net.Layer.Add(new Graft.Models.Imports.Caffe.Layer { Name = name,
                Blobs = { new Graft.Models.Imports.Caffe.Blob { Shape = new Graft.Models.Imports.Caffe.Shape { Dim = { values.Length } },
                Data = { values } } } });
        File.WriteAllBytes(shop["net.caffemodel"], net.ToByteArray());
        return CaffeReader.Read(shop["net.prototxt"]);
    }

    private static Tensor Run(Imported network, Tensor x)
    {
        var module = new GraphModule(network.Graph.Nodes, network.Graph.Input, network.Graph.Output, network.Weights, network.Graph.Weights);
        module.Eval();
        return module.Forward(x);
    }

    // Caffe's colours begin with blue: a picture whose channels are turned goes in as Caffe's blob is.
    private static Tensor Blob(long batch, long height, long width) => Ops.Linspace(-1.0, 1.0, (int)(batch * 3 * height * width))
        .View([batch, 3, height, width]);

    private static float[] Layer(Workshop shop, string kind, string parameters, Tensor blob, params float[] scale) =>
        Run(Read(shop, $"layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {parameters} }}", $"1 3 {blob.Shape[2]} {blob.Shape[3]}",
            [("l", scale)]), blob.Flip([1L])).ToArray<float>();

    [SkippableFact]
    public void A_face_detector_gives_its_published_numbers_from_Caffe_and_from_ONNX()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var expected = JsonDocument.Parse(File.ReadAllText(Workshop.Need("expected.json")));
        // x[k] = (37 k mod 256) / 255, as the file says.
        var x = Tensor.From([.. Enumerable.Range(0, 3 * 240 * 320).Select(k => k * 37 % 256 / 255f)], 1, 3, 240, 320);
        void Close(string file, string output, Tensor found)
        {
            var stated = expected.RootElement.GetProperty($"models/ultraface/{file}").GetProperty("outputs").EnumerateArray()
                .Single(item => item.GetProperty("name").GetString() == output);
            Assert.Equal(stated.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64()), found.Shape);
            var values = found.ToArray<double>();
            var first = stated.GetProperty("first").EnumerateArray().Select(value => value.GetDouble()).ToArray();
            for (var k = 0; k < first.Length; k++) Assert.InRange(Math.Abs(values[k] - first[k]), 0, 1e-4);
            var sum = stated.GetProperty("sum_abs").GetDouble();
            Assert.InRange(values.Sum(Math.Abs) / sum, 1 - 1e-4, 1 + 1e-4);
        }
        const string Onnx = "slim-320_without_postprocessing.onnx";
        var onnx = OnnxReader.Read(Workshop.Need("models", "ultraface", Onnx), null);
        var scores = Run(onnx, x);
        Close(Onnx, "scores", scores);
        // Caffe's blob is the same numbers with blue first: Graft gives red first, and the reader turns that.
        var path = Workshop.Need("models", "ultraface", "slim-320.caffemodel");
        var caffe = CaffeReader.Read(path);
        var theirs = Run(caffe, x.Flip([1L]));
        Close("slim-320.caffemodel", "scores", theirs);
        Assert.InRange((theirs - scores).Abs().Max().Item(), 0, 1e-4);
        Assert.Contains(caffe.Notes, note => note.Contains("boxes", StringComparison.Ordinal));
        // The same definition up to its boxes.
        var text = File.ReadAllText(Path.ChangeExtension(path, ".prototxt"));
        File.WriteAllText(shop["boxes.prototxt"], text[..text.LastIndexOf("layer {", StringComparison.Ordinal)]);
        File.Copy(path, shop["boxes.caffemodel"]);
        Close("slim-320.caffemodel", "boxes", Run(CaffeReader.Read(shop["boxes.prototxt"]), x.Flip([1L])));
        // And it serves as a backbone, of any number of pictures at once.
        var (backbone, _) = ModelOpener.Load(path);
        using var owned = backbone;
        backbone.Eval();
        Assert.Equal([2L, backbone.FeatureSize], backbone.Forward(Ops.Cat([x, x], 0)).Shape);
    }

    [Fact]
    public void Layers_that_turn_shapes_do_as_Caffe_says_for_a_batch_of_any_size()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var blob = Blob(2, 6, 8);
        void Same(Tensor expected, string kind, string parameters)
        {
            var network = Read(shop, $"layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {parameters} }}");
            var found = Run(network, blob.Flip([1L]));
            Assert.Equal(expected.Shape, found.Shape);
            Assert.Equal(expected.Contiguous().ToArray<float>(), found.Contiguous().ToArray<float>());
        }
        Same(blob.Permute([0, 2, 3, 1]), "Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }");
        Same(blob.Permute([0, 3, 1, 2]), "Permute", "permute_param { order: 0 order: 3 }");
        Same(blob.Reshape([2, 144]), "Flatten", "");
        Same(blob.Reshape([2, 3, 48]), "Flatten", "flatten_param { axis: 2 }");
        Same(blob.Reshape([2, 18, 8]), "Flatten", "flatten_param { axis: 1 end_axis: 2 }");
        Same(blob.Reshape([2, 3, 48]), "Flatten", "flatten_param { axis: -2 }");
        Same(blob.Reshape([2, 72, 2]), "Reshape", "reshape_param { shape { dim: 1 dim: -1 dim: 2 } }");
        Same(blob.Reshape([2, 72, 2]), "Reshape", "reshape_param { shape { dim: 16 dim: -1 dim: 2 } }");
        Same(blob.Reshape([2, 72, 2]), "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }");
        Same(blob.Reshape([2, 3, 4, 12]), "Reshape", "reshape_param { shape { dim: 4 dim: -1 } axis: 2 }");
        Same(blob.Reshape([2, 9, 2, 8]), "Reshape", "reshape_param { shape { dim: 9 dim: 2 } axis: 1 num_axes: 2 }");
        Same(blob.Reshape([2, 3, 6, 8, 1]), "Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }");
        void Refused(string kind, string parameters, string why)
        {
            var error = Assert.Throws<GraftException>(() => Read(shop, $"layer {{ name: 'l' type: '{kind}' bottom: 'data' top: 'l' {parameters} }}"))
                .Message;
            Assert.Contains(why, error, StringComparison.Ordinal);
            Assert.Contains("line", error, StringComparison.Ordinal);
        }
        Refused("Permute", "permute_param { order: 1 order: 0 }", "pictures of a batch");
        Refused("Flatten", "flatten_param { axis: 0 }", "pictures of a batch");
        Refused("Reshape", "reshape_param { shape { dim: -1 dim: 4 } }", "pictures of a batch");
        Refused("Flatten", "flatten_param { axis: 7 }", "axis is 7");
        Refused("Reshape", "reshape_param { shape { dim: 0 dim: 5 } }", "do not become");
    }

    [Fact]
    public void Normalize_divides_by_the_norm_of_a_position_or_of_all_and_scales()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var blob = Blob(1, 2, 2);
        var x = blob.ToArray<double>();
        var position = Layer(shop, "Normalize", "norm_param { across_spatial: false channel_shared: false }", blob, 20, 10, 5);
        var all = Layer(shop, "Normalize", "norm_param { }", blob, 3);
        var norm = Math.Sqrt(x.Sum(value => value * value));
        for (var k = 0; k < 12; k++)
        {
            var here = Math.Sqrt(Enumerable.Range(0, 3).Sum(channel => x[(4 * channel) + (k % 4)] * x[(4 * channel) + (k % 4)]));
            Assert.Equal(x[k] / here * ((double[])[20, 10, 5])[k / 4], position[k], 1e-5);
            Assert.Equal(x[k] / norm * 3, all[k], 1e-5);
        }
    }

    [Fact]
    public void Prior_boxes_are_those_of_the_paper()
    {
        // A map of 1×2 positions over a picture of 200×100 (height × width): steps of 200 and 50.
        static TextFormat Parameters(string text) => TextFormat.Parse($"p {{ {text} }}").Message("p");
        var boxes = PriorBoxes.Of(Parameters("min_size: 20 max_size: 80 aspect_ratio: 4 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2"),
            [1, 8, 1, 2], [1, 3, 200, 100]);
        // Of each position: 20 × 20, √(20·80) = 40 square, then 40 × 10 and 10 × 40.
        double[] Box(double x, double y, double w, double h) => [(x - w / 2) / 100, (y - h / 2) / 200, (x + w / 2) / 100, (y + h / 2) / 200];
        double[] expected = [.. new[] { 25.0,
            75 }.SelectMany(x => (double[])[.. Box(x, 100, 20, 20), .. Box(x, 100, 40, 40), .. Box(x, 100, 40, 10), .. Box(x, 100, 10, 40)])];
        Assert.Equal([1L, 2, 32], boxes.Shape);
        var values = boxes.ToArray<float>();
        for (var k = 0; k < 32; k++) Assert.Equal(expected[k], values[k], 1e-6);
        Assert.Equal([0.1f, 0.1f, 0.2f, 0.2f], values[32..36]);
        // Clipped, without flipped proportions, with steps and an offset of its own, one variance.
        var clipped = PriorBoxes.Of(Parameters("min_size: 60 aspect_ratio: 1 aspect_ratio: 4 flip: false clip: true step: 50 offset: 0"),
            [1, 8, 1, 2], [1, 3, 200, 100]).ToArray<float>();
        Assert.Equal([0f, 0f, 0.3f, 0.15f, 0f, 0f, 0.6f, 0.075f], clipped[..8].Select(value => MathF.Round(value, 6)));
        Assert.Equal(0.1f, clipped[^1]);
        Assert.Contains("min_size", Assert.Throws<GraftException>(() => PriorBoxes.Of(Parameters("max_size: 3"), [1, 8, 1, 2], [1, 3, 200, 100]))
            .Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_detector_of_SSDs_kind_is_read_up_to_its_scores_with_the_boxes_left_aside()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var network = Read(shop, """
            layer { name: 'norm' type: 'Normalize' bottom: 'data' top: 'norm' norm_param { across_spatial: false channel_shared: false } }
            layer { name: 'conf_perm' type: 'Permute' bottom: 'norm' top: 'conf_perm' permute_param { order: 0 order: 2 order: 3 order: 1 } }
            layer { name: 'conf_flat' type: 'Flatten' bottom: 'conf_perm' top: 'conf_flat' flatten_param { axis: 1 } }
            layer { name: 'prior' type: 'PriorBox' bottom: 'norm' bottom: 'data' top: 'prior' prior_box_param { min_size: 3 } }
            layer { name: 'conf_reshape' type: 'Reshape' bottom: 'conf_flat' top: 'conf_reshape' reshape_param { shape { dim: 0 dim: -1 dim: 3 } } }
            layer { name: 'conf_softmax' type: 'Softmax' bottom: 'conf_reshape' top: 'conf_softmax' softmax_param { axis: 2 } }
            layer { name: 'conf' type: 'Flatten' bottom: 'conf_softmax' top: 'conf' flatten_param { axis: 1 } }
            layer { name: 'out' type: 'DetectionOutput' bottom: 'conf_flat' bottom: 'conf' bottom: 'prior' top: 'out' }
            """, "1 3 6 8", [("norm", [20, 10, 5])]);
        Assert.Equal([2L, 144], Run(network, Blob(2, 6, 8)).Shape);
        Assert.Contains(network.Notes, note => note.Contains("'out'", StringComparison.Ordinal) && note.Contains("'conf'", StringComparison.Ordinal));
    }

    [Fact]
    public void The_other_half_of_a_pair_that_is_a_pointer_of_Git_LFS_is_named()
    {
        using var shop = new Workshop();
        File.WriteAllText(shop["net.prototxt"], "input: 'data'");
        File.WriteAllText(shop["net.caffemodel"], "version https://git-lfs.github.com/spec/v1\n");
        var error = Assert.Throws<GraftException>(() => ModelOpener.Load(shop["net.prototxt"])).Message;
        Assert.Contains("net.caffemodel is a Git LFS pointer", error, StringComparison.Ordinal);
    }
}
