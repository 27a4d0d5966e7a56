using Graft.Learning;

namespace Graft.Experiments;

/// <summary>How an experiment is run.</summary>
/// <param name="Data">The folder of the datasets; null: GRAFT_DATA, or ../shared/data.</param>
/// <param name="Short">A form that takes a minute or so.</param>
/// <param name="Seeds">How many seeds, in place of the experiment's own.</param>
/// <param name="Log">Lines for people.</param>
/// <param name="Cancel">Stops.</param>
public sealed record ExperimentOptions(string? Data, bool Short, int? Seeds, Action<string> Log, CancellationToken Cancel)
{
    /// <summary>Where charts go.</summary>
    public string Output { get; init; } = "runs";

    /// <summary>On the whole of the data, as the papers have it, where the experiment has such a form: hours.</summary>
    public bool Full { get; init; }

    /// <summary>Steps of every training of the full form, in place of its own.</summary>
    public int? Steps { get; init; }

    /// <summary>What an earlier try that was stopped has done already.</summary>
    public ExperimentParts Parts { get; init; } = ExperimentParts.None;

    /// <summary>Parts of the experiment that are wanted, by the beginning of their name; empty: all.</summary>
    public IReadOnlyList<string> Only { get; init; } = [];

    /// <summary>Whether a part is wanted.</summary>
    public bool Wants(string part) => Only.Count == 0 || Only.Any(name => part.StartsWith(name, StringComparison.OrdinalIgnoreCase));

    /// <summary>Trains an objective once; stopped, it goes on where it was.</summary>
    internal Training Train<TBatch>(string name, Objective<TBatch> objective, Feed<TBatch> feed, Optimisation how, Action<Look>? looked = null,
        long seed = 0) =>
        Parts.Network(name, objective,
            context => new Trainer<TBatch>(objective, feed, null, how, context with { Name = name, Looked = looked, Seed = seed }).Run(), Cancel);

    /// <summary>The folder of the datasets.</summary>
    /// <exception cref="GraftException">There is none.</exception>
    public string DataFolder => new[] { Data, Environment.GetEnvironmentVariable("GRAFT_DATA"),
        Path.Combine("..", "shared", "data") }.FirstOrDefault(folder => folder is not null && Directory.Exists(folder))
        ?? throw new GraftException("the datasets' folder was not found: name it with --data DIR, or in GRAFT_DATA");

    /// <summary>A file or folder of the datasets.</summary>
    /// <exception cref="GraftException">It is not there.</exception>
    public string Need(params string[] parts)
    {
        var path = Path.Combine([DataFolder, .. parts]);
        return File.Exists(path) || Directory.Exists(path) ? path : throw new GraftException($"{path} is missing, and the experiment needs it");
    }
}

/// <summary>A table of paper against ours.</summary>
public sealed record ExperimentResult(string Name, string[] Headers, IReadOnlyList<string[]> Rows, IReadOnlyList<string> Remarks);

/// <summary>A published result that Graft reproduces.</summary>
public abstract class Experiment
{
    /// <summary>Every experiment.</summary>
    public static IReadOnlyList<Experiment> All { get;
        } = [new ModelATaskB(), new CifarResNets(), new AntsBees(), new BloodCells(), new Sst2(), new SetFit(), new Sts(), new MlmHelps(), new Nsmc(), new Amazon(),
        new SslCifar10(), new RotationCifar10(), new FacesSameDifferent(), new DenseTransfersBadly(), GreedyMnist.Dbn, GreedyMnist.Sda, new MaeCifar10(),
        new MultiMnist(), new MamlSinusoid(), new NeuralTuringTasks(), new MemoryNetworks(), new Omniglot(), new Shots()];

    /// <summary>As <c>graft reproduce</c> takes it.</summary>
    public abstract string Name { get; }

    /// <summary>In a line.</summary>
    public abstract string Summary { get; }

    /// <summary>Whether there is a form on the whole of the data (<see cref="ExperimentOptions.Full"/>).</summary>
    public virtual bool HasFull => false;

    /// <summary>Runs it.</summary>
    public abstract ExperimentResult Run(ExperimentOptions options);
}
