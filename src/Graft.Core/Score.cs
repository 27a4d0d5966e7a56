namespace Graft;

/// <summary>How well something does on held-out data.</summary>
/// <param name="Name">What is measured, such as accuracy.</param>
/// <param name="Value">Its value.</param>
/// <param name="HigherIsBetter">Whether more of it is better.</param>
/// <param name="Loss">The loss on the same data, which decides between equals; null where there is none.</param>
public sealed record Score(string Name, double Value, bool HigherIsBetter, double? Loss = null)
{
    /// <summary>Other measures of the same data, for the record.</summary>
    public IReadOnlyDictionary<string, double> Others { get; init; } = new Dictionary<string, double>();

    /// <summary>Whether its numbers are numbers.</summary>
    public bool IsFinite => double.IsFinite(Value) && (Loss is not { } loss || double.IsFinite(loss));

    /// <summary>Whether this is to be kept in place of an earlier one: better, or as good at a smaller loss; without losses, the later of
    /// equals.</summary>
    public bool Beats(Score? earlier)
    {
        if (earlier is null) return true;
        if (Value != earlier.Value) return HigherIsBetter == Value > earlier.Value;
        return Loss is null || earlier.Loss is null || Loss < earlier.Loss;
    }
}
