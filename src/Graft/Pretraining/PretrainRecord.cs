using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>A finished pretraining.</summary>
/// <param name="Run">Its folder.</param>
/// <param name="Method">How.</param>
/// <param name="Architecture">Of what.</param>
/// <param name="Items">Pictures, or sentences, that it learned from.</param>
/// <param name="Epochs">Of all phases.</param>
/// <param name="Seconds">Wall time.</param>
/// <param name="Loss">Mean over the last epoch.</param>
/// <param name="NeighboursBefore">Share right by the nearest neighbours before it began; null: there are no labels.</param>
/// <param name="Neighbours">The same at the end.</param>
/// <param name="LinearBefore">Share right by a linear head before it began; null: likewise.</param>
/// <param name="Linear">The same at the end.</param>
/// <param name="Broken">Items that were left out.</param>
/// <param name="Notes">What was noticed.</param>
/// <param name="Report">The page; null: none was written.</param>
public sealed record PretrainResult(string Run, string Method, string Architecture, int Items, int Epochs, double Seconds, double Loss,
    double? NeighboursBefore, double? Neighbours, double? LinearBefore, double? Linear, IReadOnlyList<BrokenPicture> Broken, IReadOnlyList<string> Notes,
    string? Report)
{
    /// <summary>What was noticed when the data was read.</summary>
    public DatasetNotes DataNotes { get; init; } = DatasetNotes.None;
}

/// <summary>What a pretraining will do.</summary>
/// <param name="Method">How.</param>
/// <param name="Summary">The method in a line.</param>
/// <param name="Architecture">Of what.</param>
/// <param name="Parameters">That train.</param>
/// <param name="Items">To learn from.</param>
/// <param name="Views">What each view goes through.</param>
/// <param name="Phases">Name, epochs and steps of each.</param>
/// <param name="SecondsPerStep">As measured on the first steps of each phase, here and now.</param>
/// <param name="Seconds">Of it all, looks aside.</param>
public sealed record PretrainPlan(string Method, string Summary, string Architecture, long Parameters, int Items, IReadOnlyList<string> Views,
    IReadOnlyList<PretrainPlanPhase> Phases, double SecondsPerStep, double Seconds);

/// <summary>A phase of a <see cref="PretrainPlan"/>.</summary>
public sealed record PretrainPlanPhase(string Name, int Epochs, long Steps);

/// <summary>What run.json holds.</summary>
internal sealed record PretrainRecord : IRunRecord
{
    /// <summary>What began it: tells this kind of run from others.</summary>
    public string Command { get; init; } = PretrainTask.CommandName;

    /// <summary>running, finished or collapsed.</summary>
    public required string Status { get; init; }

    /// <summary>As given, with what followed from the data.</summary>
    public required PretrainOptions Options { get; init; }

    public required string Method { get; init; }

    public required string Architecture { get; init; }

    public required int Items { get; init; }

    public required string DataFingerprint { get; init; }

    public required Provenance Upstream { get; init; }

    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    public IReadOnlyList<string> Notes { get; init; } = [];

    public IReadOnlyList<BrokenPicture> Broken { get; init; } = [];

    public IReadOnlyList<Look> History { get; init; } = [];

    /// <summary>The first is of before it began.</summary>
    public IReadOnlyList<Reading> Readings { get; init; } = [];

    public double Seconds { get; init; }

    /// <summary>The reading of the weights that are kept: the last, or that of the epoch whose loss on held-out items was least.</summary>
    [JsonIgnore]
    public Reading? Kept => (History.LastOrDefault(look => look.Best) is { } best
        ? Readings.FirstOrDefault(reading => (reading.Phase, reading.Step) == (best.Phase, best.Step)) : null) ?? Readings.LastOrDefault();

    [JsonIgnore]
    public bool IsFinished => Status == "finished";

    [JsonIgnore]
    public string? UpstreamSha256 => Upstream.Sha256;
}
