using Graft.Heads;
using Graft.Inference;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

public class HeadTests
{
    private static (float[] X, int[] Y) Problem(int n, int d, int classes)
    {
        var rng = new Data.Rng(n, d);
        int[] y = [.. Enumerable.Range(0, n).Select(k => k % classes)];
        float[] x = [.. Enumerable.Range(0, n * d).Select(i => (float)(rng.Normal() + (i % d % classes == y[i / d] ? 0.6 : 0)))];
        return (x, y);
    }

    private static string Save(Workshop shop, float[] x, int[] y)
    {
        File.WriteAllBytes(shop["x"], System.Runtime.InteropServices.MemoryMarshal.AsBytes(x.AsSpan()).ToArray());
        File.WriteAllBytes(shop["y"], System.Runtime.InteropServices.MemoryMarshal.AsBytes(y.AsSpan()).ToArray());
        return "import sys, numpy as np\ny = np.fromfile(sys.argv[2], np.int32)\nx = np.fromfile(sys.argv[1], np.float32).reshape(len(y), -1).astype(float)\n";
    }

    [SkippableTheory]
    [InlineData(60, 200)]
    [InlineData(300, 40)]
    public void Softmax_reaches_scikit_learns_solution(int n, int d)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        var (x, y) = Problem(n, d, 3);
        var theirs = Workshop.Python(Save(shop, x, y) + "from sklearn.linear_model import LogisticRegression\nm = LogisticRegression(C=0.7, tol=1e-9, max_iter=100000, multi_class='multinomial').fit(x, y)\nprint(*m.coef_.flatten()[:20].tolist(), *m.intercept_.tolist())", shop["x"], shop["y"]).Split(' ').Select(double.Parse).ToArray();
        using var problem = new LinearProblem(Tensor.From(x, n, d));
        var found = NewtonSolver.Solve(problem, [.. y.Select(label => (long)label)], 3, LinearLoss.Softmax, 0.7, 1e-9);
        var ours = found.Weight.ToArray<double>()[..20].Concat(found.Bias.ToArray<double>()).ToArray();
        // Intercepts are unpenalised, so only their differences are determined.
        for (var k = 0; k < 20; k++) Assert.InRange(ours[k] - theirs[k], -1e-4, 1e-4);
        Assert.InRange(ours[21] - ours[20] - theirs[21] + theirs[20], -1e-3, 1e-3);
    }

    [SkippableTheory]
    [InlineData(60, 200)]
    [InlineData(300, 40)]
    public void The_svm_reaches_LinearSVCs_solution(int n, int d)
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        var (x, y) = Problem(n, d, 3);
        var theirs = Workshop.Python(Save(shop, x, y) + "from sklearn.svm import LinearSVC\nm = LinearSVC(C=0.7, tol=1e-10, dual=False, max_iter=100000).fit(x, y)\nprint(*m.coef_.flatten()[:20].tolist(), *m.intercept_.tolist())", shop["x"], shop["y"]).Split(' ').Select(double.Parse).ToArray();
        using var problem = new LinearProblem(Tensor.From(x, n, d));
        var found = NewtonSolver.Solve(problem, [.. y.Select(label => (long)label)], 3, LinearLoss.SquaredHinge, 0.7, 1e-9);
        var ours = found.Weight.ToArray<double>()[..20].Concat(found.Bias.ToArray<double>()).ToArray();
        for (var k = 0; k < theirs.Length; k++) Assert.InRange(ours[k] - theirs[k], -1e-4, 1e-4);
    }

    [Theory]
    [InlineData(HeadKind.Softmax)]
    [InlineData(HeadKind.Svm)]
    [InlineData(HeadKind.Mean)]
    [InlineData(HeadKind.Mlp)]
    public void Every_head_learns_what_can_be_learned(HeadKind kind)
    {
        using var scope = new TensorScope();
        var (x, y) = Problem(240, 30, 3);
        var fit = HeadFitter.Fit(Tensor.From(x, 240, 30) * 5 + 3, y, 3, new HeadOptions { Kind = kind });
        var (test, labels) = Problem(300, 30, 3);
        var p = fit.Head.Probabilities(Tensor.From(test, 300, 30) * 5 + 3);
        Assert.True(Metrics.Of(p.ToArray<float>(), labels, ["a", "b", "c"]).Accuracy > 0.7);
        Assert.All(p.Sum([1L]).ToArray<float>(), sum => Assert.Equal(1, sum, 4));
    }

    [Fact]
    public void Features_that_are_not_finite_are_refused()
    {
        using var scope = new TensorScope();
        Assert.Throws<GraftException>(() => HeadFitter.Fit(Tensor.From([1f, float.NaN], 2, 1), [0, 1], 2, new HeadOptions()));
    }

    [Fact]
    public void Metrics_by_hand()
    {
        // Three of four right; class b: one of two found.
        var metrics = Metrics.Of([0.9f, 0.1f, 0.8f, 0.2f, 0.6f, 0.4f, 0.3f, 0.7f], [0, 0, 1, 1], ["a", "b"]);
        Assert.Equal(0.75, metrics.Accuracy);
        Assert.Equal(0.75, metrics.BalancedAccuracy);
        Assert.Equal([2, 0], metrics.Confusion[0]);
        Assert.Equal([1, 1], metrics.Confusion[1]);
        Assert.Equal((0.8 + 2.0 / 3) / 2, metrics.MacroF1, 9);
        // Bins: 0.9 right, 0.8 right, 0.7 right, 0.6 wrong.
        Assert.Equal((0.1 + 0.2 + 0.3 + 0.6) / 4, metrics.CalibrationError, 5);
        var (low, high) = Metrics.Wilson(3, 4);
        Assert.Equal(0.3006, low, 3);
        Assert.Equal(0.9544, high, 3);
    }

    [Fact]
    public void McNemars_test_by_hand()
    {
        // b alone right 5 times, a never: 2 · 0.5⁵.
        bool[] a = [.. Enumerable.Repeat(true, 5), .. Enumerable.Repeat(false, 5)], b = [.. Enumerable.Repeat(true, 10)];
        Assert.Equal(0.0625, Comparison.McNemar(a, b), 9);
        Assert.Equal(1, Comparison.McNemar(a, a));
    }

    [Fact]
    public void Leep_by_hand_and_LogMe_prefers_informative_features()
    {
        using var scope = new TensorScope();
        // Upstream class 0 means label 0 and 1 means 1, with certainty: the likelihood is 1.
        Assert.Equal(0, Transferability.Leep(Tensor.From([1f, 0f, 0f, 1f], 2, 2), [0, 1], 2), 6);
        Assert.Equal(Math.Log(0.5), Transferability.Leep(Tensor.From([0.5f, 0.5f, 0.5f, 0.5f], 2, 2), [0, 1], 2), 6);
        var (x, y) = Problem(200, 20, 2);
        var noise = Problem(200, 21, 2).X;
        Assert.True(Transferability.LogMe(Tensor.From(x, 200, 20), y, 2) > Transferability.LogMe(Tensor.From(noise[..4000].Select((_, i) => (float)new Data.Rng(i).Normal()).ToArray(), 200, 20), y, 2));
    }

    [Theory]
    [InlineData(200, 0.95, 0.7, "feature", "small, similar")]
    [InlineData(200, 0.55, 0.9, "feature:s1", "small, different")]
    [InlineData(9000, 0.95, 0.7, "head-then-full", "large, similar")]
    [InlineData(9000, 0.6, 0.58, "full", "large, different")]
    public void The_advice_follows_the_quadrants(int pictures, double top, double lower, string strategy, string quadrant)
    {
        var advice = Advisor.Recommend(new Evidence { Pictures = pictures, Classes = 2, Fewest = pictures / 2, Parameters = 1_000_000, Chance = 0.5, Pretrained = true, Probes = [new StageProbe("s1", 8, lower, 0.01), new StageProbe("s2", 16, top, 0.01)] });
        Assert.Equal((strategy, quadrant), (advice.Strategy, advice.Quadrant));
        Assert.NotEmpty(advice.Reasons);
    }
}
