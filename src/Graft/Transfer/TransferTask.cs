using System.Diagnostics;
using System.Runtime.InteropServices;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>The whole road: dataset, backbone, plan, training, evaluation, model file, report.</summary>
public sealed class TransferTask(TrainOptions options)
{
    /// <summary>Told often.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after each epoch.</summary>
    public Action<EpochRecord>? EpochEnded { get; init; }

    /// <summary>Lines for people.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Stops cleanly; the run can be resumed.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Where features are kept.</summary>
    public FeatureCache? Cache { get; init; } = options.NoCache ? null : FeatureCache.Default();

    /// <summary>The run folder, known once <see cref="Run"/> has begun.</summary>
    public string RunFolder { get; private set; } = options.Out ?? "";

    /// <summary>Options of a stopped run, to go on with.</summary>
    /// <exception cref="GraftException">There is none, or nothing had begun.</exception>
    public static TrainOptions OptionsOf(string run) => RunRecord.Read(run).Options with { Out = run };

    /// <summary>The pictures to train and to validate on.</summary>
    public static (Dataset Train, Dataset Validation, DatasetSplits Splits) OpenData(TrainOptions options)
    {
        var splits = DatasetReader.Open(options.Data, options.Task, options.Columns);
        var (train, validation) = (splits.Train, splits.Validation ?? splits.Test);
        if (splits.Notes.LeftOut.FirstOrDefault(one => one is { Kind: LeftOutKind.UnreadableFolder, Part: "train" }) is { } closed)
            throw new GraftException($"{options.Data}: {closed}, and what lies in it would not be learned. Make it readable, or take it out");
        if (options.Validation is { } path)
        {
            splits = splits with { Notes = splits.TrainAlone.Notes };
            validation = DatasetReader.OpenValidation(path, train.Targets.Names, train.Targets.Kind, options.Columns);
            splits = splits with { Notes = splits.Notes.With(validation.Notes) };
        }
        else if (splits is { Validation: null, Test: { } test })
        {
            splits = splits with { Notes =
                splits.Notes.With(new DatasetNotes([],
                [$"{options.Data} has no val part: the {test.Count} {test.Noun.Many} of its test part are what is validated on"])) };
        }
        if (validation is null) (train, validation) = train.SplitStratified(0.2, options.SplitSeed ?? options.Seed);
        if (options.PerClass is { } most) train = Fewer(train, most, options);
        return (train, validation, splits);
    }

    /// <summary>So many of each class at most, drawn anew by every seed: what is held out stays as it is.</summary>
    private static Dataset Fewer(Dataset train, int most, TrainOptions options)
    {
        if (train.Targets is not ClassTargets) throw Bounds.Refuse($"--per-class counts classes, and {options.Data} tells none");
        var taken = new int[train.Classes.Count];
        return train.Subset(new Rng(options.Seed, 9).Permutation(train.Count).Where(k => taken[train.Labels[k]]++ < most).Order().ToArray());
    }

    /// <summary>The backbone that the options name.</summary>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) OpenBackbone(TrainOptions options) => OpenBackbone(options, null);

    /// <summary>The same, for data that is known: sentences without weights get the usual encoder.</summary>
    internal static (Backbone Backbone, IReadOnlyList<string> Notes) OpenBackbone(TrainOptions options, Dataset? data)
    {
        options.Validate();
        TorchRuntime.ManualSeed(options.Seed);
        if (options is { Weights: null, Backbone: null } && data?.IsText == true)
        {
            var (usual, notes) = ModelOpener.Load(UsualEncoder, null, options.Input);
            return (usual, [$"no --weights were given: using {UsualEncoder}, a sentence encoder for English", .. notes]);
        }
        if (options.Weights is { } weights) return ModelOpener.Load(weights, options.Backbone, options.Input);
        if (options.Backbone is { } name and not "convnet")
        {
            var random = BackboneCatalogue.Create(name);
            var card = BackboneCatalogue.Cards.FirstOrDefault(card => card.Name == name);
            return (options.Input.Apply(random), [$"no --weights were given: {name} starts from random values. Pretrained weights: {(card?.Url is { Length: > 0 } url ? url : card?.Weights)}"]);
        }
        return (ModelOpener.Load(EmbeddedWeights.Path()).Backbone, [$"no --weights were given: using the small embedded backbone, made for drawn shapes of 32×32. For photographs give an ImageNet checkpoint, such as --weights mobilenet_v2 ({NextCommand.Of("models", "pull", "mobilenet_v2")} fetches it)"]);
    }

    // 22.7 million parameters, 90 MB: quick on a processor.
    private const string UsualEncoder = "all-minilm-l6-v2";

    /// <summary>Refuses sentences for a network of pictures, and the other way round.</summary>
    internal static void RequireMatch(Backbone backbone, Dataset data, TrainOptions options)
    {
        if (data.IsText == backbone is TextEncoder) return;
        throw new GraftException(data.IsText
            ? $"{options.Data} holds sentences, and {backbone.Architecture} sees pictures: give a text encoder, such as --weights {UsualEncoder} ({NextCommand.Of("models", "pull", UsualEncoder)} fetches it)"
            : $"{options.Data} holds pictures, and {backbone.Provenance.Source} reads text: give a network of pictures, such as --weights resnet18-imagenet");
    }

    private static HeadKind HeadFor(TrainOptions options, Dataset train)
    {
        var head = options.Head ?? HeadKinds.Usual(train.Targets.Kind);
        HeadKinds.Check(head, train.Targets.Kind);
        HeadOptions.CheckBalanced(head, options.Balanced);
        return head;
    }

    /// <summary>The plan that the options ask for, with the advice where it was the advisor's.</summary>
    public (Plan Plan, Advice? Advice) MakePlan(Backbone backbone, Dataset train)
    {
        options.Validate();
        if (options.PlanFile is { } file)
        {
            var given = WithEpochs(Plan.FromJson(File.ReadAllText(file), file));
            given.Validate(backbone, file);
            HeadOptions.CheckBalanced(given.Head, options.Balanced);
            HeadKinds.Check(given.Head, train.Targets.Kind);
            return (given, null);
        }
        var head = HeadFor(options, train);
        Advice? advice = null;
        var strategy = options.Strategy;
        if (strategy == "auto")
        {
            Log?.Invoke("Measuring what would serve best");
            var clock = Stopwatch.StartNew();
            advice = new Advisor(backbone, Cache, Device.Parse(options.Device))
                .Advise(train, options.Seed, (done, total) =>
                Progress?.Invoke(new ProgressReport("features", done, total,
                    done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = train.Noun.Many }), Cancel);
            strategy = advice.Strategy;
        }
        var plan = Strategies.ByName(strategy, backbone, train.Count, head);
        return (WithEpochs(plan with { Reasons = advice?.Reasons ?? [$"--strategy {strategy}"] }), advice);
    }

    private Plan WithEpochs(Plan plan)
    {
        if (options.Epochs is not { } epochs) return plan;
        if (plan.Phases.All(phase => phase.Solve))
        {
            var nothing = $"--epochs {epochs} has nothing to act on: the strategy '{plan.Strategy}' solves its head, and takes no gradient steps";
            // What auto would come to could not be known.
            if (options.PlanFile is not null
                || options.Strategy != "auto") throw Bounds.Refuse($"{nothing}. Leave it out, or choose another strategy");
            Log?.Invoke(nothing);
        }
        return plan with { Phases = [.. plan.Phases.Select(phase => phase.Solve ? phase : phase with { Epochs = epochs })] };
    }

    /// <summary>Trains, evaluates, saves, reports.</summary>
    /// <param name="resume">Go on in the run folder.</param>
    public TrainResult Run(bool resume = false)
    {
        var clock = Stopwatch.StartNew();
        options.Validate();
        if (options.Threads is { } threads) Cores.Use(threads);
        var device = Device.Parse(options.Device);
        var run = RunFolder = Path.GetFullPath(options.Out ?? Learning.RunFolder.New());
        if (!resume) Learning.RunFolder.Check(run, options.Overwrite, options.Data, options.Validation, options.Weights, options.PlanFile);
        var (train, validation, splits) = OpenData(options);
        var (upstream, loadNotes) = OpenBackbone(options, train);
        using var owned = upstream;
        foreach (var note in loadNotes) Log?.Invoke(note);
        RequireMatch(upstream, train, options);
        if (validation.Count > 0 && !validation.IsText) RequireReadable(validation);
        var fingerprint = DataFingerprint.Of(Cancel, ("train", train), ("val", validation));
        var earlier = resume ? RunRecord.Records.Unfinished(run) : null;
        if (earlier is not null) RunRecord.Records.RequireSame(earlier, fingerprint, options.Data, upstream.Provenance.Sha256, options.Weights);
        var (plan, advice) = earlier is not null ? (earlier.Plan, earlier.Advice) : MakePlan(upstream, train);
        if (train.Targets is ClassTargets && train.CountsByClass() is var counts && counts.Min() == 1) Log?.Invoke($"the class '{train.Classes[Array.IndexOf(counts, 1)]}' has one {train.Noun.One} only: it is trained on, but nothing can be said about how well it is told apart");
        IReadOnlyList<string> unjudged = validation.Count > 0 ? [] : [$"nothing was held out{(train.Targets is ClassTargets ? ", for no class has a second {train.Noun.One}" : "")}: how often the model is right is not known. Give {train.Noun.Many} to judge by with --val DIR"];
        var record = new RunRecord
        {
            Status = "running", Options = options.Absolute() with { Out = run }, Plan = plan, Advice = advice, Classes = train.Targets.Names,
                Task = train.Targets.Kind, TrainImages = train.Count, ValImages = validation.Count,
            IsText = train.IsText, DataFingerprint = fingerprint, Upstream = upstream.Provenance, Architecture = upstream.Spec.ToString(),
                Environment = RunRecords.DescribeEnvironment(device), Notes = loadNotes,
        };
        Directory.CreateDirectory(run);
        if (!resume) Learning.RunFolder.Clear(run);
        record.Write(run);

        // The upstream stays as it is: what trains is a copy.
        var backbone = plan.Strategy == "scratch" ? Fresh(upstream) : plan.Phases.All(phase => phase.Solve) ? upstream : upstream.Clone();
        using var events = new EventWriter(Path.Combine(run, Learning.RunFolder.Events));
        PlanRunner trainer = null!;
        trainer = new PlanRunner(backbone, plan, train, validation, new PlanOptions
        {
            Seed = options.Seed, Folder = run, Resume = resume, Cache = Cache, Device = device, Balanced = options.Balanced, Strict = options.Strict,
                Progress = Progress, Cancel = Cancel,
            EpochEnded = epoch =>
            {
                // Epochs of the whole run, those before a resumption included.
                var step = trainer.History.Count - 1;
                events.Scalar("loss/train", epoch.Loss, step);
                if (double.IsFinite(epoch.ValidationLoss)) events.Scalar("loss/validation", epoch.ValidationLoss, step);
                if (double.IsFinite(epoch.TrainAccuracy)) events.Scalar("accuracy/train", epoch.TrainAccuracy, step);
                if (double.IsFinite(epoch.ValidationAccuracy)) events.Scalar($"{Measure(train.Targets.Kind)}/validation", epoch.ValidationAccuracy,
                    step);
                events.Scalar("rate", epoch.Rate, step);
                EpochEnded?.Invoke(epoch);
            },
        });
        try
        {
            trainer.Run();
        }
        catch (OperationCanceledException)
        {
            throw new OperationCanceledException($"Stopped. The run is kept: go on with {NextCommand.Of("train", "--resume", run)}", Cancel);
        }
        var stage = plan.FeatureStage is { } name ? backbone.Stages.ToList().FindIndex(found => found.Name == name) : backbone.Stages.Count - 1;
        backbone.FreezeBelow(backbone.Stages.Count, freezeStatistics: true);
        backbone.Eval();
        var unchanged = ReferenceEquals(backbone, upstream);
        var validating = Stopwatch.StartNew();
        var extraction = new FeatureExtractor(backbone, unchanged ? Cache : null, device).Pooled(validation, backbone.Preprocessing, cancel: Cancel,
            progress: (done, total) => Progress?.Invoke(
                new ProgressReport("validation", done, total, done / Math.Max(1e-9, validating.Elapsed.TotalSeconds)) { Unit = train.Noun.Many }));
        foreach (var broken in extraction.Broken.Where(broken => !trainer.Broken.Contains(broken)))
        {
            if (options.Strict) throw new GraftException($"{broken.File}: {broken.Error} (--strict)");
            trainer.Broken.Add(broken);
        }
        float[] answers;
        using (Autograd.NoGrad())
        using (new TensorScope()) answers = trainer.Head.Answers(extraction.Stage(backbone, stage)).ToArray<float>();
        var truth = validation.Targets.Subset(extraction.Indices);
        var judge = Judge.Of(trainer, train, plan, answers, truth);
        // Numbers come out of the saved head in their own units.
        using var classifier = new Classifier(backbone, trainer.Head is LinearHead { Units: not null } inUnits ? inUnits.Folded() : trainer.Head,
            stage, train.Targets.Names) { Thresholds = judge.Thresholds, Residuals = judge.Residuals };
        classifier.Save(Path.Combine(run, Classifier.FileName), Card(record));
        var program = Program(classifier, run);
        var metrics = TaskMetrics.Of(answers, truth, judge.Thresholds);
        var trainable = trainer.Head.ParameterCount + plan.Phases.Where(phase => !phase.Solve)
            .Select(phase => backbone.Stages.Skip(phase.TrainFrom).Sum(found => found.ParameterCount)).DefaultIfEmpty(0).Max();
        record = record with
        {
            Status = "finished", Metrics = metrics as Metrics, LabelMetrics = metrics as LabelMetrics, NumberMetrics = metrics as NumberMetrics,
                History = trainer.History, HeadGrid = trainer.Fit?.Grid ?? [], Seconds = clock.Elapsed.TotalSeconds, Broken = trainer.Broken,
            Notes = [.. loadNotes, .. unjudged, .. judge.Notes, .. program, .. trainer.Notes, .. splits.Notes.Lines],
        };
        string? report = null;
        if (!options.NoReport)
        {
            var drawn = new ReportBuilder(record, classifier, train, validation, Cache).Build(extraction, answers);
            report = Path.Combine(run, Learning.RunFolder.Report);
            AtomicFile.WriteText(report, drawn);
        }
        // Last of all: a run that says that it is finished has everything.
        record.Write(run);
        File.Delete(Path.Combine(run, TrainingState.FileName));
        extraction.Rows.Dispose();
        return new TrainResult(run, plan.Strategy, train.Targets.Names, train.Count, validation.Count, metrics.Score.Value, record.Seconds, metrics,
            plan, advice, trainer.Broken, record.Notes, trainable, report) { IsText = train.IsText, DataNotes = splits.Notes, Answers = answers,
            Indices = extraction.Indices };
    }

    /// <summary>The figure that stands for all in a task, as a word.</summary>
    internal static string Measure(TargetKind task) => task switch { TargetKind.Labels => "mAP", TargetKind.Numbers => "R²",
        TargetKind.Similarity => "Spearman", _ => "accuracy" };

    /// <summary>The model as a program: what answers without libtorch. Where ONNX has no word for something in it, the run is without.</summary>
    private static IReadOnlyList<string> Program(Classifier classifier, string run)
    {
        var file = Path.Combine(run, Learning.RunFolder.Program);
        try
        {
            _ = Exporter.Write(classifier, file, ExportFormat.Onnx);
            return [];
        }
        catch (GraftException reason)
        {
            File.Delete(file);
            return [$"no {Learning.RunFolder.Program} was written ({reason.Message}): libtorch answers for this run"];
        }
    }

    private static void RequireReadable(Dataset validation)
    {
        BrokenPicture? first = null;
        for (var k = 0; k < validation.Count; k++)
        {
            try
            {
                using var picture = validation.Decode(k);
                return;
            }
            catch (PictureException reason)
            {
                first ??= new BrokenPicture(validation.Name(k), reason.Message);
            }
        }
        throw new GraftException($"none of the {validation.Count} pictures to validate on can be read{(first is null ? "" : $". The first: {first.File}: {first.Error}")}");
    }

    private Backbone Fresh(Backbone like)
    {
        TorchRuntime.ManualSeed(options.Seed);
        return like.Untrained();
    }

    private static Dictionary<string, string> Card(RunRecord record) => new()
    {
        ["licence"] = record.Upstream.Licence,
            ["domain"] = $"fine-tuned by Graft on {record.TrainImages} {record.Noun.Many} of {record.Classes.Count} {(record.Task == TargetKind.Similarity ? TargetKind.Numbers : record.Task).ToString().ToLowerInvariant()}; upstream: {record.Upstream.Domain}",
        ["data_fingerprint"] = record.DataFingerprint, ["seed"] = record.Options.Seed.ToString(), ["strategy"] = record.Plan.Strategy,
    };

}
