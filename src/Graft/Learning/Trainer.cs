using System.Diagnostics;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>What a training came to.</summary>
/// <param name="Finished">False: it was cancelled, and can be resumed.</param>
/// <param name="Steps">Steps of this phase.</param>
/// <param name="Loss">The mean over the last epoch's steps.</param>
/// <param name="Shares">What the objective counted in that epoch, as shares.</param>
/// <param name="Seconds">Wall time of all phases so far, looks included.</param>
/// <param name="ItemsPerSecond">Of this phase's steps alone.</param>
public sealed record Training(bool Finished, long Steps, double Loss, IReadOnlyDictionary<string, double> Shares, double Seconds, double ItemsPerSecond);

/// <summary>
/// The training loop. Orders, augmentations and dropout depend on the seed and the step only, and the state is saved whole: a training
/// that was killed and resumed ends bit for bit as one that was not. The weights of the best look are kept, and the objective ends with them.
/// </summary>
/// <param name="objective">What trains.</param>
/// <param name="feed">What it learns from.</param>
/// <param name="heldOut">What it is judged on after every epoch; null: the last weights are kept.</param>
/// <param name="how">Rates, epochs, averages.</param>
/// <param name="context">Its place in a run.</param>
public sealed class Trainer<TBatch>(Objective<TBatch> objective, Feed<TBatch> feed, Feed<TBatch>? heldOut, Optimisation how, TrainingContext context)
{
    private readonly Stopwatch _clock = new(), _learning = new();
    private Optimizer _optimizer = null!;
    private Workers _workers = null!;
    private Tensor[] _parameters = [];
    private Dictionary<string, Tensor>? _average;
    private double _secondsBefore;
    private long _items;

    private TrainingProgress At => context.State.Progress;

    private long Total => how.Steps ?? (long)feed.Batches * how.Epochs;

    /// <summary>Runs the phase, from where a stopped training was.</summary>
    /// <exception cref="GraftException">There is nothing to do, or the state could not be written.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public Training Run()
    {
        how.Validate();
        if (feed.Batches == 0) throw new GraftException($"{context.Name}: there is nothing to learn from, not one batch");
        if (context.Device.IsCuda) objective.To(context.Device);
        var groups = objective.Groups(how);
        _parameters = [.. groups.SelectMany(group => group.Parameters)];
        using var optimizer = _optimizer = how.Optimizer.Over(groups);
        using var workers = _workers = Workers.Of(objective, feed.Parts);
        _average = how.Ema > 0 ? TrainingState.Copy(objective.State()) : null;
        try
        {
            Begin();
            var finished = Loop();
            Finish();
            var last = At.Step == 0 && At.History.Count > 0 ? At.History[^1] : null;
            return new Training(finished, At.Steps, last?.Loss ?? At.LossSum / Math.Max(1, At.Step), last?.Shares ?? Shares(), At.Seconds, _items / Math.Max(1e-9, _learning.Elapsed.TotalSeconds));
        }
        finally
        {
            Forget(ref _average);
            if (context.Device.IsCuda) objective.To(Device.Cpu);
        }
    }

    private void Begin()
    {
        if (context.State.IsResumed)
        {
            objective.CopyFrom(context.State.Part("now."));
            _workers.Restore(context.State.Part("statistics."));
            _optimizer.Restore(context.State.Part("optimizer."), At.Steps);
            if (_average is not null)
            {
                Forget(ref _average);
                _average = TrainingState.Copy(context.State.Part("average."));
            }
            context.State.TakenUp();
        }
        else
        {
            At.BeginPhase(context.Phase);
            if (context.LookFirst && At.Best is null && heldOut is not null) Evaluate();
        }
        foreach (var replica in Replicas) replica.PrepareTraining();
        _secondsBefore = At.Seconds;
        _clock.Start();
    }

    private IEnumerable<Objective<TBatch>> Replicas => _workers.Replicas.Cast<Objective<TBatch>>();

    /// <returns>False: it was cancelled.</returns>
    private bool Loop()
    {
        var (sinceSave, unsaved) = (Stopwatch.StartNew(), false);
        void SaveNow()
        {
            Save();
            sinceSave.Restart();
            unsaved = false;
        }
        try
        {
            // Also where a stopped training had still to look at its last epoch.
            while (At.Steps < Total || At.Step > 0)
            {
                var (goesOn, epoch) = (true, Stopwatch.StartNew());
                var itemsBefore = _items;
                _learning.Start();
                foreach (var batch in At.Steps < Total ? feed.Epoch(At.Epoch, At.Step) : [])
                {
                    using (batch as IDisposable) goesOn = Take(batch);
                    unsaved = true;
                    context.Progress?.Invoke(new ProgressReport(context.Name, At.Steps, Total, (_items - itemsBefore) / Math.Max(1e-9, epoch.Elapsed.TotalSeconds), At.LossSum / At.Step, At.Counts.GetValueOrDefault("right")?.Share ?? double.NaN) { Unit = feed.Unit });
                    context.Cancel.ThrowIfCancellationRequested();
                    if (!goesOn || At.Steps == Total) break;
                    if (sinceSave.Elapsed < context.SaveEvery) continue;
                    SaveNow();
                    if (heldOut is null && context.Worth is not null) _workers.WithAverageStatistics(context.Worth);
                }
                _learning.Stop();
                Look(epoch.Elapsed.TotalSeconds);
                if (!goesOn || (how.Patience > 0 && At.SinceBest >= how.Patience)) break;
                At.Epoch++;
                At.BeginEpoch();
                SaveNow();
            }
            return true;
        }
        catch (OperationCanceledException) when (context.Cancel.IsCancellationRequested)
        {
            if (unsaved) Save();
            return false;
        }
        finally
        {
            _learning.Stop();
        }
    }

    /// <summary>One step: gradients from every part of the batch, summed, and the parameters moved.</summary>
    private bool Take(TBatch batch)
    {
        var step = NewStep();
        TorchRuntime.ManualSeed(step.Rng.NextSeed());
        _optimizer.RateFactor = how.Schedule.Factor(At.Steps, Total) * objective.RateFactor(step);
        var loss = Gradients(batch, step);
        if (!double.IsFinite(loss)) throw Stopped(objective.FirstBadOutput(batch));
        if (how.ClipNorm > 0 && !double.IsFinite(_optimizer.ClipGradients(how.ClipNorm))) throw Stopped(objective.FirstBadOutput(batch));
        _optimizer.Step();
        _optimizer.ZeroGrad();
        if (_average is not null) Average();
        At.LossSum += loss;
        var size = feed.Size(batch);
        At.Seen += size;
        _items += size;
        At.Step++;
        At.Steps++;
        var goesOn = objective.AfterStep(step, loss);
        At.Seconds = _secondsBefore + _clock.Elapsed.TotalSeconds;
        return goesOn;
    }

    private Step NewStep() => new(context.Seed, context.Phase, At.Epoch, At.Step, At.Steps, Total);

    /// <summary>The one seam at which gradients of several replicas come together.</summary>
    private double Gradients(TBatch batch, Step step)
    {
        var parts = _workers.Replicas.Count;
        var gradients = new Tensor?[parts][];
        var (losses, shares) = (new double[parts], new double[parts]);
        var steps = Enumerable.Range(0, parts).Select(part => part == 0 ? step : NewStep()).ToArray();
        _workers.Run(parts, (part, replica) =>
        {
            using var scope = new TensorScope();
            var (own, share) = feed.Part(batch, part, parts);
            var (found, loss) = ((Objective<TBatch>)replica).Gradient(own, steps[part], _parameters);
            gradients[part] = [.. found.Select(gradient => gradient is null ? null : TensorScope.Detach(gradient))];
            (losses[part], shares[part]) = (loss, share);
        });
        foreach (var (what, tally) in steps.SelectMany(own => own.Counts))
        {
            var before = At.Counts.GetValueOrDefault(what) ?? new Tally(0, 0);
            At.Counts[what] = new Tally(before.Sum + tally.Sum, before.Of + tally.Of);
        }
        if (parts == 1)
        {
            for (var k = 0; k < _parameters.Length; k++) _parameters[k].Grad = gradients[0][k];
        }
        else
        {
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            for (var k = 0; k < _parameters.Length; k++)
            {
                var given = Enumerable.Range(0, parts).Where(part => gradients[part][k] is not null).Select(part => gradients[part][k]! * shares[part]).ToArray();
                _parameters[k].Grad = given.Length == 0 ? null : given.Aggregate((a, b) => a + b);
            }
        }
        foreach (var gradient in gradients.SelectMany(list => list)) gradient?.Dispose();
        return losses.Zip(shares, (loss, share) => loss * share).Sum();
    }

    private void Look(double seconds)
    {
        var (score, best) = heldOut is null ? (null, false) : Judge();
        var look = new Look(context.Phase, context.Name, At.Epoch + 1, At.Steps, At.LossSum / Math.Max(1, At.Step), Shares(), score, _optimizer.RateFactor, seconds, best);
        At.Seconds = _secondsBefore + _clock.Elapsed.TotalSeconds;
        At.SinceBest = best ? 0 : At.SinceBest + 1;
        if (best) At.BestLook = look;
        At.History.Add(look);
        context.Looked?.Invoke(look);
    }

    private Dictionary<string, double> Shares() => At.Counts.ToDictionary(item => item.Key, item => item.Value.Share);

    /// <summary>With the averaged weights, where there are some.</summary>
    private (Score Score, bool Best) Judge()
    {
        if (_average is null) return Evaluate();
        Dictionary<string, Tensor>? own = TrainingState.Copy(objective.State());
        objective.CopyFrom(_average);
        try
        {
            return Evaluate();
        }
        finally
        {
            objective.CopyFrom(own);
            Forget(ref own);
        }
    }

    /// <summary>The score on held-out data, and whether it is the best so far: its weights are kept then.</summary>
    private (Score Score, bool Best) Evaluate()
    {
        (Score, bool) found = default;
        _workers.WithAverageStatistics(() =>
        {
            foreach (var replica in Replicas) replica.PrepareInference();
            try
            {
                var score = objective.Evaluate(heldOut!, _workers, context.Cancel);
                // Weights that give no number must neither be kept nor saved.
                if (!score.IsFinite) throw Stopped("the scores on held-out data");
                var best = score.Beats(At.Best);
                if (best)
                {
                    At.Best = score;
                    context.State.KeepBest(objective.State());
                    context.Worth?.Invoke();
                }
                found = (score, best);
            }
            finally
            {
                foreach (var replica in Replicas) replica.PrepareTraining();
            }
        });
        return found;
    }

    private void Finish()
    {
        _workers.AverageStatistics();
        // What an earlier phase kept is not of this one, where nothing judges it.
        if (heldOut is not null && context.State.Best.Count > 0) objective.CopyFrom(context.State.Best);
        else if (_average is not null) objective.CopyFrom(_average);
        objective.PrepareInference();
    }

    private void Save()
    {
        if (context.Folder is null) return;
        context.State.Save(context.Folder, ("now.", objective.State()), ("statistics.", _workers.Statistics()), ("optimizer.", _optimizer.State), ("average.", _average ?? []));
    }

    private void Average()
    {
        using var mode = Autograd.NoGrad();
        foreach (var (name, tensor) in objective.State())
        {
            if (tensor.Type == DType.Float32) _average![name].LerpInPlace(tensor.Detach(), 1 - how.Ema);
            else _average![name].CopyInPlace(tensor.Detach());
        }
    }

    private TrainingStoppedException Stopped(string? output)
    {
        using var scope = new TensorScope();
        var weight = objective.State().Where(item => item.Value.Type == DType.Float32 && !item.Value.Detach().Isfinite().All().ToArray<bool>()[0]).Select(item => item.Key).FirstOrDefault();
        var where = context.Folder is null ? "" : $" The last good state is in {context.Folder}.";
        return new TrainingStoppedException($"phase {context.Phase + 1} ({context.Name}), epoch {At.Epoch + 1}, step {At.Step + 1}: the loss is no number; the first tensor with one is {weight ?? output ?? "the gradient"}.{where} Lower the learning rates, or limit the gradients' norm (clipNorm)");
    }

    private static void Forget(ref Dictionary<string, Tensor>? tensors)
    {
        foreach (var tensor in tensors?.Values ?? Enumerable.Empty<Tensor>()) tensor.Dispose();
        tensors = null;
    }
}
