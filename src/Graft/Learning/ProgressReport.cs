using System.Globalization;

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

    /// <summary>features: 120/245 (49%), 41.5 pictures/s.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Stage}: {Done}/{Total} ({100.0 * Done / Math.Max(1, Total):0}%)")
        + (Rate > 0 ? string.Create(CultureInfo.InvariantCulture, $", {Rate:0.0} {Unit}/s") : "")
        + (double.IsNaN(Loss) ? "" : string.Create(CultureInfo.InvariantCulture, $", loss {Loss:0.0000}"))
        + (double.IsNaN(Accuracy) ? "" : string.Create(CultureInfo.InvariantCulture, $", right {100 * Accuracy:0.0}%"));
}
