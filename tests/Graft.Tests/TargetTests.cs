using System.Globalization;
using System.Runtime.InteropServices;
using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Models;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Several labels and numbers: heads and measures against scikit-learn, splits, what a CSV is taken for.</summary>
public sealed class TargetTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static float[] Features(int n, int d)
    {
        var rng = new Rng(n, d);
        return [.. Enumerable.Range(0, n * d).Select(_ => (float)rng.Normal())];
    }

    private double[] Peer(string script, params (string Name, float[] Values)[] arrays)
    {
        foreach (var (name, values) in arrays) File.WriteAllBytes(_shop[name], MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
        var read = "import sys, numpy as np\n"
            + string.Concat(arrays.Select((array, k) => $"{array.Name} = np.fromfile(sys.argv[{k + 1}], np.float32).astype(float)\n"));
        return [.. Workshop.Python(read + script, [.. arrays.Select(array => _shop[array.Name])]).Split(' ')
            .Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
    }

    private static void Near(double[] theirs, double[] ours, double within)
    {
        Assert.Equal(theirs.Length, ours.Length);
        for (var k = 0; k < theirs.Length; k++) Assert.InRange(ours[k] - theirs[k], -within, within);
    }

    [SkippableTheory]
    [InlineData(80, 120)]
    [InlineData(300, 20)]
    public void The_sigmoid_head_is_scikit_learns_logistic_regression_of_each_label(int n, int d)
    {
        using var scope = new TensorScope();
        var x = Features(n, d);
        int[][] sets = [.. Enumerable.Range(0, n)
            .Select(k => Enumerable.Range(0, 3).Where(label => x[k * d + label] + 0.5 * x[k * d + 3] > 0.3 * label).ToArray())];
        var y = new float[n * 3];
        for (var k = 0; k < n; k++) foreach (var label in sets[k]) y[k * 3 + label] = 1;
        // Ours scales the features; C of theirs is on features so scaled.
        var theirs = Peer($"""
            from sklearn.linear_model import LogisticRegression
            x, y = x.reshape({n}, {d}), y.reshape({n}, 3)
            c = x - x.mean(0); s = np.sqrt((c ** 2).sum(1).mean())
            out = []
            for k in range(3):
                m = LogisticRegression(C=0.7, tol=1e-10, max_iter=100000).fit(c / s, y[:, k])
                out += m.predict_proba(c / s)[:10, 1].tolist()
            print(*out)
            """, ("x", x), ("y", y));
        var fit = HeadFitter.Fit(Tensor.From(x, n, d), new LabelTargets(sets, ["a", "b", "c"]),
            new HeadOptions { Kind = HeadKind.Sigmoid, C = 0.7, Tolerance = 1e-9 });
        var ours = fit.Head.Answers(Tensor.From(x, n, d)).ToArray<float>();
        Near(theirs, [.. Enumerable.Range(0, 30).Select(k => (double)ours[k % 10 * 3 + k / 10])], 1e-4);
    }

    [SkippableTheory]
    [InlineData(60, 100)]
    [InlineData(300, 20)]
    public void The_ridge_head_is_scikit_learns(int n, int d)
    {
        using var scope = new TensorScope();
        var x = Features(n, d);
        float[][] rows = [.. Enumerable.Range(0, n).Select(k => new[] { 100 + 20 * x[k * d] - 5 * x[k * d + 1], 0.01f * x[k * d + 2] })];
        var theirs = Peer($"""
            from sklearn.linear_model import Ridge
            x, y = x.reshape({n}, {d}), y.reshape({n}, 2)
            c = x - x.mean(0); s = np.sqrt((c ** 2).sum(1).mean())
            z = (y - y.mean(0)) / y.std(0)
            m = Ridge(alpha=1 / 3.0).fit(c / s, z)
            print(*(m.predict(c / s)[:10] * y.std(0) + y.mean(0)).flatten().tolist())
            """, ("x", x), ("y", [.. rows.SelectMany(row => row)]));
        var fit = HeadFitter.Fit(Tensor.From(x, n, d), new NumberTargets(rows, ["a", "b"]), new HeadOptions { Kind = HeadKind.Ridge, C = 3 });
        var ours = fit.Head.Answers(Tensor.From(x, n, d)).ToArray<float>();
        Near(theirs, [.. ours.Take(20).Select(value => (double)value)], 2e-4);
        // The same with the units in the weights.
        using var folded = ((LinearHead)fit.Head).Folded();
        Near([.. ours.Select(value => (double)value)], [.. folded.Answers(Tensor.From(x, n, d)).ToArray<float>().Select(value => (double)value)],
            1e-3);
    }

    [SkippableFact]
    public void The_huber_solution_is_scikit_learns_at_its_scale()
    {
        using var scope = new TensorScope();
        const int N = 200, D = 10;
        var x = Features(N, D);
        var rng = new Rng(5);
        float[] y = [.. Enumerable.Range(0, N).Select(k => (float)(2 * x[k * D] - x[k * D + 1] + 0.3 * rng.Normal() + (k % 10 == 0 ? 15 : 0)))];
        var theirs = Peer($"""
            from sklearn.linear_model import HuberRegressor
            m = HuberRegressor(epsilon=1.5, alpha=0.1, tol=1e-9, max_iter=10000).fit(x.reshape({N}, {D}), y)
            print(m.scale_, *m.coef_.tolist(), m.intercept_)
            """, ("x", x), ("y", y));
        // Given the scale σ, its objective is (2/σ) Σ huber + α‖w‖²: ours at δ = ε·σ and C = 1 / (σ·α).
        var inputs = Ops.Cat([Tensor.From(x, N, D).To(DType.Float64), Ops.Ones([N, 1], dtype: DType.Float64)], 1);
        var ours = NumberFitter.Huber(inputs, Tensor.From(y, N, 1).To(DType.Float64), 1 / (theirs[0] * 0.1), [1.5 * theirs[0]]).Flatten(0)
            .ToArray<double>();
        Near(theirs[1..], ours, 1e-3);
    }

    [Fact]
    public void A_huber_head_is_not_moved_by_wild_numbers()
    {
        using var scope = new TensorScope();
        const int N = 200, D = 10;
        var x = Features(N, D);
        float[][] clean = [.. Enumerable.Range(0, N).Select(k => new[] { 2 * x[k * D] - x[k * D + 1] })],
            wild = [.. clean.Select((row, k) => k % 10 == 0 ? [row[0] + 40] : row)];
        double Error(HeadKind kind)
        {
            var head = HeadFitter.Fit(Tensor.From(x, N, D), new NumberTargets(wild, ["a"]), new HeadOptions { Kind = kind }).Head;
            var said = head.Answers(Tensor.From(x, N, D)).ToArray<float>();
            return Enumerable.Range(0, N).Average(k => Math.Abs(said[k] - clean[k][0]));
        }
        Assert.True(Error(HeadKind.Huber) < Error(HeadKind.Ridge) / 2);
    }

    [SkippableFact]
    public void Measures_are_scikit_learns()
    {
        const int N = 120;
        var rng = new Rng(9);
        float[] scores = [.. Enumerable.Range(0, 3 * N).Select(_ => (float)Math.Round(rng.Next(), 1))];
        int[][] sets = [.. Enumerable.Range(0, N)
            .Select(k => Enumerable.Range(0, 3).Where(label => rng.Next() < 0.2 + 0.5 * scores[3 * k + label]).ToArray())];
        var has = new float[3 * N];
        for (var k = 0; k < N; k++) foreach (var label in sets[k]) has[3 * k + label] = 1;
        var theirs = Peer($"""
            from sklearn.metrics import average_precision_score, f1_score, r2_score, mean_absolute_error, mean_squared_error
            s, h = s.reshape({N}, 3), h.reshape({N}, 3)
            print(average_precision_score(h, s, average='macro'), f1_score(h, s >= 0.45, average='micro'), f1_score(h, s >= 0.45, average='macro'),
                  r2_score(h, s), mean_absolute_error(h, s), np.mean(np.sqrt(mean_squared_error(h, s, multioutput='raw_values'))))
            """, ("s", scores), ("h", has));
        var labels = LabelMetrics.Of(scores, new LabelTargets(sets, ["a", "b", "c"]), [0.45, 0.45, 0.45]);
        var numbers = NumberMetrics.Of(scores, new NumberTargets([.. has.Chunk(3)], ["a", "b", "c"]));
        Near(theirs, [labels.MeanAveragePrecision, labels.MicroF1, labels.MacroF1, numbers.RSquared, numbers.Mae, numbers.Rmse], 1e-6);
        Assert.InRange(labels.MeanAveragePrecision, labels.Interval[0], labels.Interval[1]);
        Assert.All(numbers.PerColumn, column => Assert.InRange(column.Mae, column.MaeInterval[0], column.MaeInterval[1]));
    }

    [Fact]
    public void A_threshold_is_where_F1_is_largest()
    {
        var targets = new LabelTargets([[0], [0], [], [0], []], ["a"]);
        Assert.Equal(0.25, LabelMetrics.Thresholds([0.9f, 0.8f, 0.4f, 0.3f, 0.2f], targets)[0], 6);
        Assert.Equal(0.5, LabelMetrics.Thresholds([0.9f, 0.8f], new LabelTargets([[0], [0]], ["a"]))[0]);
    }

    [Fact]
    public void Every_label_has_its_share_of_every_part_and_fold()
    {
        var rng = new Rng(4);
        var targets = new LabelTargets(
            [.. Enumerable.Range(0, 400).Select(k => Enumerable.Range(0, 4).Where(label => rng.Next() < new[] { 0.5, 0.2, 0.05, 0.0125 }[label])
            .ToArray())], ["a", "b", "c", "d"]);
        var held = targets.HeldOut(0.2, 0);
        Assert.InRange(held.Count, 76, 84);
        foreach (var (label, count) in targets.Counts()
            .Select((count, label) => (label, count))) Assert.InRange(held.Count(k => targets.Sets[k].Contains(label)) - 0.2 * count, -1.001, 1.001);
        var fold = targets.Folds(5, 0);
        foreach (var (label, count) in targets.Counts().Select((count, label) => (label, count)))
            Assert.All(Enumerable.Range(0, 5),
                f => Assert.InRange(Enumerable.Range(0, 400).Count(k => fold[k] == f && targets.Sets[k].Contains(label)) - count / 5.0, -1.001,
                1.001));
        Assert.Equal(fold, targets.Folds(5, 0));
    }

    [Fact]
    public void Every_quantile_of_numbers_has_its_share_of_every_part()
    {
        var targets = new NumberTargets([.. new Rng(2).Permutation(100).Select(value => new[] { (float)value * value })], ["a"]);
        var held = targets.HeldOut(0.2, 0).Select(k => Math.Sqrt(targets.Rows[k][0])).Order().ToArray();
        Assert.Equal(20, held.Length);
        for (var k = 0; k < 20; k++) Assert.InRange(held[k], 5 * k, 5 * k + 4);
    }

    private DatasetSplits Open(string csv, TargetKind? task = null)
    {
        ShapeWorld.Write(_shop["p"], ["ring", "star4"], 6, 1);
        var files = Directory.GetFiles(_shop["p"], "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray();
        File.WriteAllText(_shop["t.csv"],
            string.Join('\n', csv.Split('\n')
            .Select((line, k) => line.Replace("#", k > 0 ? Path.GetRelativePath(_shop.Root, files[k - 1]) : "#", StringComparison.Ordinal))));
        return DatasetReader.Open(_shop["t.csv"], task);
    }

    [Theory]
    [InlineData("path,label\n#,a\n#,b\n#,a", TargetKind.Classes, "a b")]
    [InlineData("path,label\n#,0\n#,1\n#,2", TargetKind.Classes, "0 1 2")]
    [InlineData("path,target\n#,0\n#,1\n#,1", TargetKind.Classes, "0 1")]
    [InlineData("path,labels\n#,a;b\n#,\n#,a", TargetKind.Labels, "a b")]
    [InlineData("path,label\n#,a|b\n#,b\n#,c", TargetKind.Labels, "a b c")]
    [InlineData("path,cat,dog\n#,1,0\n#,0,0\n#,1,1", TargetKind.Labels, "cat dog")]
    [InlineData("path,label\n#,0.5\n#,1.5\n#,2", TargetKind.Numbers, "label")]
    [InlineData("path,target\n#,5\n#,7\n#,9", TargetKind.Numbers, "target")]
    [InlineData("path,id,age,weight\n#,1,30,70.5\n#,2,40,80\n#,3,50,60", TargetKind.Numbers, "age weight")]
    public void A_csv_is_taken_for_what_its_columns_show(string csv, TargetKind kind, string names)
    {
        var splits = Open(csv);
        Assert.Equal((kind, names, 3), (splits.Train.Targets.Kind, string.Join(' ', splits.Train.Targets.Names), splits.Train.Count));
        Assert.Equal(kind == TargetKind.Classes ? 0 : 1, splits.Notes.Remarks.Count);
    }

    [Fact]
    public void The_task_that_is_asked_for_overrides()
    {
        Assert.Equal(TargetKind.Numbers, Open("path,label\n#,0\n#,1\n#,2", TargetKind.Numbers).Train.Targets.Kind);
        Assert.Equal(["a|b", "c"], Open("path,label\n#,a|b\n#,c\n#,c", TargetKind.Classes).Train.Classes);
        Assert.Equal(["a", "b"], Open("path,label\n#,a\n#,b", TargetKind.Labels).Train.Targets.Names);
        Assert.Equal(["cat"], Open("path,cat\n#,1\n#,0").Train.Targets.Names);
    }

    [Fact]
    public void What_cannot_be_says_where_and_what_to_do()
    {
        string Said(Action action) => Assert.Throws<GraftException>(action).Message;
        Assert.Contains("line 4: the age 'old' is no number. Write it with a point",
            Said(() => Open("path,age\n#,1.5\n#,2.5\n#,old", TargetKind.Numbers).ToString()), StringComparison.Ordinal);
        Assert.Contains("line 3: the dog '2' is neither 0 nor 1",
            Said(() => Open("path,cat,dog\n#,1,0\n#,0,2\n#,1,1", TargetKind.Labels).ToString()), StringComparison.Ordinal);
        Assert.Contains("no column of", Said(() => Open("path,label\n#,a\n#,b", TargetKind.Numbers)), StringComparison.Ordinal);
        Assert.Contains("come in a CSV", Said(() => DatasetReader.Open(_shop["p"], TargetKind.Labels)), StringComparison.Ordinal);
        var numbers = Open("path,age\n#,1.5\n#,2.5\n#,7").Train;
        Assert.Contains("numbers, and this is for pictures of one class each", Said(() => _ = numbers.Labels), StringComparison.Ordinal);
        Assert.Contains("does not tell numbers: use ridge or huber", Said(() => HeadKinds.Check(HeadKind.Svm, TargetKind.Numbers)),
            StringComparison.Ordinal);
        Assert.Contains("takes one class for each picture", Said(() =>
        {
            using var backbone = ModelOpener.Load("shapes").Backbone;
            var plan = Strategies.ByName("full", backbone, 10, HeadKind.Ridge);
            (plan with { Phases = [plan.Phases[0] with { Mixup = 0.2 }] }).Validate(backbone);
        }), StringComparison.Ordinal);
    }

    [Fact]
    public void A_blank_number_leaves_its_picture_out()
    {
        var splits = Open("path,age\n#,1.5\n#,\n#,7");
        Assert.Equal(2, splits.Train.Count);
        Assert.Equal(LeftOutKind.IncompleteRow, Assert.Single(splits.Notes.LeftOut).Kind);
    }

    private string Table(bool numbers)
    {
        string[] shapes = ["gear", "ring", "star4"];
        ShapeWorld.Write(_shop["w"], shapes, 12, 1);
        var rng = new Rng(6);
        var lines = shapes.SelectMany((shape, k) => Directory.GetFiles(_shop["w", shape]).Order(StringComparer.Ordinal)
            .Select(file => $"{file},{(numbers ? (100 * k + rng.Normal()).ToString(CultureInfo.InvariantCulture) : new[] { "toothed;round", "round", "pointed" }[k])}"));
        var path = _shop[numbers ? "n.csv" : "l.csv"];
        File.WriteAllText(path, (numbers ? "path,size\n" : "path,labels\n") + string.Join('\n', lines));
        return path;
    }

    [Theory]
    [InlineData(false, null)]
    [InlineData(true, null)]
    [InlineData(true, HeadKind.Huber)]
    public void A_stopped_gradient_run_goes_on_to_the_same_bits(bool numbers, HeadKind? head)
    {
        var options = new TrainOptions { Data = Table(numbers), Head = head, Strategy = "head-then-full", Epochs = 2, NoCache = true,
            NoReport = true, Out = _shop["whole"] };
        var whole = new TransferTask(options).Run();
        using var stop = new CancellationTokenSource();
        var stopped = options with { Out = _shop["stopped"] };
        Assert.Throws<OperationCanceledException>(() => new TransferTask(stopped) { Cancel = stop.Token, EpochEnded = _ => stop.Cancel() }.Run());
        var resumed = new TransferTask(TransferTask.OptionsOf(_shop["stopped"])).Run(resume: true);
        Assert.Equal(File.ReadAllBytes(_shop["whole", "model.safetensors"]), File.ReadAllBytes(_shop["stopped", "model.safetensors"]));
        Assert.Equal(whole.Accuracy, resumed.Accuracy);
        Assert.True(whole.Accuracy > 0.5, $"{whole.Accuracy}");
    }
}
