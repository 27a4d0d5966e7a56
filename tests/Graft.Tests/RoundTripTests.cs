using System.Text.Json;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Heads;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>What Graft writes, Graft reads: the same label and the same probability, and where it comes from.</summary>
public sealed class RoundTripTests : IDisposable
{
    private static readonly string[] s_classes = ["ants", "bees", "개미"];

    private readonly Workshop _shop = new();
    private readonly string _picture;

    public RoundTripTests()
    {
        ShapeWorld.Write(_shop["pictures"], ["star4"], 1, 5);
        _picture = Directory.EnumerateFiles(_shop["pictures"], "*", SearchOption.AllDirectories).First();
    }

    public void Dispose() => _shop.Dispose();

    private static Backbone Network(string name)
    {
        if (name == "embedded") return ModelOpener.Load("shapes").Backbone;
        // A graph as it comes from a file of another kind.
        if (name == "graph") return GraphBackbone.From(ModelOpener.Load("shapes").Backbone);
        var parts = name.Split(' ');
        var backbone = BackboneCatalogue.Create(parts[0], null, parts.Length > 1 ? new Dictionary<string, string> { ["padding"] = parts[1] } : null);
        ZooTests.Fill(backbone);
        return backbone;
    }

    /// <summary>A model as a run saves it: scores of some size, and a temperature where the head is not fitted by likelihood.</summary>
    private static Classifier Model(string network, HeadKind kind, string? stage)
    {
        var backbone = Network(network);
        backbone.Provenance = new Provenance("upstream.safetensors", "MIT", "abc", "drawn shapes");
        var at = stage is null ? backbone.Stages.Count - 1 : backbone.Stages.ToList().FindIndex(found => found.Name == stage);
        var head = Head.Create(kind, backbone.Stages[at].Channels, s_classes.Length);
        using (Autograd.NoGrad())
        {
            TorchRuntime.ManualSeed(3);
            foreach (var tensor in head.State().Values) tensor.NormalInPlace(0, tensor.Dimensions > 1 ? 1 / Math.Sqrt(tensor.Shape[1]) : 0.3);
        }
        if (kind is HeadKind.Svm or HeadKind.Mean) head.Temperature = 1.7;
        return new Classifier(backbone, head, at, s_classes);
    }

    private static readonly (ExportFormat Format, bool Normalize, bool Softmax)[] s_forms =
    [
        (ExportFormat.Safetensors, false, false), (ExportFormat.PyTorch, false, false),
        .. new[] { ExportFormat.TorchScript,
            ExportFormat.Onnx }.SelectMany(format =>
            new[] { (format, false, false), (format, true, false), (format, false, true), (format, true, true) }),
    ];

    private static string Extension(ExportFormat format) =>
        format switch { ExportFormat.Onnx => "onnx", ExportFormat.TorchScript => "pt", ExportFormat.PyTorch => "pth", _ => "safetensors" };

    private void AllFormsAnswerAlike(Classifier model, string source)
    {
        var expected = model.Predict(_picture);
        // Something to see: neither certain nor even.
        Assert.InRange(expected.Probability, 0.34, 0.99999);
        foreach (var (format, normalize, softmax) in s_forms)
        {
            var file = _shop[$"m-{normalize}-{softmax}.{Extension(format)}"];
            Exporter.Write(model, file, format, normalize, softmax);
            using var back = Classifier.Open(file);
            var found = back.Predict(_picture);
            var form = $"{format}, normalize {normalize}, softmax {softmax}";
            Assert.True(model.Classes.SequenceEqual(back.Classes), $"{form}: classes {string.Join(", ", back.Classes)}");
            Assert.True(expected.Label == found.Label && Math.Abs(expected.Probability - found.Probability) < 1e-4, $"{form}: {expected.Label} {expected.Probability} became {found.Label} {found.Probability}");
            Assert.True(back.Notes.All(note => !note.Contains("does not say", StringComparison.Ordinal)), $"{form}: {string.Join("; ", back.Notes)}");
            // A run's model knows its upstream; any other file is itself the upstream, made from it.
            var origin = back.Backbone.Provenance.Lineage is [var before, ..] ? before : back.Backbone.Provenance;
            Assert.Equal(source, origin.Source);
        }
    }

    [Theory]
    [InlineData("embedded", HeadKind.Softmax, null)]
    [InlineData("embedded", HeadKind.Svm, null)]
    [InlineData("embedded", HeadKind.Mean, null)]
    [InlineData("embedded", HeadKind.Mlp, null)]
    [InlineData("embedded", HeadKind.Svm, "s2")]
    [InlineData("embedded", HeadKind.Mlp, "s3")]
    [InlineData("graph", HeadKind.Svm, null)]
    [InlineData("graph", HeadKind.Mlp, "s1")]
    [InlineData("mobilenet_v2 same", HeadKind.Softmax, null)]
    [InlineData("mobilenet_v2", HeadKind.Svm, "s3")]
    [InlineData("squeezenet1_1", HeadKind.Softmax, null)]
    public void Every_form_of_an_exported_model_answers_as_the_run_does(string network, HeadKind head, string? stage)
    {
        using var scope = new TensorScope();
        using var model = Model(network, head, stage);
        AllFormsAnswerAlike(model, "upstream.safetensors");
    }

    [Theory]
    [InlineData(3)]
    [InlineData(1)]
    public void Every_form_of_a_pretrained_network_answers_as_it_does(int outputs)
    {
        using var scope = new TensorScope();
        var backbone = BackboneCatalogue.Create("convnet", outputs, new Dictionary<string, string> { ["widths"] = "8-16", ["side"] = "24" });
        ZooTests.Fill(backbone);
        backbone.Preprocessing = new Preprocessing(24, 24, [new Grayscale(), new ResizeExact(24, 24)],
            new Normalize([0.2, 0.3, 0.4], [0.5, 0.6, 0.7]));
        backbone.Provenance = new Provenance("theirs.pth", "", "abc", "something");
        using var model = Classifier.Upstream(backbone, s_classes[..Math.Max(2, outputs)]);
        AllFormsAnswerAlike(model, "theirs.pth");
    }

    [SkippableTheory]
    [InlineData("resnet18", "fc.weight")]
    [InlineData("mobilenet_v2", "classifier.1.weight")]
    public void Torchvision_loads_the_state_dict_strictly_and_answers_alike(string name, string weight)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Model(name, HeadKind.Svm, null);
        var notes = Exporter.Write(model, _shop["m.pth"], ExportFormat.PyTorch);
        Assert.Contains($"torchvision.models.{name}(num_classes=3).load_state_dict(torch.load('m.pth'))", Assert.Single(notes),
            StringComparison.Ordinal);
        var line = Workshop.Python("""
            import sys, torch, torchvision
            state = torch.load(sys.argv[2]); assert sys.argv[3] in state and type(state).__name__ == "OrderedDict"
            m = getattr(torchvision.models, sys.argv[1])(num_classes=3); m.load_state_dict(state); m.eval()
            with torch.no_grad(): print(*m(torch.linspace(-1, 1, 2*3*224*224).view(2, 3, 224, 224)).softmax(1).flatten().tolist())
            """, name, _shop["m.pth"], weight);
        var own = model.Forward(Ops.Linspace(-1L, 1L, 2 * 3 * 224 * 224).View([2, 3, 224, 224])).ToArray<double>();
        foreach (var (theirs, mine) in line.Split(' ').Select(double.Parse).Zip(own)) Assert.Equal(mine, theirs, 4);
    }

    [SkippableFact]
    public void Torch_gives_the_card_of_an_archive()
    {
        using var scope = new TensorScope();
        using (var trained = Model("embedded", HeadKind.Softmax, null)) trained.Save(_shop["model.safetensors"],
            new Dictionary<string, string> { ["domain"] = "insects", ["strategy"] = "feature" });
        using var model = Classifier.Load(_shop["model.safetensors"]);
        Exporter.Write(model, _shop["m.pt"], ExportFormat.TorchScript, normalize: true, softmax: true);
        using var card = JsonDocument.Parse(Workshop.Python("""
            import sys, torch
            extra = {"graft.json": ""}
            torch.jit.load(sys.argv[1], _extra_files=extra); print(extra["graft.json"] if isinstance(extra["graft.json"], str) else extra["graft.json"].decode())
            """, _shop["m.pt"]));
        Assert.Equal(s_classes, JsonSerializer.Deserialize<string[]>(card.RootElement.GetProperty("classes").GetString()!)!);
        Assert.Equal(("probabilities", "insects", "feature"),
            (card.RootElement.GetProperty("output").GetString(), card.RootElement.GetProperty("domain").GetString(),
            card.RootElement.GetProperty("strategy").GetString()));
    }

    [Theory]
    [InlineData("mobilenet_v2 same", HeadKind.Softmax, null, "padded as TensorFlow does it")]
    [InlineData("embedded", HeadKind.Softmax, null, "convnet is not among its networks")]
    [InlineData("resnet18", HeadKind.Mlp, null, "its head (mlp) is not linear")]
    [InlineData("resnet18", HeadKind.Softmax, "s2", "stands on its stage s2")]
    [InlineData("squeezenet1_1", HeadKind.Softmax, null, "no dense layer")]
    public void A_state_dict_that_torchvision_cannot_take_says_why(string network, HeadKind head, string? stage, string why)
    {
        using var scope = new TensorScope();
        using var model = Model(network, head, stage);
        Assert.Contains(why, Assert.Single(Exporter.Write(model, _shop["m.pth"], ExportFormat.PyTorch)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("embedded", HeadKind.Svm, null, true)]
    [InlineData("graph", HeadKind.Mean, null, true)]
    [InlineData("embedded", HeadKind.Mlp, null, false)]
    [InlineData("embedded", HeadKind.Softmax, "s2", false)]
    public void A_run_is_an_upstream_and_keeps_its_head_where_it_is_linear(string network, HeadKind head, string? stage, bool keeps)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        using var model = Model(network, head, stage);
        Directory.CreateDirectory(_shop["ants"]);
        model.Save(_shop["ants", "model.safetensors"], new Dictionary<string, string> { ["licence"] = "MIT", ["domain"] = "insects" });
        foreach (var path in new[] { _shop["ants"], _shop["ants", "model.safetensors"] })
        {
            var (upstream, notes) = ModelOpener.Load(path);
            using var owned = upstream;
            upstream.Eval();
            Assert.Equal(model.Backbone.Stages.Select(found => (found.Name, found.Channels)),
                upstream.Stages.Select(found => (found.Name, found.Channels)));
            Assert.Equal(model.Backbone.Preprocessing.ToJson(), upstream.Preprocessing.ToJson());
            Assert.Equal((keeps, keeps ? 3 : null), (upstream.CanClassify, upstream.UpstreamClasses));
            Assert.Equal(keeps ? s_classes : null, upstream.ClassNames);
            Assert.Equal(keeps ? [] : [$"its head ({head.ToString().ToLowerInvariant()}) {(head == HeadKind.Mlp ? "is not linear" : "stands on its stage s2")}: the backbone alone is taken"], notes);
            var x = Ops.Linspace(-1L, 1L, 3 * 32 * 32).View([1, 3, 32, 32]);
            foreach (var (mine, theirs) in model.Backbone.Forward(x).ToArray<double>().Zip(upstream.Forward(x).ToArray<double>())) Assert.Equal(mine,
                theirs, 4);
            if (keeps) foreach (var (mine, theirs) in model.Forward(x).ToArray<double>()
                .Zip(upstream.Classify(x).Softmax(1).ToArray<double>())) Assert.Equal(mine, theirs, 5);
            Assert.Equal(("ants/model.safetensors", "insects", "upstream.safetensors"),
                (upstream.Provenance.Source, upstream.Provenance.Domain, Assert.Single(upstream.Provenance.Lineage!).Source));
        }
    }

    [Fact]
    public void The_lineage_grows_by_a_generation_and_survives_a_file()
    {
        using var scope = new TensorScope();
        using (var first = Model("embedded", HeadKind.Softmax, null)) first.Save(_shop["first.safetensors"]);
        var (second, _) = ModelOpener.Load(_shop["first.safetensors"]);
        using (var model = new Classifier(second, new LinearHead(HeadKind.Softmax, second.FeatureSize, 2), second.Stages.Count - 1,
            ["a", "b"])) model.Save(_shop["second.safetensors"]);
        var (third, _) = ModelOpener.Load(_shop["second.safetensors"]);
        using var owned = third;
        Assert.Equal(["first.safetensors", "upstream.safetensors"], third.Provenance.Lineage!.Select(before => before.Source));
        Assert.Equal((64, "MIT", "drawn shapes"),
            (third.Provenance.Lineage![0].Sha256.Length, third.Provenance.Lineage[1].Licence, third.Provenance.Lineage[1].Domain));
    }

    [Fact]
    public void A_graph_whose_names_all_begin_alike_comes_back()
    {
        using var scope = new TensorScope();
        using (var model = Model("embedded", HeadKind.Softmax, null)) Exporter.Write(model, _shop["m.pt"], ExportFormat.TorchScript);
        using (var backbone = ModelOpener.Load(_shop["m.pt"]).Backbone)
        using (var cut = Surgery.CutAfter(backbone, "backbone.block3.conv")) Exporter.Save(cut, _shop["cut.safetensors"]);
        using var back = ModelOpener.Load(_shop["cut.safetensors"]).Backbone;
        Assert.False(back.CanClassify);
        Assert.Equal(96, back.FeatureSize);
    }

    [Fact]
    public void What_is_guessed_is_said_and_what_is_stated_is_not_guessed()
    {
        using var scope = new TensorScope();
        using var backbone = BackboneCatalogue.Create("convnet", 2, new Dictionary<string, string> { ["widths"] = "32-64-96-128" });
        PyTorchWriter.Write(_shop["theirs.pth"], backbone.State());
        using (var model = Classifier.Open(_shop["theirs.pth"]))
        {
            Assert.Equal("theirs.pth does not say what its pictures go through: taken to be RGB of 32×32, levels of 0 … 1 minus 0.5, divided by 0.5. If that is wrong, say it with --scale, --mean, --std, --channels or --size", Assert.Single(model.Notes));
        }
        using (var model = Classifier.Open(_shop["theirs.pth"], new InputOptions { Scale = "1/255" })) Assert.Empty(model.Notes);
        using (var script = Script.Trace(backbone, inputs => [backbone.Classify(inputs[0])], Ops.Zeros([1, 3, 32, 32]))) script.Save(
            _shop["theirs.pt"]);
        using (var model = Classifier.Open(_shop["theirs.pt"],
            new InputOptions { Size = 32 })) Assert.Contains("taken to be RGB of 32×32, levels of 0 … 1 minus 0.485 0.456 0.406",
            Assert.Single(model.Notes), StringComparison.Ordinal);
    }
}
