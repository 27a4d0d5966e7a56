using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>Scores that say from features alone how well a backbone suits a task.</summary>
internal static class Transferability
{
    /// <summary>
    /// LogME (You et al. 2021): the largest evidence per picture of a Bayesian linear regression from features to each class's
    /// indicator, averaged over classes. Higher is better; features N×d, labels N.
    /// </summary>
    public static double LogMe(Tensor features, int[] labels, int classes) =>
        LogMe(features, [.. Enumerable.Range(0, classes).Select(c => labels.Select(label => label == c ? 1.0 : 0.0).ToArray())]);

    /// <summary>The same of any targets: the mean over the labels' indicators, or over the columns of numbers, each of mean 0 and variance
    /// 1.</summary>
    public static double LogMe(Tensor features, Targets targets) => targets switch
    {
        LabelTargets labels => LogMe(features, [.. labels.Names.Select((_, c) => labels.Sets.Select(set => set.Contains(c) ? 1.0 : 0.0).ToArray())]),
        NumberTargets numbers => LogMe(features, Standard(numbers)),
        ClassTargets classes => LogMe(features, classes.Labels, classes.Names.Count),
        _ => double.NaN,
    };

    // The evidence knows no units, so that numbers of any are comparable.
    private static double[][] Standard(NumberTargets numbers)
    {
        var units = NumberFitter.UnitsOf(numbers);
        return [.. numbers.Names.Select((_, c) => numbers.Rows.Select(row => (row[c] - units.Mean[c]) / units.Scale[c]).ToArray())];
    }

    private static double LogMe(Tensor features, double[][] columns)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var f = features.To(DType.Float64);
        var (n, d) = (f.Shape[0], f.Shape[1]);
        // Only u·y and the singular values enter, so the smaller Gram matrix serves.
        Tensor values, u;
        if (n <= d)
        {
            (values, u) = f.Matmul(f.T()).LinalgEigh();
        }
        else
        {
            (values, var v) = f.T().Matmul(f).LinalgEigh();
            u = f.Matmul(v) / values.Clamp(1e-12, null).Sqrt();
        }
        var sigma = values.Clamp(0.0, null).ToArray<double>();
        var rank = sigma.Count(value => value > 1e-10 * sigma.Max());
        var sum = 0.0;
        foreach (var y in columns)
        {
            var projected = u.T().Mv(Tensor.From(y)).ToArray<double>();
            var total = y.Sum(value => value * value);
            var outside = Math.Max(0, total - projected.Where((_, k) => sigma[k] > 1e-10).Sum(value => value * value));
            sum += Evidence(sigma, projected, outside, n, d, rank) / n;
        }
        return sum / columns.Length;
    }

    /// <summary>MacKay's fixed point for the precisions α and β, then the log evidence (You et al., eq. 2 and algorithm 1).</summary>
    private static double Evidence(double[] sigma, double[] projected, double outside, long n, long d, int rank)
    {
        double alpha = 1, beta = 1, m2 = 0, residual = 0;
        for (var k = 0; k < 100; k++)
        {
            var (gamma, t) = (0.0, alpha / beta);
            (m2, residual) = (0, outside);
            for (var i = 0; i < sigma.Length; i++)
            {
                gamma += sigma[i] / (t + sigma[i]);
                m2 += sigma[i] * projected[i] * projected[i] / ((t + sigma[i]) * (t + sigma[i]));
                if (sigma[i] > 1e-10) residual += projected[i] * projected[i] * Math.Pow(t / (t + sigma[i]), 2);
            }
            var (nextAlpha, nextBeta) = (gamma / Math.Max(m2, 1e-12), (n - gamma) / Math.Max(residual, 1e-12));
            var settled = Math.Abs(nextAlpha / nextBeta - t) <= 1e-3 * t;
            (alpha, beta) = (nextAlpha, nextBeta);
            if (settled) break;
        }
        var determinant = sigma.Sum(value => Math.Log(alpha + beta * value)) + (d - sigma.Length) * Math.Log(alpha);
        _ = rank;
        return 0.5 * (d * Math.Log(alpha) + n * Math.Log(beta) - determinant - beta * residual - alpha * m2 - n * Math.Log(2 * Math.PI));
    }

    /// <summary>
    /// LEEP (Nguyen et al. 2020, eq. 2): the mean log-likelihood of the labels under the upstream classifier's outputs and the
    /// empirical P(label | upstream class). At most 0; higher is better. probabilities: N×upstream classes.
    /// </summary>
    public static double Leep(Tensor probabilities, int[] labels, int classes)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var theta = probabilities.To(DType.Float64);
        var y = Tensor.From([.. labels.Select(label => (long)label)]);
        var joint = y.OneHot(classes).To(DType.Float64).T().Matmul(theta) / labels.Length;
        var conditional = joint / joint.Sum([0L], true).Clamp(1e-30, null);
        return theta.Matmul(conditional.T()).Gather(1, y.Unsqueeze(1)).Log().Mean().Item();
    }

    /// <summary>
    /// How far the pictures' statistics are from those that the BatchNorm layers of the upstream training kept: the mean over
    /// channels and layers of the symmetric KL divergence of the two normal distributions. 0 where the domains agree.
    /// Null for a backbone without BatchNorm.
    /// </summary>
    public static unsafe double? StatisticsDistance(Backbone backbone, Dataset data, int pictures = 48)
    {
        using var probe = backbone.Clone();
        var norms = probe.Modules().OfType<BatchNorm2d>().ToArray();
        if (norms.Length == 0) return null;
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        int[] chosen = [.. new Rng(17).Permutation(data.Count).Take(pictures)];
        using var store = new PictureStore(data.Subset(chosen), 0);
        var (usable, _) = store.Check();
        if (usable.Length == 0) return null;
        double[][] Statistics() => [.. norms.Select(norm => norm.NamedSlots()
            .ToDictionary(slot => slot.Name, slot => slot.Slot.Value.ToArray<double>()))
            .Select(slots => (double[])[.. slots["running_mean"], .. slots["running_var"]])];
        var upstream = Statistics();
        // One pass in training mode with momentum 1 over all pictures at once would be exact; batches of 16, averaged, are close.
        var sums = upstream.Select(values => new double[values.Length]).ToArray();
        var batches = 0;
        probe.Train();
        foreach (var batch in new Loader(store, backbone.Preprocessing, 16, 0).Batches(usable, 0, false))
        {
            using var inner = new TensorScope();
            using (batch) probe.Forward(batch.Inputs, 0, probe.Stages.Count);
            var after = Statistics();
            // running ← 0.9 running + 0.1 batch
            for (var l = 0; l < sums.Length; l++)
                for (var c = 0; c < sums[l].Length; c++) sums[l][c] += (after[l][c] - 0.9 * upstream[l][c]) / 0.1;
            batches++;
            probe.CopyFrom(backbone.State());
        }
        double total = 0, count = 0;
        for (var l = 0; l < sums.Length; l++)
        {
            var channels = sums[l].Length / 2;
            for (var c = 0; c < channels; c++)
            {
                double m1 = upstream[l][c], v1 = upstream[l][channels + c], m2 = sums[l][c] / batches, v2 = sums[l][channels + c] / batches;
                if (v1 < 1e-8 || v2 < 1e-8) continue;
                total += Math.Min(10, 0.25 * ((v1 + (m1 - m2) * (m1 - m2)) / v2 + (v2 + (m1 - m2) * (m1 - m2)) / v1 - 2));
                count++;
            }
        }
        return count == 0 ? null : total / count;
    }
}
