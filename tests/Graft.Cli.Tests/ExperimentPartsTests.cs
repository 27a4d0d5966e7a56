using Graft.Experiments;
using Graft.Learning;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Cli.Tests;

/// <summary>An experiment that was stopped goes on, part by part.</summary>
public sealed class ExperimentPartsTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    /// <summary>A line through points that follow from the step's number; how often it was asked is a part of its state.</summary>
    private sealed class LineObjective : Objective<long>
    {
        private readonly Slot _asked;

        public LineObjective()
        {
            TorchRuntime.ManualSeed(1);
            Line = Child("line", new Linear(2, 1));
            _asked = Buffer("asked", Ops.Zeros([1]));
        }

        public Linear Line { get; }

        protected override Tensor Loss(long batch, Step step)
        {
            using (Autograd.NoGrad()) _asked.Value.AddInPlace((Scalar)1L);
            var x = Tensor.From([(float)step.Rng.Next(), (float)batch % 7, (float)step.Rng.Next(), 1f], 2, 2);
            return (Line.Forward(x) - x.Sum([1L], true)).Square().Mean();
        }
    }

    private static Training Train(ExperimentParts parts, LineObjective objective, CancellationToken cancel, Action<ProgressReport>? progress = null) =>
        parts.Network("line", objective, context =>
        {
            var how = new Optimisation { Rate = 0.01, Steps = 40 };
            return new Trainer<long>(objective, new NumberFeed(15), null, how, context with { Progress = progress, SaveEvery = TimeSpan.Zero }).Run();
        }, cancel);

    private static float[] Weights(LineObjective objective) => [.. objective.State().Values.SelectMany(tensor => tensor.ToArray<float>())];

    [Fact]
    public void A_training_that_was_stopped_and_broken_off_ends_bit_for_bit_as_one_that_was_not_and_is_not_trained_again()
    {
        using var whole = new LineObjective();
        Train(ExperimentParts.None, whole, default);
        var folder = _shop["parts"];
        using (var stopped = new LineObjective())
        using (var stop = new CancellationTokenSource())
            Assert.ThrowsAny<OperationCanceledException>(() => Train(ExperimentParts.In(folder, _ => { }), stopped, stop.Token, report => { if (report.Done == 7) stop.Cancel(); }));
        using (var killed = new LineObjective())
            Assert.Throws<InvalidOperationException>(() => Train(ExperimentParts.In(folder, _ => { }), killed, default, report => { if (report.Done == 22) throw new InvalidOperationException("killed"); }));
        using var resumed = new LineObjective();
        var said = new List<string>();
        Assert.Equal(40, Train(ExperimentParts.In(folder, said.Add), resumed, default).Steps);
        Assert.StartsWith("Going on with what", Assert.Single(said), StringComparison.Ordinal);
        Assert.Equal(Weights(whole), Weights(resumed));
        // Finished: read, not trained.
        using var again = new LineObjective();
        Assert.Equal(40, Train(ExperimentParts.In(folder, _ => { }), again, default, _ => Assert.Fail("it trains again")).Steps);
        Assert.Equal(Weights(whole), Weights(again));
    }

    [Fact]
    public void A_result_is_worked_out_once_and_parts_of_another_build_are_not_taken_up()
    {
        var folder = _shop["parts"];
        Assert.Equal(3, ExperimentParts.In(folder, _ => { }).Once("a, b", () => 3));
        Assert.Equal(3, ExperimentParts.In(folder, _ => { }).Once("a, b", () => 4));
        File.WriteAllText(Path.Combine(folder, "build"), "another");
        var said = new List<string>();
        var parts = ExperimentParts.In(folder, said.Add);
        Assert.Contains("another build", Assert.Single(said), StringComparison.Ordinal);
        Assert.Equal(4, parts.Once("a, b", () => 4));
        parts.Finish();
        Assert.False(Directory.Exists(folder));
    }
}
