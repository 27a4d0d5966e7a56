using Graft.Data;
using Graft.FewShot;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// Finn et al. 2017, section 5.1: sine waves of amplitude 0.1 to 5 and phase 0 to π; from ten points of a new one, a network of
/// two hidden layers of 40 learns it by gradient steps. One network is meta-trained, one pretrained on all waves at once.
/// </summary>
public sealed class MamlSinusoid : Experiment
{
    private const int Shots = 10, Tasks = 25, TestTasks = 600;
    private const double InnerRate = 0.01;

    private static readonly double[] s_baselineRates = [0.02, 0.01, 0.005, 0.002, 0.001];

    /// <inheritdoc/>
    public override string Name => "maml-sinusoid";

    /// <inheritdoc/>
    public override string Summary => "Ten points of a sine wave, by MAML's gradient steps (Finn et al. 2017, section 5.1)";

    // Weights are inputs×outputs, so that a leading dimension of tasks can be put before them.
    private sealed class Wave : Module
    {
        private readonly Slot[] _weights, _biases;

        public Wave()
        {
            int[] sizes = [1, 40, 40, 1];
            _weights = [.. Enumerable.Range(0, 3).Select(k => Parameter($"w{k}", Initialisers.TruncatedNormal(Ops.Empty([sizes[k], sizes[k + 1]]), k == 0 ? 1 : Math.Sqrt(2.0 / sizes[k]))))];
            _biases = [.. Enumerable.Range(0, 3).Select(k => Parameter($"b{k}", Ops.Zeros([1, sizes[k + 1]])))];
        }

        public override Tensor Forward(Tensor x)
        {
            for (var k = 0; k < 3; k++)
            {
                x = x.Matmul(_weights[k].Value) + _biases[k].Value;
                if (k < 2) x = x.Relu();
            }
            return x;
        }
    }

    /// <summary>Points of tasks: x and y, tasks×points×1.</summary>
    private static (Tensor X, Tensor Y) Draw(int tasks, int points, ref Rng rng)
    {
        var (x, y) = (new float[tasks * points], new float[tasks * points]);
        for (var t = 0; t < tasks; t++)
        {
            var (amplitude, phase) = (rng.Next(0.1, 5), rng.Next(0, Math.PI));
            for (var k = 0; k < points; k++)
            {
                var at = rng.Next(-5, 5);
                (x[t * points + k], y[t * points + k]) = ((float)at, (float)(amplitude * Math.Sin(at - phase)));
            }
        }
        return (Tensor.From(x, tasks, points, 1), Tensor.From(y, tasks, points, 1));
    }

    /// <summary>Each task's parameters, all tasks adapted side by side: their losses are summed, so that no gradient mixes two.</summary>
    private static Dictionary<string, Tensor> Adapt(Wave wave, Tensor x, Tensor y, int steps, double rate, bool secondOrder)
    {
        var start = wave.NamedSlots().ToDictionary(slot => slot.Name, slot => slot.Slot.Value.Expand([x.Shape[0], .. slot.Slot.Value.Shape]));
        return InnerLoop.Adapt(wave, [.. start.Keys], steps, (_, _) => rate, () => (wave.Forward(x) - y).Square().Mean([1L, 2L]).Sum(), secondOrder, start);
    }

    /// <summary>Waves drawn from the step's number: the error after a step on other points of each (MAML), or on all points at once.</summary>
    private sealed class WaveObjective : Objective<long>
    {
        private readonly bool _meta;

        public WaveObjective(bool meta) => (_meta, Wave) = (meta, Child("wave", new Wave()));

        public Wave Wave { get; }

        protected override Tensor Loss(long batch, Step step)
        {
            var rng = new Rng(_meta ? 1 : 2, batch);
            var (x, y) = Draw(Tasks, 2 * Shots, ref rng);
            Tensor Error(Tensor a, Tensor b) => (Wave.Forward(a) - b).Square().Mean();
            return _meta
                ? Wave.With(Adapt(Wave, x.Narrow(1, 0, Shots), y.Narrow(1, 0, Shots), 1, InnerRate, true), () => Error(x.Narrow(1, Shots, Shots), y.Narrow(1, Shots, Shots)))
                : Error(x, y);
        }
    }

    /// <summary>Mean squared error on unseen waves after 0, 1, … 10 steps, with the 95% interval's half.</summary>
    private static (double Mean, double Half)[] Test(Wave wave, double rate)
    {
        var results = new (double, double)[11];
        for (var steps = 0; steps <= 10; steps++)
        {
            using var scope = new TensorScope();
            var rng = new Rng(99);
            var (x, y) = Draw(TestTasks, Shots + 100, ref rng);
            Tensor Part(Tensor all, bool support) => support ? all.Narrow(1, 0, Shots) : all.Narrow(1, Shots, 100);
            var errors = steps == 0 ? (wave.Forward(Part(x, false)) - Part(y, false)).Square().Mean([1L, 2L])
                : wave.With(Adapt(wave, Part(x, true), Part(y, true), steps, rate, false), () => (wave.Forward(Part(x, false)) - Part(y, false)).Square().Mean([1L, 2L]));
            var all = errors.ToArray<double>();
            var mean = all.Average();
            results[steps] = (mean, 1.96 * Math.Sqrt(all.Sum(error => (error - mean) * (error - mean)) / (all.Length - 1) / all.Length));
        }
        return results;
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var iterations = options.Short ? 6_000 : 70_000;
        var baselineRate = 0.0;
        (double Mean, double Half)[] Train(bool meta)
        {
            TorchRuntime.ManualSeed(1);
            using var objective = new WaveObjective(meta);
            var wave = objective.Wave;
            var how = new Optimisation { Optimizer = new AdamRule(), Rate = 1e-3, Schedule = new ConstantSchedule(), Steps = iterations };
            options.Train(meta ? "MAML" : "pretrained", objective, new NumberFeed(10_000), how, look => options.Log($"{(meta ? "MAML" : "pretrained")}: {look.Step} of {iterations} iterations"));
            // The baseline gets the rate that serves it best after ten steps: at 0.02, the paper's, it can diverge.
            if (meta) return Test(wave, InnerRate);
            var tried = s_baselineRates.Select(rate => (Rate: rate, Found: Test(wave, rate))).ToArray();
            (baselineRate, var best) = tried.MinBy(found => double.IsFinite(found.Found[10].Mean) ? found.Found[10].Mean : double.MaxValue);
            return best;
        }
        using var threads = TorchRuntime.OneThread();
        var (meta, pretrained) = (Train(true), Train(false));
        string Cell((double Mean, double Half) found) => $"{found.Mean:0.000} ± {found.Half:0.000}";
        var paper = new Dictionary<int, string> { [1] = "0.77 ± 0.11 (Li et al. 2017, table 1)" };
        return new ExperimentResult(Name, ["gradient steps", "MAML", $"pretrained on all waves, rate {baselineRate}", "MAML, as published"],
            [.. Enumerable.Range(0, 11).Select(step => new[] { $"{step}", Cell(meta[step]), Cell(pretrained[step]), paper.GetValueOrDefault(step, "") })],
            [$"{Shots} points of each of {TestTasks} unseen waves; mean squared error over 100 further points, 95% interval; {iterations} iterations of {Tasks} waves.",
             "Finn et al. print no numbers, only curves (figure 3): for ten shots about 3 before any step, about 0.5 to 0.8 after one, and a few tenths after ten."]);
    }
}
