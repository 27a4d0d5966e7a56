using Graft.Classification;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Heads;
using Graft.Inference;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Support sets without libtorch: the rule on plain arrays, one ONNX file, networks that the cache knows by their weights' bytes.</summary>
public sealed class SupportModelTests : IDisposable
{
    private readonly Workshop _shop = new();

    public SupportModelTests()
    {
        ShapeWorld.Write(_shop["support"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["asked"], ["star4", "gear", "cross"], 4, 2);
    }

    public void Dispose() => _shop.Dispose();

    private string[] Asked => [.. Directory.EnumerateFiles(_shop["asked"], "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    private FeatureCache Cache => new(_shop["cache"]);

    [Theory]
    [InlineData(DistanceKind.Cosine)]
    [InlineData(DistanceKind.Euclidean)]
    [InlineData(DistanceKind.SquaredEuclidean)]
    [InlineData(DistanceKind.Manhattan)]
    public void Distances_and_means_of_plain_arrays_are_those_of_libtorch(DistanceKind kind)
    {
        var rng = new Rng(4);
        float[] Rows(int count) => [.. Enumerable.Range(0, count * 37).Select(_ => (float)(2 * rng.Next() - 1))];
        var (a, b) = (Rows(5), Rows(3));
        using var scope = new TensorScope();
        var expected = Distances.Between(Tensor.From(a, 5, 37), Tensor.From(b, 3, 37), kind).ToArray<float>();
        var found = FeatureDistance.Between(a, b, 37, kind);
        Assert.Equal(15, found.Length);
        Assert.All(expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, 1e-5f * Math.Max(1, pair.First)));
        Assert.Equal([found[0], found[4], found[8]], FeatureDistance.Pairs(a[..(3 * 37)], b, 37, kind));
        var means = Distances.Means(Tensor.From(a, 5, 37), Tensor.From([1L, 0, 1, 1, 0]), 3).ToArray<float>();
        Assert.All(means.Zip(FeatureDistance.Means(a, [1, 0, 1, 1, 0], 3, 37)), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
    }

    [Fact]
    public void A_set_in_an_ONNX_file_answers_grows_and_is_written_again_by_itself()
    {
        using var set = new SupportSet(PictureEncoder.Open("shapes", cache: Cache));
        set.Add(Pictures.Support(_shop["support"]));
        var (expected, _) = set.Classify(Asked);
        set.Save(_shop["set.onnx"]);

        using var model = SupportModel.Open(_shop["set.onnx"]);
        void Same(IEnumerable<SupportAnswer> found) => Assert.All(expected.Zip(found), pair =>
        {
            Assert.Equal((pair.First.File, pair.First.Label, pair.First.Unsure), (pair.Second.File, pair.Second.Label, pair.Second.Unsure));
            Assert.Equal(pair.First.Distances.Select(one => one.Distance), pair.Second.Distances.Select(one => one.Distance), (x, y) => Math.Abs(x - y) < 1e-5);
        });
        Assert.Equal((set.Threshold, set.Distance), (model.Threshold, model.Distance));
        Assert.Equal((IEnumerable<string>)["gear", "star4"], model.Classes);
        Same(model.Answer(Asked).Select(answer => answer.Answer!));
        using (var loaded = SupportSet.Load(_shop["set.onnx"])) Same(loaded.Classify(Asked).Answers);
        using (var among = PictureModel.Open(_shop["set.onnx"])) Same(among.Answer(Asked).Select(answer => answer.Answer!.Support!));

        Assert.Empty(model.Add(DatasetReader.Open(_shop["asked"]).TrainAlone));
        model.Save(_shop["more.onnx"]);
        using var more = SupportModel.Open(_shop["more.onnx"]);
        Assert.Equal((IEnumerable<string>)["gear", "star4", "cross"], more.Classes);
        Assert.Equal((IEnumerable<int>)[7, 7, 4], more.Counts);
        Assert.Equal("cross", more.Answer(Asked[0]).Label);
        Assert.Contains("is given with --support", Assert.Throws<GraftException>(() => ModelOpener.Load(_shop["set.onnx"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ONNX_set_that_is_cut_off_or_says_what_cannot_be_is_refused_by_name()
    {
        using var set = new SupportSet(PictureEncoder.Open("shapes", cache: Cache));
        set.Add(Pictures.Support(_shop["support"]));
        set.Save(_shop["set.onnx"]);
        var bytes = File.ReadAllBytes(_shop["set.onnx"]);
        var rng = new Rng(6);
        foreach (var length in new[] { 0, 1, bytes.Length - 1 }.Concat(Enumerable.Range(0, 20).Select(_ => rng.Below(bytes.Length))))
        {
            File.WriteAllBytes(_shop["cut.onnx"], bytes[..length]);
            foreach (var open in new Action[] { () => SupportModel.Open(_shop["cut.onnx"]), () => SupportSet.Load(_shop["cut.onnx"], Cache) })
                Assert.Contains(_shop["cut.onnx"], Assert.Throws<GraftException>(open).Message, StringComparison.Ordinal);
        }
        var card = OnnxCard.Read(_shop["set.onnx"]);
        foreach (var (key, value) in new[] { ("labels", "[0,0,0,1,1,9]"), ("labels", "[0]"), ("features", "0"), ("features", "99999999"), ("support", "AAA="), ("support", "!"),
            ("distance", "Mahalanobis"), ("distance", "Nearby"), ("classes", "null"), ("files", "{"), ("preprocessing", "{}") })
        {
            AtomicFile.Write(_shop["bad.onnx"], stream => OnnxCard.Write(stream, bytes, new Dictionary<string, string>(card) { [key] = value }));
            foreach (var open in new Action[] { () => SupportModel.Open(_shop["bad.onnx"]), () => SupportSet.Load(_shop["bad.onnx"], Cache) })
                Assert.Contains(_shop["bad.onnx"], Assert.Throws<GraftException>(open).Message, StringComparison.Ordinal);
        }
    }

    private (float[] Features, bool Opened) By(string file)
    {
        using var encoder = PictureEncoder.Open(file, cache: Cache);
        // Without kept rows, so that the network has to run.
        foreach (var segment in Directory.GetFiles(_shop["cache"], "*.seg", SearchOption.AllDirectories)) File.Delete(segment);
        return (encoder.Encode(Pictures.Of(Asked)).Features, encoder.IsOpened);
    }

    [Fact]
    public void Weights_that_were_opened_before_are_not_opened_again_and_give_the_same_features()
    {
        var file = _shop["net.safetensors"];
        using (var network = ModelOpener.Load("shapes").Backbone) Exports.Exporter.Save(network, file);
        var (first, again) = (By(file), By(file));
        Assert.Equal((true, false), (first.Opened, again.Opened));
        Assert.Equal(first.Features, again.Features);
        using var backbone = ModelOpener.Load(file).Backbone;
        var expected = new FeatureExtractor(backbone, null).Pooled(Pictures.Of(Asked), backbone.Preprocessing).Stage(backbone, backbone.Stages.Count - 1);
        Assert.Equal(expected.ToArray<float>(), again.Features);

        // Damaged in the cache, it is made again.
        var card = Directory.GetFiles(_shop["cache"], "*.onnx").Single(kept => OnnxCard.FormatOf(kept) == FeatureNetworks.Format);
        File.WriteAllText(card, "no graph");
        foreach (var graph in Directory.GetFiles(_shop["cache"], "*.onnx")) File.WriteAllText(graph, "no graph");
        Assert.Equal(first.Features, By(file).Features);
    }

    [Fact]
    public void Other_weights_under_the_same_name_length_and_date_are_not_taken_for_those_before()
    {
        var file = _shop["net.safetensors"];
        float[] With(double factor)
        {
            using var network = ModelOpener.Load("shapes").Backbone;
            using (Autograd.NoGrad())
            {
                foreach (var (name, slot) in network.NamedSlots())
                {
                    if (name.EndsWith("conv.weight", StringComparison.Ordinal)) slot.Value.MulInPlace(factor);
                }
            }
            Exports.Exporter.Save(network, file);
            File.SetLastWriteTimeUtc(file, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
            return By(file).Features;
        }
        var (one, other) = (With(1), With(-1));
        Assert.NotEqual(one, other);
        Assert.Equal(one, With(1));
    }

    [Fact]
    public void What_is_said_of_the_input_is_part_of_what_a_network_is_known_by()
    {
        float[] With(InputOptions input)
        {
            using var encoder = PictureEncoder.Open("shapes", input, Cache);
            return encoder.Encode(Pictures.Of(Asked)).Features;
        }
        var usual = With(new InputOptions());
        Assert.NotEqual(usual, With(new InputOptions { Mean = "0.1" }));
        Assert.NotEqual(usual, With(new InputOptions { Size = 48 }));
        Assert.Equal(usual, With(new InputOptions()));
    }

    [Fact]
    public void A_set_in_safetensors_finds_its_network_again_also_when_it_has_grown()
    {
        using (var set = new SupportSet(PictureEncoder.Of(BackboneCatalogue.Create("convnet", 3, new Dictionary<string, string> { ["widths"] = "4-8", ["side"] = "16" }))))
        {
            set.Add(Pictures.Support(_shop["support"]));
            set.Save(_shop["set.safetensors"]);
        }
        SupportAnswer[] Answers(bool opened)
        {
            using var set = SupportSet.Load(_shop["set.safetensors"], Cache);
            Assert.Equal(opened, set.Encoder.IsOpened);
            return [.. set.Classify(Asked).Answers];
        }
        var (first, again) = (Answers(true), Answers(false));
        Assert.Equal(first.Select(answer => answer.Distances[0]), again.Select(answer => answer.Distances[0]));
        using (var set = SupportSet.Load(_shop["set.safetensors"], Cache))
        {
            set.Add(Pictures.Support(_shop["asked"]));
            set.Save(_shop["set.safetensors"]);
        }
        Assert.Contains("cross", Answers(false).Select(answer => answer.Label));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_features_below_the_head_of_a_program_of_Grafts_are_cut_out_without_its_weights_being_opened(bool normalize)
    {
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var expected = new FeatureExtractor(backbone, null).Pooled(Pictures.Of(Asked), backbone.Preprocessing).Stage(backbone, backbone.Stages.Count - 1)
            .ToArray<float>();
        using (var model = new Classifier(ModelOpener.Load("shapes").Backbone, Head.Create(HeadKind.Softmax, backbone.FeatureSize, 2), backbone.Stages.Count - 1, ["a", "b"]))
            Exports.Exporter.Write(model, _shop["program.onnx"], Exports.ExportFormat.Onnx, normalize, softmax: true);
        foreach (var _ in new[] { "cut", "kept" })
        {
            var (features, opened) = By(_shop["program.onnx"]);
            Assert.False(opened);
            Assert.Equal(expected.Length, features.Length);
            Assert.InRange(expected.Zip(features, (a, b) => MathF.Abs(a - b)).Max() / expected.Max(MathF.Abs), 0, 1e-4f);
        }
        var bytes = File.ReadAllBytes(_shop["program.onnx"]);
        File.WriteAllBytes(_shop["cut.onnx"], bytes[..^1]);
        Assert.Contains(_shop["cut.onnx"], Assert.Throws<GraftException>(() => PictureEncoder.Open(_shop["cut.onnx"], cache: Cache)).Message,
            StringComparison.Ordinal);
        AtomicFile.Write(_shop["bad.onnx"], stream => OnnxCard.Write(stream, bytes,
            new Dictionary<string, string>(OnnxCard.Read(_shop["program.onnx"])) { [ModelCard.FeaturesAt] = "nowhere" }));
        Assert.Contains("('nowhere')", Assert.Throws<GraftException>(() => PictureEncoder.Open(_shop["bad.onnx"], cache: Cache)).Message,
            StringComparison.Ordinal);
    }
}
