using Graft.Data;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;

namespace Graft.Pretraining;

/// <summary>What <c>graft pretrain</c> takes; saved in the run, so that it can be resumed.</summary>
public sealed record PretrainOptions
{
    /// <summary>What it learns from.</summary>
    [Option("Pictures: a folder of any shape, a zip, IDX files. Labels are not learned from; where there are some, they judge. "
        + "Sentences: a .txt of a sentence a line, or a table",
        Name = "DATA")]
    public string Data { get; init; } = "";

    /// <summary>The method; null: the usual one for what DATA holds.</summary>
    [Option("How (graft pretrain --methods lists them; default: byol for pictures, mlm for sentences)", HelpName = "NAME")]
    public string? Method { get; init; }

    /// <summary>The architecture; null: what the weights are of, or a small one for small pictures.</summary>
    [Option("The architecture (default: what the weights are of, else by the method and the size of the pictures; graft models list); a small one may have "
        + "options behind its name: \"mlp widths=500-500\"; for sentences bert-tiny, bert-mini, bert-small, bert-medium", HelpName = "NAME")]
    public string? Backbone { get; init; }

    /// <summary>What it goes on from; null: random weights.</summary>
    [Option("Goes on from this network: a run, a checkpoint, a name of graft models list", HelpName = "FILE")]
    public string? Weights { get; init; }

    /// <summary>How the network wants its pictures, where its file does not say; their size.</summary>
    public InputOptions Input { get; init; } = new();

    /// <summary>What an encoder of sentences begins with, where no weights are given.</summary>
    public TextStartOptions Text { get; init; } = new();

    /// <summary>Which columns of a table of sentences hold what.</summary>
    public TextColumns Columns { get; init; } = new();

    /// <summary>Labelled items by which it is judged on the way; null: a part of DATA, where that has labels.</summary>
    [Option("Labelled pictures to judge by on the way, in class folders; nothing is learned from them (default: a part of DATA, where that has classes)",
        Name = "--val", HelpName = "DIR")]
    public string? Validation { get; init; }

    /// <summary>Passes over the data; null: the method's own.</summary>
    [Option("Passes over the data (default: the method's)", Least = 1)]
    public int? Epochs { get; init; }

    /// <summary>So long, in place of epochs: these follow from the speed of the first steps.</summary>
    [Option("Train for so long, in place of --epochs: these follow from the speed of the first steps", Above = 0, Most = 1000)]
    public double? Hours { get; init; }

    /// <summary>Items of a batch; null: the method's own.</summary>
    [Option("Pictures, or sentences, of a batch (default: the method's)", Name = "--batch", Least = 1, Most = 65536)]
    public int? BatchSize { get; init; }

    /// <summary>The learning rate; null: the method's own.</summary>
    [Option("Learning rate (default: the method's)", Name = "--rate", Above = 0)]
    public double? Rate { get; init; }

    /// <summary>What the methods that rebuild their input can be told.</summary>
    public ReconstructionOptions Reconstruction { get; init; } = new();

    /// <summary>Epochs between two looks of the monitor.</summary>
    [Option("Epochs between two looks at how well it does", Least = 1)]
    public int LookEvery { get; init; } = 1;

    /// <summary>Of everything that is random.</summary>
    [Option("Of everything that is random")]
    public long Seed { get; init; }

    /// <summary>cpu or cuda:0.</summary>
    [Option("cpu or cuda:0", HelpName = "NAME")]
    public string Device { get; init; } = "cpu";

    /// <summary>Processor threads that the process works with from the task's beginning on (<see cref="Cores"/>); null: as it is.</summary>
    [Option("Processor threads to work with (default: OMP_NUM_THREADS, or all)", Least = 1, Most = 4096)]
    public int? Threads { get; init; }

    /// <summary>The run folder; null: runs/ and the time.</summary>
    [Option("The run folder (default: runs/ and the time)", HelpName = "RUN")]
    public string? Out { get; init; }

    /// <summary>Replace the run that is in <see cref="Out"/>; files that are not a run's stay.</summary>
    [Option("Replace a run that is in the folder of --out (its data and all that is not a run's stay), which is otherwise left as it is")]
    public bool Overwrite { get; init; }

    /// <summary>Write no report.html.</summary>
    [Option("Write no report.html")]
    public bool NoReport { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that has nothing to act on.</exception>
    public PretrainOptions Validate()
    {
        OptionBounds.Check(this);
        Input.Validate();
        _ = Bounds.Device(Device);
        if (string.IsNullOrEmpty(Data)) throw Bounds.Refuse("DATA is missing: give a folder of pictures, or a .txt of a sentence a line");
        if (Weights is not null && Text != new TextStartOptions())
            throw Bounds.Refuse("--vocabulary and --cased are for an encoder that begins with random weights: the one of --weights has its own");
        if (Hours is not null && Epochs is not null) throw Bounds.Refuse("--hours and --epochs say the same in two ways: give one");
        return this;
    }

    /// <summary>The same, from whatever folder it is read.</summary>
    internal PretrainOptions Absolute() => this with
    {
        Data = RunFolder.Absolute(Data)!, Validation = RunFolder.Absolute(Validation),
        Weights = Weights is null ? null : RunFolder.Absolute(ModelHub.Resolve(Weights)),
    };
}
