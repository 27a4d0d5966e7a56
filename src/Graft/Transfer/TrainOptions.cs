using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;

namespace Graft.Transfer;

/// <summary>What <c>graft train</c> takes; saved in the run, so that it can be resumed.</summary>
public sealed record TrainOptions
{
    /// <summary>The dataset.</summary>
    [Option("Pictures: a folder of class folders, a folder or zip with train/ and val/, a CSV of path and label, labels or numbers, or IDX files. "
        + "Sentences: a CSV, TSV, JSONL or Parquet of text and label, labels or a number, a folder of such parts, or class folders of .txt",
        Name = "DATA")]
    public required string Data { get; init; }

    /// <summary>Pictures to validate on; null: the dataset's own, or a fifth of the training pictures.</summary>
    [Option("Pictures to validate on, in class folders (default: the dataset's own, or a fifth)", Name = "--val", HelpName = "DIR")]
    public string? Validation { get; init; }

    /// <summary>An architecture's name; null: what the weights are of.</summary>
    [Option("The architecture (default: what the weights are of; graft models list)", HelpName = "NAME")]
    public string? Backbone { get; init; }

    /// <summary>The upstream checkpoint; null: the one embedded, for small pictures.</summary>
    [Option("The pretrained network: a run, .safetensors (or the index of several), "
        + ".pt, .pth, .th, .bin, .h5, .keras, .caffemodel, .onnx, TorchScript; word vectors (.vec, .txt, .bin)",
        HelpName = "FILE")]
    public string? Weights { get; init; }

    /// <summary>Of everything that is random.</summary>
    [Option("Of everything that is random")]
    public long Seed { get; init; }

    /// <summary>Of the split alone, where the dataset has none of its own; null: <see cref="Seed"/>.</summary>
    [Option("Of the split alone (default: the seed)", Name = "the split's seed")]
    public long? SplitSeed { get; init; }

    /// <summary>Items of each class that are trained on at most, drawn by the split's seed; null: all.</summary>
    [Option("Train on so many of each class at most, drawn by the seed: to see what labels are worth", Least = 1)]
    public int? PerClass { get; init; }

    /// <summary>cpu or cuda:0.</summary>
    [Option("cpu or cuda:0", HelpName = "NAME")]
    public string Device { get; init; } = "cpu";

    /// <summary>Processor threads that the process works with from the task's beginning on (<see cref="Cores"/>); null: as it is.</summary>
    [Option("Processor threads to work with (default: OMP_NUM_THREADS, or all)", Least = 1, Most = 4096)]
    public int? Threads { get; init; }

    /// <summary>Keep no features on disk.</summary>
    [Option("Neither read nor keep features on disk")]
    public bool NoCache { get; init; }

    /// <summary>What is told of the pictures; null: what the data shows.</summary>
    [Option("What to learn from a CSV: classes, labels (several of a picture), numbers, or similarity (of the two texts of a pair) "
        + "(default: what its columns show)", HelpName = "KIND")]
    public TargetKind? Task { get; init; }

    /// <summary>How the upstream network wants its pictures, where its file does not say.</summary>
    public InputOptions Input { get; init; } = new();

    /// <summary>Which columns of a table of sentences hold what.</summary>
    public TextColumns Columns { get; init; } = new();

    /// <summary>auto, or a strategy's name.</summary>
    [Option("auto, feature, partial, full, head-then-full, gradual, scratch, setfit; also partial:K (the K deepest stages) and feature:STAGE",
        HelpName = "NAME")]
    public string Strategy { get; init; } = "auto";

    /// <summary>Which head; null: softmax for classes, sigmoid for several labels, ridge for numbers.</summary>
    [Option("softmax, svm, mlp, or mean (nearest class mean); sigmoid for several labels; ridge or huber for numbers; cosine for pairs "
        + "(default: softmax, sigmoid, ridge or cosine, by the data)",
        HelpName = "KIND")]
    public HeadKind? Head { get; init; }

    /// <summary>A plan's file, in place of a strategy.</summary>
    [Option("Alone: print the plan and stop. With a file: carry that plan out", Name = "--plan", HelpName = "FILE")]
    public string? PlanFile { get; init; }

    /// <summary>The run folder; null: runs/ and the time.</summary>
    [Option("The run folder (default: runs/ and the time)", HelpName = "RUN")]
    public string? Out { get; init; }

    /// <summary>Replace the run that is in <see cref="Out"/>; files that are not a run's stay.</summary>
    [Option("Replace a run that is in the folder of --out (its pictures and all that is not a run's stay), which is otherwise left as it is")]
    public bool Overwrite { get; init; }

    /// <summary>Epochs of the gradient phases, in place of the plan's.</summary>
    [Option("Epochs of each gradient phase, in place of the plan's", Least = 1)]
    public int? Epochs { get; init; }

    /// <summary>Rare classes weigh as much as frequent ones.</summary>
    [Option("Rare classes weigh as much as frequent ones")]
    public bool Balanced { get; init; }

    /// <summary>End at the first broken picture.</summary>
    [Option("End at the first broken picture, in place of going on without it")]
    public bool Strict { get; init; }

    /// <summary>Write no report.html.</summary>
    [Option("Write no report.html")]
    public bool NoReport { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that has nothing to act on.</exception>
    public TrainOptions Validate()
    {
        OptionBounds.Check(this);
        Input.Validate();
        _ = Bounds.Device(Device);
        if (string.IsNullOrEmpty(Data))
            throw Bounds.Refuse("DATA is missing: give a folder of class folders, such as photos/ with photos/ants and photos/bees");
        if (PlanFile is not null && (Strategy != "auto" || Head is not (null or HeadKind.Softmax))) throw BesidePlan();
        if (Head is { } head)
        {
            HeadOptions.CheckBalanced(head, Balanced);
            if (Task is { } task) HeadKinds.Check(head, task);
        }
        return this;
    }

    internal static GraftException BesidePlan() =>
        Bounds.Refuse("--strategy and --head beside --plan FILE: the plan says both. Edit them there (strategy, head), or leave the plan out");

    /// <summary>The same, from whatever folder it is read: a resumed run must not find other files under the same names.</summary>
    internal TrainOptions Absolute() => this with
    {
        Data = RunFolder.Absolute(Data)!, Validation = RunFolder.Absolute(Validation), PlanFile = RunFolder.Absolute(PlanFile),
            Weights = Weights is null ? null : RunFolder.Absolute(ModelHub.Resolve(Weights)),
        Input = Input with { Labels = RunFolder.Absolute(Input.Labels) },
    };
}
