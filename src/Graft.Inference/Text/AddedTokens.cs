using System.Buffers;
using System.Globalization;
using System.Text;

namespace Graft.Inference.Text;

/// <summary>A piece that is found in a text as it is written, before anything else is done: [MASK] and its like.</summary>
/// <param name="Id">Its number.</param>
/// <param name="Text">As it is written.</param>
/// <param name="SingleWord">Only where no letter stands beside it.</param>
/// <param name="LeftSpaces">The spaces before it are its own.</param>
/// <param name="RightSpaces">The spaces behind it are its own.</param>
/// <param name="Normalized">It is looked for in the text as the normaliser leaves it.</param>
internal sealed record AddedToken(int Id, string Text, bool SingleWord = false, bool LeftSpaces = false, bool RightSpaces = false,
    bool Normalized = false);

/// <summary>Finds added tokens: the first that stands in a text, of several at one place the longest.</summary>
internal sealed class AddedTokens(IEnumerable<AddedToken> tokens)
{
    private readonly AddedToken[] _tokens = [.. tokens.OrderByDescending(token => token.Text.Length)];
    private readonly SearchValues<char> _first = SearchValues.Create([.. tokens.Select(token => token.Text[0]).Distinct()]);

    public bool IsEmpty => _tokens.Length == 0;

    /// <summary>The next one from a place on, with the spaces that are its own.</summary>
    public bool Next(ReadOnlySpan<char> text, int from, out AddedToken token, out int start, out int end)
    {
        for (var place = from; place < text.Length; place++)
        {
            var ahead = text[place..].IndexOfAny(_first);
            if (ahead < 0) break;
            place += ahead;
            foreach (var candidate in _tokens)
            {
                if (!text[place..].StartsWith(candidate.Text)) continue;
                (token, start, end) = (candidate, place, place + candidate.Text.Length);
                if (candidate.SingleWord && ((start > 0 && IsLetter(text, start - 1)) || (end < text.Length && IsLetter(text, end))))
                {
                    // The search goes on behind it, as Hugging Face's does.
                    place = end - 1;
                    break;
                }
                while (candidate.LeftSpaces && start > from && IsSpace(text[start - 1])) start--;
                while (candidate.RightSpaces && end < text.Length && IsSpace(text[end])) end++;
                return true;
            }
        }
        (token, start, end) = (null!, text.Length, text.Length);
        return false;
    }

    private static bool IsSpace(char c) => (Characters.Kinds[c] & CharacterKinds.Space) != 0;

    private static bool IsLetter(ReadOnlySpan<char> text, int at)
    {
        if (char.IsLowSurrogate(text[at]) && at > 0) at--;
        return Rune.DecodeFromUtf16(text[at..], out var rune, out _) == OperationStatus.Done
            && CharUnicodeInfo.GetUnicodeCategory(rune.Value) is <= UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber
                or UnicodeCategory.ConnectorPunctuation;
    }
}
