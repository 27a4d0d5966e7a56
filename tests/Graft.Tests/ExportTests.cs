using System.Runtime.InteropServices;
using System.Text.Json;
using Graft.Classification;
using Graft.Exports;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public class ExportTests
{
    // One of each family; all of them with GRAFT_FULL=1.
    private static readonly string[] s_families =
    [
        "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "squeezenet1_0", "squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf",
        "regnet_x_400mf", "convnext_tiny", "vit_tiny_16", "swin_t", "cifar_resnet20", "convnet", "mlp",
    ];

    public static TheoryData<string> Architectures()
    {
        var all = new TheoryData<string>();
        foreach (var name in Environment.GetEnvironmentVariable("GRAFT_FULL") == "1" ? BackboneCatalogue.Cards.Select(card => card.Name)
            : s_families) all.Add(name);
        return all;
    }

    private static Classifier Random(string name)
    {
        var backbone = BackboneCatalogue.Create(name, 10);
        ZooTests.Fill(backbone);
        return Classifier.Upstream(backbone);
    }

    private static double[] InOnnxRuntime(Workshop shop, string model, Tensor x)
    {
        File.WriteAllBytes(shop["x.f32"], MemoryMarshal.AsBytes(x.ToArray<float>().AsSpan()));
        using var result = JsonDocument.Parse(Workshop.Node("OnnxRuntime/run.mjs", [model, shop["x.f32"], .. x.Shape.Select(size => $"{size}")]));
        return [.. result.RootElement.GetProperty("values").EnumerateArray().Select(value => value.GetDouble())];
    }

    private static void Same(double[] expected, double[] values, double tolerance)
    {
        Assert.Equal(expected.Length, values.Length);
        var scale = expected.Max(Math.Abs);
        for (var k = 0; k < expected.Length; k++) Assert.InRange(Math.Abs(values[k] - expected[k]) / scale, 0, tolerance);
    }

    [SkippableTheory]
    [MemberData(nameof(Architectures))]
    public void ONNX_Runtime_gives_the_same_scores_for_any_batch(string name)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Random(name);
        Exporter.Write(model, shop["m.onnx"], ExportFormat.Onnx);
        Workshop.Python("import sys, onnx; onnx.checker.check_model(sys.argv[1])", shop["m.onnx"]);
        TorchRuntime.ManualSeed(1);
        var x = Ops.Rand([3, 3, model.Backbone.Preprocessing.Height, model.Backbone.Preprocessing.Width]) * 2L - 1L;
        Same(model.Backbone.Classify(x).ToArray<double>(), InOnnxRuntime(shop, shop["m.onnx"], x), 1e-4);
    }

    [SkippableTheory]
    [MemberData(nameof(Architectures))]
    public void An_exported_ONNX_file_comes_back_as_the_same_function(string name)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Random(name);
        Exporter.Write(model, shop["m.onnx"], ExportFormat.Onnx);
        var (back, _) = ModelOpener.Load(shop["m.onnx"]);
        using var owned = back;
        Assert.Equal(10, back.UpstreamClasses);
        back.Eval();
        var x = Ops.Rand([2, 3, model.Backbone.Preprocessing.Height, model.Backbone.Preprocessing.Width]) * 2L - 1L;
        Same(model.Backbone.Classify(x).ToArray<double>(), back.Classify(x).ToArray<double>(), 1e-4);
        Assert.Equal(model.Backbone.Preprocessing.Normalize, back.Preprocessing.Normalize);
    }

    [SkippableFact]
    public void PyTorch_loads_the_state_dict_and_runs_the_archive()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Random("resnet18");
        Exporter.Write(model, shop["m.pth"], ExportFormat.PyTorch);
        Exporter.Write(model, shop["m.pt"], ExportFormat.TorchScript);
        var lines = Workshop.Python("""
            import sys, torch, torchvision
            m = torchvision.models.resnet18(num_classes=10); m.load_state_dict(torch.load(sys.argv[1])); m.eval()
            x = torch.linspace(-1, 1, 5*3*224*224).view(5, 3, 224, 224)
            with torch.no_grad(): print(*m(x).flatten().tolist()); print(*torch.jit.load(sys.argv[2])(x).flatten().tolist())
            """, shop["m.pth"], shop["m.pt"]).Split('\n');
        var own = model.Backbone.Classify(Ops.Linspace(-1L, 1L, 5 * 3 * 224 * 224).View([5, 3, 224, 224])).ToArray<double>();
        foreach (var line in lines.Take(2)) Same(own, [.. line.Split(' ').Select(double.Parse)], 1e-5);
    }

    [SkippableFact]
    public void With_normalize_and_softmax_a_file_takes_levels_and_gives_probabilities()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Random("mobilenet_v2");
        Exporter.Write(model, shop["m.onnx"], ExportFormat.Onnx, normalize: true, softmax: true);
        var levels = Ops.Rand([1, 3, 224, 224]) * 255L;
        var (mean, std) = (model.Backbone.Preprocessing.Normalize.Mean, model.Backbone.Preprocessing.Normalize.Std);
        var x = Ops.Cat([.. Enumerable.Range(0, 3).Select(c => (levels.Narrow(1, c, 1) / 255.0 - mean[c]) / std[c])], 1);
        Same(model.Forward(x).ToArray<double>(), InOnnxRuntime(shop, shop["m.onnx"], levels), 1e-4);
    }
}
