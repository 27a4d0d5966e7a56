namespace Graft.Inference.Text;

/// <summary>A piece within a word.</summary>
internal readonly record struct Cut(int Id, int Start, int Length);

/// <summary>Cuts one word into pieces of a vocabulary.</summary>
internal abstract class PieceModel
{
    /// <summary>wordpiece, bpe or unigram.</summary>
    public abstract string Kind { get; }

    /// <summary>Appends the pieces of a word that is not empty.</summary>
    public abstract void Cut(ReadOnlySpan<char> word, List<Cut> into);
}

/// <summary>Word pieces (Wu et al. 2016; Devlin et al. 2019): from a word's beginning, always the longest piece that the vocabulary has.</summary>
internal sealed class WordPieceModel : PieceModel
{
    private readonly PieceTrie _trie = new();
    private readonly int _continuing;
    private readonly int _unknown;
    private readonly int _most;

    /// <param name="pieces">Pieces and their numbers.</param>
    /// <param name="unknown">Stands for a word that cannot be cut.</param>
    /// <param name="prefix">What a piece begins with that stands within a word: ##.</param>
    /// <param name="most">Characters of a word; a longer one is unknown.</param>
    public WordPieceModel(IEnumerable<KeyValuePair<string, int>> pieces, int unknown, string prefix = "##", int most = 100)
    {
        (_unknown, _most) = (unknown, most);
        _continuing = _trie.NewRoot();
        foreach (var (piece, id) in pieces)
        {
            if (piece.Length == 0) continue;
            _trie.Add(piece, id);
            if (piece.Length > prefix.Length && piece.StartsWith(prefix, StringComparison.Ordinal))
                _trie.Add(piece.AsSpan(prefix.Length), id, _continuing);
        }
    }

    public override string Kind => "wordpiece";

    public override void Cut(ReadOnlySpan<char> word, List<Cut> into)
    {
        var before = into.Count;
        if (word.Length <= _most || Characters(word) <= _most)
        {
            for (var start = 0; start < word.Length;)
            {
                var (node, id, end) = (start == 0 ? PieceTrie.Root : _continuing, -1, start);
                for (var k = start; k < word.Length; k++)
                {
                    node = _trie.Step(node, word[k]);
                    if (node < 0) break;
                    if (_trie.Id(node) is >= 0 and var found) (id, end) = (found, k + 1);
                }
                if (id < 0)
                {
                    into.RemoveRange(before, into.Count - before);
                    break;
                }
                into.Add(new Cut(id, start, end - start));
                start = end;
            }
        }
        if (into.Count == before) into.Add(new Cut(_unknown, 0, word.Length));
    }

    private static int Characters(ReadOnlySpan<char> word)
    {
        var count = word.Length;
        for (var k = 1; k < word.Length; k++)
        {
            if (char.IsSurrogatePair(word[k - 1], word[k])) count--;
        }
        return count;
    }
}
