using System.Text.Json.Nodes;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.FewShot;
using Graft.Heads;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>The files that Graft writes: one way to write, recognise and open them.</summary>
public sealed class ModelFileTests : IDisposable
{
    private static readonly Dictionary<string, string> s_small = new() { ["widths"] = "4-8", ["side"] = "16" };

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    // The text stood in caches, fingerprints and run.json before there was a spec.
    public static TheoryData<string, string, string> Texts => new()
    {
        { "convnet", "", "convnet widths=32-64-96-128 side=32" },
        { "convnet", "widths=4-8 side=16 channels=1 pools=1 strided=yes depths=1-2", "convnet widths=4-8 side=16 channels=1 pools=1 strided=yes depths=1-2" },
        { "mlp", "", "mlp widths=300-100-50-50-50 side=28 channels=1" },
        { "mlp", "widths=6-5 side=8 channels=3", "mlp widths=6-5 side=8 channels=3" },
        { "mobilenet_v2", "", "mobilenet_v2 padding=torch" },
        { "mobilenet_v2", "padding=same", "mobilenet_v2 padding=same" },
        { "vit_tiny_16", "", "vit_tiny_16" },
        { "vit_tiny_16", "side=64", "vit_tiny_16 side=64" },
        { "cifar_resnet20", "", "cifar_resnet20" },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void A_spec_survives_a_file_and_reads_as_it_always_did(string name, string options, string text)
    {
        var asked = options.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(option => option.Split('='))
            .ToDictionary(pair => pair[0], pair => pair[1]);
        using var backbone = BackboneCatalogue.Create(name, 3, asked);
        Assert.Equal(text, backbone.Spec.ToString());
        Exporter.Save(backbone, _shop["m.safetensors"]);
        Assert.Equal(backbone.Spec, ModelFile.Read(_shop["m.safetensors"]).Spec);
        using var back = ModelOpener.Load(_shop["m.safetensors"]).Backbone;
        Assert.Equal(backbone.Spec, back.Spec);
        Assert.Equal(backbone.Fingerprint(), back.Fingerprint());
    }

    [Fact]
    public void A_graph_says_its_digest_and_not_its_text()
    {
        using var graph = GraphBackbone.From(BackboneCatalogue.Create("convnet", 3, s_small));
        Assert.Equal("graph name=convnet digest=89f437cd04d148d2", graph.Spec.ToString());
        Exporter.Save(graph, _shop["m.safetensors"]);
        using var back = ModelOpener.Load(_shop["m.safetensors"]).Backbone;
        Assert.Equal(graph.Spec, back.Spec);
    }

    // Written/ holds what 0.1's code wrote before there was a spec or a ModelFile.
    [Theory]
    [InlineData("classifier")]
    [InlineData("network")]
    [InlineData("fewshot")]
    [InlineData("support")]
    public void A_file_of_before_is_read_and_written_again_the_same_to_the_byte(string kind)
    {
        var (old, again) = (Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "Written", $"{kind}.safetensors"), _shop["again.safetensors"]);
        Assert.Equal($"graft-{kind}-1", ModelFile.FormatOf(old));
        if (kind == "network")
        {
            using var network = ModelOpener.Load(old).Backbone;
            Assert.Equal("convnet widths=2-3 side=8", network.Spec.ToString());
            network.Provenance = ModelCard.Upstream(ModelFile.Read(old).Card)!;
            Exporter.Save(network, again);
        }
        else if (kind == "classifier")
        {
            using var model = Classifier.Load(old);
            model.Save(again, model.About);
        }
        else if (kind == "fewshot")
        {
            using var model = FewShotModel.Load(old);
            model.Save(again);
        }
        else
        {
            using var set = SupportSet.Load(old);
            set.Save(again);
        }
        if (kind != "fewshot")
        {
            Assert.Equal(File.ReadAllBytes(old), File.ReadAllBytes(again));
            return;
        }
        // The order of options is the order of their help, which may change.
        var (before, after) = (ModelFile.Read(old), ModelFile.Read(again));
        Assert.Equal(before.Card.Keys.Order(), after.Card.Keys.Order());
        Assert.All(before.Card, entry =>
            Assert.True(entry.Key == "options" ? JsonNode.DeepEquals(JsonNode.Parse(entry.Value),
            JsonNode.Parse(after.Card[entry.Key])) : entry.Value == after.Card[entry.Key], entry.Key));
        Assert.All(before.Tensors, entry => Assert.Equal(entry.Value.ToArray<float>(), after.Tensors[entry.Key].ToArray<float>()));
    }

    [Fact]
    public void A_program_of_before_is_recognised() =>
        Assert.Equal(ModelCard.Program, ModelFile.FormatOf(Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "Written", "program.onnx")));

    [Fact]
    public void Specs_are_equal_by_their_options_in_any_order()
    {
        var one = new BackboneSpec("convnet", ("widths", "4-8"), ("side", "16"));
        Assert.Equal(one, new BackboneSpec("convnet", ("side", "16"), ("widths", "4-8")));
        Assert.Equal(one.GetHashCode(), new BackboneSpec("convnet", ("side", "16"), ("widths", "4-8")).GetHashCode());
        Assert.NotEqual(one, new BackboneSpec("convnet", ("side", "16"), ("widths", "4-9")));
        Assert.NotEqual(one, new BackboneSpec("convnet", ("side", "16")));
    }

    [Fact]
    public void Every_network_of_the_catalogue_has_a_row()
    {
        foreach (var card in BackboneCatalogue.Cards) Assert.True(BackboneCatalogue.Knows(card.Name), card.Name);
        Assert.Contains("there is no backbone 'vgg15'", Assert.Throws<GraftException>(() => BackboneCatalogue.Create("vgg15")).Message,
            StringComparison.Ordinal);
    }

    private void WriteAll()
    {
        using (var up = Classifier.Upstream(BackboneCatalogue.Create("convnet", 3, s_small)))
        {
            Exporter.Save(up.Backbone, _shop["network.safetensors"]);
            foreach (var (format, name) in new[] { (ExportFormat.PyTorch, "network.pth"), (ExportFormat.TorchScript, "program.pt"),
                (ExportFormat.Onnx, "program.onnx") }) Exporter.Write(up, _shop[name], format);
        }
        var body = BackboneCatalogue.Create("convnet", null, s_small);
        using (var model = new Classifier(body, Head.Create(HeadKind.Softmax, 8, 2), body.Stages.Count - 1, ["a", "b"])) model.Save(
            _shop["classifier.safetensors"]);
        using (var learner = FewShotMethods.Create(
            new FewShotOptions { Way = 3, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" } }))
            new FewShotModel(learner, Preprocessing.Small(28, Normalize.Symmetric), true, ["x", "y"]).Save(_shop["fewshot.safetensors"]);
        ShapeWorld.Write(_shop["shapes"], ["star4", "gear"], 3, 1);
        using var set = new SupportSet(PictureEncoder.Of(BackboneCatalogue.Create("convnet", 3, s_small)));
        set.Add(DatasetReader.Open(_shop["shapes"]).Train);
        set.Save(_shop["support.safetensors"]);
    }

    [Fact]
    public void Each_format_is_recognised_by_its_file_and_nothing_else_is()
    {
        WriteAll();
        foreach (var file in Directory.GetFiles(_shop.Root)) Assert.Equal($"graft-{Path.GetFileNameWithoutExtension(file)}-1",
            ModelFile.FormatOf(file));
        Safetensors.Write(_shop["foreign.safetensors"], new Dictionary<string, Tensor> { ["w"] = Ops.Ones([2]) });
        File.WriteAllText(_shop["empty.safetensors"], "");
        File.WriteAllBytes(_shop["cut.safetensors"], File.ReadAllBytes(_shop["classifier.safetensors"])[..300]);
        File.WriteAllBytes(_shop["cut.pth"], File.ReadAllBytes(_shop["network.pth"])[..300]);
        File.WriteAllBytes(_shop["cut.onnx"], File.ReadAllBytes(_shop["program.onnx"])[..300]);
        foreach (var name in new[] { "foreign.safetensors", "empty.safetensors", "cut.safetensors", "cut.pth", "cut.onnx", "nowhere", "shapes" })
        {
            Assert.Null(ModelFile.FormatOf(_shop[name]));
            foreach (var open in new Action[] { () => Classifier.Load(_shop[name]), () => FewShotModel.Load(_shop[name]),
                () => SupportSet.Load(_shop[name]) })
                Assert.Contains(_shop[name], Assert.Throws<GraftException>(open).Message, StringComparison.Ordinal);
        }
        Assert.EndsWith("its metadata has no 'format'. Train on it with --weights " + _shop["foreign.safetensors"],
            Assert.Throws<GraftException>(() => Classifier.Load(_shop["foreign.safetensors"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_of_another_kind_and_a_missing_key_are_named()
    {
        WriteAll();
        string Says(Action open) => Assert.Throws<GraftException>(open).Message;
        Assert.Equal($"{_shop["support.safetensors"]} is of the format 'graft-support-1', and not a few-shot model",
            Says(() => FewShotModel.Load(_shop["support.safetensors"])));
        (string File, string Key, Action<string> Open)[] rows =
        [
            .. new[] { "architecture", "classes", "preprocessing", "head", "stage", "temperature", "upstream" }.Select(key =>
                ("classifier", key, (Action<string>)(path => Classifier.Load(path)))),
            .. new[] { "options", "preprocessing", "grey", "train-classes" }.Select(key =>
                ("fewshot", key, (Action<string>)(path => FewShotModel.Load(path)))),
            .. new[] { "architecture", "preprocessing", "upstream", "distance", "classes", "labels", "files" }.Select(key =>
                ("support", key, (Action<string>)(path => SupportSet.Load(path)))),
        ];
        foreach (var (file, key, open) in rows)
        {
            var whole = ModelFile.Read(_shop[$"{file}.safetensors"]);
            (whole with { Card = whole.Card.Where(item => item.Key != key).ToDictionary(), Path = _shop["bad.safetensors"] }).Write();
            Assert.Equal($"{_shop["bad.safetensors"]} is no model that Graft saved: its metadata has no '{key}'",
                Says(() => open(_shop["bad.safetensors"])));
            (whole with { Card = new Dictionary<string, string>(whole.Card) { ["format"] = "graft-classifier-9" }, Path = _shop["bad.safetensors"] })
                .Write();
            Assert.EndsWith("which this version does not read", Says(() => open(_shop["bad.safetensors"])), StringComparison.Ordinal);
        }
    }
}
