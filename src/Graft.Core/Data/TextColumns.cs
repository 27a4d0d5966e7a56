namespace Graft.Data;

/// <summary>Which columns of a table hold what, by name, or by place (1 is the first) where the table's first line names none.</summary>
/// <param name="Text">The sentence, or the first of a pair; null: it is found.</param>
/// <param name="Pair">The second of a pair; null: it is found where the text is, and there is none where the text is named.</param>
/// <param name="Label">The class, the labels or the number; null: it is found.</param>
public sealed record TextColumns(string? Text = null, string? Pair = null, string? Label = null);
