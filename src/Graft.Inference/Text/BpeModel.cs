using System.Collections.Concurrent;

namespace Graft.Inference.Text;

/// <summary>Byte-pair encoding (Sennrich, Haddow and Birch 2016): from single characters, the pair that was merged first in training is merged first,
/// of equals the one furthest left.</summary>
internal sealed class BpeModel : PieceModel
{
    // Words come again and again: the cuts of so many are kept, of those that are not long.
    private const int Kept = 1 << 16, LongestKept = 64;

    private readonly PieceTrie _trie = new();
    private readonly Dictionary<(int, int), (int Rank, int Id)> _merges;
    private readonly int? _unknown;
    private readonly bool _fuse;
    private readonly bool _wholeFirst;
    private readonly ConcurrentDictionary<string, Cut[]> _known = new();
    private int _kept;
    private readonly ConcurrentDictionary<string, Cut[]>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    /// <param name="pieces">Pieces and their numbers.</param>
    /// <param name="merges">In order: two pieces that become one.</param>
    /// <param name="unknown">Stands for a character that is no piece; null: it is dropped.</param>
    /// <param name="fuse">Whether unknown characters beside each other are one.</param>
    /// <param name="wholeFirst">Whether a word that is a piece is taken as it is, whatever the merges would make.</param>
    /// <exception cref="InvalidDataException">A merge names what is no piece.</exception>
    public BpeModel(IReadOnlyDictionary<string, int> pieces, IEnumerable<(string First, string Second)> merges, int? unknown, bool fuse = false,
        bool wholeFirst = false)
    {
        (_unknown, _fuse, _wholeFirst) = (unknown, fuse, wholeFirst);
        _lookup = _known.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var (piece, id) in pieces) _trie.Add(piece, id);
        _merges = [];
        foreach (var (first, second) in merges)
        {
            int Need(string piece) => pieces.TryGetValue(piece, out var id) ? id
                : throw new InvalidDataException(
                    $"merge {_merges.Count + 1} ('{first}' and '{second}') needs the piece '{piece}', which the vocabulary lacks");
            _merges.TryAdd((Need(first), Need(second)), (_merges.Count, Need(first + second)));
        }
    }

    public override string Kind => "bpe";

    public override void Cut(ReadOnlySpan<char> word, List<Cut> into)
    {
        if (_lookup.TryGetValue(word, out var known))
        {
            into.AddRange(known);
            return;
        }
        var before = into.Count;
        if (_wholeFirst && _trie.Find(word) is >= 0 and var whole) into.Add(new Cut(whole, 0, word.Length));
        else Merge(word, into);
        if (word.Length <= LongestKept && _kept < Kept && _known.TryAdd(word.ToString(), [.. into[before..]])) Interlocked.Increment(ref _kept);
    }

    private struct Symbol
    {
        public int Id, Start, Length, Before, Next;
    }

    private void Merge(ReadOnlySpan<char> word, List<Cut> into)
    {
        var symbols = new List<Symbol>(word.Length);
        for (var k = 0; k < word.Length;)
        {
            var length = k + 1 < word.Length && char.IsSurrogatePair(word[k], word[k + 1]) ? 2 : 1;
            var id = _trie.Find(word.Slice(k, length));
            if (id < 0 && _unknown is { } unknown)
            {
                if (_fuse && symbols.Count > 0 && symbols[^1] is var last && last.Id == unknown && last.Start + last.Length == k)
                    symbols[^1] = last with { Length = last.Length + length };
                else symbols.Add(new Symbol { Id = unknown, Start = k, Length = length });
            }
            else if (id >= 0) symbols.Add(new Symbol { Id = id, Start = k, Length = length });
            k += length;
        }
        var all = symbols.ToArray();
        var queue = new PriorityQueue<(int First, int Id), ulong>();
        void Consider(int first)
        {
            if (first >= 0 && all[first].Next is >= 0 and var second && _merges.TryGetValue((all[first].Id, all[second].Id), out var merge))
                queue.Enqueue((first, merge.Id), (ulong)merge.Rank << 32 | (uint)first);
        }
        for (var k = 0; k < all.Length; k++) (all[k].Before, all[k].Next) = (k - 1, k + 1 < all.Length ? k + 1 : -1);
        for (var k = 0; k < all.Length; k++) Consider(k);
        while (queue.TryDequeue(out var top, out _))
        {
            ref var first = ref all[top.First];
            // A pair of which one has since become part of another is no pair any more.
            if (first.Length == 0 || first.Next < 0) continue;
            ref var second = ref all[first.Next];
            if (!_merges.TryGetValue((first.Id, second.Id), out var merge) || merge.Id != top.Id) continue;
            (first.Id, first.Length, first.Next) = (merge.Id, second.Start + second.Length - first.Start, second.Next);
            second.Length = 0;
            if (first.Next >= 0) all[first.Next].Before = top.First;
            Consider(first.Before);
            Consider(top.First);
        }
        foreach (var symbol in all)
        {
            if (symbol.Length > 0) into.Add(new Cut(symbol.Id, symbol.Start, symbol.Length));
        }
    }
}
