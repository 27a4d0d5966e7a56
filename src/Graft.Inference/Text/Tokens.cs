namespace Graft.Inference.Text;

/// <summary>Where a token stands in what was written.</summary>
/// <param name="Part">0: the sentence, or the first of a pair; 1: the second; −1: a sign of the network's own, such as [CLS].</param>
/// <param name="Start">Its first character, in UTF-16.</param>
/// <param name="Length">Its characters; 0 where nothing was written for it.</param>
internal readonly record struct TokenSpan(int Part, int Start, int Length);

/// <summary>A sentence, or a pair, as a network reads it.</summary>
/// <param name="Ids">Numbers of the vocabulary, the network's own signs among them.</param>
/// <param name="IsCut">Whether there was more than the network can read.</param>
/// <param name="Spans">One for each id, where they were asked for.</param>
internal sealed record Tokens(int[] Ids, bool IsCut, TokenSpan[]? Spans = null)
{
    /// <summary>Of a pair, where among the ids the second sentence begins (BERT's token type 1 is from here on); null: it is no pair.</summary>
    public int? SecondStart { get; init; }
}
