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

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds.</exception>
    public void Validate()
    {
        if (this is not { Steps: > 0, EpisodesPerStep: > 0, LearningRate: > 0 } || !double.IsFinite(LearningRate))
            throw Bounds.Refuse(FormattableString.Invariant($"{Steps} steps of {EpisodesPerStep} episodes at rate {LearningRate} (--steps, --batch, --rate): each has to be above zero"));
        Bounds.Within("the final rate", FinalRate, 0, 1);
        Bounds.Positive("the gradients' norm", ClipNorm);
        Bounds.Whole("steps between looks", ValidateEvery, 0);
        Bounds.Whole("episodes of a look", ValidationEpisodes, 1);
    }
}

/// <summary>A look at the validation classes; <paramref name="Best"/>: none before was better.</summary>
public sealed record EpisodeRecord(int Step, double Loss, double Accuracy, double Seconds, bool Best);

/// <summary>What a training came to.</summary>
/// <param name="History">Every look.</param>
/// <param name="Best">The step that was kept; the last where there was no validation.</param>
/// <param name="Steps">Steps that were taken: fewer than asked for where it was stopped.</param>
/// <param name="Seconds">Wall time, looks included.</param>
/// <param name="EpisodesPerSecond">Of training alone.</param>
public sealed record EpisodeTraining(IReadOnlyList<EpisodeRecord> History, int Best, int Steps, double Seconds, double EpisodesPerSecond);

/// <summary>
/// Trains a learner on episodes, several side by side; keeps the parameters that do best on the validation classes. Episodes
/// follow from their number, and the state is saved whole: a run that was killed and resumed ends bit for bit as one that was not.
/// </summary>
public sealed class EpisodeTrainer(EpisodeLearner learner, EpisodeSampler train, EpisodeSampler? validation, EpisodeTrainOptions options)
{
    /// <summary>Told while it goes on.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after every look at the validation classes.</summary>
    public Action<EpisodeRecord>? Looked { get; init; }

    /// <summary>Told when the learner is worth saving: after a look that was the best, or, without validation, each time that the state is saved.</summary>
    public Action? Worth { get; init; }

    /// <summary>Stops after the step at hand; what was learned so far is kept.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Where the state of the training is kept, so that it can be resumed; null: nowhere.</summary>
    public string? Folder { get; init; }

    /// <summary>How often it is saved.</summary>
    public TimeSpan SaveEvery { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Go on from the state in <see cref="Folder"/>, where there is one.</summary>
    public bool Resume { get; init; }

    /// <summary>Where a training stands, beside its tensors.</summary>
    private sealed record State
    {
        public int Step { get; set; }

        public double Loss { get; set; } = double.NaN;

        public List<EpisodeRecord> History { get; init; } = [];

        public int BestStep { get; set; }

        public double BestAccuracy { get; set; } = -1;

        // Of wall time, and of training alone.
        public double Seconds { get; set; }

        public double Training { get; set; }
    }

    /// <summary>Runs all steps.</summary>
    /// <exception cref="GraftException">There is nothing to do: no steps, no episodes, no rate.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public EpisodeTraining Run()
    {
        options.Validate();
        var parameters = learner.Parameters().ToArray();
        using Optimizer optimizer = learner is Reptile
            ? new Sgd([new ParameterGroup("all", parameters, options.LearningRate)], momentum: 0)
            : new Adam([new ParameterGroup("all", parameters, options.LearningRate)]);
        using var workers = new EpisodeWorkers(learner, Math.Min(options.EpisodesPerStep, TorchRuntime.DefaultThreads));
        foreach (var own in workers.Learners) own.PrepareTraining();
        var best = new Dictionary<string, Tensor>();
        try { return Run(workers, optimizer, parameters, best); }
        finally
        {
            foreach (var tensor in best.Values) tensor.Dispose();
        }
    }

    private EpisodeTraining Run(EpisodeWorkers workers, Optimizer optimizer, Tensor[] parameters, Dictionary<string, Tensor> best)
    {
        var schedule = new CosineSchedule(options.FinalRate);
        var state = Restored(workers, optimizer, best);
        var (before, clock, saved) = (state.Seconds, Stopwatch.StartNew(), Stopwatch.StartNew());
        var looks = validation is not null && options.ValidateEvery > 0;
        // Also where a look was broken off, and the training resumed.
        bool Due() => looks && state.Step > 0 && (state.Step % options.ValidateEvery == 0 || state.Step == options.Steps) && (state.History.Count == 0 || state.History[^1].Step != state.Step);
        void Save()
        {
            if (Folder is not null && state.Step > 0) Keep(workers, optimizer, best, state);
            saved.Restart();
        }
        try
        {
            if (Due()) Look(workers, best, state);
            while (state.Step < options.Steps && !Cancel.IsCancellationRequested)
            {
                var began = Stopwatch.GetTimestamp();
                optimizer.RateFactor = schedule.Factor(state.Step, options.Steps);
                var loss = Step(workers, optimizer, parameters, state.Step++);
                state.Loss = double.IsNaN(state.Loss) ? loss : 0.98 * state.Loss + 0.02 * loss;
                state.Training += Stopwatch.GetElapsedTime(began).TotalSeconds;
                state.Seconds = before + clock.Elapsed.TotalSeconds;
                Progress?.Invoke(new ProgressReport("episodes", (long)state.Step * options.EpisodesPerStep, (long)options.Steps * options.EpisodesPerStep, state.Step * options.EpisodesPerStep / state.Training, state.Loss) { Unit = "episodes" });
                if (Due()) Look(workers, best, state);
                if (saved.Elapsed < SaveEvery) continue;
                Save();
                if (!looks && Worth is not null) workers.WithAverageBuffers(Worth);
            }
        }
        catch (OperationCanceledException)
        {
            // Stopped during a look: what was best stays.
        }
        Save();
        workers.AverageBuffers();
        if (best.Count > 0) learner.CopyFrom(best);
        learner.Prepare(transductive: false);
        return new EpisodeTraining(state.History, state.BestStep == 0 ? state.Step : state.BestStep, state.Step, state.Seconds, state.Step * options.EpisodesPerStep / Math.Max(1e-9, state.Training));
    }

    private void Look(EpisodeWorkers workers, Dictionary<string, Tensor> best, State state)
    {
        EpisodeRecord? found = null;
        workers.WithAverageBuffers(() =>
        {
            try
            {
                var accuracy = EpisodeEvaluator.Evaluate(workers, validation!, options.ValidationEpisodes, learner is TaskLearner, cancel: Cancel).Accuracy;
                found = new EpisodeRecord(state.Step, state.Loss, accuracy, state.Seconds, accuracy >= state.BestAccuracy);
            }
            finally
            {
                foreach (var own in workers.Learners) own.PrepareTraining();
            }
            state.History.Add(found);
            if (!found.Best) return;
            (state.BestStep, state.BestAccuracy) = (found.Step, found.Accuracy);
            Copy(learner.State(), best);
            Worth?.Invoke();
        });
        Looked?.Invoke(found!);
    }

    /// <summary>Where a stopped training was, or the beginning.</summary>
    private State Restored(EpisodeWorkers workers, Optimizer optimizer, Dictionary<string, Tensor> best)
    {
        if (Folder is null || !Resume || TrainingState.Load<State>(Folder) is not var (state, tensors)) return new State();
        using var mode = Autograd.NoGrad();
        try
        {
            learner.CopyFrom(TrainingState.Part(tensors, "now."));
            workers.RestoreBuffers(TrainingState.Part(tensors, "statistics."));
            optimizer.Restore(TrainingState.Part(tensors, "optimizer."), state.Step);
            Copy(TrainingState.Part(tensors, "best."), best);
        }
        finally
        {
            foreach (var tensor in tensors.Values) tensor.Dispose();
        }
        return state;
    }

    private void Keep(EpisodeWorkers workers, Optimizer optimizer, Dictionary<string, Tensor> best, State state)
    {
        (string, IEnumerable<KeyValuePair<string, Tensor>>)[] parts = [("now.", learner.State()), ("statistics.", workers.OwnBuffers()), ("optimizer.", optimizer.State), ("best.", best)];
        TrainingState.Save(Folder!, state, parts.SelectMany(part => part.Item2.Select(item => (part.Item1 + item.Key, item.Value))).ToDictionary());
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

    private static void Copy(IEnumerable<KeyValuePair<string, Tensor>> from, Dictionary<string, Tensor> to)
    {
        using var mode = Autograd.NoGrad();
        foreach (var tensor in to.Values) tensor.Dispose();
        to.Clear();
        foreach (var (name, tensor) in from) to[name] = TensorScope.Detach(tensor.Detach().Clone());
    }
}
