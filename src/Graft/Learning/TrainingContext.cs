using Graft.Torch;

namespace Graft.Learning;

/// <summary>Where a training stands in its run, where it is kept, and whom it tells.</summary>
public sealed record TrainingContext
{
    /// <summary>Of orders, augmentations and dropout.</summary>
    public long Seed { get; init; }

    /// <summary>What is carried from phase to phase; it may come from a stopped training's folder.</summary>
    public TrainingState State { get; init; } = new();

    /// <summary>Of the plan.</summary>
    public int Phase { get; init; }

    /// <summary>The phase's name.</summary>
    public string Name { get; init; } = "training";

    /// <summary>Where the state is saved; null: nowhere.</summary>
    public string? Folder { get; init; }

    /// <summary>How often it is saved between looks.</summary>
    public TimeSpan SaveEvery { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Look before the first step too: what is there already is the first candidate.</summary>
    public bool LookFirst { get; init; }

    /// <summary>Where the objective runs.</summary>
    public Device Device { get; init; }

    /// <summary>Told after each step.</summary>
    public Action<ProgressReport>? Progress { get; init; }

    /// <summary>Told after each look.</summary>
    public Action<Look>? Looked { get; init; }

    /// <summary>Told when the objective is worth saving, with its weights in place: after a look that was the best, or, without held-out data, each time that the state is saved.</summary>
    public Action? Worth { get; init; }

    /// <summary>Stops after the step at hand; the state is saved.</summary>
    public CancellationToken Cancel { get; init; }
}
