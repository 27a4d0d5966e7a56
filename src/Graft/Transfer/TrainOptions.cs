using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>What <c>graft train</c> takes; saved in the run, so that it can be resumed.</summary>
public sealed record TrainOptions
{
    /// <summary>The dataset.</summary>
    public required string Data { get; init; }

    /// <summary>Pictures to validate on; null: the dataset's own, or a fifth of the training pictures.</summary>
    public string? Validation { get; init; }

    /// <summary>An architecture's name; null: what the weights are of.</summary>
    public string? Backbone { get; init; }

    /// <summary>The upstream checkpoint; null: the one embedded, for small pictures.</summary>
    public string? Weights { get; init; }

    /// <summary>How the upstream network wants its pictures, where its file does not say.</summary>
    public InputOptions Input { get; init; } = new();

    /// <summary>auto, or a strategy's name.</summary>
    public string Strategy { get; init; } = "auto";

    /// <summary>Which head; null: softmax for classes, sigmoid for several labels, ridge for numbers.</summary>
    public HeadKind? Head { get; init; }

    /// <summary>What is told of the pictures; null: what the data shows.</summary>
    public TargetKind? Task { get; init; }

    /// <summary>A plan's file, in place of a strategy.</summary>
    public string? PlanFile { get; init; }

    /// <summary>The run folder; null: runs/ and the time.</summary>
    public string? Out { get; init; }

    /// <summary>Of everything that is random.</summary>
    public long Seed { get; init; }

    /// <summary>Of the split alone, where the dataset has none of its own; null: <see cref="Seed"/>.</summary>
    public long? SplitSeed { get; init; }

    /// <summary>cpu or cuda:0.</summary>
    public string Device { get; init; } = "cpu";

    /// <summary>Processor threads that the process works with from the task's beginning on (<see cref="Cores"/>); null: as it is.</summary>
    public int? Threads { get; init; }

    /// <summary>End at the first broken picture.</summary>
    public bool Strict { get; init; }

    /// <summary>Rare classes weigh as much as frequent ones.</summary>
    public bool Balanced { get; init; }

    /// <summary>Epochs of the gradient phases, in place of the plan's.</summary>
    public int? Epochs { get; init; }

    /// <summary>Keep no features on disk.</summary>
    public bool NoCache { get; init; }

    /// <summary>Write no report.html.</summary>
    public bool NoReport { get; init; }

    /// <summary>Replace the run that is in <see cref="Out"/>; files that are not a run's stay.</summary>
    public bool Overwrite { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that has nothing to act on.</exception>
    public TrainOptions Validate()
    {
        Input.Validate();
        _ = Bounds.Device(Device);
        Bounds.Whole("--epochs", Epochs, 1);
        Bounds.Whole("--threads", Threads, 1);
        if (PlanFile is not null && (Strategy != "auto" || Head is not (null or HeadKind.Softmax))) throw BesidePlan();
        if (Head is { } head)
        {
            HeadOptions.CheckBalanced(head, Balanced);
            if (Task is { } task) HeadKinds.Check(head, task);
        }
        return this;
    }

    internal static GraftException BesidePlan() => Bounds.Refuse("--strategy and --head beside --plan FILE: the plan says both. Edit them there (strategy, head), or leave the plan out");

    /// <summary>The same, from whatever folder it is read: a resumed run must not find other files under the same names.</summary>
    internal TrainOptions Absolute() => this with
    {
        Data = RunFolder.Absolute(Data)!, Validation = RunFolder.Absolute(Validation), PlanFile = RunFolder.Absolute(PlanFile), Weights = Weights is null ? null : RunFolder.Absolute(ModelHub.Resolve(Weights)),
        Input = Input with { Labels = RunFolder.Absolute(Input.Labels) },
    };
}
