using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>What tasks share above the backbone: from N×inputs features to N×outputs for each task.</summary>
internal abstract class Sharing : Module
{
    /// <summary>Numbers that a head reads.</summary>
    public abstract int Outputs { get; }

    /// <summary>For each task: the same tensor for all where they share everything.</summary>
    public abstract Tensor[] Of(Tensor features);

    /// <summary>Tasks' features one after another.</summary>
    public sealed override Tensor Forward(Tensor x) => Ops.Cat(Of(x), 1);
}

/// <summary>An architecture of sharing, as data.</summary>
/// <param name="Name">As the command line takes it.</param>
/// <param name="Summary">In a line.</param>
/// <param name="Paper">Where it was published.</param>
/// <param name="Create">From inputs, units of a layer, tasks.</param>
internal sealed record SharingRow(string Name, string Summary, string Paper, Func<int, int, int, Sharing> Create);

/// <summary>All of them.</summary>
internal static class Sharings
{
    public const string Hard = "hard";

    public static IReadOnlyList<SharingRow> All { get; } =
    [
        new(Hard, "one layer for all tasks", "Caruana 1997", (inputs, units, tasks) => new HardSharing(inputs, units, tasks)),
        new("mmoe", "experts, and a gate for each task", "Ma et al. 2018", (inputs, units, tasks) => new MixtureOfExperts(inputs, units, tasks)),
        new("cross-stitch", "layers of each task, mixed with one another's", "Misra et al. 2016", (inputs, units, tasks) =>
            new CrossStitch(inputs, units, tasks)),
        new("mtan", "shared layers, and each task's attention to them", "Liu, Johns and Davison 2019", (inputs, units, tasks) =>
            new AttentionSharing(inputs, units, tasks)),
    ];

    /// <summary>A row by its name.</summary>
    /// <exception cref="GraftException">There is none: what comes nearest.</exception>
    public static SharingRow Of(string name) => All.FirstOrDefault(row => row.Name == name) ?? throw UnknownName.Of("architecture", name,
        All.Select(row => row.Name));
}
