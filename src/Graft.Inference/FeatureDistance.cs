using System.Numerics.Tensors;

namespace Graft.Inference;

/// <summary>Distances between features, row after row in plain arrays.</summary>
internal static class FeatureDistance
{
    /// <summary>Every row of <paramref name="a"/> to every row of <paramref name="b"/>: n×m.</summary>
    /// <param name="a">n rows.</param>
    /// <param name="b">m rows.</param>
    /// <param name="size">Numbers of a row.</param>
    /// <param name="kind">Mahalanobis needs a support set, and is none of these.</param>
    public static float[] Between(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int size, DistanceKind kind)
    {
        var (n, m) = (a.Length / size, b.Length / size);
        var (found, apart) = (new float[n * m], new float[size]);
        var left = kind == DistanceKind.Cosine ? Unit(a, size) : a;
        var right = kind == DistanceKind.Cosine ? Unit(b, size) : b;
        for (var i = 0; i < n; i++)
        {
            for (var j = 0; j < m; j++) found[i * m + j] = One(left.Slice(i * size, size), right.Slice(j * size, size), apart, kind);
        }
        return found;
    }

    /// <summary>Row k of <paramref name="a"/> to row k of <paramref name="b"/>: n.</summary>
    public static float[] Pairs(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int size, DistanceKind kind)
    {
        var (found, apart) = (new float[a.Length / size], new float[size]);
        var left = kind == DistanceKind.Cosine ? Unit(a, size) : a;
        var right = kind == DistanceKind.Cosine ? Unit(b, size) : b;
        for (var k = 0; k < found.Length; k++) found[k] = One(left.Slice(k * size, size), right.Slice(k * size, size), apart, kind);
        return found;
    }

    private static float One(ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> apart, DistanceKind kind)
    {
        if (kind == DistanceKind.Cosine) return 1 - TensorPrimitives.Dot(a, b);
        TensorPrimitives.Subtract(a, b, apart);
        return kind switch
        {
            DistanceKind.SquaredEuclidean => TensorPrimitives.SumOfSquares<float>(apart),
            // What training uses: there the root's slope at 0 would be infinite.
            DistanceKind.Euclidean => MathF.Sqrt(TensorPrimitives.SumOfSquares<float>(apart) + 1e-8f),
            DistanceKind.Manhattan => TensorPrimitives.SumOfMagnitudes<float>(apart),
            _ => throw new ArgumentException($"{kind} is no distance between two points alone"),
        };
    }

    private static ReadOnlySpan<float> Unit(ReadOnlySpan<float> rows, int size)
    {
        var made = new float[rows.Length];
        for (var at = 0; at < rows.Length; at += size)
        {
            var row = rows.Slice(at, size);
            TensorPrimitives.Divide(row, MathF.Sqrt(TensorPrimitives.SumOfSquares(row) + 1e-12f), made.AsSpan(at, size));
        }
        return made;
    }

    /// <summary>Mean rows of the classes: way×size.</summary>
    public static float[] Means(ReadOnlySpan<float> rows, IReadOnlyList<int> labels, int way, int size)
    {
        var (means, counts) = (new float[way * size], new int[way]);
        for (var k = 0; k < labels.Count; k++)
        {
            var mean = means.AsSpan(labels[k] * size, size);
            TensorPrimitives.Add(mean, rows.Slice(k * size, size), mean);
            counts[labels[k]]++;
        }
        for (var c = 0; c < way; c++)
        {
            var mean = means.AsSpan(c * size, size);
            TensorPrimitives.Divide(mean, Math.Max(1, counts[c]), mean);
        }
        return means;
    }
}
