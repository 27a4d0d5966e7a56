using System.Diagnostics;
using System.Runtime.InteropServices;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// The whole road of several tasks: a table, a backbone, each task alone, equal weights, the weighting that was asked for, all with the same seed and
/// steps; then the model of the last, a table of what the tasks do to one another, and a report.
/// </summary>
/// <param name="options">What is asked for.</param>
public sealed class MultiTaskTraining(MultiTaskOptions options)
{
    private const int HeldOutBatch = 64, Resamples = 1000;

    // 22.7 million parameters, 90 MB: quick on a processor.
    private const string UsualEncoder = "all-minilm-l6-v2";

    // What a pretrained network moves at, as a share of the rate of what is new.
    private const double PictureRate = 0.1, TextRate = 0.03;

    private readonly List<BrokenPicture> _broken = [];
    private readonly List<string> _notes = [];

    /// <summary>Told often.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Lines for people.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Stops cleanly; the run can be resumed.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Where features are kept.</summary>
    public FeatureCache? Cache { get; init; } = options.NoCache ? null : FeatureCache.Default();

    /// <summary>Options of a stopped run, to go on with.</summary>
    /// <exception cref="GraftException">There is none.</exception>
    public static MultiTaskOptions OptionsOf(string run) => MultiTaskRecord.Records.Read(run).Options with { Out = run };

    /// <summary>What all trainings of a run have in common.</summary>
    private sealed record Ground(TaskTable Table, Backbone Upstream, int[] Starts, int Width, Tensor Features, Units?[] UnitsOf, Feed<Batch>? Cached,
        Feed<Batch>? CachedHeldOut,
        Device Device);

    /// <summary>One training of them.</summary>
    private sealed record Part(string Name, int[] Tasks, string Weighting);

    /// <summary>Trains, compares, saves, reports.</summary>
    /// <param name="resume">Go on in the run folder.</param>
    /// <exception cref="GraftException">The data cannot serve, or the run cannot be resumed.</exception>
    public MultiTaskResult Run(bool resume = false)
    {
        var clock = Stopwatch.StartNew();
        options.Validate();
        if (options.Threads is { } threads) Cores.Use(threads);
        var device = Device.Parse(options.Device);
        var run = Path.GetFullPath(options.Out ?? RunFolder.New("multitask-"));
        var earlier = resume ? MultiTaskRecord.Records.Unfinished(run) : null;
        if (!resume) RunFolder.Check(run, options.Overwrite, options.Data, options.Weights);
        var table = TaskTable.Read(options.Data, options.Targets, options.Columns, options.Seed);
        _ = options.GivenWeights(table.Tasks.Count);
        Require(table);
        using var upstream = OpenBackbone(table.Whole);
        if (options.FineTune > upstream.Stages.Count)
            throw Bounds.Refuse($"--fine-tune {options.FineTune}: {upstream.Architecture} has {upstream.Stages.Count} stages");
        var fingerprint = DataFingerprint.Of(Cancel, ("all", table.Whole));
        if (earlier is not null) MultiTaskRecord.Records.RequireSame(earlier, fingerprint, options.Data, upstream.Provenance.Sha256, options.Weights);
        var record = new MultiTaskRecord
        {
            Status = "running", Options = options.Absolute() with { Out = run }, Tasks = table.Tasks, TrainItems = table.Train.Length,
                HeldOut = table.HeldOut.Length,
            DataFingerprint = fingerprint, Upstream = upstream.Provenance, Architecture = upstream.Spec.ToString(), IsText = table.Whole.IsText,
            Environment = new Dictionary<string, string>
            {
                ["graft"] = typeof(MultiTaskTraining).Assembly.GetName().Version?.ToString(3) ?? "", ["libtorch"] = TorchRuntime.Version,
                ["dotnet"] = Environment.Version.ToString(), ["system"] = RuntimeInformation.OSDescription, ["device"] = device.ToString(),
            },
            Trainings = earlier?.Trainings ?? [], Seconds = earlier?.Seconds ?? 0,
        };
        Directory.CreateDirectory(run);
        if (!resume) RunFolder.Clear(run);
        MultiTaskRecord.Records.Write(run, record);

        using var ground = new Disposables();
        var common = Prepare(table, upstream, device, ground);
        var parts = Parts(table.Tasks);
        foreach (var part in parts[..^1])
        {
            if (record.Trainings.Any(done => done.Name == part.Name)) continue;
            var (done, objective, network, body, _) = Train(part, common, run);
            objective.Dispose();
            network.Dispose();
            if (!ReferenceEquals(body, upstream)) body.Dispose();
            // The state goes first: a run that is stopped here does this training again, and no other takes its state for its own.
            File.Delete(Path.Combine(run, TrainingState.FileName));
            record = record with { Trainings = [.. record.Trainings, done] };
            MultiTaskRecord.Records.Write(run, record);
        }
        var (last, judge, chosen, backbone, residuals) = Train(parts[^1], common, run);
        var cosines = judge.Cosines;
        judge.Dispose();
        using var model = new MultiTaskModel(ReferenceEquals(backbone, upstream) ? upstream.Clone() : backbone, chosen, residuals);
        var about = new Dictionary<string, string>
        {
            ["licence"] = upstream.Provenance.Licence, ["data_fingerprint"] = fingerprint, ["seed"] = $"{options.Seed}",
                ["weighting"] = options.Weighting,
            ["domain"] = $"trained by Graft on {table.Train.Length} {table.Whole.Noun.Many} of {table.Tasks.Count} tasks; upstream: "
                + $"{upstream.Provenance.Domain}",
        };
        model.Save(Path.Combine(run, RunFolder.Model), about);
        var program = Path.Combine(run, RunFolder.Program);
        try
        {
            model.WriteProgram(program, about);
        }
        catch (GraftException reason)
        {
            File.Delete(program);
            _notes.Add($"no {RunFolder.Program} was written ({reason.Message}): libtorch answers for this run");
        }
        record = record with
        {
            Status = "finished", Trainings = [.. record.Trainings, last], Table = Compare(table.Tasks, record.Trainings, last),
                Seconds = record.Seconds + clock.Elapsed.TotalSeconds,
            Cosines = [.. Enumerable.Range(0, table.Tasks.Count).Select(i => Enumerable.Range(0, table.Tasks.Count).Select(j => cosines[i, j])
                .ToArray())],
            Broken = _broken, Notes = [.. _notes, .. table.Notes.Lines],
        };
        var result = new MultiTaskResult(run, table.Tasks, options.Weighting, record.Table, record.Cosines, table.Train.Length, table.HeldOut.Length,
            record.Seconds, _broken, record.Notes)
        {
            DataNotes = table.Notes, IsText = table.Whole.IsText, Report = options.NoReport ? null : Path.Combine(run, RunFolder.Report),
        };
        if (result.Report is { } page) AtomicFile.WriteText(page, MultiTaskReport.Of(record, result));
        // Last of all: a run that says that it is finished has everything.
        MultiTaskRecord.Records.Write(run, record);
        File.Delete(Path.Combine(run, TrainingState.FileName));
        return result;
    }

    /// <summary>What is freed at the end, whatever becomes of the run.</summary>
    private sealed class Disposables : IDisposable
    {
        private readonly List<IDisposable> _all = [];

        public T Add<T>(T one) where T : IDisposable
        {
            _all.Add(one);
            return one;
        }

        public void Dispose() => _all.ForEach(one => one.Dispose());
    }

    private static void Require(TaskTable table)
    {
        var (starts, _) = TaskColumn.Places(table.Tasks, task => task.Width);
        for (var t = 0; t < table.Tasks.Count; t++)
        {
            var told = table.Train.Where(k => !float.IsNaN(table.Rows[k][starts[t]])).ToArray();
            var name = table.Tasks[t].Name;
            if (told.Length == 0) throw new GraftException($"no {table.Whole.Noun.One} to learn from says anything of {name}: fill cells of the "
                + $"train part, or leave {name} out of --targets");
            if (table.Tasks[t].Kind == TargetKind.Classes && told.Select(k => table.Rows[k][starts[t]]).Distinct().Count() == 1)
                throw new GraftException($"every {table.Whole.Noun.One} to learn from is "
                    + $"'{table.Tasks[t].Names[(int)table.Rows[told[0]][starts[t]]]}' in the column {name}: there is nothing to tell apart. Leave "
                    + $"{name} out of --targets");
        }
        if (table.HeldOut.Length == 0) throw new GraftException($"nothing is held out to judge by: give more {table.Whole.Noun.Many}, or a column "
            + "split with train and val");
    }

    private Backbone OpenBackbone(Dataset data)
    {
        TorchRuntime.ManualSeed(options.Seed);
        var (backbone, notes) = options.Weights is { } weights ? ModelOpener.Load(weights, null, options.Input)
            : data.IsText ? ModelOpener.Load(UsualEncoder, null, options.Input)
            : ModelOpener.Load(EmbeddedWeights.Path(), null, options.Input);
        if (options.Weights is null) _notes.Add(data.IsText ? $"no --weights were given: using {UsualEncoder}, a sentence encoder for English"
            : "no --weights were given: using the small embedded backbone, made for drawn shapes of 32×32. For photographs give an ImageNet "
                + "checkpoint, such as --weights mobilenet_v2");
        _notes.AddRange(notes);
        foreach (var note in _notes) Log?.Invoke(note);
        if (data.IsText == backbone is TextEncoder) return backbone;
        var source = backbone.Provenance.Source;
        backbone.Dispose();
        throw new GraftException(data.IsText ? $"{options.Data} holds sentences, and {source} sees pictures: give a text encoder, such as --weights "
            + $"{UsualEncoder}"
            : $"{options.Data} names pictures, and {source} reads text: give a network of pictures, such as --weights resnet18-imagenet");
    }

    private Ground Prepare(TaskTable table, Backbone upstream, Device device, Disposables kept)
    {
        var watch = Stopwatch.StartNew();
        var found = new FeatureExtractor(upstream, Cache, device).Pooled(table.Whole, upstream.Preprocessing, cancel: Cancel,
            progress: (done, total) =>
            Progress?.Invoke(new ProgressReport("features", done, total, done / Math.Max(1e-9, watch.Elapsed.TotalSeconds)) {
                Unit = table.Whole.Noun.Many }));
        _broken.AddRange(found.Broken);
        _notes.AddRange(found.Notes);
        var last = kept.Add(TensorScope.Detach(found.Stage(upstream, upstream.Stages.Count - 1).Contiguous().Clone()));
        found.Rows.Dispose();
        var place = found.Indices.Select((item, k) => (item, k)).ToDictionary(pair => pair.item, pair => pair.k);
        int[] train = [.. table.Train.Where(place.ContainsKey)], heldOut = [.. table.HeldOut.Where(place.ContainsKey)];
        if (train.Length == 0 || heldOut.Length == 0)
            throw new GraftException($"none of the {table.Whole.Noun.Many} to {(train.Length == 0 ? "learn from" : "judge by")} can be "
                + $"read{(found.Broken.Count > 0 ? $". The first: {found.Broken[0].File}: {found.Broken[0].Error}" : "")}");
        Extraction Some(int[] items) =>
            found with { Rows = TensorScope.Detach(last.IndexSelect(0, Tensor.From([.. items.Select(item => (long)place[item])]))),
            Shape = [last.Shape[1]], Indices = items };
        var read = table with { Train = train, HeldOut = heldOut };
        Require(read);
        var learned = Some(train);
        var cached = kept.Add(new CachedFeed(learned, table.Whole, options.BatchSize, options.Seed));
        var judged = kept.Add(new CachedFeed(Some(heldOut), table.Whole, HeldOutBatch, options.Seed));
        var (starts, width) = TaskColumn.Places(table.Tasks, task => task.Width);
        var rows = train.Select(k => table.Rows[k]).ToArray();
        Units?[] units = [.. table.Tasks.Select((task, t) => task.Told(rows, starts[t]).Targets is NumberTargets numbers
            ? NumberFitter.UnitsOf(numbers) : null)];
        return new Ground(read, upstream, starts, width, learned.Rows, units, cached, judged, device);
    }

    // The one that was asked for comes last, and its model is kept.
    private List<Part> Parts(IReadOnlyList<TaskColumn> tasks)
    {
        int[] all = [.. Enumerable.Range(0, tasks.Count)];
        var isEqual = options.Weighting == Weightings.Equal && options.TaskWeights is null;
        List<Part> parts = options.NoBaselines ? []
            : [.. all.Select(t => new Part(Alone(tasks[t]), [t], Weightings.Equal)), .. isEqual ? (Part[])[]
                : [new Part(EqualWeights, all, Weightings.Equal)]];
        return [.. parts, new Part(isEqual ? EqualWeights : options.TaskWeights is { } given ? $"weights {given}" : options.Weighting, all,
            options.Weighting)];
    }

    private const string EqualWeights = "equal weights";

    private static string Alone(TaskColumn task) => $"alone: {task.Name}";

    private (TaskTraining Done, MultiTaskObjective Objective, TaskNetwork Network, Backbone Backbone, double[]?[] Residuals) Train(Part part,
        Ground ground, string run)
    {
        var watch = Stopwatch.StartNew();
        TaskColumn[] tasks = [.. part.Tasks.Select(t => ground.Table.Tasks[t])];
        var backbone = options.FineTune > 0 ? ground.Upstream.Clone() : ground.Upstream;
        TorchRuntime.ManualSeed(options.Seed);
        var network = new TaskNetwork(backbone.FeatureSize, tasks, Sharings.Of(options.Architecture), options.Hidden);
        network.Centre(ground.Features);
        for (var t = 0; t < tasks.Length; t++) network.UnitsOf[t] = ground.UnitsOf[part.Tasks[t]];
        var given = tasks.Length > 1 && part.Weighting == Weightings.Equal && part.Name != EqualWeights ? options.GivenWeights(tasks.Length) : null;
        var weighting = Weightings.Of(part.Weighting).Create(new WeightingSetup([.. tasks.Select(task => task.Kind)], given));
        var body = options.FineTune > 0 ? new StagesBody(backbone, backbone.Stages.Count - options.FineTune) : null;
        var objective = new MultiTaskObjective(body, network, weighting, [.. part.Tasks.Select(t => ground.Starts[t])], ground.Width, ground.Device)
        {
            BodyRate = backbone is TextEncoder ? TextRate : PictureRate,
        };
        using var fresh = body is null ? null : TrainFeed(ground, backbone);
        var heldOut = HeldOut(ground, backbone);
        // A resumed run's state is of the training that was stopped: those before it have deleted theirs.
        using var state = TrainingState.Load(run) ?? new TrainingState();
        var how = new Optimisation { Rate = options.Rate, WeightDecay = 1e-4, ClipNorm = 5, Epochs = options.Epochs ?? (body is null ? 40 : 10) };
        var training = new Trainer<Batch>(objective, fresh ?? ground.Cached!, heldOut, how, new TrainingContext
        {
            Seed = options.Seed, State = state, Name = part.Name, Folder = run, Device = ground.Device, Progress = Progress, Cancel = Cancel,
        }).Run();
        if (!training.Finished) throw new OperationCanceledException($"Stopped. The run is kept: go on with "
            + $"{NextCommand.Of("multitask", "--resume", run)}", Cancel);
        if (ground.Device.IsCuda) objective.To(ground.Device);
        var judged = objective.Judge(heldOut, Resamples, Cancel);
        if (ground.Device.IsCuda) objective.To(Device.Cpu);
        if (!ReferenceEquals(heldOut, ground.CachedHeldOut)) heldOut.Dispose();
        TaskScore[] scores = [.. tasks.Select((task, t) => TaskScore.Of(task, judged[t].Metrics))];
        Log?.Invoke($"{part.Name}: "
            + $"{string.Join(", ", scores.Select(score => FormattableString.Invariant($"{score.Task} {score.Measure} {score.Value:0.000}")))} "
            + $"({watch.Elapsed.TotalSeconds:0.0} s)");
        TaskEpoch[] history = [.. state.History.Select(look => new TaskEpoch(look.Epoch, look.Shares.ToDictionary(), look.Score?.Value
            ?? double.NaN))];
        double[]?[] residuals = [.. judged.Select(one => one.Targets is NumberTargets { Count: > 0 } numbers
            ? NumberMetrics.Residuals(one.Answers, numbers)[0] : null)];
        return (new TaskTraining(part.Name, scores, history, state.Seconds), objective, network, backbone, residuals);
    }

    private Feed<Batch> TrainFeed(Ground ground, Backbone backbone) => Fresh(ground, backbone, ground.Table.Train, options.BatchSize, shuffle: true);

    private Feed<Batch> HeldOut(Ground ground, Backbone backbone) =>
        options.FineTune == 0 ? ground.CachedHeldOut! : Fresh(ground, backbone, ground.Table.HeldOut, HeldOutBatch, shuffle: false);

    private Feed<Batch> Fresh(Ground ground, Backbone backbone, int[] items, int batch, bool shuffle)
    {
        var data = ground.Table.Whole;
        if (backbone is not TextEncoder encoder) return new OwnedPictures(new PictureStore(data), items, backbone.Preprocessing, batch, options.Seed,
            shuffle);
        var tokens = TextLanes.Tokenize(items.Length, k => encoder.Encode(data.Text(items[k])).Ids, Cancel);
        return new TextFeed(tokens, data.Targets.Subset(items), encoder.Shape.Pad, batch, options.Seed, shuffle);
    }

    /// <summary>Pictures of a store of their own.</summary>
    private sealed class OwnedPictures(PictureStore store, int[] items, Preprocessing preprocessing, int batch, long seed, bool shuffle) : Feed<Batch>
    {
        private readonly PictureFeed _feed = new(store, items, preprocessing, batch, seed, shuffle);

        public override int Batches => _feed.Batches;

        public override int Size(Batch batch) => _feed.Size(batch);

        public override string Unit => _feed.Unit;

        public override IEnumerable<Batch> Epoch(int epoch, int skip) => _feed.Epoch(epoch, skip);

        protected override void Dispose(bool disposing) => store.Dispose();
    }

    private static IReadOnlyList<TaskComparison> Compare(IReadOnlyList<TaskColumn> tasks, IReadOnlyList<TaskTraining> before, TaskTraining chosen)
    {
        var equal = before.FirstOrDefault(training => training.Name == EqualWeights) ?? (chosen.Name == EqualWeights ? chosen : null);
        return [.. tasks.Select((task, t) => new TaskComparison(before.FirstOrDefault(training => training.Name == Alone(task))?.Scores[0],
            equal?.Scores[t], chosen.Scores[t]))];
    }
}
