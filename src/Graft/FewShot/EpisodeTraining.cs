using Graft.Learning;
using Graft.Torch;

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
    public static EpisodeTraining Run(EpisodeLearner learner, EpisodeSampler train, EpisodeSampler? validation, EpisodeTrainOptions options, TrainingContext? context = null)
    {
        options.Validate();
        using var own = context is null ? new TrainingState() : null;
        context = (context ?? new TrainingContext { State = own! }) with { Name = "episodes" };
        var looks = validation is not null && options.ValidateEvery > 0;
        using var feed = new EpisodeFeed(train, options.EpisodesPerStep, looks ? options.ValidateEvery : options.Steps, learner.BatchesEpisodes);
        using var heldOut = looks ? new EpisodeFeed(validation!, options.ValidationEpisodes, 1) : null;
        var how = new Optimisation { Optimizer = learner.Rule, Rate = options.LearningRate, Schedule = new CosineSchedule(options.FinalRate), Steps = options.Steps, ClipNorm = options.ClipNorm };
        var found = new Trainer<EpisodeBatch>(learner, feed, heldOut, how, context).Run();
        var state = context.State;
        return new([.. state.History.Where(look => look.Score is not null).Select(look => new EpisodeRecord((int)look.Step, look.Loss, look.Score!.Value, look.Seconds, look.Best))],
            (int)(state.BestLook?.Step ?? found.Steps), (int)found.Steps, found.Seconds, found.ItemsPerSecond);
    }
}
