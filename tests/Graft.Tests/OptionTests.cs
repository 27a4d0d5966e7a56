using Graft.Classification;
using Graft.Data;
using Graft.FewShot;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>What an option may be, and what happens to one that cannot be.</summary>
public sealed class OptionTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static GraftException Refused(Action action) => Assert.Throws<GraftException>(action);

    [Fact]
    public void Options_of_training_have_bounds_for_the_librarys_user_too()
    {
        var good = new TrainOptions { Data = "pictures" };
        foreach (var (options, sentence) in new (TrainOptions, string)[]
        {
            (good with { Epochs = 0 }, "--epochs 0: a whole number from 1 on"), (good with { Epochs = -3 }, "--epochs -3"),
                (good with { Device = "gpu" }, "--device gpu: cpu or cuda:0"),
            (good with { Input = new InputOptions { Size = 0 } }, "--size 0"), (good with { Input = new InputOptions { Std = "0" } }, "--std 0"),
                (good with { Input = new InputOptions { Scale = "0,5" } }, "--scale 0,5"),
            (good with { Input = new InputOptions { Channels = "cmyk" } }, "--channels cmyk"),
                (good with { PlanFile = "plan.json", Strategy = "full" }, "beside --plan"),
                (good with { PlanFile = "plan.json", Head = HeadKind.Svm }, "beside --plan"),
            (good with { Head = HeadKind.Mean, Balanced = true }, "--balanced with the head mean"),
        })
        {
            var refused = Refused(() => new TransferTask(options).Run());
            Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
            Assert.True(refused.IsUsage);
        }
        foreach (var (options, sentence) in new (HeadOptions, string)[] { (new() { C = 0 }, "C 0: a number above 0"),
            (new() { C = double.NaN }, "C NaN"), (new() { Folds = 0 }, "folds 0"), (new() { Tolerance = 0 }, "tolerance 0"),
            (new() { Epochs = 0 }, "epochs 0") })
            Assert.Contains(sentence, Refused(options.Validate).Message, StringComparison.Ordinal);
        good.Validate();
    }

    [Fact]
    public void Options_of_few_shot_training_have_bounds_and_a_method_takes_no_settings_of_another()
    {
        var good = new FewShotTrainOptions { Data = "pictures" };
        good.Validate();
        foreach (var (options, sentence) in new (FewShotTrainOptions, string)[]
        {
            (good with { Turns = 3 }, "--turns 3: 1, 4 or 8"), (good with { Side = 0 }, "--side 0"),
                (good with { Episodes = new EpisodeOptions { Way = 1 } }, "--way 1: a whole number from 2 on"),
                (good with { Episodes = new EpisodeOptions { Shot = 0 } }, "--shot 0: a whole number from 1 on"),
            (good with { Episodes = new EpisodeOptions { Composed = 1.5 } }, "--compose 1.5: a number from 0 to 1"),
                (good with { Training = new EpisodeTrainOptions { Steps = 0 } }, "--steps 0: a whole number from 1 on"),
            (good with { Training = new EpisodeTrainOptions { LearningRate = double.NaN } }, "--rate NaN: a number above 0"),
                (good with { Training = new EpisodeTrainOptions { ValidationEpisodes = 0 } }, "episodes of a look 0"),
            (good with { Method = new FewShotOptions { Method = "maml", InnerSteps = 0 } }, "--inner-steps 0"),
                (good with { Method = new FewShotOptions { Method = "maml", InnerRate = -1 } }, "--inner-rate -1: a number above 0"),
            (good with { Method = new FewShotOptions { InnerRate = 0.1 } }, "protonet has no use for it"),
                (good with { Method = new FewShotOptions { PairLoss = PairLoss.Triplet } }, "--loss is a setting of siamese"),
            (good with { Method = new FewShotOptions { Method = "reptile", LearnRates = true } }, "--learn-rates is a setting of maml"),
                (good with { Method = new FewShotOptions { Method = "relation",
                Distance = DistanceKind.Cosine } }, "--distance is a setting of protonet"),
            (good with { Method = new FewShotOptions { Method = "magic" } }, "there is no method 'magic'"),
        })
        {
            var refused = Refused(() => new FewShotTask(options).Run());
            Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
            Assert.True(refused.IsUsage);
        }
    }

    [Fact]
    public void A_plan_that_cannot_be_carried_out_names_file_phase_and_field()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 5, 1);
        using var backbone = ModelOpener.Load("shapes").Backbone;
        var plan = Strategies.HeadThenFull(backbone, 10);
        Plan With(Func<Phase, Phase> change, HeadKind head = HeadKind.Softmax) =>
            plan with { Head = head, Phases = [plan.Phases[0], change(plan.Phases[1])] };
        foreach (var (bad, sentence) in new (Plan, string)[]
        {
            (With(phase => phase with { BatchSize = 0 }), "phase 2 (all), batchSize 0: a whole number from 1 on"),
                (With(phase => phase with { Epochs = 0 }), "epochs 0"),
                (With(phase => phase with { TrainFrom = 9 }), "trainFrom 9: a whole number from 0 to 4"),
            (With(phase => phase with { StageRates = [0.1, 0.1] }), "stageRates has 2 rates and convnet 4 stages (s1, s2, s3, s4)"),
                (With(phase => phase with { StageRates = [0, 0, -1, 0] }), "stageRates -1"),
                (With(phase => phase with { HeadRate = -0.1 }), "headRate -0.1: a number from 0 on"),
            (With(phase => phase with { ClipNorm = -1 }), "clipNorm -1"),
                (With(phase => phase with { Ema = 1 }), "ema 1: a number from 0 to below 1"),
                (With(phase => phase with { Patience = -1 }), "patience -1"), (With(phase => phase with { Views = -1 }), "views -1"),
            (With(phase => phase with { LabelSmoothing = 2 }), "labelSmoothing 2"),
                (With(phase => phase with { WeightDecay = -1 }), "weightDecay -1"),
            (With(phase => phase with { Schedule = new CosineSchedule { WarmUp = 3 } }), "warmUp 3"),
                (With(phase => phase with { Schedule = new StepSchedule(0) }), "parts 0"),
                (With(phase => phase with { Mixup = 0.2 }, HeadKind.Svm), "mixup with the head svm"),
            (With(phase => phase with { CutMix = 1 }, HeadKind.Svm), "cutMix with the head svm"),
                (With(phase => phase with { LabelSmoothing = 0.1 }, HeadKind.Svm), "labelSmoothing with the head svm"),
                (With(phase => phase, HeadKind.Mean), "the head mean has no gradient"),
            (With(phase => phase with { BatchSize = 1, FreezeStatistics = false }), "batchSize 1: BatchNorm"),
                (plan with { FeatureStage = "s9" }, "featureStage s9"),
                (plan with { Phases = [plan.Phases[0] with { TrainFrom = 0 }] }, "phase 1 (head), trainFrom 0: solving trains the head alone"),
        })
        {
            File.WriteAllText(_shop["plan.json"], bad.ToJson());
            var refused = Refused(() => new TransferTask(
                new TrainOptions { Data = _shop["d"], PlanFile = _shop["plan.json"], Out = _shop["run"], NoCache = true }).Run());
            Assert.StartsWith($"{_shop["plan.json"]}, ", refused.Message, StringComparison.Ordinal);
            Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
            // Nothing was begun.
            Assert.False(Directory.Exists(_shop["run"]));
            Assert.Contains(sentence, Refused(() =>
                new PlanRunner(backbone, bad, DatasetReader.Open(_shop["d"]).Train, DatasetReader.Open(_shop["d"]).Train, new PlanOptions()).Run())
                .Message, StringComparison.Ordinal);
        }
        var lion = plan.ToJson().Replace("\"sgd\"", "\"lion\"", StringComparison.Ordinal);
        Assert.Matches("^plan.json, line [0-9]+: the optimizer 'lion' is unknown: use sgd, nesterov, adam, adamw or lars",
            Refused(() => Plan.FromJson(lion, "plan.json")).Message);
        var momentum = Plan.FromJson(plan.ToJson()
            .Replace("\"sgd\"", "{\"kind\": \"sgd\", \"momentum\": 0.5}", StringComparison.Ordinal), "plan.json");
        Assert.Equal(new SgdRule(0.5), Plan.FromJson(momentum.ToJson(), "plan.json").Phases[1].Optimizer);
        // setfit is for sentences alone.
        foreach (var name in Strategies.Names.Skip(1).Except(["setfit"]))
        {
            foreach (var head in new[] { HeadKind.Softmax, HeadKind.Svm, HeadKind.Mlp }) Strategies.ByName(name, backbone, 10, head)
                .Validate(backbone);
        }
        Assert.Contains("line 1", Refused(() => Plan.FromJson("{\"strategy\": \"x\", \"phases\": null}", "plan.json")).Message,
            StringComparison.Ordinal);
        Assert.Contains("a phase is null", Refused(() => Plan.FromJson("{\"strategy\": \"x\", \"phases\": [null]}", "plan.json")).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("partial:0")]
    [InlineData("partial:9")]
    [InlineData("partial:x")]
    [InlineData("full:2")]
    [InlineData("magic")]
    public void A_strategy_that_is_none_is_refused(string strategy)
    {
        using var backbone = ModelOpener.Load("shapes").Backbone;
        Assert.Contains(strategy, Refused(() => Strategies.ByName(strategy, backbone, 10)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_strategy_cannot_do_is_refused()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 5, 1);
        var options = new TrainOptions { Data = _shop["d"], Out = _shop["run"], NoCache = true };
        Assert.Contains("--epochs 3 has nothing to act on", Refused(() => new TransferTask(options with { Strategy = "feature", Epochs = 3 }).Run())
            .Message, StringComparison.Ordinal);
        Assert.Contains("no gradient to follow", Refused(() => new TransferTask(options with { Strategy = "full", Head = HeadKind.Mean }).Run())
            .Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(HeadKind.Mlp)]
    [InlineData(HeadKind.Softmax)]
    [InlineData(HeadKind.Svm)]
    public void Balanced_heads_find_more_of_a_rare_class(HeadKind kind)
    {
        // Two overlapping clouds on a line, 380 pictures against 20.
        using var scope = new TensorScope();
        var rng = new Rng(4);
        int[] labels = [.. Enumerable.Range(0, 400).Select(k => k < 380 ? 0 : 1)];
        var x = Tensor.From([.. labels.SelectMany(label => new[] { (float)rng.Normal() + label * 1.5f, (float)rng.Normal() })], 400, 2);
        int Found(bool balanced)
        {
            using var fit = HeadFitter.Fit(x, labels, 2, new HeadOptions { Kind = kind, Balanced = balanced, C = 10 }).Head;
            var said = fit.Probabilities(x).Argmax(1).ToArray<long>();
            return Enumerable.Range(380, 20).Count(k => said[k] == 1);
        }
        Assert.True(Found(true) >= Found(false) + 5, $"{Found(false)} of 20, balanced {Found(true)}");
    }

    [Fact]
    public void The_squared_hinge_weighs_classes()
    {
        using var scope = new TensorScope();
        // Each picture's loss by hand: (1 − 0.5)² + (1 − 0.5)² = 0.5, and (1 + 1)² + (1 + 1)² = 8.
        var (scores, labels) = (Tensor.From([0.5f, -0.5f, 1f, -1f], 2, 2), Tensor.From([0L, 1L]));
        Assert.Equal((0.5 + 8) / 2, Losses.SquaredHinge(scores, labels).Item(), 5);
        Assert.Equal((0.5 * 1 + 8 * 3) / 4, Losses.SquaredHinge(scores, labels, Tensor.From([1f, 3f])).Item(), 5);
    }

    [Fact]
    public void Balanced_reaches_the_gradient_steps_of_an_svm()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4"], 20, 1);
        ShapeWorld.Write(_shop["d", "train"], ["gear"], 4, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 4, 2);
        double FirstLoss(bool balanced)
        {
            var run = _shop[$"{balanced}"];
            new TransferTask(new TrainOptions { Data = _shop["d"], Strategy = "full", Head = HeadKind.Svm, Epochs = 1, Balanced = balanced,
                Out = run, NoCache = true, NoReport = true }).Run();
            return RunRecord.Read(run).History[^1].ValidationLoss;
        }
        Assert.NotEqual(FirstLoss(false), FirstLoss(true));
    }

    [Theory]
    [InlineData(33, 32, new[] { 33 })]
    [InlineData(65, 32, new[] { 32, 33 })]
    [InlineData(64, 32, new[] { 32, 32 })]
    [InlineData(34, 32, new[] { 32, 2 })]
    [InlineData(1, 32, new[] { 1 })]
    [InlineData(3, 1, new[] { 1, 1, 1 })]
    public void A_last_batch_of_one_joins_the_one_before(int pictures, int batchSize, int[] sizes)
    {
        var order = Enumerable.Range(0, pictures).Reverse().ToArray();
        var batches = Loader.Cut(order, batchSize, joinLastOne: true).ToArray();
        Assert.Equal(sizes, batches.Select(batch => batch.Length));
        Assert.Equal(order, batches.SelectMany(batch => batch));
        Assert.Equal(sizes.Length, Loader.Count(pictures, batchSize));
    }

    [Fact]
    public void Thirty_three_pictures_in_batches_of_32_train_from_scratch_and_resume()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear", "arrow"], 11, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear", "arrow"], 2, 2);
        TransferTask Task(string run, CancellationToken cancel = default, Action<ProgressReport>? progress = null) =>
            new(new TrainOptions { Data = _shop["d"], Strategy = "scratch", Epochs = 4, Out = _shop[run], NoCache = true, NoReport = true })
                { Cancel = cancel, Progress = progress };
        Task("whole").Run();
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            Task("parts", stop.Token, report => { if (report is { Done: 2 } && !double.IsNaN(report.Loss)) stop.Cancel(); }).Run());
        new TransferTask(TransferTask.OptionsOf(_shop["parts"])).Run(resume: true);
        var (whole, parts) = (Safetensors.Read(_shop["whole", Classifier.FileName]).Tensors, Safetensors.Read(_shop["parts", Classifier.FileName])
            .Tensors);
        foreach (var (name, tensor) in whole)
        {
            Assert.DoesNotContain(tensor.ToArray<double>(), value => !double.IsFinite(value));
            Assert.Equal(tensor.ToArray<double>(), parts[name].ToArray<double>());
        }
    }

    [Fact]
    public void One_picture_alone_gives_BatchNorm_nothing_and_is_refused()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 2, 1);
        var data = DatasetReader.Open(_shop["d"]).Train;
        using var backbone = BackboneCatalogue.Create("convnet");
        var trainer = new PlanRunner(backbone, Strategies.Scratch(backbone, 1), data.Subset([0]), data, new PlanOptions());
        Assert.Contains("one picture to train on, and BatchNorm needs at least two", Refused(trainer.Run).Message, StringComparison.Ordinal);
    }
}
