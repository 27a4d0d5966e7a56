using Graft.Data;
using Graft.Torch;

namespace Graft.Reports;

/// <summary>Features in the plane.</summary>
internal static class Projection
{
    private const int Iterations = 300;

    /// <summary>The first components: N×components, each column centred.</summary>
    public static Tensor Pca(Tensor features, int components)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var x = features.To(DType.Float64);
        x -= x.Mean([0L], true);
        var (values, vectors) = x.Matmul(x.T()).LinalgEigh();
        var take = (int)Math.Min(components, x.Shape[0]);
        var first = vectors.Narrow(1, x.Shape[0] - take, take) * values.Narrow(0, x.Shape[0] - take, take).Clamp(0.0, null).Sqrt();
        return scope.Keep(first.Flip([1]).Contiguous());
    }

    /// <summary>t-SNE (van der Maaten and Hinton 2008), exact, from N×d coordinates to N×2; seeded.</summary>
    public static double[][] Tsne(double[][] x, double perplexity = 20, long seed = 0)
    {
        var n = x.Length;
        if (n < 4) return [.. x.Select(row => new[] { row[0], row.Length > 1 ? row[1] : 0 })];
        var p = Affinities(x, Math.Min(perplexity, (n - 1) / 3.0));
        var rng = new Rng(seed, 11);
        double[] y = [.. Enumerable.Range(0, 2 * n).Select(_ => 1e-4 * rng.Normal())], step = new double[2 * n], gain = [.. Enumerable.Repeat(1.0, 2 * n)];
        var q = new double[n * n];
        var gradient = new double[2 * n];
        for (var iteration = 0; iteration < Iterations; iteration++)
        {
            var sum = 0.0;
            for (var i = 0; i < n; i++)
            {
                for (var j = i + 1; j < n; j++)
                {
                    double dx = y[2 * i] - y[2 * j], dy = y[2 * i + 1] - y[2 * j + 1];
                    var value = 1 / (1 + dx * dx + dy * dy);
                    q[i * n + j] = q[j * n + i] = value;
                    sum += 2 * value;
                }
            }
            var exaggeration = iteration < 80 ? 8.0 : 1.0;
            Array.Clear(gradient);
            for (var i = 0; i < n; i++)
            {
                for (var j = 0; j < n; j++)
                {
                    if (i == j) continue;
                    var w = q[i * n + j];
                    var force = 4 * (exaggeration * p[i * n + j] - w / sum) * w;
                    gradient[2 * i] += force * (y[2 * i] - y[2 * j]);
                    gradient[2 * i + 1] += force * (y[2 * i + 1] - y[2 * j + 1]);
                }
            }
            var momentum = iteration < 80 ? 0.5 : 0.8;
            var rate = Math.Max(n / 8.0, 20);
            for (var k = 0; k < y.Length; k++)
            {
                gain[k] = Math.Max(0.01, Math.Sign(gradient[k]) != Math.Sign(step[k]) ? gain[k] + 0.2 : gain[k] * 0.8);
                step[k] = momentum * step[k] - rate * gain[k] * gradient[k];
                y[k] += step[k];
            }
        }
        return [.. Enumerable.Range(0, n).Select(i => new[] { y[2 * i], y[2 * i + 1] })];
    }

    /// <summary>Symmetric affinities whose rows have the perplexity, by bisection on each row's precision (their eq. 1).</summary>
    private static double[] Affinities(double[][] x, double perplexity)
    {
        var n = x.Length;
        var distance = new double[n * n];
        for (var i = 0; i < n; i++)
        {
            for (var j = i + 1; j < n; j++)
            {
                var sum = 0.0;
                for (var c = 0; c < x[i].Length; c++) sum += (x[i][c] - x[j][c]) * (x[i][c] - x[j][c]);
                distance[i * n + j] = distance[j * n + i] = sum;
            }
        }
        var p = new double[n * n];
        var row = new double[n];
        for (var i = 0; i < n; i++)
        {
            var nearest = Enumerable.Range(0, n).Where(j => j != i).Min(j => distance[i * n + j]);
            double precision = 1, low = 0, high = double.PositiveInfinity;
            for (var trial = 0; trial < 60; trial++)
            {
                double sum = 0, weighted = 0;
                for (var j = 0; j < n; j++)
                {
                    row[j] = j == i ? 0 : Math.Exp(-(distance[i * n + j] - nearest) * precision);
                    sum += row[j];
                    weighted += row[j] * (distance[i * n + j] - nearest);
                }
                var entropy = Math.Log(sum) + precision * weighted / sum;
                for (var j = 0; j < n; j++) row[j] /= sum;
                if (Math.Abs(entropy - Math.Log(perplexity)) < 1e-4) break;
                if (entropy > Math.Log(perplexity)) low = precision;
                else high = precision;
                precision = double.IsPositiveInfinity(high) ? precision * 2 : (low + high) / 2;
            }
            for (var j = 0; j < n; j++) p[i * n + j] = row[j];
        }
        for (var i = 0; i < n; i++)
        {
            for (var j = i + 1; j < n; j++) p[i * n + j] = p[j * n + i] = Math.Max(1e-12, (p[i * n + j] + p[j * n + i]) / (2 * n));
        }
        return p;
    }
}
