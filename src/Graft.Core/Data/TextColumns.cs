namespace Graft.Data;

/// <summary>Which columns of a table hold what, by name, or by place (1 is the first).</summary>
/// <param name="Text">The sentence, or the first of a pair; null: it is found.</param>
/// <param name="Pair">The second of a pair; null: it is found where the text is, and there is none where the text is named.</param>
/// <param name="Label">The class, the labels or the number; null: it is found.</param>
public sealed record TextColumns(
    [property: Option("The column of a table that holds the text, by name or by place (default: text, sentence, document, review and the like)",
        HelpName = "COLUMN")]
    string? Text = null,
    [property: Option("The column of the second text of a pair (default: sentence2, question2, hypothesis and the like)", HelpName = "COLUMN")]
    string? Pair = null,
    [property: Option("The column of the class, the labels or the number (default: label, class, target, sentiment, score and the like)",
        HelpName = "COLUMN")]
    string? Label = null)
{
    /// <summary>All are found.</summary>
    public TextColumns() : this(null, null, null) { }

    internal bool AnyNamed => Text is not null || Pair is not null || Label is not null;
}
