using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using Graft.Inference.Text;

namespace Graft.Inference.Words;

/// <summary>A word that is near.</summary>
/// <param name="Word">It.</param>
/// <param name="Similarity">The cosine of the angle between its vector and the question's.</param>
public sealed record NearWord(string Word, double Similarity);

/// <summary>
/// A vector for each word: GloVe's (Pennington et al. 2014), word2vec's (Mikolov et al. 2013), fastText's (Bojanowski et al. 2017), whose pieces of
/// words give vectors to words that were never seen. One table of numbers and two of letters, however many words there are.
/// </summary>
public sealed class WordVectors
{
    private readonly Lazy<float[]> _units;

    /// <param name="words">In the order of the rows.</param>
    /// <param name="table">Words × size; with grams (words + buckets) × size.</param>
    /// <param name="size">Numbers of a vector.</param>
    /// <param name="grams">The pieces of words that have rows; null: words alone do.</param>
    internal WordVectors(WordList words, float[] table, int size, CharacterGrams? grams)
    {
        (List, Table, Size, Grams) = (words, table, size, grams);
        _units = new Lazy<float[]>(Units);
    }

    /// <summary>Words.</summary>
    public int Count => List.Count;

    /// <summary>Numbers of a vector.</summary>
    public int Size { get; }

    /// <summary>Whether a word that was never seen has a vector, by its pieces.</summary>
    public bool HasPieces => Grams is not null;

    /// <summary>What was noticed when the file was read, such as words that stand there twice.</summary>
    public IReadOnlyList<string> Notes { get; internal init; } = [];

    internal WordList List { get; }

    /// <summary>Rows of words, and behind them those of the buckets.</summary>
    internal float[] Table { get; }

    internal CharacterGrams? Grams { get; }

    /// <summary>How often each word was seen, where that is known.</summary>
    internal long[]? Counts { get; init; }

    /// <summary>A word by its number.</summary>
    public string this[int word] => List[word];

    /// <summary>Reads a file of any kind that is known: .txt and .vec, with or without a first line of sizes; word2vec's .bin; fastText's
    /// .bin.</summary>
    /// <exception cref="GraftException">It is none of these, or it is damaged.</exception>
    public static WordVectors Open(string path) => WordFile.Read(path);

    /// <summary>The vector of a word as it is written, or in small letters, or by its pieces; null: it has none.</summary>
    public float[]? Vector(string word)
    {
        var found = Find(word);
        if (found < 0 && Grams is null) return null;
        var vector = new float[Size];
        return Write(found, Encoding.UTF8.GetBytes(found < 0 ? word : List[found]), vector) ? vector : null;
    }

    /// <summary>The words nearest to a word, without itself.</summary>
    /// <param name="word">It.</param>
    /// <param name="top">How many, at most.</param>
    /// <exception cref="GraftException">It has no vector.</exception>
    public IReadOnlyList<NearWord> Nearest(string word, int top = 10) => Near(Needed(word), [word], top);

    /// <summary>A is to B as C is to what? The words nearest to B − A + C, each brought to length one (Mikolov, Yih and Zweig 2013), without these
    /// three.</summary>
    /// <param name="a">man</param>
    /// <param name="b">king</param>
    /// <param name="c">woman</param>
    /// <param name="top">How many, at most.</param>
    /// <exception cref="GraftException">One of them has no vector.</exception>
    public IReadOnlyList<NearWord> Analogy(string a, string b, string c, int top = 10)
    {
        var (from, to, third) = (Needed(a), Needed(b), Needed(c));
        TensorPrimitives.Subtract(to, from, to);
        TensorPrimitives.Add(to, third, to);
        return Near(to, [a, b, c], top);
    }

    /// <summary>Writes .vec, fastText's text, or .bin: fastText's own where there are pieces, word2vec's else.</summary>
    /// <exception cref="GraftException">The name ends in neither.</exception>
    public void Save(string path) => WordFile.Write(this, path);

    private int Find(string word) => List.Find(word) is var found and >= 0 ? found : List.Find(word.ToLowerInvariant());

    private float[] Needed(string word)
    {
        var vector = Vector(word) ??
            throw new GraftException($"'{word}' is none of the {Count:N0} words{(HasPieces ? ", and too short for its pieces" : "")}");
        Unit(vector);
        return vector;
    }

    private unsafe NearWord[] Near(float[] question, string[] without, int top)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(top);
        Unit(question);
        var left = without.Select(Find).ToHashSet();
        fixed (float* rows = _units.Value)
        {
            var found = new NearestRows((nint)rows, Count, Size, half: false).Find(question, top + without.Length)[0];
            return [.. found.Where(one => !left.Contains(one.Row)).Take(top).Select(one => new NearWord(List[one.Row], one.Product))];
        }
    }

    /// <summary>A word's vector; of fastText the mean of its own row, if it has one, and those of its pieces. False: there is none.</summary>
    internal bool Write(int word, ReadOnlySpan<byte> utf8, Span<float> vector)
    {
        if (Grams is null)
        {
            if (word < 0) return false;
            Row(word).CopyTo(vector);
            return true;
        }
        var buckets = utf8.SequenceEqual("</s>"u8) ? [] : Grams.Of(utf8);
        var rows = buckets.Count + (word >= 0 ? 1 : 0);
        vector.Clear();
        if (word >= 0) Row(word).CopyTo(vector);
        foreach (var bucket in buckets) TensorPrimitives.Add(vector, Row(Count + bucket), vector);
        if (rows > 0) TensorPrimitives.Divide(vector, rows, vector);
        return rows > 0;
    }

    internal Span<float> Row(int row) => MemoryMarshal.CreateSpan(ref Table[(long)row * Size], Size);

    /// <summary>The vectors of all words, those of pieces put into them.</summary>
    internal float[] Whole()
    {
        if (Grams is null) return Table;
        var whole = new float[(long)Count * Size];
        Parallel.For(0, Count, new ParallelOptions { MaxDegreeOfParallelism = Cores.Count }, word =>
            Write(word, List.Utf8(word), MemoryMarshal.CreateSpan(ref whole[(long)word * Size], Size)));
        return whole;
    }

    private float[] Units()
    {
        var units = GC.AllocateUninitializedArray<float>(checked(Count * Size));
        Whole().AsSpan(0, units.Length).CopyTo(units);
        for (var k = 0; k < Count; k++) Unit(units.AsSpan(k * Size, Size));
        return units;
    }

    private static void Unit(Span<float> vector)
    {
        if (TensorPrimitives.Norm<float>(vector) is var length and > 0) TensorPrimitives.Divide(vector, length, vector);
    }
}
