using System.Globalization;
using Graft.Data;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Hub;

namespace Graft.MultiTask;

/// <summary>What <c>graft multitask</c> takes; saved in the run, so that it can be resumed.</summary>
public sealed record MultiTaskOptions
{
    /// <summary>A table.</summary>
    [Option("A CSV, TSV, JSONL or Parquet with a column of paths of pictures (or of text) and one for each task; empty cells are allowed",
        Name = "DATA")]
    public string Data { get; init; } = "";

    /// <summary>The upstream checkpoint; null: the one embedded, for small pictures, or the usual encoder of sentences.</summary>
    [Option("The pretrained network: a run, or a file as graft train takes it", HelpName = "FILE")]
    public string? Weights { get; init; }

    /// <summary>Columns with commas between; null: all that can be learned.</summary>
    [Option("Columns to learn, with commas between; behind each may stand :classes, :labels or :numbers (default: all that can be learned)",
        HelpName = "COLUMNS")]
    public string? Targets { get; init; }

    /// <summary>How the tasks are weighed.</summary>
    [Option("How tasks are weighed: fixed, uncertainty, gradnorm, dwa, pcgrad, mgda-ub, cagrad, famo or random", HelpName = "NAME")]
    public string Weighting { get; init; } = Weightings.Equal;

    /// <summary>A number for each task with commas between, of the weighting fixed; null: equal ones.</summary>
    [Option("With --weighting fixed: a number for each task, with commas between (default: equal ones)", HelpName = "NUMBERS")]
    public string? TaskWeights { get; init; }

    /// <summary>What tasks share above the backbone.</summary>
    [Option("What tasks share above the backbone: hard, mmoe, cross-stitch or mtan", HelpName = "NAME")]
    public string Architecture { get; init; } = Sharings.Hard;

    /// <summary>Units of a shared layer.</summary>
    [Option("Units of a shared layer; 0, with --architecture hard and --fine-tune: heads stand on the features themselves", Least = 0, Most = 65536)]
    public int Hidden { get; init; } = 256;

    /// <summary>The deepest stages of the backbone that train too.</summary>
    [Option("So many of the backbone's deepest stages train too (default 0: it is frozen, and runs once over each item)", Least = 0, Most = 1000)]
    public int FineTune { get; init; }

    /// <summary>Passes over the data; null: 40, or 10 where the backbone trains.</summary>
    [Option("Epochs of each training (default 40, or 10 with --fine-tune)", Least = 1)]
    public int? Epochs { get; init; }

    /// <summary>Of the layers above the backbone; the backbone's is a tenth of it, a text encoder's three hundredths.</summary>
    [Option("The learning rate of the layers above the backbone; the backbone's is a tenth of it, a text encoder's 0.03 of it", Above = 0)]
    public double Rate { get; init; } = 1e-3;

    /// <summary>Items of a step.</summary>
    [Option("Items of a step", Least = 2)]
    public int BatchSize { get; init; } = 32;

    /// <summary>Train neither the tasks alone nor equal weights.</summary>
    [Option("Leave out what the result is compared with: each task alone, and equal weights")]
    public bool NoBaselines { get; init; }

    /// <summary>Of everything that is random.</summary>
    [Option("Of everything that is random")]
    public long Seed { get; init; }

    /// <summary>cpu or cuda:0.</summary>
    [Option("cpu or cuda:0", HelpName = "NAME")]
    public string Device { get; init; } = "cpu";

    /// <summary>Processor threads that the process works with from the task's beginning on (<see cref="Cores"/>); null: as it is.</summary>
    [Option("Processor threads to work with (default: OMP_NUM_THREADS, or all)", Least = 1, Most = 4096)]
    public int? Threads { get; init; }

    /// <summary>Keep no features on disk.</summary>
    [Option("Neither read nor keep features on disk")]
    public bool NoCache { get; init; }

    /// <summary>How the upstream network wants its pictures, where its file does not say.</summary>
    public InputOptions Input { get; init; } = new();

    /// <summary>Which columns of a table of sentences hold what.</summary>
    public TextColumns Columns { get; init; } = new();

    /// <summary>The run folder; null: runs/ and the time.</summary>
    [Option("The run folder (default: runs/ and the time)", HelpName = "RUN")]
    public string? Out { get; init; }

    /// <summary>Replace the run that is in <see cref="Out"/>; files that are not a run's stay.</summary>
    [Option("Replace a run that is in the folder of --out (its pictures and all that is not a run's stay), which is otherwise left as it is")]
    public bool Overwrite { get; init; }

    /// <summary>Write no report.html.</summary>
    [Option("Write no report.html")]
    public bool NoReport { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or one that has nothing to act on.</exception>
    public MultiTaskOptions Validate()
    {
        OptionBounds.Check(this);
        Input.Validate();
        _ = Bounds.Device(Device);
        if (string.IsNullOrEmpty(Data))
            throw Bounds.Refuse("DATA is missing: give a table with a column of paths (or of text) and one for each task");
        var weighting = Weightings.Of(Weighting);
        _ = Sharings.Of(Architecture);
        if (TaskWeights is not null && weighting.Name != Weightings.Equal)
            throw Bounds.Refuse($"--task-weights beside --weighting {Weighting}, which finds its own: leave one of them out");
        if (Hidden == 0 && Architecture != Sharings.Hard) throw Bounds.Refuse($"--hidden 0 beside --architecture {Architecture}, which is made of "
            + "such layers: give it units");
        if (Hidden == 0 && FineTune == 0)
            throw Bounds.Refuse("--hidden 0 without --fine-tune: the tasks would share nothing that trains. Give one of them a number above 0");
        _ = GivenWeights(null);
        return this;
    }

    /// <summary>The weights that are given; null: none.</summary>
    internal double[]? GivenWeights(int? tasks)
    {
        if (TaskWeights is null) return null;
        double?[] given = [.. TaskWeights.Split(',', StringSplitOptions.TrimEntries)
            .Select(word => double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
                && value > 0 ? value : (double?)null)];
        if (given.Contains(null)) throw Bounds.Refuse($"--task-weights {TaskWeights}: numbers above zero with commas between, such as 1,0.5");
        if (tasks is { } count
            && given.Length != count) throw Bounds.Refuse($"--task-weights {TaskWeights}: {given.Length} weights for {count} tasks");
        return [.. given.Select(value => value!.Value)];
    }

    /// <summary>The same, from whatever folder it is read.</summary>
    internal MultiTaskOptions Absolute() => this with
    {
        Data = RunFolder.Absolute(Data)!, Weights = Weights is null ? null : RunFolder.Absolute(ModelHub.Resolve(Weights)),
    };
}
