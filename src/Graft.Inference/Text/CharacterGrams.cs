using System.Text;

namespace Graft.Inference.Text;

/// <summary>
/// The pieces of a word in fastText's way (Bojanowski et al. 2017, section 3.2): of &lt;word&gt;, with signs for its beginning and its end, all runs
/// of so many characters, each hashed into a bucket. The hash is fastText's own, so that its files are read as it reads them.
/// </summary>
/// <param name="Least">Characters of the shortest.</param>
/// <param name="Most">Characters of the longest.</param>
/// <param name="Buckets">That they are hashed into.</param>
internal sealed record CharacterGrams(int Least, int Most, int Buckets)
{
    /// <summary>The buckets of a word's pieces.</summary>
    public List<int> Of(ReadOnlySpan<byte> utf8)
    {
        var found = new List<int>();
        if (Buckets == 0 || Most == 0) return found;
        Span<byte> word = utf8.Length < 254 ? stackalloc byte[utf8.Length + 2] : new byte[utf8.Length + 2];
        (word[0], word[^1]) = ((byte)'<', (byte)'>');
        utf8.CopyTo(word[1..]);
        for (var start = 0; start < word.Length; start++)
        {
            if (Within(word[start])) continue;
            var hash = 2166136261u;
            for (var (end, length) = (start, 1); end < word.Length && length <= Most; length++)
            {
                do
                {
                    // As C++ widens a signed char.
                    hash = (hash ^ unchecked((uint)(sbyte)word[end++])) * 16777619;
                }
                while (end < word.Length && Within(word[end]));
                // The signs of beginning and end are no pieces by themselves.
                if (length >= Least && !(length == 1 && (start == 0 || end == word.Length))) found.Add((int)(hash % (uint)Buckets));
            }
        }
        return found;
    }

    /// <summary>The same.</summary>
    public List<int> Of(string word) => Of(Encoding.UTF8.GetBytes(word));

    private static bool Within(byte letter) => (letter & 0xc0) == 0x80;
}
