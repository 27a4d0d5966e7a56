namespace Graft.Inference;

/// <summary>An answer for one picture.</summary>
/// <param name="File">The picture.</param>
/// <param name="Label">The nearest class, or null: none of these.</param>
/// <param name="Distances">To every class, the nearest first.</param>
public sealed record SupportAnswer(string File, string? Label, IReadOnlyList<(string Class, double Distance)> Distances)
{
    /// <summary>Whether the nearest class is far, in a set that is too small to say "none of these": one with a class of one picture only.</summary>
    public bool Unsure { get; init; }
}
