using Graft.Learning;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>How a learner is trained on episodes.</summary>
public sealed record EpisodeTrainOptions
{
    /// <summary>Steps of the optimiser.</summary>
    [Option("Steps of the optimiser (default 2000; MANN 1500)", Least = 1)]
    public int Steps { get; init; } = 2000;

    /// <summary>Episodes of a step.</summary>
    [Option("Episodes of a step (default 2; Reptile 4, MAML and its kin 8, MANN 16)", Name = "--batch", Least = 1)]
    public int EpisodesPerStep { get; init; } = 2;

    /// <summary>Adam's rate (Reptile: the share ε of the way to a task's solution).</summary>
    [Option("Learning rate (default 0.001; a prototypical network from scratch 0.003, MANN 0.002, Reptile 1)", Name = "--rate", Above = 0)]
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>The rate falls to this share of itself, along half a cosine.</summary>
    [Option("The rate falls to this share of itself", Name = "the final rate", Least = 0, Most = 1)]
    public double FinalRate { get; init; } = 0.01;

    /// <summary>Gradients are scaled down to this norm.</summary>
    [Option("Gradients are scaled down to this norm", Name = "the gradients' norm", Above = 0)]
    public double ClipNorm { get; init; } = 10;

    /// <summary>Steps between looks at the validation classes; 0: never.</summary>
    [Option("Steps between looks at the validation classes; 0: never", Name = "steps between looks", Least = 0)]
    public int ValidateEvery { get; init; } = 500;

    /// <summary>Episodes of such a look.</summary>
    [Option("Episodes of such a look", Name = "episodes of a look", Least = 1)]
    public int ValidationEpisodes { get; init; } = 200;

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds.</exception>
    public void Validate() => OptionBounds.Check(this);
}

/// <summary>A look at the validation classes; <paramref name="Best"/>: none before was better.</summary>
public sealed record EpisodeRecord(int Step, double Loss, double Accuracy, double Seconds, bool Best);

/// <summary>What a training came to.</summary>
/// <param name="History">Every look.</param>
/// <param name="Best">The step that was kept; the last where there was no validation.</param>
/// <param name="Steps">Steps that were taken: fewer than asked for where it was stopped.</param>
/// <param name="Seconds">Wall time, looks included.</param>
/// <param name="EpisodesPerSecond">Of training alone.</param>
public sealed record EpisodeTraining(IReadOnlyList<EpisodeRecord> History, int Best, int Steps, double Seconds, double EpisodesPerSecond)
{
    /// <summary>Trains a learner on episodes, keeping the parameters that do best on the validation classes.</summary>
    /// <param name="learner">It is left in inference mode.</param>
    /// <param name="train">Draws what it learns from.</param>
    /// <param name="validation">Draws what it is judged by; null: the last parameters are kept.</param>
    /// <param name="options">Steps and rates.</param>
    /// <param name="context">Whom it tells, and where it is kept.</param>
    /// <exception cref="GraftException">There is nothing to do: no steps, no episodes, no rate.</exception>
    /// <exception cref="TrainingStoppedException">The loss is no number.</exception>
    public static EpisodeTraining Run(EpisodeLearner learner, EpisodeSampler train, EpisodeSampler? validation, EpisodeTrainOptions options,
        TrainingContext? context = null)
    {
        options.Validate();
        using var own = context is null ? new TrainingState() : null;
        context = (context ?? new TrainingContext { State = own! }) with { Name = "episodes" };
        var looks = validation is not null && options.ValidateEvery > 0;
        using var feed = new EpisodeFeed(train, options.EpisodesPerStep, looks ? options.ValidateEvery : options.Steps, learner.BatchesEpisodes);
        using var heldOut = looks ? new EpisodeFeed(validation!, options.ValidationEpisodes, 1) : null;
        var how = new Optimisation { Optimizer = learner.Rule, Rate = options.LearningRate, Schedule = new CosineSchedule(options.FinalRate),
            Steps = options.Steps, ClipNorm = options.ClipNorm };
        var found = new Trainer<EpisodeBatch>(learner, feed, heldOut, how, context).Run();
        var state = context.State;
        return new([.. state.History.Where(look => look.Score is not null)
            .Select(look => new EpisodeRecord((int)look.Step, look.Loss, look.Score!.Value, look.Seconds, look.Best))],
            (int)(state.BestLook?.Step ?? found.Steps), (int)found.Steps, found.Seconds, found.ItemsPerSecond);
    }
}
