using Graft.Models.Zoo;

namespace Graft.Learning;

/// <summary>What is shown while a run goes on.</summary>
/// <param name="Stage">Such as "features" or a phase's name.</param>
/// <param name="Done">Of <paramref name="Total"/> units.</param>
/// <param name="Total">All units.</param>
/// <param name="Rate">Pictures (or <see cref="Unit"/>) per second; 0: not known.</param>
/// <param name="Loss">Mean so far; NaN where there is none.</param>
/// <param name="Accuracy">Share right so far; NaN where there is none.</param>
public sealed record ProgressReport(string Stage, long Done, long Total, double Rate, double Loss = double.NaN, double Accuracy = double.NaN)
{
    /// <summary>What is counted by <see cref="Rate"/>.</summary>
    public string Unit { get; init; } = "pictures";
}
