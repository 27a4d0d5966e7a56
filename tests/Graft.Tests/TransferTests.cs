using Graft.Classification;
using Graft.Data;
using Graft.Features;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

public class TransferTests
{
    private static Workshop World(int train = 6, int validation = 8)
    {
        var shop = new Workshop();
        ShapeWorld.Write(shop["d", "train"], ["star4", "gear", "arrow"], train, 1);
        ShapeWorld.Write(shop["d", "val"], ["star4", "gear", "arrow"], validation, 2);
        return shop;
    }

    private static TransferTask Task(Workshop shop, string strategy, string run, int? epochs = 2, CancellationToken cancel = default,
        Action<ProgressReport>? progress = null) =>
        new(new TrainOptions { Data = shop["d"], Strategy = strategy, Out = shop[run], NoReport = true,
            Epochs = strategy.StartsWith("feature", StringComparison.Ordinal) ? null : epochs }) { Cache =
            new FeatureCache(shop["cache", "features"]), Cancel = cancel, Progress = progress };

    [Theory]
    [InlineData("feature")]
    [InlineData("feature:s2")]
    [InlineData("partial:1")]
    [InlineData("full")]
    [InlineData("head-then-full")]
    [InlineData("gradual")]
    [InlineData("scratch")]
    [InlineData("auto")]
    public void Every_strategy_ends_with_a_model_that_predicts(string strategy)
    {
        using var shop = World();
        var result = Task(shop, strategy, "run", 1).Run();
        Assert.Equal(24, result.Metrics.Count);
        using var model = Classifier.Load(shop["run"]);
        var file = shop["d", "val", "gear", "0000.jpg"];
        var prediction = model.Predict(file);
        Assert.InRange(prediction.Probability, 1.0 / 3, 1);
        var metrics = model.Judge(DatasetReader.Open(shop["d"]).Validation!).Metrics;
        Assert.Equal(result.Accuracy, metrics.Accuracy, 9);
        Assert.Equal("finished", RunRecord.Read(shop["run"]).Status);
        Assert.NotEmpty(Directory.GetFiles(shop["run", "events"]));
    }

    [Fact]
    public void The_cache_is_exact_and_follows_content()
    {
        using var shop = World();
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var data = DatasetReader.Open(shop["d"]).Train;
        var cache = new FeatureCache(shop["cache"]);
        float[] Rows(FeatureCache? with, out int fromCache)
        {
            var found = new FeatureExtractor(backbone, with).Pooled(data, backbone.Preprocessing);
            fromCache = found.FromCache;
            using var rows = found.Rows;
            return rows.ToArray<float>();
        }
        var plain = Rows(null, out _);
        Assert.Equal(plain, Rows(cache, out var none));
        Assert.Equal(plain, Rows(cache, out var all));
        Assert.Equal((0, 18), (none, all));
        // Another order of the pictures, the same features.
        var turned = new FeatureExtractor(backbone, null).Pooled(data.Subset(Enumerable.Range(0, 18).Reverse()), backbone.Preprocessing).Rows;
        Assert.Equal(plain, turned.Flip([0]).ToArray<float>());
        // Another picture under the same name is computed anew.
        File.Copy(shop["d", "val", "gear", "0000.jpg"], shop["d", "train", "gear", "0000.jpg"], overwrite: true);
        Rows(cache, out var rest);
        Assert.Equal(17, rest);
        using (Autograd.NoGrad()) backbone.Parameters().First().MulInPlace((Scalar)1.01);
        Rows(cache, out var changed);
        Assert.Equal(0, changed);
        Assert.Equal(2, cache.Summary().Functions);
        cache.Clear();
        Assert.Equal(0, cache.Summary().Rows);
    }

    [Fact]
    public void A_cache_that_is_full_or_damaged_does_no_harm()
    {
        using var shop = World();
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var data = DatasetReader.Open(shop["d"]).Train;
        var small = new FeatureExtractor(backbone, new FeatureCache(shop["cache"], 100)).Pooled(data, backbone.Preprocessing);
        Assert.Contains("larger than the cache", Assert.Single(small.Notes), StringComparison.Ordinal);
        var good = new FeatureExtractor(backbone, new FeatureCache(shop["cache"])).Pooled(data, backbone.Preprocessing);
        var segment = Directory.GetFiles(shop["cache"], "*.seg", SearchOption.AllDirectories).Single();
        File.WriteAllBytes(segment, File.ReadAllBytes(segment)[..200]);
        var again = new FeatureExtractor(backbone, new FeatureCache(shop["cache"])).Pooled(data, backbone.Preprocessing);
        Assert.Equal(0, again.FromCache);
        Assert.Equal(good.Rows.ToArray<float>(), again.Rows.ToArray<float>());
    }

    [Theory]
    [InlineData("head-then-full")]
    [InlineData("partial:1")]
    public void A_run_that_was_stopped_and_resumed_is_bit_for_bit_the_same(string strategy)
    {
        using var shop = World();
        Task(shop, strategy, "whole", 4).Run();
        // Stopped at the third step, in the middle of an epoch.
        using var stop = new CancellationTokenSource();
        var stopped = Task(shop, strategy, "parts", 4, stop.Token,
            report => { if (report is { Done: 2 } && !double.IsNaN(report.Loss)) stop.Cancel(); });
        var error = Assert.Throws<OperationCanceledException>(() => stopped.Run());
        Assert.Contains("--resume", error.Message, StringComparison.Ordinal);
        Assert.Contains("did not finish", Assert.Throws<GraftException>(() => Classifier.Load(shop["parts"])).Message, StringComparison.Ordinal);
        new TransferTask(TransferTask.OptionsOf(shop["parts"])) { Cache = new FeatureCache(shop["cache", "features"]) }.Run(resume: true);
        var (a, b) = (Safetensors.Read(shop["whole", Classifier.FileName]), Safetensors.Read(shop["parts", Classifier.FileName]));
        foreach (var (name, tensor) in a.Tensors) Assert.Equal(tensor.ToArray<double>(), b.Tensors[name].ToArray<double>());
        Assert.Equal(RunRecord.Read(shop["whole"]).History.Select(epoch => epoch.Loss), RunRecord.Read(shop["parts"])
            .History.Select(epoch => epoch.Loss));
    }

    [Fact]
    public void A_loss_that_is_no_number_stops_the_run_and_names_step_and_tensor()
    {
        using var shop = World();
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var plan = Strategies.Full(backbone, 18) with { };
        plan = plan with { Phases = [plan.Phases[0] with { HeadRate = 1e30, StageRates = [1e30, 1e30, 1e30, 1e30], ClipNorm = 0, Epochs = 9,
            Schedule = new ConstantSchedule() }] };
        File.WriteAllText(shop["plan.json"], plan.ToJson());
        var task = new TransferTask(new TrainOptions { Data = shop["d"], PlanFile = shop["plan.json"], Out = shop["run"], NoReport = true,
            NoCache = true });
        var error = Assert.Throws<TrainingStoppedException>(() => task.Run()).Message;
        Assert.Matches("phase 1 \\(all\\), epoch \\d+, step \\d+: the loss is no number; the first tensor with one is ", error);
        Assert.Contains("Lower the learning rates", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Averaging_mixing_smoothing_weights_and_patience_work_together_and_resume()
    {
        using var shop = World();
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var plan = Strategies.HeadThenFull(backbone, 18);
        plan = plan with { Phases = [plan.Phases[0],
            plan.Phases[1] with { Ema = 0.9, Mixup = 0.2, CutMix = 1, LabelSmoothing = 0.1, Optimizer = new AdamRule(Decoupled: true), Patience = 2,
            Epochs = 30, BatchSize = 8 }] };
        File.WriteAllText(shop["plan.json"], plan.ToJson());
        TransferTask Make(string run, CancellationToken cancel = default, Action<ProgressReport>? progress = null) =>
            new(new TrainOptions { Data = shop["d"], PlanFile = shop["plan.json"], Out = shop[run], Balanced = true, NoReport = true,
                NoCache = true }) { Cancel = cancel, Progress = progress };
        var whole = Make("whole").Run();
        Assert.InRange(RunRecord.Read(shop["whole"]).History.Count, 3, 29);
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            Make("parts", stop.Token, report => { if (report is { Done: 5 } && !double.IsNaN(report.Loss)) stop.Cancel(); }).Run());
        new TransferTask(TransferTask.OptionsOf(shop["parts"])).Run(resume: true);
        Assert.Equal(RunRecord.Read(shop["whole"]).History.Select(epoch => (epoch.Loss, epoch.ValidationLoss)), RunRecord.Read(shop["parts"])
            .History.Select(epoch => (epoch.Loss, epoch.ValidationLoss)));
        Assert.Contains("is finished", Assert.Throws<GraftException>(() => new TransferTask(TransferTask.OptionsOf(shop["parts"])).Run(resume: true))
            .Message, StringComparison.Ordinal);
        Assert.True(whole.Accuracy > 0.4);
    }

    [Fact]
    public void Broken_pictures_are_listed_and_left_out_unless_strict()
    {
        using var shop = World();
        File.WriteAllText(shop["d", "train", "gear", "text.jpg"], "no picture");
        var jpeg = File.ReadAllBytes(shop["d", "train", "gear", "0000.jpg"]);
        File.WriteAllBytes(shop["d", "train", "gear", "half.jpg"], jpeg[..(jpeg.Length / 2)]);
        File.WriteAllBytes(shop["d", "val", "gear", "empty.jpg"], []);
        foreach (var strategy in new[] { "feature", "full" })
        {
            var result = Task(shop, strategy, strategy, 1).Run();
            Assert.Equal(3, result.Broken.Count);
            Assert.Equal(24, result.Metrics.Count);
        }
        var strict = new TransferTask(new TrainOptions { Data = shop["d"], Strategy = "feature", Out = shop["s"], Strict = true, NoReport = true,
            NoCache = true });
        Assert.Contains("--strict", Assert.Throws<GraftException>(() => strict.Run()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_class_with_one_picture_is_trained_on()
    {
        using var shop = World();
        foreach (var file in Directory.GetFiles(shop["d", "train", "gear"]).Skip(1)) File.Delete(file);
        Assert.Equal(3, Task(shop, "feature", "run").Run().Classes.Count);
    }

    [Fact]
    public void Plans_are_printed_edited_and_given_back()
    {
        using var backbone = BackboneCatalogue.Create("mobilenet_v2");
        // setfit is for sentences alone.
        foreach (var name in Strategies.Names.Skip(1).Except(["setfit"]))
        {
            var plan = Strategies.ByName(name, backbone, 200);
            Assert.Equal(plan.ToJson(), Plan.FromJson(plan.ToJson(), "x").ToJson());
        }
        var error = Assert.Throws<GraftException>(() => Plan.FromJson("{\n\"strategy\": \"x\",\n\"phasess\": []}", "plan.json")).Message;
        Assert.Contains("plan.json, line 3", error, StringComparison.Ordinal);
        Assert.Contains("head-then-full", Assert.Throws<GraftException>(() => Strategies.ByName("magic", backbone, 9)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_report_is_one_page_that_needs_no_network()
    {
        using var shop = World();
        new TransferTask(new TrainOptions { Data = shop["d"], Strategy = "auto", Out = shop["run"], NoCache = true }).Run();
        var page = File.ReadAllText(shop["run", "report.html"]);
        Assert.DoesNotContain("{{", page[..2000], StringComparison.Ordinal);
        Assert.DoesNotMatch("(src|href)=\"https?:", page);
        foreach (var part in new[] { "id=\"confusion\"", "id=\"tsne\"", "id=\"probes\"", "Grad-CAM", "Model card", "data:image/jpeg;base64," }) Assert.Contains(part, page, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void Ants_and_bees_by_features_are_at_least_96_in_100()
    {
        using var shop = new Workshop();
        var options = new TrainOptions { Data = Workshop.Need("hymenoptera"),
            Weights = Workshop.Need("weights", "mobilenet_v2_imagenet.safetensors"), Out = shop["run"], NoReport = true };
        var result = new TransferTask(options) { Cache = new FeatureCache(shop["cache", "features"]) }.Run();
        Assert.Equal("feature", result.Strategy);
        Assert.True(result.Accuracy >= 0.96, $"{result.Accuracy}");
    }
}
