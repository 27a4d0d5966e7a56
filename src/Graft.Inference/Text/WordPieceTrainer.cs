using System.Runtime.InteropServices;
using System.Text;

namespace Graft.Inference.Text;

/// <summary>How far the making of a vocabulary is.</summary>
/// <param name="Lines">Lines read.</param>
/// <param name="Words">Different words among them.</param>
/// <param name="Pieces">Pieces made.</param>
internal readonly record struct VocabularyProgress(long Lines, int Words, int Pieces);

/// <summary>
/// Makes a vocabulary of word pieces from texts, for those who start from nothing. As Hugging Face's trainer of BERT vocabularies does, and unlike
/// Schuster and Nakajima (2012), it merges by count, not by likelihood: from single characters on (## before those within a word), the pair that
/// stands most often beside each other becomes a piece, until there are as many as wanted (byte-pair encoding, Sennrich, Haddow and Birch 2016). The
/// same lines give the same bytes.
/// </summary>
internal static class WordPieceTrainer
{
    private static readonly string[] s_signs = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    // A pair that was seen once says nothing; a longer word is unknown to the tokenizer; progress is told so often.
    private const int LeastCount = 2, LongestWord = 100, LinesBetween = 10_000, PiecesBetween = 500;

    /// <summary>The vocabulary: a piece a line, the signs first. It is smaller than asked for where the lines give no more.</summary>
    /// <param name="lines">The texts.</param>
    /// <param name="size">Pieces wanted, the five signs among them. The rarest characters get no piece once those of single characters are half of
    /// it.</param>
    /// <param name="lower">Whether letters are made small and lose their accents. Korean then comes apart into its letters (jamo), as in BERT's
    /// uncased models: false serves it better.</param>
    /// <param name="progress">Told now and then.</param>
    /// <exception cref="GraftException">The size is out of bounds, or the lines hold no word.</exception>
    public static byte[] Train(IEnumerable<string> lines, int size, bool lower, Action<VocabularyProgress>? progress = null)
    {
        Bounds.Whole("the size of a vocabulary", size, 100, 1_000_000);
        var counts = Count(lines, lower, progress, out var read);
        if (counts.Count == 0) throw new GraftException("the lines hold no word, and a vocabulary is made of words: give it texts");
        var corpus = new Corpus(counts, size);
        while (corpus.Pieces.Count < size && corpus.MergeNext())
        {
            if (corpus.Pieces.Count % PiecesBetween == 0) progress?.Invoke(new(read, counts.Count, corpus.Pieces.Count));
        }
        progress?.Invoke(new(read, counts.Count, corpus.Pieces.Count));
        return Encoding.UTF8.GetBytes(string.Join('\n', corpus.Pieces) + '\n');
    }

    private static Dictionary<string, int> Count(IEnumerable<string> lines, bool lower, Action<VocabularyProgress>? progress, out long read)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var (normalizer, splitter) = (new BertNormalizer(clean: true, chinese: true, stripAccents: lower, lower),
            new SpacePreTokenizer(punctuation: true));
        var (written, normal, words) = (new AlignedText(), new AlignedText(), new Words());
        read = 0;
        foreach (var line in lines)
        {
            written.Clear();
            normal.Clear();
            words.Clear();
            written.AppendWritten(line, 0);
            normalizer.Apply(written, normal);
            splitter.Split(normal, 0, normal.Count, words);
            var start = 0;
            foreach (var end in words.Ends)
            {
                var word = words.Text.Chars[start..end];
                start = end;
                if (word.Length <= LongestWord) CollectionsMarshal.GetValueRefOrAddDefault(lookup, word, out _)++;
            }
            if (++read % LinesBetween == 0) progress?.Invoke(new(read, counts.Count, 0));
        }
        return counts;
    }

    /// <summary>The words as sequences of pieces, and how often each pair stands there.</summary>
    private sealed class Corpus
    {
        private readonly record struct Order(long Count, int First, int Second) : IComparable<Order>
        {
            // The most frequent first, of equals the one whose pieces came first.
            public int CompareTo(Order other) => Count != other.Count ? other.Count.CompareTo(Count)
                : First != other.First ? First.CompareTo(other.First) : Second.CompareTo(other.Second);
        }

        private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
        private readonly int[][] _words;
        private readonly int[] _lengths;
        private readonly int[] _times;
        private readonly Dictionary<(int, int), long> _pairs = [];
        private readonly Dictionary<(int, int), List<int>> _places = [];
        private readonly PriorityQueue<(int First, int Second), Order> _queue = new();

        public Corpus(Dictionary<string, int> counts, int size)
        {
            foreach (var sign in s_signs) Number(sign);
            var ordered = counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair =>
                (Pieces: Characters(pair.Key), pair.Value)).ToArray();
            var alphabet = new Dictionary<string, long>(StringComparer.Ordinal);
            foreach (var (pieces, times) in ordered)
            {
                foreach (var piece in pieces) alphabet[piece] = alphabet.GetValueOrDefault(piece) + times;
            }
            var kept = alphabet.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key, StringComparer.Ordinal).Take(size / 2);
            foreach (var (piece, _) in kept.OrderBy(pair => pair.Key, StringComparer.Ordinal)) Number(piece);
            // A word with a character that has no piece stays unknown, and teaches nothing.
            var known = ordered.Where(word => word.Pieces.All(_ids.ContainsKey)).ToArray();
            _words = [.. known.Select(word => word.Pieces.Select(piece => _ids[piece]).ToArray())];
            _lengths = [.. _words.Select(word => word.Length)];
            _times = [.. known.Select(word => word.Value)];
            for (var word = 0; word < _words.Length; word++)
            {
                for (var k = 1; k < _lengths[word]; k++) Add((_words[word][k - 1], _words[word][k]), word, _times[word]);
            }
            foreach (var (pair, count) in _pairs) _queue.Enqueue(pair, new Order(count, pair.Item1, pair.Item2));
        }

        public List<string> Pieces { get; } = [];

        /// <summary>Makes one pair a piece; false: none stands there often enough.</summary>
        public bool MergeNext()
        {
            while (_queue.TryDequeue(out var pair, out var said))
            {
                var count = _pairs.GetValueOrDefault(pair);
                if (count < LeastCount) continue;
                if (count != said.Count)
                {
                    _queue.Enqueue(pair, said with { Count = count });
                    continue;
                }
                Merge(pair);
                return true;
            }
            return false;
        }

        private void Merge((int First, int Second) pair)
        {
            var piece = Number(Pieces[pair.First] + Pieces[pair.Second][2..]);
            var places = _places[pair];
            _places.Remove(pair);
            var born = new HashSet<(int, int)>();
            foreach (var place in places)
            {
                var word = _words[place];
                var length = _lengths[place];
                var times = _times[place];
                for (var k = 0; k + 1 < length; k++)
                {
                    if (word[k] != pair.First || word[k + 1] != pair.Second) continue;
                    if (k > 0)
                    {
                        _pairs[(word[k - 1], pair.First)] -= times;
                        Add((word[k - 1], piece), place, times);
                        born.Add((word[k - 1], piece));
                    }
                    if (k + 2 < length)
                    {
                        _pairs[(pair.Second, word[k + 2])] -= times;
                        Add((piece, word[k + 2]), place, times);
                        born.Add((piece, word[k + 2]));
                    }
                    word[k] = piece;
                    Array.Copy(word, k + 2, word, k + 1, length - k - 2);
                    length--;
                }
                _lengths[place] = length;
            }
            _pairs.Remove(pair);
            foreach (var (first, second) in born)
            {
                if (_pairs.TryGetValue((first, second), out var count)) _queue.Enqueue((first, second), new Order(count, first, second));
            }
        }

        private void Add((int, int) pair, int word, int times)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_pairs, pair, out _) += times;
            ref var places = ref CollectionsMarshal.GetValueRefOrAddDefault(_places, pair, out _);
            places ??= [];
            if (places.Count == 0 || places[^1] != word) places.Add(word);
        }

        private int Number(string piece)
        {
            if (_ids.TryGetValue(piece, out var id)) return id;
            _ids[piece] = Pieces.Count;
            Pieces.Add(piece);
            return Pieces.Count - 1;
        }

        private static string[] Characters(string word)
        {
            var pieces = new List<string>(word.Length);
            foreach (var rune in word.EnumerateRunes()) pieces.Add(pieces.Count == 0 ? rune.ToString() : "##" + rune);
            return [.. pieces];
        }
    }
}
