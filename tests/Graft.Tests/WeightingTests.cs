using Graft.Data;
using Graft.Learning;
using Graft.MultiTask;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>Weightings of tasks against what can be worked out by hand.</summary>
public sealed class WeightingTests
{
    private static double[,] Gram(params double[][] vectors)
    {
        var gram = new double[vectors.Length, vectors.Length];
        for (var i = 0; i < vectors.Length; i++) for (var j = 0; j < vectors.Length; j++) gram[i, j] = vectors[i].Zip(vectors[j], (a, b) => a * b)
            .Sum();
        return gram;
    }

    private static double[] Vector(ref Rng rng, int size)
    {
        var made = new double[size];
        for (var k = 0; k < size; k++) made[k] = rng.Normal();
        return made;
    }

    [Fact]
    public void Of_two_gradients_mgda_takes_the_shortest_mixture_in_closed_form()
    {
        var rng = new Rng(1);
        for (var k = 0; k < 200; k++)
        {
            double[] a = Vector(ref rng, 3), b = Vector(ref rng, 3);
            var gram = Gram(a, b);
            // Sener and Koltun 2018, figure 1: γ = [(b − a)·b / ‖a − b‖²], cut to 0 … 1.
            var expected = Math.Clamp((gram[1, 1] - gram[0, 1]) / (gram[0, 0] + gram[1, 1] - 2 * gram[0, 1]), 0, 1);
            var found = MgdaUb.Weights(gram);
            Assert.Equal(expected, found[0], 1e-6);
            Assert.Equal(1 - expected, found[1], 1e-6);
        }
    }

    [Fact]
    public void Of_orthogonal_gradients_mgda_weighs_by_the_inverse_squares_of_their_lengths()
    {
        var found = MgdaUb.Weights(Gram([1, 0, 0], [0, 2, 0], [0, 0, 1e-2]));
        double[] inverse = [1, 0.25, 1e4];
        Assert.All(inverse.Zip(found), pair => Assert.Equal(pair.First / inverse.Sum(), pair.Second, 1e-6));
        Assert.Equal([0.5, 0.5], MgdaUb.Weights(Gram([0, 0], [0, 0])));
    }

    [Fact]
    public void Pcgrad_takes_away_what_points_against_the_other_and_nothing_else()
    {
        // (1, 0) less its part along (−1, 1) is (½, ½); (−1, 1) less its part along (1, 0) is (0, 1).
        var found = PcGrad.Coefficients(Gram([1, 0], [-1, 1]), _ => [0, 1]);
        Assert.Equal(0.5, found[0] * 1 + found[1] * -1, 12);
        Assert.Equal(1.5, found[1], 12);
        Assert.Equal([1, 1], PcGrad.Coefficients(Gram([1, 0], [1, 1]), _ => [1, 0]));
    }

    [Fact]
    public void Of_three_gradients_pcgrad_projects_what_is_left_each_time()
    {
        var rng = new Rng(2);
        for (var k = 0; k < 50; k++)
        {
            double[][] all = [Vector(ref rng, 4), Vector(ref rng, 4), Vector(ref rng, 4)];
            int[] order = rng.Permutation(3);
            var expected = new double[4];
            for (var i = 0; i < 3; i++)
            {
                double[] own = [.. all[i]];
                foreach (var j in order.Where(j => j != i))
                {
                    var (product, size) = (own.Zip(all[j], (a, b) => a * b).Sum(), all[j].Sum(value => value * value));
                    if (product < 0) own = [.. own.Zip(all[j], (a, b) => a - product / size * b)];
                }
                expected = [.. expected.Zip(own, (a, b) => a + b)];
            }
            var found = PcGrad.Coefficients(Gram(all), _ => order);
            for (var d = 0; d < 4; d++) Assert.Equal(expected[d], found.Select((weight, i) => weight * all[i][d]).Sum(), 9);
        }
    }

    [Fact]
    public void No_step_within_cagrads_ball_is_better_for_the_worst_task()
    {
        var rng = new Rng(3);
        for (var k = 0; k < 40; k++)
        {
            double[] a = Vector(ref rng, 2), b = Vector(ref rng, 2);
            var coefficients = CaGrad.Coefficients(Gram(a, b), 0.4);
            double[] step = [.. a.Zip(b, (x, y) => coefficients[0] * x + coefficients[1] * y)], mean = [.. a.Zip(b, (x, y) => (x + y) / 2)];
            double Worst(double[] d) => Math.Min(a[0] * d[0] + a[1] * d[1], b[0] * d[0] + b[1] * d[1]);
            var radius = 0.4 * Math.Sqrt(mean[0] * mean[0] + mean[1] * mean[1]);
            Assert.Equal(radius, Math.Sqrt(step.Zip(mean, (x, y) => (x - y) * (x - y)).Sum()), 1e-6);
            var best = Enumerable.Range(0, 3600)
                .Max(at => Worst([mean[0] + radius * Math.Cos(at * Math.PI / 1800), mean[1] + radius * Math.Sin(at * Math.PI / 1800)]));
            Assert.True(Worst(step) >= best - 1e-6);
        }
        Assert.Equal([0.5, 0.5], CaGrad.Coefficients(Gram([1, 0], [0, 1]), 0));
    }

    [Fact]
    public void Uncertainty_has_the_gradient_that_the_paper_derives()
    {
        using var scope = new TensorScope();
        using var weighting = new UncertaintyWeighting(new WeightingSetup([TargetKind.Classes, TargetKind.Numbers]));
        using var mode = Autograd.EnableGrad();
        var w = Tensor.From([3.0f]);
        w.RequiresGrad = true;
        Tensor[] losses = [w.Square().Sum(), (w * 5.0).Sum()];
        var at = new TaskStep(losses, [w], null, new Step(0, 0, 0, 0, 0, 1));
        var found = Autograd.Grad(weighting.Total(at), [w, weighting.Parameters().Single()]);
        // At σ = 1: L/σ² + log σ of the class, L/2σ² + log σ of the number; by s = log σ² that is −L + ½ and −L/2 + ½.
        Assert.Equal(6 + 2.5, found[0].Item(), 1e-5);
        Assert.Equal([-9f + 0.5f, -7.5f + 0.5f], found[1].ToArray<float>());
    }

    [Fact]
    public void Gradnorm_moves_down_the_slope_of_what_it_minimises_and_keeps_the_sum()
    {
        double[] weights = [0.7, 1.3], norms = [2, 0.5], shares = [0.9, 0.6];
        var (mean, share) = ((weights[0] * norms[0] + weights[1] * norms[1]) / 2, 0.75);
        double[] targets = [.. shares.Select(own => mean * Math.Pow(own / share, 1.5))];
        double Cost(double[] w) => w.Select((weight, t) => Math.Abs(weight * norms[t] - targets[t])).Sum();
        double Slope(int t) => (Cost([.. weights.Select((weight, k) => k == t ? weight + 1e-6 : weight)]) - Cost(weights)) / 1e-6;
        double[] moved = [.. weights.Select((weight, t) => weight - 0.025 * Slope(t))];
        var found = GradNorm.Next(weights, norms, shares, [0, 1]);
        Assert.All(moved.Zip(found), pair => Assert.Equal(2 * pair.First / moved.Sum(), pair.Second, 1e-5));
        Assert.Equal(2, found.Sum(), 12);
        Assert.Equal(weights, GradNorm.Next(weights, norms, shares, [1]));
    }

    [Fact]
    public void Dwa_weighs_by_the_softmax_of_how_slowly_losses_fall()
    {
        var found = DynamicWeightAverage.Weights([0.5, 1], [1, 1]);
        var sum = Math.Exp(0.25) + Math.Exp(0.5);
        Assert.Equal(2 * Math.Exp(0.25) / sum, found[0], 12);
        Assert.Equal(2 * Math.Exp(0.5) / sum, found[1], 12);
        Assert.Equal([1, 1], DynamicWeightAverage.Weights([0.5, 1], [double.NaN, double.NaN]));
    }

    [Fact]
    public void Famos_gradient_is_that_of_the_mean_change_of_the_logarithms()
    {
        double[] logits = [0.3, -0.4, 1.1], change = [0.2, -0.1, 0.05];
        double Mean(double[] at) => at.Select((logit, t) => Math.Exp(logit) / at.Sum(Math.Exp) * change[t]).Sum();
        var found = Famo.Gradient(logits, change, [0, 1, 2]);
        for (var t = 0; t < 3; t++)
        {
            var slope = (Mean([.. logits.Select((logit, k) => k == t ? logit + 1e-6 : logit)]) - Mean(logits)) / 1e-6;
            Assert.Equal(slope, found[t], 1e-6);
        }
        Assert.Equal(0, Famo.Gradient(logits, change, [0, 2])[1]);
    }

    [Fact]
    public void Random_weights_are_above_zero_sum_to_the_tasks_and_depend_on_seed_and_step_only()
    {
        using var scope = new TensorScope();
        using var weighting = new RandomWeighting();
        double[] Drawn(long seed)
        {
            using var mode = Autograd.EnableGrad();
            var w = Tensor.From([1.0f, 1.0f, 1.0f]);
            w.RequiresGrad = true;
            var total = weighting.Total(new TaskStep([w[0], w[1], w[2]], [w], null, new Step(seed, 0, 0, 0, 0, 1)));
            return Autograd.Grad(total, [w])[0].ToArray<double>();
        }
        var found = Drawn(1);
        Assert.All(found, weight => Assert.True(weight > 0));
        Assert.Equal(3, found.Sum(), 1e-5);
        Assert.Equal(found, Drawn(1));
        Assert.NotEqual(found, Drawn(2));
    }

    [Fact]
    public void An_unknown_weighting_is_told_with_the_nearest_name()
    {
        var refused = Assert.Throws<GraftException>(() => new MultiTaskOptions { Data = "t.csv", Weighting = "gradnrom" }.Validate());
        Assert.True(refused.IsUsage);
        Assert.StartsWith("--weighting gradnrom: there is no such weighting. Did you mean gradnorm?", refused.Message, StringComparison.Ordinal);
        Assert.Contains("mtan", Assert.Throws<GraftException>(() => new MultiTaskOptions { Data = "t.csv",
            Architecture = "soft" }.Validate()).Message, StringComparison.Ordinal);
    }
}
