namespace Graft.Inference.Text;

/// <summary>The unigram language model (Kudo 2018): of all ways to cut a word, the one whose pieces' log-probabilities add up to the most.</summary>
internal sealed class UnigramModel : PieceModel
{
    // SentencePiece's: so much less likely than the least likely piece is a character that is none.
    private const double Penalty = 10;

    private readonly PieceTrie _trie = new();
    private readonly double[] _scores;
    private readonly int _unknown;
    private readonly double _unknownScore;

    /// <param name="pieces">Piece and log-probability, by number; what is no piece of text (a network's own sign) has an empty name.</param>
    /// <param name="unknown">Stands for characters that are in no piece.</param>
    public UnigramModel(IReadOnlyList<(string Piece, double Score)> pieces, int unknown)
    {
        _unknown = unknown;
        _scores = [.. pieces.Select(piece => piece.Score)];
        _unknownScore = _scores.Min() - Penalty;
        for (var id = 0; id < pieces.Count; id++)
        {
            if (pieces[id].Piece.Length > 0) _trie.Add(pieces[id].Piece, id);
        }
    }

    public override string Kind => "unigram";

    private struct Best
    {
        public double Score;
        public int Id, Start;
    }

    public override void Cut(ReadOnlySpan<char> word, List<Cut> into)
    {
        Span<Best> best = word.Length < 256 ? stackalloc Best[word.Length + 1] : new Best[word.Length + 1];
        best.Fill(new Best { Start = -1 });
        for (var start = 0; start < word.Length;)
        {
            var length = start + 1 < word.Length && char.IsSurrogatePair(word[start], word[start + 1]) ? 2 : 1;
            var (so, single) = (best[start].Score, false);
            var node = PieceTrie.Root;
            for (var end = start + 1; end <= word.Length; end++)
            {
                node = _trie.Step(node, word[end - 1]);
                if (node < 0) break;
                var id = _trie.Id(node);
                if (id < 0) continue;
                Offer(ref best[end], so + _scores[id], id, start);
                single |= end - start == length;
            }
            if (!single) Offer(ref best[start + length], so + _unknownScore, _unknown, start);
            start += length;
        }
        var before = into.Count;
        for (var end = word.Length; end > 0; end = best[end].Start) into.Add(new Cut(best[end].Id, best[end].Start, end - best[end].Start));
        into.Reverse(before, into.Count - before);
        Fuse(word, into, before);
    }

    private static void Offer(ref Best place, double score, int id, int start)
    {
        if (place.Start < 0 || score > place.Score) place = new Best { Score = score, Id = id, Start = start };
    }

    /// <summary>Unknown characters beside each other are one.</summary>
    private void Fuse(ReadOnlySpan<char> word, List<Cut> into, int from)
    {
        var kept = from;
        for (var k = from; k < into.Count;)
        {
            var cut = into[k++];
            if (cut.Id == _unknown)
            {
                while (k < into.Count && into[k].Id == _unknown) cut = cut with { Length = cut.Length + into[k++].Length };
                if (_trie.Find(word.Slice(cut.Start, cut.Length)) is >= 0 and var whole) cut = cut with { Id = whole };
            }
            into[kept++] = cut;
        }
        into.RemoveRange(kept, into.Count - kept);
    }
}
