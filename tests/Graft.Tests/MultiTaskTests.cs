using System.Globalization;
using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.MultiTask;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Several tasks from a table, on drawn shapes.</summary>
public sealed class MultiTaskTests : IDisposable
{
    private static readonly string[] s_shapes = ["ring", "star5", "cross"];

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>A table of drawn shapes: which shape, labels of it, and how light the picture is.</summary>
    private string Shapes(int each = 20)
    {
        ShapeWorld.Write(_shop["p"], s_shapes, each, 1);
        var lines = new List<string> { "path,shape,traits,light" };
        foreach (var (file, k) in s_shapes.SelectMany(shape => Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal))
            .Select((file, k) => (file, k)))
        {
            var shape = Path.GetFileName(Path.GetDirectoryName(file))!;
            using var picture = Picture.Decode(File.ReadAllBytes(file));
            var light = 0.0;
            foreach (var level in picture.Pixels) light += level;
            var traits = shape switch { "ring" => "round", "star5" => "pointed;five", _ => "pointed" } + (k % 2 == 0 ? ";even" : "");
            var level255 = (light / picture.Pixels.Length).ToString("0.0", CultureInfo.InvariantCulture);
            string[] cells = [k % 4 == 0 ? "" : shape, k % 5 == 1 ? "" : traits, k % 6 == 2 ? "" : level255];
            lines.Add($"{Path.GetRelativePath(_shop.Root, file)},{string.Join(',', cells)}");
        }
        return Table("shapes.csv", [.. lines]);
    }

    private string Table(string name, params string[] lines)
    {
        File.WriteAllLines(_shop[name], lines);
        return _shop[name];
    }

    private MultiTaskOptions Options(string data) => new() { Data = data, Out = _shop["run"], Epochs = 4, Hidden = 16, NoCache = true };

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    [Fact]
    public void A_table_becomes_one_model_of_three_tasks_judged_beside_each_task_alone()
    {
        var data = Shapes();
        var result = new MultiTaskTraining(Options(data) with { Weighting = "uncertainty", Epochs = 12 }).Run();
        Assert.Equal([("shape", TargetKind.Classes), ("traits", TargetKind.Labels), ("light", TargetKind.Numbers)],
            result.Tasks.Select(task => (task.Name, task.Kind)));
        Assert.Equal(["even", "five", "pointed", "round"], result.Tasks[1].Names);
        Assert.All(result.Table, row => Assert.True(row is { Alone.Count: > 0, Equal.Count: > 0, Points: not null, PerCent: not null }));
        foreach (var table in new[] { result, result with { Weighting = "fixed",
            Table = [.. result.Table.Select(row => row with { Chosen = row.Equal! })] },
            result with { Weighting = "fixed", Table = [.. result.Table.Select(row => row with { Alone = null, Chosen = row.Equal! })] } })
            Assert.All(MultiTaskView.Rows(table), row => Assert.Equal(MultiTaskView.Headers(table).Length, row.Length));
        Assert.True(result.Table[0].Chosen.Value > 0.6, $"{result.Table[0].Chosen}");
        var record = MultiTaskRecord.Records.Read(result.Run);
        Assert.Equal(["alone: shape", "alone: traits", "alone: light", "equal weights", "uncertainty"], record.Trainings.Select(training =>
            training.Name));
        Assert.Equal(("finished", 12), (record.Status, record.Trainings[0].History.Count));
        Assert.Contains("<svg", File.ReadAllText(result.Report!), StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(result.Run, TrainingState.FileName)));

        // The program that ONNX Runtime runs and the model of libtorch say the same.
        using var program = PictureModel.Open(result.Run);
        using var loaded = MultiTaskModel.Load(result.Run);
        var (set, _) = TaskTable.ReadFor(data, result.Tasks, null, new TextColumns());
        var answers = program.AnswerAll(set).Answers;
        var preprocessing = loaded.Backbone.Preprocessing;
        using (Autograd.NoGrad())
        using (new TensorScope())
        {
            var input = new float[program.Network.InputLength];
            program.Read(set.Read(0), input);
            var (scores, _) = loaded.Network.Run(loaded.Backbone.Forward(Tensor.From(input, 1, 3, preprocessing.Height, preprocessing.Width)));
            float[] expected = [.. scores.SelectMany((own, task) => loaded.Network.Answers(own, task).ToArray<float>())];
            Assert.All(expected.Zip(answers), pair => Assert.Equal(pair.First, pair.Second, 1e-3f * Math.Max(1, Math.Abs(pair.First))));
        }
        Assert.Equal($"{result.Run} is a run of graft multitask, and not of graft train", Refused(() => Transfer.TransferTask.OptionsOf(result.Run)));
        var said = program.Answer(Path.Combine(_shop.Root, set.Name(1)));
        Assert.Equal(["shape", "traits", "light"], said.Tasks!.Select(one => one.Task));
        Assert.Contains(said.Tasks![0].Said.Label, s_shapes);
        Assert.True(said.Tasks![2].Said.Numbers is [{ Low: not null, High: not null }]);
        Assert.Contains("several tasks", Refused(() => program.Judge(program.OpenData(data))), StringComparison.Ordinal);
        // A backbone for others.
        var (backbone, notes) = Models.ModelOpener.Load(result.Run);
        using (backbone) Assert.Contains("its heads are of several tasks: the backbone alone is taken", notes);
    }

    [Theory]
    [InlineData("mmoe", "cagrad")]
    [InlineData("cross-stitch", "mgda-ub")]
    [InlineData("mtan", "pcgrad")]
    public void Every_architecture_trains_under_weightings_of_gradients_and_answers(string architecture, string weighting)
    {
        var result = new MultiTaskTraining(Options(Shapes(8)) with { Architecture = architecture, Weighting = weighting, NoBaselines = true,
            NoReport = true, FineTune = 1, Epochs = 1 }).Run();
        Assert.All(result.Table, row => Assert.True(row.Alone is null && double.IsFinite(row.Chosen.Value)));
        Assert.Null(result.Report);
        Assert.All(MultiTaskView.Rows(result), row => Assert.Equal(MultiTaskView.Headers(result).Length, row.Length));
        using var model = MultiTaskModel.Open(result.Run);
        Assert.Equal(8, model.Card.Names.Count);
        Assert.Equal(2, result.Notes.Count(note => note.StartsWith("the column", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("hard", 0)]
    [InlineData("hard", 1)]
    [InlineData("mmoe", 0)]
    public void Sentences_have_several_tasks_too(string architecture, int fineTune)
    {
        string[] films = ["the film was good .", "it was dull .", "a great story", "the plot is poor"];
        string[] nouns = ["film", ";", "story;it", "plot"];
        string Row(int k) => string.Join('\t', films[k % 4] + string.Concat(Enumerable.Repeat(" it", k % 5)),
            k % 3 == 0 ? "" : k % 2 == 0 ? "good" : "bad", $"{k % 5 + 4}.5", nouns[k % 4]);
        var data = Table("films.tsv", ["sentence\tverdict\tlength\tnouns", .. Enumerable.Range(0, 32).Select(Row)]);
        var options = Options(data) with { Weights = TextEncoderTests.Write(_shop["encoder"]), Architecture = architecture, FineTune = fineTune,
            Weighting = "dwa" };
        var result = new MultiTaskTraining(options).Run();
        Assert.True(result.IsText);
        Assert.Equal([TargetKind.Classes, TargetKind.Numbers, TargetKind.Labels], result.Tasks.Select(task => task.Kind));
        Assert.Equal(architecture == "hard", File.Exists(_shop["run", "model.onnx"]));
        using var model = MultiTaskModel.Open(result.Run);
        var said = ((TextModel)model).Answer([new TextItem("the film was fine")])[0].Tasks!;
        using var torch = MultiTaskModel.Load(result.Run).Freeze();
        var again = ((TextModel)torch).Answer([new TextItem("the film was fine")])[0].Tasks!;
        Assert.Equal(said[0].Said.Probability, again[0].Said.Probability, 1e-4);
        Assert.Equal(said[1].Said.Numbers![0].Value, again[1].Said.Numbers![0].Value, 1e-3);
        Assert.Contains("holds sentences, and",
            Refused(() => new MultiTaskTraining(options with { Out = _shop["other"], Weights = Models.Hub.EmbeddedWeights.Path() }).Run()),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_was_stopped_twice_and_resumed_ends_with_the_same_model_to_the_bit()
    {
        var options = Options(Shapes(8)) with { Weighting = "famo", NoReport = true };
        _ = new MultiTaskTraining(options).Run();
        var whole = File.ReadAllBytes(_shop["run", "model.safetensors"]);
        var table = MultiTaskRecord.Records.Read(_shop["run"]).Table;
        options = options with { Out = _shop["stopped"] };
        void Stopped(string during, bool resume)
        {
            using var stop = new CancellationTokenSource();
            var task = new MultiTaskTraining(resume ? MultiTaskTraining.OptionsOf(_shop["stopped"]) : options)
            {
                Cancel = stop.Token,
                Progress = report => { if (report.Stage == during && report.Done == 2) stop.Cancel(); },
            };
            var message = Assert.Throws<OperationCanceledException>(() => task.Run(resume)).Message;
            Assert.EndsWith($"go on with graft multitask --resume {_shop["stopped"]}", message, StringComparison.Ordinal);
        }
        Stopped("alone: traits", resume: false);
        Assert.Single(MultiTaskRecord.Records.Read(_shop["stopped"]).Trainings);
        Assert.Contains("go on with graft multitask --resume", Refused(() => new MultiTaskTraining(options).Run()), StringComparison.Ordinal);
        Stopped("famo", resume: true);
        var result = new MultiTaskTraining(MultiTaskTraining.OptionsOf(_shop["stopped"])).Run(resume: true);
        Assert.Equal(table, result.Table);
        Assert.Equal(whole, File.ReadAllBytes(_shop["stopped", "model.safetensors"]));
        Assert.Contains("is finished", Refused(() => new MultiTaskTraining(MultiTaskTraining.OptionsOf(_shop["stopped"])).Run(resume: true)),
            StringComparison.Ordinal);
    }

    /// <summary>Features and three tasks of them, in memory.</summary>
    private sealed class Rows(int count, long seed, bool gaps = true) : Feed<Batch>
    {
        public const int Inputs = 6;

        public override int Batches => (count + 7) / 8;

        public override int Size(Batch batch) => batch.Indices.Length;

        public override IEnumerable<Batch> Epoch(int epoch, int skip)
        {
            foreach (var items in new Rng(seed, 1, epoch).Permutation(count).Chunk(8).Skip(skip))
            {
                var (inputs, targets) = (new List<float>(), new List<float>());
                foreach (var item in items)
                {
                    var rng = new Rng(seed, 2, item);
                    float[] x = [.. Enumerable.Range(0, Inputs).Select(_ => (float)rng.Normal())];
                    inputs.AddRange(x);
                    targets.AddRange([gaps && item % 3 == 0 ? float.NaN : x[0] > 0 ? 1 : 0, x[1] > 0 ? 1 : 0, gaps && item % 4 == 0 ? float.NaN
                        : x[0] - x[2]]);
                }
                yield return new Batch(Tensor.From(inputs.ToArray(), items.Length, Inputs), Tensor.From(targets.ToArray(), items.Length, 3), items);
            }
        }
    }

    private static readonly TaskColumn[] s_three = [new("a", TargetKind.Classes, ["no", "yes"]), new("b", TargetKind.Labels, ["it"]),
        new("c", TargetKind.Numbers, ["c"])];

    private static (TaskNetwork, MultiTaskObjective) Made(string weighting, string architecture = Sharings.Hard, TaskColumn[]? tasks = null)
    {
        tasks ??= s_three;
        TorchRuntime.ManualSeed(5);
        var network = new TaskNetwork(Rows.Inputs, tasks, Sharings.Of(architecture), 8);
        var weigh = Weightings.Of(weighting).Create(new WeightingSetup([.. tasks.Select(task => task.Kind)]));
        return (network, new MultiTaskObjective(null, network, weigh, [.. tasks.Select(task => Array.IndexOf(s_three, task))], 3));
    }

    public static TheoryData<string> AllWeightings => [.. Weightings.All.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(AllWeightings))]
    public void Under_every_weighting_losses_fall_and_a_resumed_training_is_the_same_to_the_bit(string weighting)
    {
        (Dictionary<string, double[]> State, Training Found, double[] Losses) Trained(string? folder, bool resume, int stopAfter = 0)
        {
            var (network, objective) = Made(weighting);
            using var owned = network;
            using var also = objective;
            using var stop = new CancellationTokenSource();
            using var state = (resume ? TrainingState.Load(folder!) : null) ?? new TrainingState();
            var found = new Trainer<Batch>(objective, new Rows(44, 1), null, new Optimisation { Rate = 1e-2, Epochs = 5 }, new TrainingContext
            {
                State = state, Folder = folder, Cancel = stop.Token, SaveEvery = TimeSpan.Zero,
                Progress = report => { if (report.Done == stopAfter) stop.Cancel(); },
            }).Run();
            return (objective.State().ToDictionary(item => item.Key, item => item.Value.ToArray<double>()), found,
                [.. state.History.Select(look => look.Loss)]);
        }
        var whole = Trained(null, false);
        Assert.True(whole.Losses[^1] < 0.8 * whole.Losses[0], string.Join(", ", whole.Losses));
        var folder = Directory.CreateDirectory(_shop["state"]).FullName;
        Assert.False(Trained(folder, false, stopAfter: 4).Found.Finished);
        Assert.False(Trained(folder, true, stopAfter: 15).Found.Finished);
        var resumed = Trained(folder, true);
        Assert.Equal(whole.State.Keys, resumed.State.Keys);
        Assert.All(whole.State, item => Assert.Equal(item.Value, resumed.State[item.Key]));
    }

    [Fact]
    public void An_empty_cell_is_left_out_of_that_tasks_loss_alone()
    {
        var (network, objective) = Made("fixed");
        using var owned = network;
        using var also = objective;
        using var scope = new TensorScope();
        float[] inputs = [.. Enumerable.Range(0, 3 * Rows.Inputs).Select(k => MathF.Sin(k))];
        double[] Gradient(float[] targets, int rows)
        {
            var batch = new Batch(Tensor.From(inputs[..(rows * Rows.Inputs)], rows, Rows.Inputs), Tensor.From(targets, rows, 3),
                [.. Enumerable.Range(0, rows)]);
            var (found, _) = objective.Gradient(batch, new Step(0, 0, 0, 0, 1, 10), [.. network.Parameters()]);
            return [.. found.SelectMany(one => one?.ToArray<double>() ?? [0])];
        }
        var nan = float.NaN;
        double[] classAlone = Gradient([1, nan, nan, 0, nan, nan], 2), labelAlone = Gradient([nan, 1, nan, nan, nan, nan, nan, 0, nan], 3);
        var both = Gradient([1, 1, nan, 0, nan, nan, nan, 0, nan], 3);
        // Heads of which nothing is told have no gradient, and stand as one zero.
        var network2 = network.Parameters().ToArray();
        var shared = (int)network2.Take(2).Sum(parameter => parameter.Count);
        for (var k = 0; k < shared; k++) Assert.Equal(classAlone[k] + labelAlone[k], both[k], 1e-6);
        Assert.All(Gradient([nan, nan, nan], 1), value => Assert.Equal(0, value));
    }

    [Fact]
    public void Tasks_that_want_the_opposite_have_a_cosine_of_minus_one()
    {
        // The same heads, and targets turned about.
        TorchRuntime.ManualSeed(1);
        TaskColumn[] tasks = [new("up", TargetKind.Numbers, ["up"]), new("down", TargetKind.Numbers, ["down"])];
        using var network = new TaskNetwork(2, tasks, Sharings.Of("hard"), 4);
        using (Autograd.NoGrad())
        {
            var state = network.State();
            state["heads.1.weight"].CopyInPlace(state["heads.0.weight"]);
            foreach (var k in new[] { 0, 1 }) state[$"heads.{k}.bias"].CopyInPlace(Tensor.From([0f]));
        }
        using var objective = new MultiTaskObjective(null, network, new PcGrad(), [0, 1], 2);
        using var scope = new TensorScope();
        var batch = new Batch(Tensor.From([1f, 2f], 1, 2), Tensor.From([100f, -100f], 1, 2), [0]);
        _ = objective.Gradient(batch, new Step(0, 0, 0, 0, 0, 1), [.. network.Parameters()]);
        Assert.Equal(-1, objective.Cosines[0, 1], 1e-6);
        Assert.Equal(1, objective.Cosines[1, 1]);
    }

    [Fact]
    public void Hard_sharing_is_two_dense_layers_with_units_and_scales_in_their_weights()
    {
        var (network, objective) = Made("fixed");
        using var owned = network;
        using var also = objective;
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var x = Tensor.From([.. Enumerable.Range(0, 5 * Rows.Inputs).Select(k => 3 * MathF.Cos(k) + 1)], 5, Rows.Inputs);
        network.Centre(x);
        network.UnitsOf[2] = new Units([7], [3]);
        var layers = network.AsLayers()!;
        var expected = network.Forward(x).ToArray<float>();
        var found = x.Linear(layers[0].Weight, layers[0].Bias).Relu().Linear(layers[1].Weight, layers[1].Bias).ToArray<float>();
        Assert.All(expected.Zip(found), pair => Assert.Equal(pair.First, pair.Second, 1e-4f));
        Assert.Null(Made("fixed", "mmoe").Item1.AsLayers());
    }

    [Fact]
    public void Pairs_of_digits_that_one_network_learns_worse_are_called_negative_transfer()
    {
        TaskScore Score(double value, double low) => new("left", "accuracy", value, low, 1, 100);
        var hurt = new TaskComparison(Score(0.9, 0.85), null, Score(0.8, 0.7));
        Assert.True(hurt.NegativeTransfer);
        Assert.Equal((-10, -100 / 9.0), (Math.Round(hurt.Points!.Value, 9), hurt.PerCent!.Value), new Near());
        Assert.False((hurt with { Chosen = Score(0.86, 0.8) }).NegativeTransfer);
        TaskColumn[] tasks = [new("left", TargetKind.Classes, ["0", "1"]), new("right", TargetKind.Classes, ["0", "1"])];
        var result = new MultiTaskResult("run", tasks, "fixed", [hurt, hurt with { Chosen = Score(0.9, 0.85) }], [[1, -0.25], [-0.25, 1]], 1, 1, 1,
            [], []);
        Assert.Equal("left suffers from the others (negative transfer): accuracy 0.800 together, 0.900 alone (95% interval 0.850 to 1.000); its "
            + "gradient is furthest from that of right (mean cosine -0.25)",
            Assert.Single(result.NegativeTransfer));
    }

    private sealed class Near : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) a, (double, double) b) => Math.Abs(a.Item1 - b.Item1) < 1e-6 && Math.Abs(a.Item2 - b.Item2) < 1e-6;

        public int GetHashCode((double, double) pair) => 0;
    }

    public static TheoryData<string, string?, string> Wrong => new()
    {
        { "path,a,b\n{0},,\n{1},,", null, "has no column to learn: the column a is no target: it is empty from top to bottom; the column b is no "
            + "target: it is empty" },
        { "path,a,b\n{0},,x\n{1},,y", "a,b", "--targets a: it is empty from top to bottom" },
        { "path,a,b\n{0},1.5,x\n{1},big,y", null, "the column a holds numbers ('1.5', line 2) and words ('big', line 3). Say what it is with "
            + "--targets a:classes" },
        { "path,a,b\n{0},1.5,x\n{1},big,y", "a:numbers,b", "line 3: the a 'big' is no number" },
        { "path,a,b\n{0},x,x\n{1},x,y", "a,b", "--targets a: it is 'x' in every row that says something" },
        { "path,a,b\n{0},x,x\n{1},y,y", "a", "has one task only, a: for one task use graft train" },
        { "path,a,b\n{0},x,x\n{1},y,y", "a,c", "--targets c: t.csv has no such column. There are: path, a, b" },
        { "path,a,b\n{0},x,x\n{1},y,y", "a,b:colours", "--targets b:colours: behind the colon stands classes, labels or numbers" },
        { "path,a,b\n{0},x,x\n{1},y,y", "path,b", "--targets path: that column says which picture a row is of" },
        { "path,a,b\n{0},{0},x\n{1},{1},y", "a,b", "--targets a: it is the path of each picture again" },
        { "path,a,b\n{0},x,1\n{1},y,2\nnone.png,z,3", "a,b", "--targets a: every row has another value, and none of them ever returns" },
        { "path,split,a,b\n{0},train,x,u\n{1},val,x,v\n{0},val,y,u", null,
            "every picture to learn from is 'x' in the column a: there is nothing to tell apart" },
        { "path,split,a,b\n{0},train,,u\n{1},train,,v\n{0},val,y,u\n{1},val,x,u", null, "no picture to learn from says anything of a" },
        { "path,a,b\nnone.png,x,u\nnone.png,y,v", null, "has no picture that exists" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_cannot_be_learned_is_told_by_column_and_line(string table, string? targets, string expected)
    {
        ShapeWorld.Write(_shop["p"], ["ring"], 2, 1);
        string[] files = [.. Directory.GetFiles(_shop["p", "ring"]).Order(StringComparer.Ordinal)
            .Select(file => Path.GetRelativePath(_shop.Root, file))];
        var data = Table("t.csv", string.Format(CultureInfo.InvariantCulture, table, files[0], files[1]).Split('\n'));
        Assert.Contains(expected, Refused(() => new MultiTaskTraining(Options(data) with { Targets = targets }).Run()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_column_that_gives_another_away_is_named_and_one_that_is_the_folder_is_said()
    {
        ShapeWorld.Write(_shop["p"], s_shapes, 8, 1);
        string[] files = [.. s_shapes.SelectMany(shape => Directory.GetFiles(_shop["p", shape]).Order(StringComparer.Ordinal))];
        var lines = files.Select((file, k) => $"{Path.GetRelativePath(_shop.Root, file)},{s_shapes[k / 8]},{k / 8},{k % 2}");
        var data = Table("t.csv", ["path,shape,code,even", .. lines]);
        Assert.Contains("the columns shape and code tell the same of every row", Refused(() => new MultiTaskTraining(Options(data)).Run()),
            StringComparison.Ordinal);
        var table = TaskTable.Read(data, "shape,even", new TextColumns(), 0);
        Assert.Contains(table.Notes.Remarks, remark => remark.StartsWith("the column shape is the name of each picture's folder",
            StringComparison.Ordinal));
        // A fifth of each class is held out.
        Assert.Equal((24, 5), (table.Train.Length + table.HeldOut.Length, table.HeldOut.Length), new Around());
    }

    private sealed class Around : IEqualityComparer<(int, int)>
    {
        public bool Equals((int, int) a, (int, int) b) => a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) <= 2;

        public int GetHashCode((int, int) pair) => 0;
    }

    [Theory]
    [InlineData("fixed", "1,2,3", "--hidden 0 without --fine-tune")]
    [InlineData("dwa", "1,2", "--task-weights beside --weighting dwa")]
    [InlineData("fixed", "1,-2", "--task-weights 1,-2: numbers above zero")]
    [InlineData("fixed", "1,2", "--task-weights 1,2: 2 weights for 3 tasks")]
    public void Weights_that_have_nothing_to_weigh_are_refused(string weighting, string weights, string expected) =>
        Assert.Contains(expected, Refused(() => new MultiTaskTraining(Options(Shapes(8)) with { Weighting = weighting, TaskWeights = weights,
            Hidden = weights == "1,2,3" ? 0 : 8 }).Run()), StringComparison.Ordinal);
}
