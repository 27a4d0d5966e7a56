using System.Diagnostics;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>A row of a run's history. Of several labels the validation's accuracy is its mean average precision, of numbers R²; training's is then
/// not counted.</summary>
public sealed record EpochRecord(int Phase, string Name, int Epoch, double Loss, double TrainAccuracy, double ValidationLoss,
    double ValidationAccuracy, double Rate, double Seconds);

/// <summary>How a plan is carried out.</summary>
internal sealed record PlanOptions
{
    /// <summary>Of orders, augmentations, splits, starting values.</summary>
    public long Seed { get; init; }

    /// <summary>The run's folder, for the state; null: nothing is saved.</summary>
    public string? Folder { get; init; }

    /// <summary>Go on from the folder's state.</summary>
    public bool Resume { get; init; }

    /// <summary>Where outputs of frozen stages are kept; null: nowhere.</summary>
    public FeatureCache? Cache { get; init; }

    /// <summary>Where the network runs.</summary>
    public Device Device { get; init; }

    /// <summary>Whether rare classes weigh as much as frequent ones.</summary>
    public bool Balanced { get; init; }

    /// <summary>Whether a broken picture ends the run.</summary>
    public bool Strict { get; init; }

    /// <summary>Bytes of decoded pictures that may be kept in memory.</summary>
    public long PictureBudget { get; init; } = PictureStore.DefaultBudget;

    /// <summary>Told often.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after each epoch.</summary>
    public Action<EpochRecord>? EpochEnded { get; init; }

    /// <summary>Stops cleanly.</summary>
    public CancellationToken Cancel { get; init; }
}

/// <summary>
/// Carries out a plan on a backbone (which it changes) and a head, phase by phase: heads are solved on cached features, the rest is
/// trained. The best weights of one phase are where the next one starts.
/// </summary>
internal sealed class PlanRunner(Backbone backbone, Plan plan, Dataset train, Dataset validation, PlanOptions options)
{
    private const int HeldOutBatch = 32;

    private readonly List<EpochRecord> _history = [];
    private Head? _head;
    private bool _moved;
    private PictureStore? _trainStore, _validationStore;
    private int[]? _trainItems, _validationItems;
    private int[][]? _trainTokens, _validationTokens;

    /// <summary>The head, once a phase has made it.</summary>
    public Head Head => _head ?? throw new InvalidOperationException("no phase has run");

    /// <summary>Every epoch.</summary>
    public IReadOnlyList<EpochRecord> History => _history;

    /// <summary>Pictures that were left out.</summary>
    public List<BrokenPicture> Broken { get; } = [];

    /// <summary>What was noticed.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>The fit of the head, where a phase solved it.</summary>
    public FittedHead? Fit { get; private set; }

    /// <summary>The training pictures that it was fitted to.</summary>
    public IReadOnlyList<int> FitIndices { get; private set; } = [];

    private int FeatureStage => plan.FeatureStage is { } name ? backbone.Stages.ToList().FindIndex(stage => stage.Name == name)
        : backbone.Stages.Count - 1;

    /// <summary>Runs every phase, from where a stopped run was.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; the state is saved.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public void Run()
    {
        plan.Validate(backbone);
        HeadKinds.Check(plan.Head, train.Targets.Kind);
        using var state = (options.Folder is { } folder && options.Resume ? TrainingState.Load(folder) : null) ?? new TrainingState();
        _history.AddRange(state.History.Select(look => Record(look, plan.Phases[look.Phase])));
        try
        {
            for (var p = 0; p < plan.Phases.Count; p++)
            {
                var phase = plan.Phases[p];
                if (phase.Solve)
                {
                    // Solved anew even in a resumed run: quick, from the cache, and the same to the last bit.
                    if (!state.IsResumed || p >= state.Phase) SolveHead();
                    continue;
                }
                // What a training gave is not asked for again: it is not worth a place in the cache.
                _moved = true;
                if (phase.Objective == PhaseObjective.Supervised) _head ??= NewHead();
                if (!state.IsResumed || p == state.Phase) RunPhase(p, phase, state);
            }
            backbone.Eval();
            Head.Eval();
        }
        finally
        {
            _trainStore?.Dispose();
            _validationStore?.Dispose();
        }
    }

    private Head NewHead()
    {
        TorchRuntime.ManualSeed(options.Seed);
        var made = Head.Create(plan.Head, backbone.Stages[FeatureStage].Channels, train.Targets.Names.Count);
        if (train.Targets is NumberTargets numbers) made.Units = NumberFitter.UnitsOf(numbers);
        return made;
    }

    private void SolveHead()
    {
        var extractor = new FeatureExtractor(backbone, _moved ? null : options.Cache, options.Device);
        var features = extractor.Pooled(train, backbone.Preprocessing, progress: Report("features"), cancel: options.Cancel);
        using var rows = features.Rows;
        NoteBroken(features.Broken);
        Notes.AddRange(features.Notes);
        train.RequireEveryClass(features.Indices, features.Broken);
        _trainItems = features.Indices;
        Fit = HeadFitter.Fit(features.Stage(backbone, FeatureStage), train.Targets.Subset(features.Indices),
            new HeadOptions { Kind = plan.Head, Seed = options.Seed, Balanced = options.Balanced });
        FitIndices = features.Indices;
        Notes.AddRange(Fit.Notes.Except(Notes));
        _head?.Dispose();
        _head = Fit.Head;
    }

    private void RunPhase(int number, Phase phase, TrainingState state)
    {
        // Outputs of frozen stages are kept of pictures, which all have one size; sentences run through them again.
        if (train.IsText) phase = phase with { Views = 0 };
        backbone.FreezeBelow(phase.TrainFrom, phase.FreezeStatistics);
        if (phase.Objective != PhaseObjective.Supervised)
        {
            RunPairs(number, phase, state);
            return;
        }
        Head.SetTrainable(true);
        using var feed = TrainingFeed(phase);
        using var heldOut = ValidationFeed();
        using var objective = new SupervisedObjective(backbone, Head, phase, FeatureStage, options.Device, ClassWeights());
        // A solved head is the first candidate: what follows must be better to be kept.
        Train(objective, feed, heldOut, number, phase, state, lookFirst: Fit is not null);
    }

    // The sentences of pairs that are drawn are judged by nothing but the head that comes after; pairs with scores are, by the scores.
    private void RunPairs(int number, Phase phase, TrainingState state)
    {
        var encoder = (TextEncoder)backbone;
        if (phase.Objective == PhaseObjective.Contrastive)
        {
            var pairs = new ContrastivePairs(train.Labels, phase.PairsOfEach, phase.BatchSize, phase.MostSteps, options.Seed);
            using var drawn = new PairFeed(_trainTokens ??= Tokens(encoder, train), encoder.Shape.Pad, pairs);
            using var contrastive = new ContrastiveObjective(backbone, phase, FeatureStage, options.Device);
            Train(contrastive, drawn, null, number, phase, state, lookFirst: false);
            return;
        }
        PairFeed Scored(ref int[][]? tokens, Dataset data, int batch, bool shuffle)
        {
            float[] scores = [.. ((NumberTargets)data.Targets).Rows.Select(row => row[0])];
            return new PairFeed(tokens ??= Tokens(encoder, data.Apart()), encoder.Shape.Pad, new ScoredPairs(scores, batch, options.Seed, shuffle));
        }
        using var feed = Scored(ref _trainTokens, train, phase.BatchSize, shuffle: true);
        using var heldOut = validation.Count == 0 ? null : Scored(ref _validationTokens, validation, HeldOutBatch, shuffle: false);
        using var objective = new CosentObjective(backbone, phase, FeatureStage, options.Device);
        Train(objective, feed, heldOut, number, phase, state, lookFirst: true);
    }

    private void Train<TBatch>(Objective<TBatch> objective, Feed<TBatch> feed, Feed<TBatch>? heldOut, int number, Phase phase, TrainingState state,
        bool lookFirst)
    {
        var training = new Trainer<TBatch>(objective, feed, heldOut, phase.Optimisation(), new TrainingContext
        {
            Seed = options.Seed, State = state, Phase = number, Name = phase.Name, Folder = options.Folder, Device = options.Device,
                Progress = options.Progress, Cancel = options.Cancel,
            LookFirst = lookFirst,
            Looked = look =>
            {
                _history.Add(Record(look, phase));
                options.EpochEnded?.Invoke(_history[^1]);
            },
        }).Run();
        if (!training.Finished) throw new OperationCanceledException(options.Cancel);
    }

    private static EpochRecord Record(Look look, Phase phase) =>
        new(look.Phase, look.Name, look.Epoch, look.Loss, look.Shares.GetValueOrDefault("right", double.NaN),
        look.Score?.Loss ?? double.NaN, look.Score?.Value ?? double.NaN, phase.HeadRate * look.RateFactor, look.Seconds);

    private void NoteBroken(IEnumerable<BrokenPicture> broken)
    {
        foreach (var picture in broken.Where(picture => !Broken.Contains(picture)))
        {
            if (options.Strict) throw new GraftException($"{picture.File}: {picture.Error} (--strict)");
            Broken.Add(picture);
        }
    }

    private Action<int, int> Report(string stage)
    {
        var clock = Stopwatch.StartNew();
        return (done, total) => options.Progress?.Invoke(
            new ProgressReport(stage, done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)) { Unit = train.Noun.Many });
    }

    private Tensor? ClassWeights()
    {
        if (!options.Balanced || train.Targets is not ClassTargets) return null;
        return Tensor.From(Array.ConvertAll(HeadFitter.ClassWeights(train.Labels, train.Classes.Count), weight => (float)weight)).To(options.Device);
    }

    private void CheckNorms(Phase phase, int pictures)
    {
        if (pictures == 1 && phase.Normalises(backbone))
            throw new GraftException($"phase '{phase.Name}' has one picture to train on, and BatchNorm needs at least two for its statistics: give more pictures, or set freezeStatistics in the plan (--plan)");
    }

    // With nothing held out the last weights are as good a guess as any, and have learned the most.
    private Feed<Batch>? ValidationFeed()
    {
        if (backbone is TextEncoder encoder)
        {
            _validationTokens ??= Tokens(encoder, validation);
            return validation.Count == 0 ? null
                : new TextFeed(_validationTokens, validation.Targets, encoder.Shape.Pad, HeldOutBatch, options.Seed, shuffle: false);
        }
        if (_validationStore is null)
        {
            _validationStore = new PictureStore(validation, options.PictureBudget / 2);
            (_validationItems, var broken) = _validationStore.Check(options.Cancel);
            NoteBroken(broken);
        }
        return _validationItems!.Length == 0 ? null
            : new PictureFeed(_validationStore, _validationItems, backbone.Preprocessing, HeldOutBatch, options.Seed, shuffle: false);
    }

    private int[][] Tokens(TextEncoder encoder, Dataset data)
    {
        var cut = 0;
        var tokens = TextLanes.Tokenize(data.Count, k =>
        {
            var encoded = encoder.Encode(data.Text(k));
            if (encoded.IsCut) Interlocked.Increment(ref cut);
            return encoded.Ids;
        }, options.Cancel);
        if (cut > 0 && TextExtraction.CutNote(cut, encoder.MostTokens) is var note && !Notes.Contains(note)) Notes.Add(note);
        return tokens;
    }

    private Feed<Batch> TrainingFeed(Phase phase)
    {
        if (backbone is TextEncoder encoder)
            return new TextFeed(_trainTokens ??= Tokens(encoder, train), train.Targets, encoder.Shape.Pad, phase.BatchSize, options.Seed);
        var preprocessing = phase.Augmentation.Count > 0 ? backbone.Preprocessing.With([.. phase.Augmentation]) : backbone.Preprocessing;
        if (phase is { TrainFrom: > 0, Views: > 0 })
        {
            var from = Math.Min(phase.TrainFrom, FeatureStage + 1);
            var extraction = new FeatureExtractor(backbone, options.Cache, options.Device)
                .Activations(train, preprocessing, from, phase.Views, options.Seed, Report("frozen stages"), options.Cancel);
            NoteBroken(extraction.Broken);
            train.RequireEveryClass(extraction.Indices, extraction.Broken);
            CheckNorms(phase, extraction.Indices.Length);
            Notes.AddRange(extraction.Notes.Except(Notes));
            return new CachedFeed(extraction, train, phase.BatchSize, options.Seed);
        }
        if (_trainStore is null)
        {
            _trainStore = new PictureStore(train, options.PictureBudget);
            (_trainItems, var broken) = _trainStore.Check(options.Cancel);
            NoteBroken(broken);
            train.RequireEveryClass(_trainItems, broken);
        }
        CheckNorms(phase, _trainItems!.Length);
        return new PictureFeed(_trainStore, _trainItems!, preprocessing, phase.BatchSize, options.Seed);
    }
}
