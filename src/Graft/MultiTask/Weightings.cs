namespace Graft.MultiTask;

/// <summary>A way to weigh tasks, as data.</summary>
/// <param name="Name">As the command line takes it.</param>
/// <param name="Summary">In a line.</param>
/// <param name="Paper">Where it was published.</param>
/// <param name="Create">Makes it.</param>
internal sealed record WeightingRow(string Name, string Summary, string Paper, Func<WeightingSetup, Weighting> Create);

/// <summary>All of them.</summary>
internal static class Weightings
{
    public const string Equal = "fixed";

    public static IReadOnlyList<WeightingRow> All { get; } =
    [
        new(Equal, "given weights, or equal ones", "", setup => new FixedWeighting(setup)),
        new("uncertainty", "learned noise of each task", "Kendall, Gal and Cipolla 2018", setup => new UncertaintyWeighting(setup)),
        new("gradnorm", "gradients of like size, slow tasks more", "Chen et al. 2018", setup => new GradNorm(setup)),
        new("dwa", "tasks whose loss falls slowly more", "Liu, Johns and Davison 2019", setup => new DynamicWeightAverage(setup)),
        new("pcgrad", "gradients projected where they conflict", "Yu et al. 2020", _ => new PcGrad()),
        new("mgda-ub", "the shortest mean of the gradients", "Sener and Koltun 2018", _ => new MgdaUb()),
        new("cagrad", "near the mean, best for the worst task", "Liu et al. 2021", _ => new CaGrad()),
        new("famo", "all losses fall at like rates", "Liu et al. 2023", setup => new Famo(setup)),
        new("random", "weights drawn anew at each step", "Lin et al. 2022", _ => new RandomWeighting()),
    ];

    /// <summary>A row by its name.</summary>
    /// <exception cref="GraftException">There is none: what comes nearest.</exception>
    public static WeightingRow Of(string name) => All.FirstOrDefault(row => row.Name == name) ?? throw Unknown(name);

    private static GraftException Unknown(string name)
    {
        string[] names = [.. All.Select(row => row.Name)];
        return Bounds.Refuse($"--weighting {name}: there is no such weighting. Did you mean {UnknownName.Near(name, names).First()}? There are: "
            + $"{string.Join(", ", names)}");
    }
}
