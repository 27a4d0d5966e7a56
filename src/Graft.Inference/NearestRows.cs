using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Graft.Inference;

/// <summary>A row, and its inner product with what was asked.</summary>
/// <param name="Row">Its number.</param>
/// <param name="Product">The inner product: of rows of length one, the cosine of the angle between them.</param>
internal readonly record struct NearRow(int Row, float Product)
{
    /// <summary>Higher products first; of equal ones the row that stands first.</summary>
    public bool Before(NearRow other) => Product > other.Product || (Product == other.Product && Row < other.Row);
}

/// <summary>
/// A table of vectors, row after row, as single or half numbers, wherever it lies; the memory stays the caller's. The rows with the largest inner
/// products are found by looking at all of them: on all cores, several rows by several questions at a time. A product is summed in one order only, so
/// that it depends neither on the number of threads nor on what else is asked.
/// </summary>
/// <param name="data">Count × size numbers.</param>
/// <param name="count">Rows.</param>
/// <param name="size">Numbers of a row.</param>
/// <param name="half">Whether they are half numbers (IEEE 754 binary16).</param>
internal sealed unsafe class NearestRows(nint data, int count, int size, bool half)
{
    // Rows that a thread takes at a time, and those whose products are made together: these stay in the nearest caches.
    private const int Share = 4096, Block = 128, MostQuestions = 32;

    /// <summary>Rows.</summary>
    public int Count => count;

    /// <summary>Numbers of a row.</summary>
    public int Size => size;

    /// <summary>A row as single numbers.</summary>
    public void Read(int row, Span<float> into) => Read(row, 1, into);

    private void Read(int first, int rows, Span<float> into)
    {
        var length = rows * size;
        if (half) TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>((Half*)data + (long)first * size, length), into);
        else new ReadOnlySpan<float>((float*)data + (long)first * size, length).CopyTo(into);
    }

    /// <summary>The rows with the largest products, the largest first, of each question.</summary>
    /// <param name="questions">N × size.</param>
    /// <param name="top">How many, at most.</param>
    /// <param name="cancel">Ends it.</param>
    public NearRow[][] Find(ReadOnlySpan<float> questions, int top, CancellationToken cancel = default)
    {
        var asked = questions.Length / size;
        var found = new NearRow[asked][];
        var kept = Pinned(questions);
        for (var from = 0; from < asked; from += MostQuestions)
        {
            var many = Math.Min(MostQuestions, asked - from);
            var (best, at) = (new Best[many], (nint)Marshal.UnsafeAddrOfPinnedArrayElement(kept, from * size));
            for (var q = 0; q < many; q++) best[q] = new Best(Math.Min(top, count));
            OnAllCores((count + Share - 1) / Share, shares =>
            {
                var own = new Best[many];
                for (var q = 0; q < many; q++) own[q] = new Best(Math.Min(top, count));
                Each(shares, at, many, cancel, (first, rows, products) =>
                {
                    for (var q = 0; q < many; q++) own[q].Take(first, products.Slice(q * Block, rows));
                });
                lock (best)
                {
                    for (var q = 0; q < many; q++) best[q].Take(own[q]);
                }
            }, cancel);
            for (var q = 0; q < many; q++) found[from + q] = best[q].Ranked();
        }
        return found;
    }

    /// <summary>All pairs of rows whose product is at least so much, in the order of the first and of the second.</summary>
    /// <param name="least">Of the product.</param>
    /// <param name="most">Pairs; with more it ends, and what is told is cut off there.</param>
    /// <param name="progress">Told of rows done and of all.</param>
    /// <param name="cancel">Ends it.</param>
    public List<(int First, int Second, float Product)> Pairs(float least, int most, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        var (found, done) = (new List<(int, int, float)>(), 0);
        OnAllCores((count + MostQuestions - 1) / MostQuestions, blocks =>
        {
            var questions = GC.AllocateUninitializedArray<float>(MostQuestions * size, pinned: true);
            var own = new List<(int, int, float)>();
            foreach (var block in blocks)
            {
                cancel.ThrowIfCancellationRequested();
                var (first, many) = (block * MostQuestions, Math.Min(MostQuestions, count - block * MostQuestions));
                Read(first, many, questions);
                Each([.. Enumerable.Range(first / Share, (count + Share - 1) / Share - first / Share)],
                    Marshal.UnsafeAddrOfPinnedArrayElement(questions, 0),
                    many, cancel, (from, rows, products) =>
                    {
                        for (var q = 0; q < many; q++)
                        {
                            var row = products.Slice(q * Block, rows);
                            for (var k = Math.Max(0, first + q + 1 - from); k < rows; k++)
                            {
                                if (row[k] >= least) own.Add((first + q, from + k, row[k]));
                            }
                        }
                    });
                lock (found)
                {
                    if (found.Count <= most) found.AddRange(own);
                    own.Clear();
                    if (found.Count > most) return;
                    progress?.Invoke(done += many, count);
                }
            }
        }, cancel);
        found.Sort();
        return found;
    }

    private delegate void Take(int first, int rows, Span<float> products);

    // The products of many questions with every row of some shares, a block of rows at a time: products[q × Block + row].
    private void Each(IEnumerable<int> shares, nint questions, int many, CancellationToken cancel, Take take)
    {
        var products = GC.AllocateUninitializedArray<float>(MostQuestions * Block, pinned: true);
        var singles = half ? GC.AllocateUninitializedArray<float>(Block * size, pinned: true) : [];
        fixed (float* into = products, scratch = singles)
        {
            foreach (var share in shares)
            {
                cancel.ThrowIfCancellationRequested();
                for (var first = share * Share; first < Math.Min(count, (share + 1) * Share); first += Block)
                {
                    var rows = Math.Min(Block, Math.Min(count, (share + 1) * Share) - first);
                    if (half) Read(first, rows, singles);
                    Products(half ? scratch : (float*)data + (long)first * size, rows, (float*)questions, many, size, into);
                    take(first, rows, products);
                }
            }
        }
    }

    // Four questions by two rows, and one by four, are as many sums as the registers hold; each sum is one product's alone.
    private static void Products(float* rows, int count, float* questions, int many, int size, float* into)
    {
        var q = 0;
        for (; q + 4 <= many; q += 4)
        {
            var k = 0;
            for (; k + 2 <= count; k += 2) FourByTwo(rows + k * size, questions + q * size, size, into + q * Block + k);
            for (; k < count; k++)
            {
                for (var one = q; one < q + 4; one++) into[one * Block + k] = One(rows + k * size, questions + one * size, size);
            }
        }
        for (; q < many; q++)
        {
            var k = 0;
            for (; k + 4 <= count; k += 4) OneByFour(rows + k * size, questions + q * size, size, into + q * Block + k);
            for (; k < count; k++) into[q * Block + k] = One(rows + k * size, questions + q * size, size);
        }
    }

    private static void FourByTwo(float* rows, float* questions, int size, float* into)
    {
        var next = rows + size;
        var wide = size - size % Vector<float>.Count;
        Vector<float> a0 = default, a1 = default, b0 = default, b1 = default, c0 = default, c1 = default, d0 = default, d1 = default;
        for (var k = 0; k < wide; k += Vector<float>.Count)
        {
            var (x, y) = (Vector.Load(rows + k), Vector.Load(next + k));
            var asked = Vector.Load(questions + k);
            a0 = Vector.FusedMultiplyAdd(asked, x, a0);
            a1 = Vector.FusedMultiplyAdd(asked, y, a1);
            asked = Vector.Load(questions + size + k);
            b0 = Vector.FusedMultiplyAdd(asked, x, b0);
            b1 = Vector.FusedMultiplyAdd(asked, y, b1);
            asked = Vector.Load(questions + 2 * size + k);
            c0 = Vector.FusedMultiplyAdd(asked, x, c0);
            c1 = Vector.FusedMultiplyAdd(asked, y, c1);
            asked = Vector.Load(questions + 3 * size + k);
            d0 = Vector.FusedMultiplyAdd(asked, x, d0);
            d1 = Vector.FusedMultiplyAdd(asked, y, d1);
        }
        (into[0], into[1]) = (Rest(a0, rows, questions, wide, size), Rest(a1, next, questions, wide, size));
        (into[Block], into[Block + 1]) = (Rest(b0, rows, questions + size, wide, size), Rest(b1, next, questions + size, wide, size));
        (into[2 * Block], into[2 * Block + 1]) = (Rest(c0, rows, questions + 2 * size, wide, size), Rest(c1, next, questions + 2 * size, wide, size));
        (into[3 * Block], into[3 * Block + 1]) = (Rest(d0, rows, questions + 3 * size, wide, size), Rest(d1, next, questions + 3 * size, wide, size));
    }

    private static void OneByFour(float* rows, float* question, int size, float* into)
    {
        var wide = size - size % Vector<float>.Count;
        Vector<float> a = default, b = default, c = default, d = default;
        for (var k = 0; k < wide; k += Vector<float>.Count)
        {
            var asked = Vector.Load(question + k);
            a = Vector.FusedMultiplyAdd(asked, Vector.Load(rows + k), a);
            b = Vector.FusedMultiplyAdd(asked, Vector.Load(rows + size + k), b);
            c = Vector.FusedMultiplyAdd(asked, Vector.Load(rows + 2 * size + k), c);
            d = Vector.FusedMultiplyAdd(asked, Vector.Load(rows + 3 * size + k), d);
        }
        (into[0], into[1]) = (Rest(a, rows, question, wide, size), Rest(b, rows + size, question, wide, size));
        (into[2], into[3]) = (Rest(c, rows + 2 * size, question, wide, size), Rest(d, rows + 3 * size, question, wide, size));
    }

    private static float One(float* row, float* question, int size)
    {
        var (wide, sum) = (size - size % Vector<float>.Count, Vector<float>.Zero);
        for (var k = 0; k < wide; k += Vector<float>.Count) sum = Vector.FusedMultiplyAdd(Vector.Load(question + k), Vector.Load(row + k), sum);
        return Rest(sum, row, question, wide, size);
    }

    private static float Rest(Vector<float> sum, float* row, float* question, int from, int size)
    {
        var product = Vector.Sum(sum);
        for (var k = from; k < size; k++) product += question[k] * row[k];
        return product;
    }

    private static float[] Pinned(ReadOnlySpan<float> values)
    {
        var made = GC.AllocateUninitializedArray<float>(values.Length, pinned: true);
        values.CopyTo(made);
        return made;
    }

    // Every thread draws pieces until there are none.
    private static void OnAllCores(int pieces, Action<IEnumerable<int>> work, CancellationToken cancel)
    {
        var next = 0;
        IEnumerable<int> Draw()
        {
            for (var piece = Interlocked.Increment(ref next) - 1; piece < pieces; piece = Interlocked.Increment(ref next) - 1) yield return piece;
        }
        var threads = Math.Clamp(pieces, 1, Cores.Count);
        if (threads == 1) work(Draw());
        else Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, _ => work(Draw()));
    }

    /// <summary>The best rows so far, the worst of them last.</summary>
    private sealed class Best(int most)
    {
        private readonly NearRow[] _rows = new NearRow[most];
        private int _count;

        public void Take(int first, ReadOnlySpan<float> products)
        {
            for (var k = 0; k < products.Length; k++)
            {
                if (_count < most || products[k] > _rows[most - 1].Product) Put(new NearRow(first + k, products[k]));
            }
        }

        public void Take(Best other)
        {
            foreach (var row in other._rows.AsSpan(0, other._count)) Put(row);
        }

        private void Put(NearRow row)
        {
            if (most == 0 || (_count == most && !row.Before(_rows[most - 1]))) return;
            var at = _count < most ? _count++ : most - 1;
            for (; at > 0 && row.Before(_rows[at - 1]); at--) _rows[at] = _rows[at - 1];
            _rows[at] = row;
        }

        public NearRow[] Ranked() => _rows[.._count];
    }
}
