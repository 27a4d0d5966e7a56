using System.Text.Json;
using Graft.Data;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Pretraining;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Pretraining without labels: methods against independent arithmetic, whole runs, what is refused.</summary>
public class PretrainingTests
{
    private static Workshop World(int each = 12)
    {
        var shop = new Workshop();
        ShapeWorld.Write(shop["d", "train"], ["star4", "gear", "arrow"], each, 1);
        ShapeWorld.Write(shop["d", "val"], ["star4", "gear", "arrow"], 6, 2);
        return shop;
    }

    private static PretrainOptions Options(Workshop shop, string method, string run, int epochs = 2) => new()
    {
        Data = shop["d"], Method = method, Out = shop[run], Epochs = epochs, BatchSize = 12, NoReport = true,
        Weights = null, Backbone = "convnet", Input = new InputOptions { Size = 32 },
    };

    public static TheoryData<string> PictureMethods => [.. PretrainMethods.All.Where(method => !method.IsForText && method.UsualBackbone is null).Select(method => method.Name)];

    [Theory]
    [MemberData(nameof(PictureMethods))]
    public void Every_method_ends_with_a_backbone_that_a_strategy_takes_up(string method)
    {
        using var shop = World();
        var result = new PretrainTask(Options(shop, method, "p", 1)).Run();
        Assert.Equal(36, result.Items);
        Assert.NotNull(result.NeighboursBefore);
        Assert.True(double.IsFinite(result.Loss));
        var (backbone, _) = ModelOpener.Load(shop["p"]);
        using var owned = backbone;
        Assert.Equal("convnet", backbone.Architecture);
        Assert.Contains($"pretrained by Graft ({method}) on 36 pictures", backbone.Provenance.Domain, StringComparison.Ordinal);
        var trained = new TransferTask(new TrainOptions { Data = shop["d"], Weights = shop["p"], Strategy = "feature", Out = shop["t"], NoReport = true, NoCache = true }).Run();
        Assert.Equal(18, trained.ValImages);
        // Its own weights came out, not those that it began with.
        TorchRuntime.ManualSeed(0);
        using var fresh = BackboneCatalogue.Create(backbone.Spec);
        Assert.NotEqual(fresh.Fingerprint(), backbone.Fingerprint());
    }

    [Theory]
    [InlineData("moco")]
    [InlineData("byol")]
    [InlineData("dino")]
    [InlineData("rotation")]
    [InlineData("dcgan")]
    public void A_run_that_was_stopped_and_resumed_ends_bit_for_bit_as_one_that_was_not(string method)
    {
        using var shop = World();
        new PretrainTask(Options(shop, method, "whole")).Run();
        using var stop = new CancellationTokenSource();
        var steps = 0;
        var stopped = new PretrainTask(Options(shop, method, "parts"))
        {
            Cancel = stop.Token, Progress = report => { if (report.Unit is "pictures" && report.Stage != "pictures" && ++steps == 4) stop.Cancel(); },
        };
        Assert.Throws<OperationCanceledException>(() => stopped.Run());
        Assert.False(File.Exists(shop["parts", "model.safetensors"]));
        new PretrainTask(PretrainTask.OptionsOf(shop["parts"])).Run(resume: true);
        using var whole = ModelOpener.Load(shop["whole"]).Backbone;
        using var parts = ModelOpener.Load(shop["parts"]).Backbone;
        Assert.Equal(whole.Fingerprint(), parts.Fingerprint());
    }

    [SkippableFact]
    public void Losses_and_their_gradients_are_those_of_plain_PyTorch()
    {
        var rng = new Rng(5);
        float[][] Rows() => [.. Enumerable.Range(0, 6).Select(_ => Enumerable.Range(0, 5).Select(_ => (float)rng.Normal()).ToArray())];
        var (a, b) = (Rows(), Rows());
        long[] labels = [0, 0, 1, 1, 2, 0];
        var peer = JsonDocument.Parse(Workshop.Python(File.ReadAllText(Path.Combine(Workshop.Repository, "tests", "Graft.Tests", "contrast_peer.py")),
            JsonSerializer.Serialize(new { a, b, labels }))).RootElement;
        void Same(string name, Func<Tensor, Tensor, Tensor> loss)
        {
            using var scope = new TensorScope();
            using var mode = Autograd.EnableGrad();
            var x = Tensor.From([.. a.SelectMany(row => row)], 6, 5);
            x.RequiresGrad = true;
            var value = loss(x, Tensor.From([.. b.SelectMany(row => row)], 6, 5));
            Assert.Equal(peer.GetProperty(name).GetProperty("loss").GetDouble(), value.Item(), 1e-4 * Math.Max(1, Math.Abs(value.Item())));
            var gradient = Autograd.Grad([value], [x])[0]!.ToArray<float>();
            var expected = peer.GetProperty(name).GetProperty("gradient").EnumerateArray().Select(each => each.GetDouble()).ToArray();
            Assert.All(gradient.Zip(expected), pair => Assert.Equal(pair.Second, pair.First, 2e-4 * Math.Max(1, Math.Abs(pair.Second))));
        }
        Same("nt-xent", (x, y) => Contrast.NtXent(Contrast.Unit(Ops.Cat([x, y], 0)), 0.5));
        Same("supcon", (x, y) => SupCon.Loss(Contrast.Unit(Ops.Cat([x, y], 0)), labels, 0.1));
        Same("barlow", BarlowTwins.Loss);
        Same("vicreg", VicReg.Loss);
        Same("apart", Contrast.Apart);
    }

    [Fact]
    public void SwAVs_shares_are_whole_and_even()
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(1);
        var shares = SwAv.Shares(Ops.Empty([64, 8]).NormalInPlace(0, 0.1));
        Assert.All(shares.Sum([1L]).ToArray<float>(), sum => Assert.Equal(1, sum, 1e-4));
        Assert.All(shares.Sum([0L]).ToArray<float>(), sum => Assert.InRange(sum, 7, 9));
    }

    [Fact]
    public void Pictures_are_turned_by_quarters_each_once()
    {
        using var scope = new TensorScope();
        // 1 2
        // 3 4
        var turned = RotationTask.Turned(Tensor.From([1f, 2, 3, 4], 1, 1, 2, 2)).ToArray<float>();
        Assert.Equal([1, 2, 3, 4, 2, 4, 1, 3, 4, 3, 2, 1, 3, 1, 4, 2], turned);
    }

    [Fact]
    public void A_jigsaws_orders_differ_in_most_tiles()
    {
        Assert.Equal(24, Jigsaw.Orders(4, 100).Select(order => string.Join(' ', order)).Distinct().Count());
        var orders = Jigsaw.Orders(9, 30);
        Assert.All(orders, order => Assert.Equal(Enumerable.Range(0, 9), order.Order()));
        for (var a = 0; a < 30; a++) for (var b = 0; b < a; b++) Assert.True(orders[a].Zip(orders[b]).Count(pair => pair.First != pair.Second) >= 6);
    }

    [Fact]
    public void A_corrupted_picture_is_another_of_the_same_shape_and_its_original_stays()
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(1);
        foreach (var n in (int[])[1, 3])
        {
            foreach (var side in (int[])[16, 33])
            {
                var x = Ops.Empty([n, 3, side, side]).NormalInPlace(0, 1);
                var before = x.ToArray<float>();
                for (var seed = 0; seed < 8; seed++)
                {
                    var rng = new Rng(seed);
                    var corrupted = Corruption.Of(x, ref rng);
                    Assert.Equal(x.Shape, corrupted.Shape);
                    for (var k = 0; k < n; k++) Assert.NotEqual(x.Narrow(0, k, 1).ToArray<float>(), corrupted.Narrow(0, k, 1).ToArray<float>());
                }
                Assert.Equal(before, x.ToArray<float>());
            }
        }
    }

    [Fact]
    public void Signs_of_collapse_are_nought_for_one_vector_and_full_for_even_ones()
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(2);
        var even = Ops.Empty([512, 16]).NormalInPlace(0, 1);
        var (deviation, rank) = Pretraining.Monitor.Spread(even, Contrast.Unit(even));
        Assert.InRange(deviation, 0.95, 1.05);
        Assert.InRange(rank, 14, 16);
        var one = Ops.Ones([64, 16]);
        Assert.Equal((0, 1), Pretraining.Monitor.Spread(one, Contrast.Unit(one)));
        // A line: one direction, though the vectors differ.
        var line = Ops.Empty([64, 1]).NormalInPlace(0, 1) * Ops.Ones([1, 16]);
        Assert.InRange(Pretraining.Monitor.Spread(line, Contrast.Unit(line)).Rank, 0.99, 1.1);
    }

    [Fact]
    public void Pictures_that_are_all_alike_collapse_and_the_run_says_so_and_is_kept()
    {
        using var shop = new Workshop();
        Directory.CreateDirectory(shop["black"]);
        using (var picture = Picture.Create(32, 32))
        {
            picture.Pixels.Clear();
            for (var k = 0; k < 16; k++) File.WriteAllBytes(shop["black", $"{k}.jpg"], picture.ToJpeg(90));
        }
        var failed = Assert.Throws<GraftException>(() => new PretrainTask(Options(shop, "simclr", "p", 4) with { Data = shop["black"] }).Run());
        Assert.Contains("the run has collapsed", failed.Message, StringComparison.Ordinal);
        Assert.Contains("\"collapsed\"", File.ReadAllText(shop["p", "run.json"]), StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_learned_from_is_refused_in_a_sentence()
    {
        using var shop = World(3);
        void Refused(string said, PretrainOptions options) =>
            Assert.Contains(said, Assert.Throws<GraftException>(() => new PretrainTask(options).Run()).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(shop["one"]);
        File.Copy(shop["d", "train", "gear", "0000.jpg"], shop["one", "a.jpg"]);
        Refused("one picture is too few for simclr", Options(shop, "simclr", "p") with { Data = shop["one"] });
        Refused("there is no method of pretraining 'simcrl'", Options(shop, "simcrl", "p"));
        Refused("supcon learns from labels, and there are none", Options(shop, "supcon", "p") with { Data = Flat(shop) });
        Refused("holds no pictures", Options(shop, "simclr", "p") with { Data = Directory.CreateDirectory(shop["empty"]).FullName });
        Refused("--hours and --epochs say the same", Options(shop, "simclr", "p") with { Hours = 1 });
        Refused("dcgan draws squares of", Options(shop, "dcgan", "p") with { Input = new InputOptions { Size = 40 } });
        File.WriteAllText(shop["one", "a.jpg"], "no picture");
        File.WriteAllText(shop["one", "b.jpg"], "no picture");
        Refused("0 of the 2 pictures", Options(shop, "simclr", "p") with { Data = shop["one"] });
    }

    [Fact]
    public void Pictures_without_classes_are_learned_from_and_fewer_than_a_batch_are_one()
    {
        using var shop = World(3);
        var result = new PretrainTask(Options(shop, "byol", "p", 1) with { Data = Flat(shop), BatchSize = 100 }).Run();
        Assert.Equal(9, result.Items);
        Assert.Null(result.Neighbours);
        // Judged by labelled pictures from elsewhere.
        Assert.NotNull(new PretrainTask(Options(shop, "byol", "q", 1) with { Data = Flat(shop), Validation = shop["d"] }).Run().Neighbours);
    }

    private static string Flat(Workshop shop)
    {
        var flat = Directory.CreateDirectory(shop["flat"]).FullName;
        foreach (var file in Directory.GetFiles(shop["d", "train"], "*.jpg", SearchOption.AllDirectories))
            File.Copy(file, Path.Combine(flat, $"{Path.GetFileName(Path.GetDirectoryName(file))}-{Path.GetFileName(file)}"), overwrite: true);
        return flat;
    }

    [Fact]
    public void A_plan_says_what_would_be_done_and_leaves_nothing_behind()
    {
        using var shop = World();
        var plan = new PretrainTask(Options(shop, "swav", "p", 5)).Plan();
        Assert.Equal(("swav", 36, 5), (plan.Method, plan.Items, plan.Phases[0].Epochs));
        Assert.Equal(15, plan.Phases[0].Steps);
        Assert.True(plan.Seconds > 0);
        Assert.Equal(6, plan.Views.Count);
        Assert.False(Directory.Exists(shop["p"]));
    }

    [Fact]
    public void It_goes_on_from_a_network_and_keeps_its_lineage()
    {
        using var shop = World();
        var shapes = "shapes";
        new PretrainTask(Options(shop, "vicreg", "p", 1) with { Weights = shapes, Backbone = null, Input = new InputOptions() }).Run();
        using var backbone = ModelOpener.Load(shop["p"]).Backbone;
        Assert.Contains("before that: drawn shapes", backbone.Provenance.Domain, StringComparison.Ordinal);
        Assert.NotEmpty(backbone.Provenance.Lineage!);
    }

    [Fact]
    public void A_report_has_curves_views_neighbours_a_map_and_filters()
    {
        using var shop = World();
        var result = new PretrainTask(Options(shop, "simclr", "p", 1) with { NoReport = false }).Run();
        var page = File.ReadAllText(result.Report!);
        foreach (var part in (string[])["loss-line", "rank-line", "The views that it was trained on", "What it now holds for alike", "Filters of the first layer", "tsne"])
            Assert.Contains(part, page, StringComparison.Ordinal);
        Assert.DoesNotContain("{{", page, StringComparison.Ordinal);
    }
}
