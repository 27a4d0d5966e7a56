using Graft.Data;
using Graft.FewShot;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Zoo;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

public sealed class FewShotTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>Grey pictures in Group/class folders: each class a bright bar at a place of its own, with noise.</summary>
    private string Bars(int groups = 2, int classes = 6, int pictures = 8, int side = 28, string name = "bars")
    {
        for (var c = 0; c < groups * classes; c++)
        {
            var folder = Directory.CreateDirectory(_shop[name, $"group{c / classes}", $"class{c % classes}"]).FullName;
            for (var k = 0; k < pictures; k++)
            {
                var rng = new Rng(c, k);
                Grey(Path.Combine(folder, $"{k:00}.jpg"), side, (x, y) => (Math.Abs((c % 2 == 0 ? x : y) - 2 - c * 2) < 2 ? 200 : 20)
                    + (int)(20 * rng.Normal()));
            }
        }
        return _shop[name];
    }

    private static void Grey(string path, int side, Func<int, int, int> level)
    {
        using var picture = Picture.Create(side, side);
        for (var k = 0; k < side * side; k++) picture.Pixels.Slice(3 * k, 3).Fill((byte)Math.Clamp(level(k % side, k / side), 0, 255));
        File.WriteAllBytes(path, picture.ToJpeg(95));
    }

    private EpisodePool Pool(string? folder = null) =>
        EpisodePool.Read(DatasetReader.Open(folder ?? Bars()).Train, Preprocessing.Small(28, Normalize.Symmetric));

    [Fact]
    public void Nested_folders_are_classes_in_groups_and_grey_pictures_have_one_channel()
    {
        var pool = Pool();
        Assert.Equal(12, pool.Classes.Count);
        Assert.Equal(["group0", "group1"], pool.Groups);
        Assert.Equal("group0/class0", pool.Classes[0].Name);
        Assert.Equal([96L, 1L, 28L, 28L], pool.Pictures.Shape);
    }

    [Fact]
    public void An_episode_is_the_same_whenever_it_is_drawn_and_keeps_to_its_groups()
    {
        using var scope = new TensorScope();
        var pool = Pool();
        var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = 4, Shot = 2, Query = 3, WithinGroup = true, Seed = 9 });
        for (var k = 0; k < 20; k++)
        {
            var (first, again) = (sampler.Draw(k), sampler.Draw(k));
            Assert.Equal(first.Classes, again.Classes);
            Assert.True(first.Queries.Equal(again.Queries));
            Assert.Equal([0L, 0, 1, 1, 2, 2, 3, 3], first.Support.Labels);
            Assert.Single(first.Classes.Select(c => pool.Classes[c].Group).Distinct());
            Assert.Equal(4, first.Classes.Distinct().Count());
        }
        Assert.NotEqual(sampler.Draw(0).Classes, sampler.Draw(1).Classes);
    }

    [Fact]
    public void Turned_classes_are_the_pictures_turned()
    {
        using var scope = new TensorScope();
        var pool = Pool();
        var turned = pool.WithTurns(mirrored: true);
        Assert.Equal(8 * 12, turned.Classes.Count);
        var rng = new Rng(0);
        var plain = pool.Take([0], [0], null, ref rng);
        // numpy's rot90 turns counter-clockwise: transposed, then flipped up and down.
        Assert.True(pool.Take([0], [1], null, ref rng).Equal(plain.Transpose(2, 3).Flip([2])));
        Assert.True(pool.Take([0, 0], [2, 4], null, ref rng)[..1].Equal(plain.Flip([2, 3])));
        Assert.True(pool.Take([0, 0], [2, 4], null, ref rng)[1..].Equal(plain.Flip([3])));
    }

    [Fact]
    public void Composed_classes_are_pairs_of_parts_that_several_share()
    {
        using var scope = new TensorScope();
        for (var c = 0; c < 6; c++)
        {
            Directory.CreateDirectory(_shop["flat", $"level{c}"]);
            for (var k = 0; k < 5; k++) Grey(_shop["flat", $"level{c}", $"{k}.jpg"], 28, (_, _) => 20 + 40 * c);
        }
        var sampler = new EpisodeSampler(Pool(_shop["flat"]), new EpisodeOptions { Way = 6, Shot = 2, Query = 3, Composed = 1, Seed = 4 });
        for (var k = 0; k < 20; k++)
        {
            var episode = sampler.Draw(k);
            Assert.True(episode.Queries.Equal(sampler.Draw(k).Queries));
            Assert.Equal([0L, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], episode.Support.Labels);
            Assert.Equal([0L, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5], episode.QueryLabels);
            var pictures = Ops.Cat([episode.Support.Pictures, episode.Queries], 0);
            long[] labels = [.. episode.Support.Labels, .. episode.QueryLabels];
            // Opposite corners lie in different parts, whichever way the two are laid.
            (int, int) Parts(long row) => (Level(pictures[row][0][0][0]), Level(pictures[row][0][-1][-1]));
            static int Level(Tensor value) => (int)Math.Round((value.Item() * 127.5 + 127.5 - 20) / 40);
            var pairs = Enumerable.Range(0, labels.Length).GroupBy(row => labels[row], row => Parts(row))
                .Select(group => Assert.Single(group.Distinct())).ToArray();
            Assert.Equal(6, pairs.Distinct().Count());
            Assert.True(pairs.GroupBy(pair => pair.Item1).Any(group => group.Count() > 1) || pairs.GroupBy(pair => pair.Item2)
                .Any(group => group.Count() > 1));
        }
    }

    [Fact]
    public void Too_few_classes_or_pictures_and_shared_classes_are_refused_by_name()
    {
        var pool = Pool();
        Assert.Contains("13-way episodes need 13 classes, and there are 12",
            Refused(() => new EpisodeSampler(pool, new EpisodeOptions { Way = 13, Query = 5 })), StringComparison.Ordinal);
        Assert.Contains("no group has 7 classes (the largest has 6)",
            Refused(() => new EpisodeSampler(pool, new EpisodeOptions { Way = 7, Query = 5, WithinGroup = true })), StringComparison.Ordinal);
        Assert.Contains("such as group0/class0 with 8", Refused(() => new EpisodeSampler(pool, new EpisodeOptions { Way = 5, Shot = 5, Query = 5 })),
            StringComparison.Ordinal);
        Assert.Contains("group0/class0", Refused(() => EpisodePool.CheckDisjoint(pool, pool)), StringComparison.Ordinal);
        var (first, second) = pool.Split(0.5, 1, byGroup: true);
        EpisodePool.CheckDisjoint(first, second);
        Assert.Empty(pool.WithoutSeen(first).Groups.Intersect(first.Groups));
        Assert.Contains("--drop-seen", Refused(() => FewShotData.Open(_shop["bars"], _shop["bars"], Preprocessing.Small(28, Normalize.Symmetric))),
            StringComparison.Ordinal);
    }

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    [Fact]
    public void Fewer_test_classes_than_ways_are_tested_at_as_many_as_there_are()
    {
        var said = new List<string>();
        var options = new FewShotTrainOptions
        {
            Data = Bars(), Out = _shop["run"], Episodes = new EpisodeOptions { Way = 8, Query = 2, Composed = 0.5 },
            Method = new FewShotOptions { Way = 8, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" } },
                Training = new EpisodeTrainOptions { Steps = 2 },
        };
        var result = new FewShotTask(options) { Log = said.Add }.Run();
        Assert.Equal((8, 4), (result.TrainClasses, result.TestClasses));
        Assert.Contains("the test classes are tested 4-way: there are not 8", said);
        Assert.Contains("--steps 0: a whole number from 1 on",
            Refused(() => new FewShotTask(options with { Out = _shop["none"], Training = new EpisodeTrainOptions { Steps = 0 } }).Run()),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_whose_parts_share_no_class_keeps_its_parts()
    {
        Bars(2, 3, 3, name: "split");
        Directory.Move(_shop["split", "group0"], _shop["split", "train"]);
        Directory.Move(_shop["split", "group1"], _shop["split", "test"]);
        foreach (var folder in Directory.EnumerateDirectories(_shop["split", "test"])) Directory.Move(folder,
            folder.Replace("class", "other", StringComparison.Ordinal));
        var data = FewShotData.Open(_shop["split"], null, Preprocessing.Small(28, Normalize.Symmetric));
        Assert.Equal(["class0", "class1", "class2"], data.Train.Classes.Select(found => found.Name));
        Assert.Equal(["other0", "other1", "other2"], data.Test.Classes.Select(found => found.Name));
        Directory.Move(_shop["split", "test", "other0"], _shop["split", "test", "class0"]);
        Assert.Contains("class0", Refused(() => FewShotData.Open(_shop["split"], null, Preprocessing.Small(28, Normalize.Symmetric))),
            StringComparison.Ordinal);
    }

    [SkippableFact]
    public void Distances_are_what_their_formulas_say()
    {
        using var scope = new TensorScope();
        var (a, b) = (Tensor.From([0f, 0, 3, 4], 2, 2), Tensor.From([3f, 4], 1, 2));
        double[] Of(DistanceKind kind) => Distances.Between(a, b, kind).ToArray<double>();
        Assert.Equal([25.0, 0], Of(DistanceKind.SquaredEuclidean), Close);
        Assert.Equal([5.0, 1e-4], Of(DistanceKind.Euclidean), Close);
        Assert.Equal([7.0, 0], Of(DistanceKind.Manhattan), Close);
        Assert.Equal(0, Distances.Between(b, b * 3, DistanceKind.Cosine).Item(), 5);
        // One class of two points on the x axis, one of two on a diagonal; worked by hand with numpy's cov.
        var support = Tensor.From([0.0, 0, 2, 0, 5, 5, 7, 7], 4, 2);
        var expected = Workshop.Python("""
            import numpy as np
            s = np.array([[0, 0], [2, 0], [5, 5], [7, 7.]]); q = np.array([1, 1.]); out = []
            task = np.cov(s.T); beta = np.diag(task).mean() + 1e-6
            for rows in (s[:2], s[2:]):
                m = rows.mean(0); c = 2 / 3 * np.cov(rows.T) + 1 / 3 * task + beta * np.eye(2)
                out.append((q - m) @ np.linalg.inv(c) @ (q - m))
            print(*out)
            """).Split(' ').Select(double.Parse).ToArray();
        Assert.Equal(expected, Distances.Mahalanobis(support, Tensor.From([0L, 0, 1, 1]), 2, Tensor.From([1.0, 1], 1, 2)).ToArray<double>(), Close);
    }

    private static bool Close(double a, double b) => Math.Abs(a - b) < 1e-4 * Math.Max(1, Math.Abs(b));

    [Fact]
    public void A_prototype_is_the_mean_of_a_classs_support()
    {
        using var scope = new TensorScope();
        using var learner = (PrototypicalNetwork)FewShotMethods.Create(new FewShotOptions());
        learner.Prepare(transductive: false);
        var support = Tensor.From([0f, 0, 2, 0, 9, 9], 3, 2);
        var scores = learner.FromEmbeddings(support, Tensor.From([0L, 0, 1]), 2, Tensor.From([1f, 2], 1, 2)).ToArray<double>();
        Assert.Equal([-4.0, -(64 + 49)], scores, Close);
    }

    // A network small enough for finite differences in double precision.
    private sealed class Tiny : Module
    {
        private readonly Slot _w, _v;
        public Tiny() => (_w, _v) = (Parameter("w", (Ops.Rand([2, 3]) - 0.5).To(DType.Float64)),
            Parameter("v", (Ops.Rand([3, 2]) - 0.5).To(DType.Float64)));
        public override Tensor Forward(Tensor x) => x.Matmul(_w.Value).Tanh().Matmul(_v.Value);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Mamls_second_order_gradient_is_that_of_finite_differences(int steps)
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(5);
        using var net = new Tiny();
        var (x, y) = ((Ops.Rand([6, 2]) - 0.5).To(DType.Float64), Tensor.From([0L, 1, 0, 1, 0, 1]));
        Tensor Outer(bool secondOrder) =>
            net.With(InnerLoop.Adapt(net, ["w", "v"], steps, (_, _) => 0.7, () => Losses.CrossEntropy(net.Forward(x), y), secondOrder),
            () => Losses.CrossEntropy(net.Forward(x * 1.3), y));
        var parameters = net.Parameters().ToArray();
        var found = Autograd.Grad(Outer(true), parameters).SelectMany(gradient => gradient.ToArray<double>()).ToArray();
        var first = Autograd.Grad(Outer(false), parameters).SelectMany(gradient => gradient.ToArray<double>()).ToArray();
        var expected = new List<double>();
        foreach (var parameter in parameters)
        {
            for (var k = 0; k < parameter.Count; k++)
            {
                const double Step = 1e-5;
                double At(double change)
                {
                    using (Autograd.NoGrad()) parameter.View([-1]).Narrow(0, k, 1).AddInPlace((Scalar)change);
                    var loss = Outer(true).Item();
                    using (Autograd.NoGrad()) parameter.View([-1]).Narrow(0, k, 1).AddInPlace((Scalar)(-change));
                    return loss;
                }
                expected.Add((At(Step) - At(-Step)) / (2 * Step));
            }
        }
        for (var k = 0; k < found.Length; k++) Assert.Equal(expected[k], found[k], 7);
        Assert.Contains(Enumerable.Range(0, found.Length), k => Math.Abs(first[k] - found[k]) > 1e-4);
    }

    [Theory]
    [InlineData("protonet")]
    [InlineData("matching")]
    [InlineData("relation")]
    [InlineData("local")]
    [InlineData("siamese")]
    [InlineData("maml")]
    [InlineData("anil")]
    [InlineData("reptile")]
    [InlineData("mann")]
    public void Inductively_an_answer_does_not_depend_on_the_other_queries_and_a_saved_model_gives_the_same(string method)
    {
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(2);
        var pool = Pool();
        using var learner = FewShotMethods.Create(
            new FewShotOptions { Method = method, Way = 4, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" },
            TestSteps = 2 });
        var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = 4, Shot = 2, Query = 3 });
        EpisodeTraining.Run(learner, sampler, null, new EpisodeTrainOptions { Steps = 3 });
        var episode = sampler.Draw(100);
        using var mode = Autograd.NoGrad();
        Tensor Alone() => learner.Scores(episode.Support, episode.Queries[..1]);
        var (all, alone) = (learner.Scores(episode.Support, episode.Queries)[..1], Alone());
        Assert.Equal(alone.ToArray<double>(), all.ToArray<double>(), (a, b) => Math.Abs(a - b) < 1e-4 * Math.Max(1, Math.Abs(b)));
        new FewShotModel(learner, pool.Preprocessing, true, ["a"]).Save(_shop["m.safetensors"]);
        using var again = FewShotModel.Load(_shop["m.safetensors"]);
        Assert.Equal(alone.ToArray<float>(), again.Learner.Scores(episode.Support, episode.Queries[..1]).ToArray<float>());
        Assert.Equal(["a"], again.TrainClasses);
        if (method is "mann") return;
        learner.Prepare(transductive: true);
        var together = learner.Scores(episode.Support, episode.Queries)[..1].ToArray<double>();
        Assert.NotEqual(Alone().ToArray<double>(), together);
    }

    [Fact]
    public void The_same_seed_trains_the_same_parameters_bit_for_bit()
    {
        var pool = Pool();
        float[] Trained()
        {
            TorchRuntime.ManualSeed(4);
            using var learner = FewShotMethods.Create(
                new FewShotOptions { Method = "maml", Way = 3, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8" } });
            EpisodeTraining.Run(learner, new EpisodeSampler(pool,
                new EpisodeOptions { Way = 3, Query = 3, Augmentation = new PictureJitter { Elastic = 0.05, Strokes = true } }), null,
                new EpisodeTrainOptions { Steps = 5, EpisodesPerStep = 4 });
            return [.. learner.Parameters().SelectMany(parameter => parameter.ToArray<float>())];
        }
        Assert.Equal(Trained(), Trained());
    }

    [Theory]
    [InlineData("protonet", true)]
    [InlineData("maml", false)]
    [InlineData("reptile", true)]
    public void A_training_that_was_stopped_or_killed_and_resumed_ends_bit_for_bit_as_one_that_was_not(string method, bool looks)
    {
        var pool = Pool();
        EpisodeSampler Sampler(long seed) => new(pool, new EpisodeOptions { Way = 3, Query = 3, Augmentation = new PictureJitter(), Seed = seed });
        (float[] Values, EpisodeTraining Found) Trained(string? folder, bool resume, int stopAfter = 0, int killAfter = 0)
        {
            TorchRuntime.ManualSeed(4);
            using var learner = FewShotMethods.Create(
                new FewShotOptions { Method = method, Way = 3, TestSteps = 2,
                BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8" } });
            using var stop = new CancellationTokenSource();
            using var state = (resume ? TrainingState.Load(folder!) : null) ?? new TrainingState();
            var found = EpisodeTraining.Run(learner, Sampler(1), looks ? Sampler(2) : null,
                new EpisodeTrainOptions { Steps = 9, EpisodesPerStep = 4, ValidateEvery = 2, ValidationEpisodes = 4,
                LearningRate = method == "reptile" ? 0.5 : 1e-2 }, new TrainingContext
            {
                Folder = folder, State = state, Cancel = stop.Token, SaveEvery = TimeSpan.Zero,
                Progress = report =>
                {
                    if (report.Done == stopAfter) stop.Cancel();
                    if (report.Done == killAfter) throw new InvalidOperationException("killed");
                },
            });
            // Statistics too, and not the parameters alone.
            return ([.. learner.State().Values.Where(tensor => tensor.Type == DType.Float32).SelectMany(tensor => tensor.ToArray<float>())], found);
        }
        var whole = Trained(null, false);
        var folder = Directory.CreateDirectory(_shop["state"]).FullName;
        Assert.Equal(3, Trained(folder, false, stopAfter: 3).Found.Steps);
        Assert.Equal(6, Trained(folder, true, stopAfter: 6).Found.Steps);
        Assert.Throws<InvalidOperationException>(() => Trained(folder, true, killAfter: 8));
        var resumed = Trained(folder, true);
        Assert.Equal(whole.Values, resumed.Values);
        Assert.Equal((whole.Found.Steps, whole.Found.Best), (resumed.Found.Steps, resumed.Found.Best));
        Assert.Equal(whole.Found.History.Select(record => record.Accuracy), resumed.Found.History.Select(record => record.Accuracy));
    }

    [Fact]
    public void A_few_shot_run_goes_on_where_it_was_stopped_unless_its_pictures_changed_or_it_has_finished()
    {
        var options = new FewShotTrainOptions
        {
            Data = Bars(), Out = _shop["run"], Episodes = new EpisodeOptions { Way = 3, Query = 2 },
            Method = new FewShotOptions { Way = 3, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" } },
                Training = new EpisodeTrainOptions { Steps = 6 },
        };
        using var stop = new CancellationTokenSource();
        var said = new List<string>();
        var first = new FewShotTask(options) { Cancel = stop.Token, Log = said.Add,
            Progress = report => { if (report is { Stage: "episodes", Done: 2 }) stop.Cancel(); } }.Run();
        Assert.Equal(2, first.Training.Steps);
        Assert.Contains($"stopped after 2 of 6 steps; go on with graft fewshot train --resume {_shop["run"]}", said);
        Assert.Contains("--resume", Refused(() => new FewShotTask(options).Run()), StringComparison.Ordinal);
        var picture = Directory.EnumerateFiles(_shop["bars"], "*", SearchOption.AllDirectories).First();
        var bytes = File.ReadAllBytes(picture);
        File.Delete(picture);
        Assert.Contains("is not what the run began with", Refused(() => new FewShotTask(FewShotTask.OptionsOf(_shop["run"])).Run(resume: true)),
            StringComparison.Ordinal);
        File.WriteAllBytes(picture, bytes);
        Directory.CreateDirectory(_shop["stateless"]);
        File.Copy(Path.Combine(_shop["run"], "run.json"), Path.Combine(_shop["stateless"], "run.json"));
        Assert.Equal(6, new FewShotTask(FewShotTask.OptionsOf(_shop["stateless"])) { Log = said.Add }.Run(resume: true).Training.Steps);
        Assert.Contains($"there is no {Path.Combine(_shop["stateless"], "state.safetensors")}: the training begins anew", said);
        Assert.Equal(6, new FewShotTask(FewShotTask.OptionsOf(_shop["run"])).Run(resume: true).Training.Steps);
        Assert.Contains("is finished", Refused(() => new FewShotTask(FewShotTask.OptionsOf(_shop["run"])).Run(resume: true)),
            StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(_shop["run"], "state.safetensors")));
        Assert.Contains("it is no run of graft fewshot train", Refused(() => FewShotTask.OptionsOf(_shop["bars"])), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(_shop["run"], "run.json"), "{");
        Assert.Contains("run.json is damaged", Refused(() => FewShotTask.OptionsOf(_shop["run"])), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("protonet")]
    [InlineData("maml")]
    public void A_pretrained_network_is_trained_on_episodes_and_its_file_is_read_once(string method)
    {
        // With a classifier, which episodes do not ask; pooled and coloured, where MAML's own network is strided and grey pictures are usual.
        using var pretrained = BackboneCatalogue.Create("convnet", 4, new Dictionary<string, string> { ["widths"] = "8-8", ["side"] = "28" });
        Safetensors.Write(_shop["net.safetensors"], pretrained.State(),
            new Dictionary<string, string> { ["architecture"] = "convnet", ["widths"] = "8-8", ["side"] = "28" });
        using var learner = FewShotMethods.Create(
            new FewShotOptions { Method = method, Way = 3, Weights = _shop["net.safetensors"], FrozenNorms = true });
        Assert.Equal(pretrained.State()["block2.conv.weight"].ToArray<float>(), learner.Modules().OfType<Backbone>().First()
            .State()["block2.conv.weight"].ToArray<float>());
        File.Delete(_shop["net.safetensors"]);
        var pool = EpisodePool.Read(DatasetReader.Open(Bars()).Train, Preprocessing.Small(28, Normalize.Symmetric), grey: false);
        var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = 3, Query = 3 });
        EpisodeTraining.Run(learner, sampler, null, new EpisodeTrainOptions { Steps = 2, EpisodesPerStep = 4 });
        new FewShotModel(learner, pool.Preprocessing, false, ["a"]).Save(_shop["m.safetensors"]);
        using var again = FewShotModel.Load(_shop["m.safetensors"]);
        using var mode = Autograd.NoGrad();
        var episode = sampler.Draw(100);
        learner.Prepare(transductive: false);
        Assert.Equal(learner.Scores(episode.Support, episode.Queries).ToArray<float>(), again.Learner.Scores(episode.Support, episode.Queries)
            .ToArray<float>());
    }

    [Fact]
    public void Views_of_one_are_the_picture_and_methods_without_them_say_so()
    {
        using var scope = new TensorScope();
        var sampler = new EpisodeSampler(Pool(), new EpisodeOptions { Way = 3, Query = 2 });
        EpisodeLearner Learner(string method) =>
            FewShotMethods.Create(new FewShotOptions { Method = method, Way = 3,
            BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" }, TestSteps = 2 });
        using var reptile = (Reptile)Learner("reptile");
        reptile.Prepare(transductive: true);
        var episode = sampler.Draw(0);
        var one = reptile.Scores(episode.Support, episode.Queries).LogSoftmax(1).ToArray<double>();
        Assert.Equal(one, reptile.Scores(episode.Support, [episode.Queries, episode.Queries]).ToArray<double>(), (a, b) => Math.Abs(a - b) < 1e-5);
        double Seen(EpisodeLearner learner, bool transductive) => EpisodeEvaluator.Evaluate(learner, sampler, 4, transductive, views: 3).Accuracy;
        Assert.Equal(Seen(reptile, true), Seen(reptile, true));
        Assert.InRange(Seen(reptile, false), 0, 1);
        using var mann = Learner("mann");
        Assert.Contains("several views", Assert.Throws<GraftException>(() => Seen(mann, false)).Message);
        using var prototypes = Learner("protonet");
        Assert.Contains("several views", Assert.Throws<GraftException>(() => Seen(prototypes, true)).Message);
    }

    [Fact]
    public void Exchanging_support_and_queries_leaves_one_class_of_each_out_in_turn()
    {
        // With two pictures of a class, the two exchanges are the two ways round: their mean is the loss.
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(2);
        using var learner = FewShotMethods.Create(new FewShotOptions { BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8" } });
        learner.Prepare(transductive: false);
        var sampler = new EpisodeSampler(Pool(), new EpisodeOptions { Way = 3, Shot = 1, Query = 1 });
        var episode = sampler.Draw(0);
        double One(Tensor support, Tensor query) =>
            Losses.CrossEntropy(learner.Scores(new Support(support, [0, 1, 2], 3), query), Tensor.From([0L, 1, 2])).Item();
        var expected = (One(episode.Support.Pictures, episode.Queries) + One(episode.Queries, episode.Support.Pictures)) / 2;
        Assert.Equal(expected, learner.Gradient(new EpisodeBatch(sampler, [0]), new Step(0, 0, 0, 0, 0, 1), [.. learner.Parameters()]).Loss, 5);
    }

    [Fact]
    public void A_class_that_is_only_described_is_recognised()
    {
        // Pictures' features are a linear map of their class's description, with noise; classes 0 … 19 are learned, 20 … 29 only described.
        TorchRuntime.ManualSeed(1);
        using var map = Ops.Randn([8, 32]);
        using var descriptions = Ops.Randn([30, 8]);
        using var model = new DescribedPrototypes(32, 8, 16);
        using var optimizer = new Adam([new ParameterGroup("all", [.. model.Parameters()], 1e-2)]);
        Tensor Pictures(Tensor described) => described.Matmul(map) + Ops.Randn([described.Shape[0], 32]) * 0.3;
        for (var step = 0; step < 200; step++)
        {
            using var scope = new TensorScope();
            optimizer.ZeroGrad();
            model.Loss(descriptions[..20], Pictures(descriptions[..20]), Ops.Arange(0L, 20L)).Backward();
            optimizer.Step();
        }
        using var mode = Autograd.NoGrad();
        using var last = new TensorScope();
        var said = Enumerable.Range(0, 20).Select(_ => model.Scores(descriptions[20..], Pictures(descriptions[20..])).Argmax(1).ToArray<long>())
            .ToArray();
        Assert.InRange(said.Average(row => row.Select((label, k) => label == k).Count(right => right)), 8, 10);
    }

    [Fact]
    public void A_relation_networks_split_convolution_is_that_of_maps_side_by_side()
    {
        using var scope = new TensorScope();
        var (a, b, w) = (Ops.Randn([2, 4, 5, 5]), Ops.Randn([3, 4, 5, 5]), Ops.Randn([6, 8, 3, 3]));
        var halves = w.Chunk(2, 1);
        var split = b.Conv2d(halves[1], null, [1, 1], [1, 1]).Unsqueeze(1) + a.Conv2d(halves[0], null, [1, 1], [1, 1]).Unsqueeze(0);
        var pairs = Ops.Cat([a.Unsqueeze(0).Expand([3, 2, 4, 5, 5]), b.Unsqueeze(1).Expand([3, 2, 4, 5, 5])], 2).Flatten(0, 1);
        Assert.True((split.Flatten(0, 1) - pairs.Conv2d(w, null, [1, 1], [1, 1])).Abs().Max().Item() < 1e-4);
    }

    [Fact]
    public void Every_rule_tells_clusters_apart_and_those_that_look_at_all_queries_do_better_with_one_shot()
    {
        // Five clusters of 64 numbers, far enough apart that one sample of each misleads now and then.
        var labels = Enumerable.Range(0, 200).Select(k => k % 5).ToArray();
        var rng = new Rng(6);
        var centres = Enumerable.Range(0, 5 * 64).Select(_ => rng.Normal()).ToArray();
        var values = new float[200 * 64];
        for (var k = 0; k < values.Length; k++) values[k] = (float)(centres[labels[k / 64] * 64 + k % 64] + 1.5 * rng.Normal() + 1);
        using var features = Tensor.From(values, 200, 64);
        var found = FrozenEvaluation.Run(features, labels, ["a", "b", "c", "d", "e"], FeatureRules.All(),
            new EpisodeOptions { Way = 5, Shot = 1, Query = 15 }, 100).ToDictionary(rule => rule.Rule, rule => rule.Accuracy.Accuracy);
        Assert.All(found.Values, accuracy => Assert.InRange(accuracy, 0.8, 1));
        Assert.True(found["LaplacianShot (transductive)"] > found["SimpleShot"]);
        Assert.Contains("'a' has 40 pictures",
            Refused(() => FrozenEvaluation.Run(features, labels, ["a", "b", "c", "d", "e"], FeatureRules.All(),
            new EpisodeOptions { Way = 5, Shot = 30, Query = 15 }, 1)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_balanced_assignment_gives_every_class_its_share()
    {
        using var scope = new TensorScope();
        // Both queries prefer the first class; the second one less.
        var shares = BalancedAssignment.Apply(Tensor.From([5.0, 1, 3, 2.5], 2, 2)).ToArray<double>();
        Assert.Equal([1.0, 1.0], [shares[0] + shares[1], shares[0] + shares[2]], Close);
        Assert.True(shares[0] > shares[1] && shares[3] > shares[2]);
    }

    [Fact]
    public void An_error_curve_counts_what_a_threshold_gets_wrong()
    {
        var curve = new ErrorCurve([0.1, 0.2, 0.3, 0.9], [0.25, 0.8, 1.0, 1.1]);
        Assert.Equal(0.25, curve.EqualErrorRate, 9);
        Assert.Equal((0.25, 0.25), (curve.Best.Missed, curve.Best.WronglyAccepted));
        Assert.InRange(curve.Best.Threshold, 0.3, 0.8);
        Assert.StartsWith("<svg", curve.ToSvg(), StringComparison.Ordinal);
        Assert.Contains("both kinds", Refused(() => new ErrorCurve([], [1])), StringComparison.Ordinal);
        var apart = new ErrorCurve([0.1, 0.2], [0.6, 0.7]);
        Assert.Equal(0.4, apart.Best.Threshold, 9);
    }

    [Fact]
    public void Trimming_cuts_the_square_around_the_ink()
    {
        using var picture = Picture.Create(40, 30);
        picture.Pixels.Fill(255);
        for (var y = 10; y < 14; y++)
        {
            for (var x = 20; x < 30; x++) picture.Pixels.Slice(3 * (y * 40 + x), 3).Clear();
        }
        using var trimmed = PixelOperations.Trim(picture, new Trim(Margin: 0.1, Least: 0.1))!;
        Assert.Equal((12, 12), (trimmed.Width, trimmed.Height));
        Assert.Equal(40, Enumerable.Range(0, 144).Count(k => trimmed.Pixels[3 * k] == 0));
        Assert.Equal(0, trimmed.Pixels[3 * (4 * 12 + 1)]);
        picture.Pixels[0] = 0;
        Assert.Null(PixelOperations.Trim(picture, new Trim()));
    }

    [Fact]
    public void A_neural_turing_machine_learns_to_copy_two_vectors()
    {
        TorchRuntime.ManualSeed(3);
        using var machine = new NeuralTuringMachine(9, 8, rows: 32, columns: 20, hidden: 100);
        using var optimizer = new Adam([new ParameterGroup("all", [.. machine.Parameters()], 1e-2)]);
        for (var step = 0; step < 500; step++)
        {
            using var scope = new TensorScope();
            var rng = new Rng(1, step);
            var batch = SequenceTasks.Copy(1 + step % 2, 16, ref rng);
            optimizer.ZeroGrad();
            batch.Loss(machine.Forward(batch.Inputs)).Backward();
            optimizer.ClipGradients(10);
            optimizer.Step();
        }
        using var mode = Autograd.NoGrad();
        using var last = new TensorScope();
        var test = new Rng(99);
        var unseen = SequenceTasks.Copy(2, 64, ref test);
        // Chance is 8 of the 16 bits.
        Assert.InRange(unseen.WrongBits(machine.Forward(unseen.Inputs)).Average(), 0, 1);
    }

    [Fact]
    public void A_memory_network_binds_labels_that_mean_something_else_in_every_sequence()
    {
        TorchRuntime.ManualSeed(3);
        var pool = Pool(Bars(2, 2, 8, name: "four"));
        using var learner = (Mann)FewShotMethods.Create(
            new FewShotOptions { Method = "mann", Way = 2, Controller = 64,
            BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8" } });
        var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = 2, Shot = 1, Query = 4, Seed = 1 });
        EpisodeTraining.Run(learner, sampler, null, new EpisodeTrainOptions { Steps = 150, EpisodesPerStep = 16, LearningRate = 3e-3 });
        using var scope = new TensorScope();
        var byInstance = learner.AccuracyByInstance([.. Enumerable.Range(10_000, 100).Select(index => sampler.Draw(index))]);
        // The very first can only be guessed, the first of the other class is then what is left: 75%. The later ones are known
        // from the memory.
        Assert.InRange(byInstance[0], 0.3, 0.8);
        Assert.InRange(byInstance[4], 0.85, 1);
    }

    [Fact]
    public void Recall_asks_for_the_item_behind_the_one_shown_again()
    {
        using var scope = new TensorScope();
        var rng = new Rng(8);
        var batch = SequenceTasks.AssociativeRecall(4, 1, ref rng);
        var x = batch.Inputs.Squeeze(1);
        string Item(int from) => string.Join(' ', x.Narrow(0, from, 3).Narrow(1, 0, 6).Flatten(0).ToArray<float>());
        var asked = Enumerable.Range(0, 4).Single(item => Item(4 * item + 1) == Item(17));
        Assert.Equal(Item(4 * (asked + 1) + 1), string.Join(' ', batch.Wanted.Flatten(0).ToArray<float>()));
        Assert.Equal(24, x.Shape[0]);
    }

    [Fact]
    public void Stories_answers_follow_from_their_sentences()
    {
        foreach (var item in Stories.Make(1, 200, 3))
        {
            var person = item.Question[^1];
            Assert.Equal(item.Story.Last(sentence => sentence[0] == person)[^1], item.Answer);
        }
        foreach (var item in Stories.Make(15, 50, 3))
        {
            var kind = item.Story.Single(sentence => sentence[0] == item.Question[2])[^1];
            var plural = new Dictionary<string, string> { ["mouse"] = "mice", ["sheep"] = "sheep", ["wolf"] = "wolves", ["cat"] = "cats" };
            Assert.Equal(plural[item.Answer], item.Story.Single(sentence => sentence[0] == plural[kind] && sentence[1] == "are")[^1]);
        }
    }

    [SkippableFact]
    public void A_support_set_knows_its_classes_and_strangers_and_is_saved_added_to_and_read_back()
    {
        var ants = Workshop.Need("hymenoptera", "train");
        var weights = Workshop.Need("weights", "mobilenet_v2_imagenet.safetensors");
        string[] Take(string kind, int from, int count) =>
            [.. Directory.EnumerateFiles(Path.Combine(ants, kind), "*.jpg").Order(StringComparer.Ordinal).Skip(from).Take(count)];
        foreach (var (kind, count) in new[] { ("ants", 4), ("bees", 4) })
        {
            Directory.CreateDirectory(_shop["support", kind]);
            foreach (var file in Take(kind, 0, count)) File.Copy(file, _shop["support", kind, Path.GetFileName(file)]);
        }
        using var set = new SupportSet(PictureEncoder.Of(ModelOpener.Load(weights).Backbone));
        Assert.Empty(set.Add(Pictures.Support(_shop["support"])));
        var (answers, _) = set.Classify([.. Take("ants", 20, 10), .. Take("bees", 20, 10)], threshold: double.MaxValue);
        Assert.InRange(answers.Select((answer, k) => answer.Label == (k < 10 ? "ants" : "bees")).Count(right => right), 15, 20);
        // The support's own pictures are near; noise is no insect.
        Assert.All(set.Classify(set.Files).Answers, answer => Assert.NotNull(answer.Label));
        Grey(_shop["noise.jpg"], 64, (x, y) => new Rng(x, y).Below(256));
        Assert.Null(set.Classify([_shop["noise.jpg"]]).Answers[0].Label);

        set.Save(_shop["set.safetensors"]);
        using var again = SupportSet.Load(_shop["set.safetensors"]);
        Assert.Equal(set.Threshold, again.Threshold);
        Assert.Equal(answers.Select(answer => answer.Distances[0].Distance), again.Classify([.. Take("ants", 20, 10), .. Take("bees", 20, 10)])
            .Answers.Select(answer => answer.Distances[0].Distance), Close);
        Directory.CreateDirectory(_shop["more", "noise"]);
        File.Copy(_shop["noise.jpg"], _shop["more", "noise", "1.jpg"]);
        again.Add(Pictures.Support(_shop["more"]));
        Assert.Equal(["ants", "bees", "noise"], again.Classes);
        Assert.Equal("noise", again.Classify([_shop["noise.jpg"]]).Answers[0].Label);

        Directory.CreateDirectory(_shop["support", "wasps"]);
        Assert.Contains("wasps holds no picture", Refused(() => Pictures.Support(_shop["support"])), StringComparison.Ordinal);
        File.WriteAllText(_shop["support", "wasps", "1.jpg"], "not a picture");
        Assert.Contains("no picture of the class 'wasps' can be read", Refused(() => set.Add(Pictures.Support(_shop["support"]))),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("protonet")]
    [InlineData("matching")]
    [InlineData("siamese")]
    public void A_support_set_of_a_few_shot_model_is_saved_with_the_model_in_it(string method)
    {
        var folder = Path.Combine(Bars(groups: 1, classes: 3, pictures: 3), "group0");
        using var learner = FewShotMethods.Create(
            new FewShotOptions { Method = method, BackboneOptions = new Dictionary<string, string> { ["widths"] = "8-8-8-8" } });
        new FewShotModel(learner, Preprocessing.Small(28, Normalize.Symmetric), true, ["a"]).Save(_shop["m.safetensors"]);
        using var set = new SupportSet(PictureEncoder.Open(_shop["m.safetensors"]));
        set.Add(Pictures.Support(folder));
        set.Save(_shop["set.safetensors"]);
        File.Delete(_shop["m.safetensors"]);
        using var again = SupportSet.Load(_shop["set.safetensors"]);
        Assert.Equal(set.Classes, again.Classes);
        Assert.Equal(set.Threshold, again.Threshold);
        string[] asked = [Path.Combine(folder, "class1", "00.jpg")];
        Assert.Equal(set.Classify(asked).Answers[0].Distances, again.Classify(asked).Answers[0].Distances);
        Directory.CreateDirectory(_shop["more"]);
        Directory.Move(Path.Combine(folder, "class0"), _shop["more", "added"]);
        again.Add(Pictures.Support(_shop["more"]));
        Assert.Equal(["class0", "class1", "class2", "added"], again.Classes);
    }

    [SkippableFact]
    public void Pairs_of_one_kind_of_insect_are_nearer_than_of_two()
    {
        var ants = Workshop.Need("hymenoptera", "val");
        using var encoder = PictureEncoder.Open(Workshop.Need("weights", "mobilenet_v2_imagenet.safetensors"));
        var verifier = new PairVerifier(encoder);
        var curve = verifier.Calibrate(Pictures.Support(ants));
        Assert.InRange(curve.EqualErrorRate, 0.1, 0.45);
        var file = Directory.EnumerateFiles(Path.Combine(ants, "bees"), "*.jpg").First();
        Assert.Equal(0, verifier.Compare(file, file, curve.Best.Threshold).Distance, 5);
        Assert.True(verifier.Compare(file, file, curve.Best.Threshold).Same);
        Assert.Contains("nowhere.jpg: there is no such file", Refused(() => verifier.Compare(file, "nowhere.jpg")), StringComparison.Ordinal);
    }
}
