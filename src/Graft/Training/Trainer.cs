using System.Diagnostics;
using System.Globalization;
using Graft.Backbones;
using Graft.Data;
using Graft.Heads;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Training;

/// <summary>What is shown while a run goes on.</summary>
/// <param name="Stage">Such as "features" or a phase's name.</param>
/// <param name="Done">Of <paramref name="Total"/> units.</param>
/// <param name="Total">All units.</param>
/// <param name="Rate">Pictures (or <see cref="Unit"/>) per second; 0: not known.</param>
/// <param name="Loss">Mean so far; NaN where there is none.</param>
/// <param name="Accuracy">Share right so far; NaN where there is none.</param>
public sealed record ProgressReport(string Stage, long Done, long Total, double Rate, double Loss = double.NaN, double Accuracy = double.NaN)
{
    /// <summary>What is counted by <see cref="Rate"/>.</summary>
    public string Unit { get; init; } = "pictures";

    /// <summary>features: 120/245 (49%), 41.5 pictures/s.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Stage}: {Done}/{Total} ({100.0 * Done / Math.Max(1, Total):0}%)")
        + (Rate > 0 ? string.Create(CultureInfo.InvariantCulture, $", {Rate:0.0} {Unit}/s") : "")
        + (double.IsNaN(Loss) ? "" : string.Create(CultureInfo.InvariantCulture, $", loss {Loss:0.0000}"))
        + (double.IsNaN(Accuracy) ? "" : string.Create(CultureInfo.InvariantCulture, $", right {100 * Accuracy:0.0}%"));
}

/// <summary>A training that cannot go on, such as a loss that is no number; the last good state is kept.</summary>
public sealed class TrainingStoppedException : GraftException
{
    /// <summary>An error without a message.</summary>
    public TrainingStoppedException() { }

    /// <summary>What stopped it, and what to do.</summary>
    public TrainingStoppedException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public TrainingStoppedException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>
/// Carries out a plan on a backbone (which it changes) and a head. Orders, augmentations and dropout depend on the seed and
/// the step only, and the state is saved whole: a run that was killed and resumed ends bit for bit as one that was not.
/// </summary>
public sealed class Trainer(Backbone backbone, Plan plan, Dataset train, Dataset validation, TrainerOptions options)
{
    private static readonly TimeSpan s_saveEvery = TimeSpan.FromSeconds(20);

    private readonly Progress _progress = new();
    private Head? _head;
    private PictureStore? _trainStore, _validationStore;
    private int[]? _trainItems, _validationItems;
    private Dictionary<string, Tensor> _best = [];
    private IReadOnlyDictionary<string, Tensor>? _resumed;

    /// <summary>The head, once a phase has made it.</summary>
    public Head Head => _head ?? throw new InvalidOperationException("no phase has run");

    /// <summary>Every epoch.</summary>
    public IReadOnlyList<EpochRecord> History => _progress.History;

    /// <summary>Pictures that were left out.</summary>
    public List<BrokenPicture> Broken { get; } = [];

    /// <summary>What was noticed.</summary>
    public List<string> Notes { get; } = [];

    /// <summary>The fit of the head, where a phase solved it.</summary>
    public FittedHead? Fit { get; private set; }

    private int FeatureStage => plan.FeatureStage is { } name ? backbone.Stages.ToList().FindIndex(stage => stage.Name == name) : backbone.Stages.Count - 1;

    /// <summary>Runs every phase, from where a stopped run was.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; the state is saved.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public void Run()
    {
        plan.Validate(backbone);
        var state = options.Folder is { } folder && options.Resume ? TrainingState.Load<Progress>(folder) : null;
        for (var p = 0; p < plan.Phases.Count; p++)
        {
            if (plan.Phases[p].Solve)
            {
                // Solved anew even in a resumed run: quick, from the cache, and the same to the last bit.
                if (state is null || p >= state.Value.Progress.Phase) SolveHead();
                continue;
            }
            _head ??= NewHead();
            if (state is { } saved)
            {
                if (p < saved.Progress.Phase) continue;
                Restore(saved.Progress, saved.Tensors);
                state = null;
            }
            else
            {
                (_progress.Phase, _progress.Epoch, _progress.Step, _progress.OptimizerSteps, _progress.SinceBest) = (p, 0, 0, 0, 0);
                (_progress.LossSum, _progress.Seen, _progress.Right) = (0, 0, 0);
            }
            RunPhase(p, plan.Phases[p]);
        }
        if (_best.Count > 0) LoadWeights(_best);
        backbone.Eval();
        Head.Eval();
        DisposeAll(_best);
        _trainStore?.Dispose();
        _validationStore?.Dispose();
    }

    private Head NewHead()
    {
        TorchRuntime.ManualSeed(options.Seed);
        var head = Head.Create(plan.Head, backbone.Stages[FeatureStage].Channels, train.Classes.Count);
        return head;
    }

    private void SolveHead()
    {
        var extractor = new FeatureExtractor(backbone, options.Cache, options.Device);
        var features = extractor.Pooled(train, backbone.Preprocessing, progress: Report("features"), cancel: options.Cancel);
        using var rows = features.Rows;
        NoteBroken(features.Broken);
        Notes.AddRange(features.Notes);
        train.RequireEveryClass(features.Indices, features.Broken);
        _trainItems = features.Indices;
        Fit = HeadFitter.Fit(features.Stage(backbone, FeatureStage), [.. features.Indices.Select(k => train.Labels[k])], train.Classes.Count,
            new HeadOptions { Kind = plan.Head, Seed = options.Seed, Balanced = options.Balanced });
        _head?.Dispose();
        _head = Fit.Head;
    }

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
        return (done, total) => options.Progress?.Invoke(new ProgressReport(stage, done, total, done / Math.Max(1e-9, clock.Elapsed.TotalSeconds)));
    }

    private IReadOnlyDictionary<string, Tensor> Weights()
    {
        var weights = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in backbone.State()) weights["backbone." + name] = tensor;
        foreach (var (name, tensor) in Head.State()) weights["head." + name] = tensor;
        return weights;
    }

    private void LoadWeights(IReadOnlyDictionary<string, Tensor> from)
    {
        backbone.CopyFrom(from.Where(item => item.Key.StartsWith("backbone.", StringComparison.Ordinal)).ToDictionary(item => item.Key["backbone.".Length..], item => item.Value));
        Head.CopyFrom(from.Where(item => item.Key.StartsWith("head.", StringComparison.Ordinal)).ToDictionary(item => item.Key["head.".Length..], item => item.Value));
    }

    private static Dictionary<string, Tensor> Copy(IReadOnlyDictionary<string, Tensor> weights)
    {
        using var mode = Autograd.NoGrad();
        return weights.ToDictionary(item => item.Key, item => TensorScope.Detach(item.Value.Detach().Clone()));
    }

    private static void DisposeAll(Dictionary<string, Tensor> tensors)
    {
        foreach (var tensor in tensors.Values) tensor.Dispose();
        tensors.Clear();
    }

    private void Restore(Progress saved, IReadOnlyDictionary<string, Tensor> tensors)
    {
        (_progress.Phase, _progress.Epoch, _progress.Step, _progress.OptimizerSteps) = (saved.Phase, saved.Epoch, saved.Step, saved.OptimizerSteps);
        (_progress.LossSum, _progress.Seen, _progress.Right) = (saved.LossSum, saved.Seen, saved.Right);
        (_progress.BestAccuracy, _progress.BestLoss, _progress.SinceBest) = (saved.BestAccuracy, saved.BestLoss, saved.SinceBest);
        _progress.History.AddRange(saved.History);
        LoadWeights(TrainingState.Part(tensors, "now."));
        _best = Copy(TrainingState.Part(tensors, "best."));
        _resumed = tensors;
    }

    private void Save(Optimizer optimizer, Dictionary<string, Tensor>? average)
    {
        if (options.Folder is not { } folder) return;
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in Weights()) tensors["now." + name] = tensor;
        foreach (var (name, tensor) in _best) tensors["best." + name] = tensor;
        foreach (var (name, tensor) in optimizer.State) tensors["optimizer." + name] = tensor;
        foreach (var (name, tensor) in average ?? []) tensors["average." + name] = tensor;
        TrainingState.Save(folder, _progress, tensors);
    }

    private void RunPhase(int number, Phase phase)
    {
        if (options.Device.IsCuda)
        {
            backbone.To(options.Device);
            Head.To(options.Device);
        }
        backbone.FreezeBelow(phase.TrainFrom, phase.FreezeStatistics);
        Head.SetTrainable(true);
        using var data = OpenData(phase);
        var groups = new List<ParameterGroup> { new("head", [.. Head.Parameters()], phase.HeadRate, phase.WeightDecay) };
        for (var k = phase.TrainFrom; k <= FeatureStage; k++)
        {
            Tensor[] parameters = [.. backbone.Stages[k].Modules.SelectMany(module => module.Parameters())];
            var rate = k < phase.StageRates.Count ? phase.StageRates[k] : phase.HeadRate;
            if (parameters.Length > 0 && rate > 0) groups.Add(new ParameterGroup(backbone.Stages[k].Name, parameters, rate, phase.WeightDecay));
        }
        using var optimizer = NewOptimizer(phase, groups);
        Dictionary<string, Tensor>? average = phase.Ema > 0 ? Copy(Weights()) : null;
        if (_resumed is { } resumed)
        {
            optimizer.Restore(TrainingState.Part(resumed, "optimizer."), _progress.OptimizerSteps);
            if (average is not null) { DisposeAll(average); average = Copy(TrainingState.Part(resumed, "average.")); }
            foreach (var tensor in resumed.Values) tensor.Dispose();
            _resumed = null;
        }
        else if (_progress.BestAccuracy < 0 && Fit is not null)
        {
            // A solved head is the first candidate: what follows must be better to be kept.
            KeepIfBest(Evaluate());
        }
        var steps = (long)data.Batches * phase.Epochs;
        var clock = Stopwatch.StartNew();
        var lastSave = Stopwatch.StartNew();
        for (; _progress.Epoch < phase.Epochs; _progress.Epoch++)
        {
            backbone.Train();
            Head.Train();
            var epochClock = Stopwatch.StartNew();
            foreach (var (inputs, labels) in data.Epoch(_progress.Epoch, _progress.Step))
            {
                using (inputs)
                using (labels)
                {
                    optimizer.RateFactor = phase.Schedule.Factor(_progress.OptimizerSteps, steps);
                    Step(number, phase, optimizer, inputs, labels);
                    if (average is not null) Average(average, phase.Ema);
                }
                _progress.Step++;
                _progress.OptimizerSteps++;
                options.Progress?.Invoke(new ProgressReport(phase.Name, _progress.OptimizerSteps, steps, _progress.Seen / Math.Max(1e-9, epochClock.Elapsed.TotalSeconds), _progress.LossSum / _progress.Step, (double)_progress.Right / Math.Max(1, _progress.Seen)));
                if (options.Cancel.IsCancellationRequested)
                {
                    Save(optimizer, average);
                    throw new OperationCanceledException(options.Cancel);
                }
                if (lastSave.Elapsed > s_saveEvery) { Save(optimizer, average); lastSave.Restart(); }
            }
            EndEpoch(number, phase, optimizer, average, epochClock.Elapsed.TotalSeconds);
            if (phase.Patience > 0 && _progress.SinceBest >= phase.Patience) break;
            var next = _progress.Epoch;
            _progress.Epoch++;
            Save(optimizer, average);
            _progress.Epoch = next;
            lastSave.Restart();
        }
        // The next phase goes on from the best, not from the last.
        if (_best.Count > 0) LoadWeights(_best);
        if (average is not null) DisposeAll(average);
        if (options.Device.IsCuda)
        {
            backbone.To(Device.Cpu);
            Head.To(Device.Cpu);
        }
    }

    private void EndEpoch(int number, Phase phase, Optimizer optimizer, Dictionary<string, Tensor>? average, double seconds)
    {
        Dictionary<string, Tensor>? own = null;
        if (average is not null)
        {
            own = Copy(Weights());
            LoadWeights(average);
        }
        var found = Evaluate();
        // Weights that give no number here must neither be kept nor saved.
        if (!double.IsFinite(found.Loss)) throw Stopped(number, phase, null, null);
        var better = KeepIfBest(found);
        if (own is not null)
        {
            LoadWeights(own);
            DisposeAll(own);
        }
        _progress.SinceBest = better ? 0 : _progress.SinceBest + 1;
        var record = new EpochRecord(number, phase.Name, _progress.Epoch + 1, _progress.LossSum / Math.Max(1, _progress.Step), (double)_progress.Right / Math.Max(1, _progress.Seen), found.Loss, found.Accuracy,
            phase.HeadRate * optimizer.RateFactor, seconds);
        _progress.History.Add(record);
        options.EpochEnded?.Invoke(record);
        (_progress.Step, _progress.LossSum, _progress.Seen, _progress.Right) = (0, 0, 0, 0);
    }

    private static Optimizer NewOptimizer(Phase phase, IReadOnlyList<ParameterGroup> groups) => phase.Optimizer switch
    {
        "sgd" => new Sgd(groups),
        "nesterov" => new Sgd(groups, nesterov: true),
        "adamw" => new AdamW(groups),
        "adam" => new Adam(groups),
        var other => throw new GraftException($"the plan's optimizer '{other}' is unknown: use sgd, nesterov, adam or adamw"),
    };

    private void Step(int number, Phase phase, Optimizer optimizer, Tensor given, Tensor labels)
    {
        using var scope = new TensorScope();
        // Dropout draws from here; the seed depends on the step only, so that no generator state needs to be saved.
        var rng = new Rng(options.Seed, 3, number, _progress.Epoch, _progress.Step);
        TorchRuntime.ManualSeed(rng.NextSeed());
        var (inputs, targets) = (given.To(options.Device), labels.To(options.Device));
        var hard = targets;
        if (phase.Mixup > 0 && (phase.CutMix <= 0 || rng.Next() < 0.5)) (inputs, targets) = BatchMixing.Mixup(inputs, targets, train.Classes.Count, phase.Mixup, ref rng);
        else if (phase.CutMix > 0) (inputs, targets) = BatchMixing.CutMix(inputs, targets, train.Classes.Count, phase.CutMix, ref rng);
        optimizer.ZeroGrad();
        var cached = phase is { TrainFrom: > 0, Views: > 0 };
        var x = inputs;
        if (!cached && phase.TrainFrom > 0)
        {
            using var frozen = Autograd.NoGrad();
            x = backbone.Forward(inputs, 0, Math.Min(phase.TrainFrom, FeatureStage + 1));
        }
        x = backbone.Forward(x, Math.Min(phase.TrainFrom, FeatureStage + 1), FeatureStage + 1);
        var scores = Head.Forward(backbone.Pool(x));
        var loss = plan.Head == HeadKind.Svm
            ? Losses.SquaredHinge(scores, targets, ClassWeights())
            : Losses.CrossEntropy(scores, targets, ClassWeights(), phase.LabelSmoothing);
        var value = loss.Item();
        if (!double.IsFinite(value)) throw Stopped(number, phase, x, scores);
        loss.Backward();
        if (phase.ClipNorm > 0 && !double.IsFinite(optimizer.ClipGradients(phase.ClipNorm))) throw Stopped(number, phase, x, scores);
        optimizer.Step();
        _progress.LossSum += value;
        _progress.Seen += (int)labels.Shape[0];
        _progress.Right += (int)scores.Detach().Argmax(1).Eq(hard).Sum().Item();
    }

    private Tensor? ClassWeights()
    {
        if (!options.Balanced) return null;
        return Tensor.From(Array.ConvertAll(HeadFitter.ClassWeights(train.Labels, train.Classes.Count), weight => (float)weight)).To(options.Device);
    }

    private TrainingStoppedException Stopped(int number, Phase phase, Tensor? features, Tensor? scores)
    {
        string? bad = null;
        foreach (var (name, tensor) in Weights().Select(item => (Name: item.Key, Tensor: (Tensor?)item.Value)).Append(("the stages' output", features?.Detach())).Append(("the scores", scores?.Detach())))
        {
            if (tensor?.Type == DType.Float32 && !tensor.Isfinite().All().ToArray<bool>()[0]) { bad = name; break; }
        }
        var where = options.Folder is { } folder ? $" The last good state is in {folder}." : "";
        return new TrainingStoppedException($"phase {number + 1} ({phase.Name}), epoch {_progress.Epoch + 1}, step {_progress.Step + 1}: the loss is no number; the first tensor with one is {bad ?? "the gradient"}.{where} Lower the learning rates (--plan), or set clipNorm");
    }

    private void Average(Dictionary<string, Tensor> average, double decay)
    {
        using var mode = Autograd.NoGrad();
        foreach (var (name, tensor) in Weights())
        {
            if (tensor.Type == DType.Float32) average[name].LerpInPlace(tensor.Detach(), 1 - decay);
            else average[name].CopyInPlace(tensor.Detach());
        }
    }

    private bool KeepIfBest((double Loss, double Accuracy) found)
    {
        // With nothing held out the last is as good a guess as any, and has learned the most.
        var better = _validationItems!.Length == 0 || found.Accuracy > _progress.BestAccuracy || (found.Accuracy == _progress.BestAccuracy && found.Loss < _progress.BestLoss);
        if (!better) return false;
        (_progress.BestAccuracy, _progress.BestLoss) = (found.Accuracy, found.Loss);
        DisposeAll(_best);
        _best = Copy(Weights());
        return true;
    }

    /// <summary>Loss and accuracy on the validation pictures, with the weights as they are.</summary>
    private (double Loss, double Accuracy) Evaluate()
    {
        using var mode = Autograd.NoGrad();
        backbone.Eval();
        Head.Eval();
        var (store, items) = ValidationPictures();
        var (loss, right) = (0.0, 0);
        foreach (var batch in new Loader(store, backbone.Preprocessing, 32, options.Seed).Batches(items, 0, shuffle: false))
        {
            using (batch)
            using (var scope = new TensorScope())
            {
                var labels = batch.Labels.To(options.Device);
                var scores = Head.Forward(backbone.Pool(backbone.Forward(batch.Inputs.To(options.Device), 0, FeatureStage + 1)));
                loss += (scores * Head.Temperature).CrossEntropyLoss(labels, null, Reduction.Sum).Item();
                right += (int)scores.Argmax(1).Eq(labels).Sum().Item();
            }
        }
        return (loss / Math.Max(1, items.Length), (double)right / Math.Max(1, items.Length));
    }

    private (PictureStore Store, int[] Items) ValidationPictures()
    {
        if (_validationStore is null)
        {
            _validationStore = new PictureStore(validation, options.PictureBudget / 2);
            (_validationItems, var broken) = _validationStore.Check(options.Cancel);
            NoteBroken(broken);
        }
        return (_validationStore, _validationItems!);
    }

    private void CheckNorms(Phase phase, int pictures)
    {
        if (pictures == 1 && phase.Normalises(backbone)) throw new GraftException($"phase '{phase.Name}' has one picture to train on, and BatchNorm needs at least two for its statistics: give more pictures, or set freezeStatistics in the plan (--plan)");
    }

    private TrainingData OpenData(Phase phase)
    {
        var preprocessing = phase.Augmentation.Count > 0 ? backbone.Preprocessing.With([.. phase.Augmentation]) : backbone.Preprocessing;
        if (phase is { TrainFrom: > 0, Views: > 0 })
        {
            var from = Math.Min(phase.TrainFrom, FeatureStage + 1);
            var extraction = new FeatureExtractor(backbone, options.Cache, options.Device).Activations(train, preprocessing, from, phase.Views, options.Seed, Report("frozen stages"), options.Cancel);
            NoteBroken(extraction.Broken);
            train.RequireEveryClass(extraction.Indices, extraction.Broken);
            Notes.AddRange(extraction.Notes.Except(Notes));
            CheckNorms(phase, extraction.Indices.Length);
            return new CachedData(extraction, train, phase.BatchSize, options.Seed);
        }
        if (_trainStore is null)
        {
            _trainStore = new PictureStore(train, options.PictureBudget);
            (_trainItems, var broken) = _trainStore.Check(options.Cancel);
            NoteBroken(broken);
            train.RequireEveryClass(_trainItems, broken);
        }
        CheckNorms(phase, _trainItems!.Length);
        return new LiveData(_trainStore, _trainItems!, preprocessing, phase.BatchSize, options.Seed);
    }
}
