using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Graft.Data;
using Graft.Inference.Text;

namespace Graft.Inference.Words;

/// <summary>How far the learning of word vectors is.</summary>
/// <param name="Done">Words seen, over all turns.</param>
/// <param name="Total">Words to see.</param>
/// <param name="Loss">The mean of the last ones'.</param>
public readonly record struct WordProgress(long Done, long Total, double Loss);

/// <summary>
/// Skip-gram with negative sampling (Mikolov et al. 2013, "Distributed Representations of Words and Phrases", eq. 4): a word's vector v is to tell
/// the words beside it from words drawn at random, −log σ(v·u) − Σ log σ(−v·uᵢ), the uᵢ drawn with the power 3/4 of their frequency (section 2.2),
/// frequent words passed over with the probability of section 2.3 as word2vec has it. With subwords v is the mean of the vectors of the word and of
/// its pieces (Bojanowski et al. 2017, eq. 2 with fastText's mean for the sum), and each of them moves as v would. It has a sweep of its own, and
/// not the trainer's: docs/decisions/0016-word-vectors-have-their-own-sweep.md tells why. The same texts and seed give the same bytes, but for
/// Hogwild.
/// </summary>
public sealed class SkipGram
{
    private readonly SkipGramOptions _options;
    private readonly WordList _words = new();
    private readonly CharacterGrams? _grams;
    private readonly long[] _counts;
    private readonly int[] _corpus;
    private readonly int[] _ends;
    private readonly int[][] _rows;
    private readonly float[] _keep;
    private readonly AliasTable _draw;
    private readonly float[] _input, _output;

    private SkipGram(IEnumerable<string> texts, SkipGramOptions options, CancellationToken cancel)
    {
        options.Validate();
        _options = options;
        var seen = new Dictionary<string, int>(StringComparer.Ordinal);
        var (all, counts, corpus, ends) = (new List<string>(), new List<long>(), new List<int>(), new List<int>());
        foreach (var text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            foreach (var word in WordTokenizer.Cut(text))
            {
                ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(seen, word, out var known);
                if (!known)
                {
                    number = all.Count;
                    all.Add(word);
                    counts.Add(0);
                }
                counts[number]++;
                corpus.Add(number);
            }
            ends.Add(corpus.Count);
        }
        // The most frequent first; of equally frequent ones the one that came first.
        int[] kept = [.. Enumerable.Range(0, all.Count).Where(k => counts[k] >= options.Least).OrderByDescending(k => counts[k]).ThenBy(k => k)];
        if (kept.Length < 2)
            throw new GraftException($"of {all.Count:N0} different words {(kept.Length == 0 ? "none stands" : "one alone stands")} there {options.Least} times, and a vector needs examples: give more text, or a smaller --min-count");
        var renumbered = new int[all.Count];
        Array.Fill(renumbered, -1);
        foreach (var word in kept)
        {
            renumbered[word] = _words.Count;
            _words.Add(Encoding.UTF8.GetBytes(all[word]));
        }
        _counts = [.. kept.Select(word => counts[word])];
        var (numbers, from) = (new List<int>(corpus.Count), 0);
        for (var line = 0; line < ends.Count; line++)
        {
            foreach (var word in CollectionsMarshal.AsSpan(corpus)[from..ends[line]])
            {
                if (renumbered[word] >= 0) numbers.Add(renumbered[word]);
            }
            (from, ends[line]) = (ends[line], numbers.Count);
        }
        (_corpus, _ends) = ([.. numbers], [.. ends]);
        _grams = options.Subwords ? new CharacterGrams(options.MinPiece, options.MaxPiece, options.Buckets) : null;
        _rows = [.. Enumerable.Range(0, _words.Count).Select(word => (int[])[word, .. (_grams?.Of(_words.Utf8(word)) ?? []).Select(bucket =>
            _words.Count + bucket)])];
        var total = (double)_corpus.Length;
        _keep = [.. _counts.Select(count => (float)(Math.Sqrt(options.Sample * total / count) + options.Sample * total / count))];
        _draw = new AliasTable([.. _counts.Select(count => Math.Pow(count, 0.75))]);
        (_input, _output) = (WordFile.Table(_words.Count + (_grams?.Buckets ?? 0L), options.Size), WordFile.Table(_words.Count, options.Size));
        Array.Clear(_output);
        // As word2vec begins, and fastText.
        var rng = new Rng(options.Seed, 1);
        for (var k = 0; k < _input.Length; k++) _input[k] = (float)rng.Next(-1.0 / options.Size, 1.0 / options.Size) * (_grams is null ? 0.5f : 1);
    }

    /// <summary>Learns vectors.</summary>
    /// <param name="texts">Lines: words beside each other are within one.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told now and then.</param>
    /// <param name="cancel">Ends it.</param>
    /// <exception cref="GraftException">An option is out of its bounds, or too little text is there.</exception>
    public static WordVectors Train(IEnumerable<string> texts, SkipGramOptions options, Action<WordProgress>? progress = null,
        CancellationToken cancel = default)
    {
        var made = new SkipGram(texts, options, cancel);
        made.Run(progress, cancel);
        return new WordVectors(made._words, made._input, options.Size, made._grams) { Counts = made._counts };
    }

    private long _done;

    private void Run(Action<WordProgress>? progress, CancellationToken cancel)
    {
        var threads = _options.Hogwild ? Math.Clamp(_ends.Length, 1, Cores.Count) : 1;
        if (threads == 1) Sweep(0, 1, progress, cancel);
        else Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel },
            thread => Sweep(thread, threads, thread == 0 ? progress : null, cancel));
    }

    private void Sweep(int thread, int threads, Action<WordProgress>? progress, CancellationToken cancel)
    {
        var (size, total) = (_options.Size, (long)_corpus.Length * _options.Epochs);
        var (rng, line) = (new Rng(_options.Seed, 2, thread), new List<int>());
        Span<float> centre = new float[size], step = new float[size];
        var (loss, pairs, told) = (0.0, 0L, 0L);
        for (var epoch = 0; epoch < _options.Epochs; epoch++)
        {
            for (var at = thread; at < _ends.Length; at += threads)
            {
                var (from, to) = (at == 0 ? 0 : _ends[at - 1], _ends[at]);
                line.Clear();
                foreach (var word in _corpus.AsSpan(from, to - from))
                {
                    if (_keep[word] >= 1 || rng.Next() < _keep[word]) line.Add(word);
                }
                var rate = (float)(_options.Rate * Math.Max(1e-4, 1 - (double)_done / total));
                for (var k = 0; k < line.Count; k++)
                {
                    var window = 1 + rng.Below(_options.Window);
                    var rows = _rows[line[k]];
                    for (var other = Math.Max(0, k - window); other <= Math.Min(line.Count - 1, k + window); other++)
                    {
                        if (other == k) continue;
                        Mean(rows, centre);
                        loss += Pair(centre, line[other], rate, ref rng, step);
                        pairs++;
                        foreach (var row in rows) TensorPrimitives.Add(Row(_input, row), step, Row(_input, row));
                    }
                }
                _done += to - from;
                if (_done - told < 100_000) continue;
                cancel.ThrowIfCancellationRequested();
                progress?.Invoke(new WordProgress(Math.Min(_done, total), total, loss / Math.Max(1, pairs)));
                (told, loss, pairs) = (_done, 0, 0);
            }
        }
        progress?.Invoke(new WordProgress(total, total, pairs > 0 ? loss / pairs : double.NaN));
    }

    private void Mean(int[] rows, Span<float> mean)
    {
        Row(_input, rows[0]).CopyTo(mean);
        if (rows.Length == 1) return;
        foreach (var row in rows.AsSpan(1)) TensorPrimitives.Add(mean, Row(_input, row), mean);
        TensorPrimitives.Multiply(mean, 1f / rows.Length, mean);
    }

    // The word that was there, then those drawn, which may not be it.
    private double Pair(ReadOnlySpan<float> centre, int there, float rate, ref Rng rng, Span<float> step)
    {
        step.Clear();
        var loss = Against(centre, Row(_output, there), true, rate, step);
        for (var k = 0; k < _options.Negatives; k++)
        {
            int drawn;
            do drawn = _draw.Next(ref rng);
            while (drawn == there);
            loss += Against(centre, Row(_output, drawn), false, rate, step);
        }
        return loss;
    }

    /// <summary>One term of the loss, −log σ(±v·u): moves u down its gradient, and adds to a step of v down its own.</summary>
    /// <param name="centre">v.</param>
    /// <param name="other">u.</param>
    /// <param name="there">Whether u's word was there, and not drawn.</param>
    /// <param name="rate">The learning rate.</param>
    /// <param name="step">What v is to move by.</param>
    /// <returns>The term before the step.</returns>
    internal static double Against(ReadOnlySpan<float> centre, Span<float> other, bool there, float rate, Span<float> step)
    {
        var score = TensorPrimitives.Dot(centre, other);
        var chance = 1 / (1 + MathF.Exp(-score));
        var slope = rate * ((there ? 1 : 0) - chance);
        TensorPrimitives.MultiplyAdd(other, slope, step, step);
        TensorPrimitives.MultiplyAdd(centre, slope, other, other);
        return -Math.Log(Math.Max(1e-9f, there ? chance : 1 - chance));
    }

    private Span<float> Row(float[] table, int row) => MemoryMarshal.CreateSpan(ref table[(long)row * _options.Size], _options.Size);

    /// <summary>Draws numbers with given weights in constant time (Walker 1977, Vose 1991).</summary>
    internal sealed class AliasTable
    {
        private readonly float[] _own;
        private readonly int[] _other;

        public AliasTable(double[] weights)
        {
            var (count, sum) = (weights.Length, weights.Sum());
            (_own, _other) = (new float[count], new int[count]);
            double[] scaled = [.. weights.Select(weight => weight * count / sum)];
            var (small, large) = (new Stack<int>(), new Stack<int>());
            for (var k = 0; k < count; k++) (scaled[k] < 1 ? small : large).Push(k);
            while (small.Count > 0 && large.Count > 0)
            {
                var (low, high) = (small.Pop(), large.Pop());
                (_own[low], _other[low]) = ((float)scaled[low], high);
                scaled[high] -= 1 - scaled[low];
                (scaled[high] < 1 ? small : large).Push(high);
            }
            foreach (var left in small.Concat(large)) (_own[left], _other[left]) = (1, left);
        }

        public int Next(ref Rng rng)
        {
            var k = rng.Below(_own.Length);
            return rng.Next() < _own[k] ? k : _other[k];
        }
    }
}
