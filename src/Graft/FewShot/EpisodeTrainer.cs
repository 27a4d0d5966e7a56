using System.Diagnostics;
using Graft.Torch;
using Graft.Training;

namespace Graft.FewShot;

/// <summary>How a learner is trained on episodes.</summary>
public sealed record EpisodeTrainOptions
{
    /// <summary>Steps of the optimiser.</summary>
    public int Steps { get; init; } = 2000;

    /// <summary>Episodes of a step.</summary>
    public int EpisodesPerStep { get; init; } = 2;

    /// <summary>Adam's rate (Reptile: the share ε of the way to a task's solution).</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>The rate falls to this share of itself, along half a cosine.</summary>
    public double FinalRate { get; init; } = 0.01;

    /// <summary>Gradients are scaled down to this norm.</summary>
    public double ClipNorm { get; init; } = 10;

    /// <summary>Steps between looks at the validation classes; 0: never.</summary>
    public int ValidateEvery { get; init; } = 500;

    /// <summary>Episodes of such a look.</summary>
    public int ValidationEpisodes { get; init; } = 200;
}

/// <summary>A look at the validation classes; <paramref name="Best"/>: none before was better.</summary>
public sealed record EpisodeRecord(int Step, double Loss, double Accuracy, double Seconds, bool Best);

/// <summary>What a training came to.</summary>
/// <param name="History">Every look.</param>
/// <param name="Best">The step that was kept; the last where there was no validation.</param>
/// <param name="Seconds">Wall time, looks included.</param>
/// <param name="EpisodesPerSecond">Of training alone.</param>
public sealed record EpisodeTraining(IReadOnlyList<EpisodeRecord> History, int Best, double Seconds, double EpisodesPerSecond);

/// <summary>Trains a learner on episodes, several side by side; keeps the parameters that do best on the validation classes.</summary>
public sealed class EpisodeTrainer(EpisodeLearner learner, EpisodeSampler train, EpisodeSampler? validation, EpisodeTrainOptions options)
{
    private static readonly TimeSpan s_saveEvery = TimeSpan.FromSeconds(30);

    /// <summary>Told while it goes on.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after every look at the validation classes.</summary>
    public Action<EpisodeRecord>? Looked { get; init; }

    /// <summary>Told when the learner is worth saving: after a look that was the best, or, without validation, every half a minute.</summary>
    public Action? Worth { get; init; }

    /// <summary>Stops after the step at hand; what was learned so far is kept.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Runs all steps.</summary>
    /// <exception cref="GraftException">There is nothing to do: no steps, no episodes, no rate.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public EpisodeTraining Run()
    {
        if (options is not { Steps: > 0, EpisodesPerStep: > 0, LearningRate: > 0 })
            throw new GraftException($"{options.Steps} steps of {options.EpisodesPerStep} episodes at rate {options.LearningRate}: each has to be above zero");
        var parameters = learner.Parameters().ToArray();
        using Optimizer optimizer = learner is Reptile
            ? new Sgd([new ParameterGroup("all", parameters, options.LearningRate)], momentum: 0)
            : new Adam([new ParameterGroup("all", parameters, options.LearningRate)]);
        var schedule = new CosineSchedule(options.FinalRate);
        using var workers = new EpisodeWorkers(learner, Math.Min(options.EpisodesPerStep, TorchRuntime.DefaultThreads));
        foreach (var own in workers.Learners) own.PrepareTraining();
        var history = new List<EpisodeRecord>();
        var best = new Dictionary<string, Tensor>();
        var (bestStep, bestAccuracy, mean) = (0, -1.0, double.NaN);
        var (clock, training) = (Stopwatch.StartNew(), new Stopwatch());
        var (step, saved) = (0, Stopwatch.StartNew());
        try
        {
            for (; step < options.Steps && !Cancel.IsCancellationRequested; step++)
            {
                training.Start();
                optimizer.RateFactor = schedule.Factor(step, options.Steps);
                var loss = Step(workers, optimizer, parameters, step);
                mean = double.IsNaN(mean) ? loss : 0.98 * mean + 0.02 * loss;
                training.Stop();
                Progress?.Invoke(new ProgressReport("episodes", (step + 1L) * options.EpisodesPerStep, (long)options.Steps * options.EpisodesPerStep, (step + 1) * options.EpisodesPerStep / training.Elapsed.TotalSeconds, mean) { Unit = "episodes" });
                var looks = validation is not null && options.ValidateEvery > 0;
                if (!looks && saved.Elapsed > s_saveEvery)
                {
                    workers.AverageBuffers();
                    Worth?.Invoke();
                    saved.Restart();
                }
                if (!looks || ((step + 1) % options.ValidateEvery != 0 && step + 1 != options.Steps)) continue;
                workers.AverageBuffers();
                var found = EpisodeEvaluator.Evaluate(workers, validation!, options.ValidationEpisodes, learner is TaskLearner, cancel: Cancel);
                foreach (var own in workers.Learners) own.PrepareTraining();
                history.Add(new EpisodeRecord(step + 1, mean, found.Accuracy, clock.Elapsed.TotalSeconds, found.Accuracy >= bestAccuracy));
                if (history[^1].Best)
                {
                    (bestStep, bestAccuracy) = (step + 1, found.Accuracy);
                    Keep(best);
                    Worth?.Invoke();
                }
                Looked?.Invoke(history[^1]);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped during a look: what was best stays.
        }
        workers.AverageBuffers();
        if (best.Count > 0) learner.CopyFrom(best);
        foreach (var tensor in best.Values) tensor.Dispose();
        learner.Prepare(transductive: false);
        return new EpisodeTraining(history, bestStep == 0 ? step : bestStep, clock.Elapsed.TotalSeconds, step * options.EpisodesPerStep / Math.Max(1e-9, training.Elapsed.TotalSeconds));
    }

    private double Step(EpisodeWorkers workers, Optimizer optimizer, Tensor[] parameters, int step)
    {
        // Each worker takes its episodes at once, so that learners that batch them can.
        var parts = workers.Learners.Count;
        var gradients = new Tensor?[parts][];
        var losses = new double[parts];
        var counts = Enumerable.Range(0, parts).Select(w => Enumerable.Range(0, options.EpisodesPerStep).Count(k => k % parts == w)).ToArray();
        workers.Run(parts, (w, own) =>
        {
            using var scope = new TensorScope();
            var episodes = Enumerable.Range(0, options.EpisodesPerStep).Where(k => k % parts == w).Select(k => train.Draw((long)step * options.EpisodesPerStep + k)).ToArray();
            var (found, loss) = own.Gradient(episodes, parameters);
            gradients[w] = [.. found.Select(gradient => gradient is null ? null : TensorScope.Detach(gradient))];
            losses[w] = loss;
        });
        var mean = losses.Zip(counts, (loss, count) => loss * count).Sum() / options.EpisodesPerStep;
        if (!double.IsFinite(mean)) throw new TrainingStoppedException($"the loss is no number at step {step + 1}: try a smaller learning rate than {options.LearningRate}. The parameters are those of the step before");
        using (Autograd.NoGrad())
        using (new TensorScope())
        {
            for (var k = 0; k < parameters.Length; k++)
            {
                var given = Enumerable.Range(0, parts).Where(w => gradients[w][k] is not null).Select(w => gradients[w][k]! * ((double)counts[w] / options.EpisodesPerStep)).ToArray();
                parameters[k].Grad = given.Length == 0 ? null : given.Aggregate((a, b) => a + b);
            }
        }
        foreach (var gradient in gradients.SelectMany(list => list)) gradient?.Dispose();
        optimizer.ClipGradients(options.ClipNorm);
        optimizer.Step();
        optimizer.ZeroGrad();
        return mean;
    }

    private void Keep(Dictionary<string, Tensor> best)
    {
        using var mode = Autograd.NoGrad();
        foreach (var tensor in best.Values) tensor.Dispose();
        best.Clear();
        foreach (var (name, tensor) in learner.State()) best[name] = TensorScope.Detach(tensor.Detach().Clone());
    }
}
