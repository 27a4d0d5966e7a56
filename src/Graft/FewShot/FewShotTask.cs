using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>All that a few-shot training is asked for: the flags of <c>graft fewshot train</c>.</summary>
public sealed record FewShotTrainOptions
{
    /// <summary>A dataset of class folders (with groups above them, where there are).</summary>
    [Option("Class folders (with group folders above them, such as Alphabet/character01/x.png), "
        + "a zip of them, or train/, val/ and test/ with classes of their own",
        Name = "DATA")]
    public string Data { get; init; } = "";

    /// <summary>A second dataset for the test classes; null: classes of the first that are held out.</summary>
    [Option("Another dataset for the test classes (default: the dataset's own, or three classes in ten)", HelpName = "DATA")]
    public string? Test { get; init; }

    /// <summary>Leave test classes out that training has, or whose group it has.</summary>
    [Option("Leave test classes out that training has too, or whose group it has")]
    public bool DropSeen { get; init; }

    /// <summary>Training episodes.</summary>
    public EpisodeOptions Episodes { get; init; } = new();

    /// <summary>Turned pictures as classes of their own: 1 (no), 4, or 8 with mirrored ones.</summary>
    [Option("Turned pictures as classes of their own: 1 (no), 4, or 8 with mirrored ones", Allowed = ["1", "4", "8"])]
    public int Turns { get; init; } = 1;

    /// <summary>Cut drawings out of a plain ground (<see cref="Data.Trim"/>).</summary>
    [Option("Cut drawings out of a plain ground, so that all fill the picture alike")]
    public bool Trim { get; init; }

    /// <summary>Steps, rates, looks.</summary>
    public EpisodeTrainOptions Training { get; init; } = new();

    /// <summary>Method and network.</summary>
    public FewShotOptions Method { get; init; } = new();

    /// <summary>Pixels of the square picture; null: 28 for the ConvNet, or what the weights expect.</summary>
    [Option("Pixels of the square picture (default 28 for the ConvNet)", Least = 8, Most = 1024)]
    public int? Side { get; init; }

    /// <summary>Where the model goes; null: runs/ and the time.</summary>
    [Option("The run folder (default: runs/ and the time)", HelpName = "RUN")]
    public string? Out { get; init; }

    /// <summary>Replace the run that is in <see cref="Out"/>; files that are not a run's stay.</summary>
    [Option("Replace a run that is in the folder of --out (its pictures and all that is not a run's stay), which is otherwise left as it is")]
    public bool Overwrite { get; init; }

    /// <summary>Of everything that is random.</summary>
    [Option("Of everything that is random")]
    public long Seed { get; init; }

    /// <summary>Processor threads that the process works with from the task's beginning on (<see cref="Cores"/>); null: as it is.</summary>
    [Option("Processor threads to work with (default: OMP_NUM_THREADS, or all)", Least = 1, Most = 4096)]
    public int? Threads { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that has nothing to act on.</exception>
    public FewShotTrainOptions Validate()
    {
        OptionBounds.Check(this);
        Method.Validate();
        return this;
    }

    /// <summary>The same, from whatever folder it is read.</summary>
    internal FewShotTrainOptions Absolute() => this with
    {
        Data = RunFolder.Absolute(Data)!, Test = RunFolder.Absolute(Test),
            Method = Method with { Weights = Method.Weights is { } weights ? RunFolder.Absolute(ModelHub.Resolve(weights)) : null },
    };
}

/// <summary>What a few-shot training came to.</summary>
public sealed record FewShotResult(string Run, string Method, int TrainClasses, int TestClasses, EpisodeAccuracy Inductive,
    EpisodeAccuracy? Transductive, EpisodeTraining Training, IReadOnlyList<BrokenPicture> Broken)
{
    /// <summary>What was noticed when the data was read.</summary>
    public DatasetNotes DataNotes { get; init; } = DatasetNotes.None;
}

/// <summary>From pictures in class folders to a few-shot model, tested on classes that it never saw.</summary>
public sealed class FewShotTask(FewShotTrainOptions options)
{
    private static readonly RunRecords<RunFile> s_records = new("graft fewshot train", RunFolder.FewShotModel);

    /// <summary>What run.json holds; the result is there when the run has finished.</summary>
    private sealed record RunFile(FewShotTrainOptions Options, string DataFingerprint, string Libtorch, FewShotResult? Result) : IRunRecord
    {
        /// <summary>The pretrained network that it began with.</summary>
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public Provenance? Upstream { get; init; }

        [JsonIgnore]
        public bool IsFinished => Result is { } result && result.Training.Steps >= Options.Training.Steps;

        [JsonIgnore]
        public string? UpstreamSha256 => Upstream?.Sha256;
    }

    /// <summary>Told while it goes on.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Lines for people.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Stops cleanly: what was learned so far is saved and tested, and the run can be resumed.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>The options of a run that was stopped or killed, with which it goes on.</summary>
    /// <exception cref="GraftException">There is none.</exception>
    public static FewShotTrainOptions OptionsOf(string run) => s_records.Read(run).Options with { Out = run };

    /// <summary>Reads the data, trains, tests and saves.</summary>
    /// <param name="resume">Go on in the run folder.</param>
    /// <exception cref="GraftException">The data cannot serve, or the run cannot be resumed.</exception>
    public FewShotResult Run(bool resume = false)
    {
        options.Validate();
        if (options.Threads is { } threads) Cores.Use(threads);
        var run = Path.GetFullPath(options.Out ?? RunFolder.New("fewshot-"));
        var earlier = resume ? s_records.Unfinished(run) : null;
        if (!resume) RunFolder.Check(run, options.Overwrite, options.Data, options.Test, options.Method.Weights);
        TorchRuntime.ManualSeed(options.Seed);
        // Before the pictures are read, which takes longer.
        using var pretrained = options.Method.Weights is { } file ? FewShotMethods.Pretrained(file, Log) : null;
        var preprocessing = PreprocessingOf(options, pretrained);
        if (options.Trim) preprocessing = preprocessing with { Steps = [new Trim(), .. preprocessing.Steps] };
        var data = FewShotData.Open(options.Data, options.Test, preprocessing, options.Episodes.WithinGroup, options.DropSeen, options.Seed,
            (done, total) => Progress?.Invoke(new ProgressReport("pictures", done, total, 0)), Cancel);
        var sources = $"{options.Data}{(options.Test is { } other ? $" or {other}" : "")}";
        if (earlier is not null) s_records.RequireSame(earlier, data.Fingerprint, sources, pretrained?.Provenance.Sha256, options.Method.Weights);
        var turned = options.Turns switch { 4 => data.Train.WithTurns(), 8 => data.Train.WithTurns(mirrored: true), _ => data.Train };
        var sampler = new EpisodeSampler(turned, options.Episodes with { Seed = options.Seed });
        var validation = data.Validation is { } held ? Unseen(held, "validation") : null;
        var test = Unseen(data.Test, "test");
        var method = options.Method with { FrozenNorms = options.Method.Weights is not null };
        var greyOnly = pretrained is ConvNet && pretrained.Spec["channels"] == "1";
        if (method.Weights is null && method.Backbone == "convnet")
            method = method with { BackboneOptions =
                new Dictionary<string, string>(method.BackboneOptions) { ["side"] = $"{preprocessing.Width}",
                ["channels"] = $"{data.Train.Channels}" } };
        else if (data.Train.Channels == 1 && !greyOnly)
            throw new GraftException($"{options.Data} holds grey pictures, and {method.Weights ?? method.Backbone} sees colour: use the ConvNet, or pictures in colour");
        else if (data.Train.Channels == 3 && greyOnly)
            throw new GraftException($"{options.Data} holds pictures in colour, and {method.Weights} was trained on grey ones: give other weights, or none");
        using var learner = FewShotMethods.Create(method, pretrained);
        Directory.CreateDirectory(run);
        // A killed run is resumed by what this says.
        var record = new RunFile(options.Absolute() with { Out = run }, data.Fingerprint, TorchRuntime.Version,
            null) { Upstream = pretrained?.Provenance };
        var state = Path.Combine(run, TrainingState.FileName);
        if (!resume) RunFolder.Clear(run);
        else if (!File.Exists(state)) Log?.Invoke($"there is no {state}: the training begins anew");
        s_records.Write(run, record);
        var model = new FewShotModel(learner, data.Train.Preprocessing, data.Train.Channels == 1,
            [.. data.Train.Classes.Select(found => found.Name)]) { Upstream = pretrained?.Provenance };
        Log?.Invoke($"{data.Train.Classes.Count} classes to learn from{(turned == data.Train ? "" : $" ({turned.Classes.Count} with turned ones)")}, {data.Test.Classes.Count} to be tested on; {learner.ParameterCount:N0} parameters");
        using var progress = (resume ? TrainingState.Load(run) : null) ?? new TrainingState();
        var training = EpisodeTraining.Run(learner, sampler, validation, options.Training, new TrainingContext
        {
            State = progress, Folder = run, SaveEvery = TimeSpan.FromSeconds(30), Progress = Progress, Cancel = Cancel,
            Looked = look => { if (look.Score is { } score) Log?.Invoke($"step {look.Step}: loss {look.Loss:0.0000}; validation classes: right {score.Value:P1} ({progress.Seconds:0.0} s)"); },
            Worth = () => model.Save(Path.Combine(run, FewShotModel.FileName)),
        });
        model.Save(Path.Combine(run, FewShotModel.FileName));
        if (training.Steps < options.Training.Steps) Log?.Invoke($"stopped after {training.Steps} of {options.Training.Steps} steps; go on with {NextCommand.Of("fewshot", "train", "--resume", run)}");
        EpisodeAccuracy Evaluate(bool transductive) =>
            EpisodeEvaluator.Evaluate(learner, test, EpisodeEvaluator.LeastEpisodes, transductive,
            progress: (done, total) => Progress?.Invoke(new ProgressReport("test episodes", done, total, 0) { Unit = "episodes" }));
        var inductive = Evaluate(false);
        var transductive = learner.Modules().OfType<BatchNorm2d>().Any(norm => !norm.Frozen) ? Evaluate(true) : null;
        learner.Prepare(transductive: false);
        var result = new FewShotResult(run, options.Method.Method, data.Train.Classes.Count, data.Test.Classes.Count, inductive, transductive,
            training, [.. data.Train.Broken.Concat(data.Validation?.Broken ?? []).Concat(data.Test.Broken).Distinct()]) { DataNotes = data.Notes };
        s_records.Write(run, record with { Result = result });
        if (training.Steps >= options.Training.Steps) File.Delete(state);
        return result;
    }

    /// <summary>Episodes of classes that training does not see: pictures as they are, and no more ways than there are classes.</summary>
    private EpisodeSampler Unseen(EpisodePool pool, string part)
    {
        var asked = Math.Min(options.Episodes.Way, options.Method.Way);
        var most = options.Episodes.WithinGroup ? pool.Classes.GroupBy(found => found.Group).Max(group => group.Count()) : pool.Classes.Count;
        // With less than two the sampler refuses, and says of what there is too little.
        var way = most >= 2 ? Math.Min(asked, most) : asked;
        if (way < asked) Log?.Invoke($"the {part} classes are tested {way}-way: {(options.Episodes.WithinGroup ? "no group has" : "there are not")} {asked}");
        return new EpisodeSampler(pool, options.Episodes with { Augmentation = null, Composed = 0, Seed = options.Seed + 1, Way = way });
    }

    private static Preprocessing PreprocessingOf(FewShotTrainOptions options, Backbone? pretrained)
    {
        if (pretrained is not null) return (options.Side is { } side ? new InputOptions { Size = side }.Apply(pretrained) : pretrained).Preprocessing;
        if (options.Method.Backbone == "convnet") return Preprocessing.Small(options.Side ?? 28, Normalize.Symmetric);
        using var made = BackboneCatalogue.Create(options.Method.Backbone, null, options.Method.BackboneOptions);
        return (options.Side is { } pixels ? new InputOptions { Size = pixels }.Apply(made) : made).Preprocessing;
    }
}
