using Graft.Data;
using Graft.FewShot;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>Graves et al. 2014, sections 4.1 and 4.3: a Neural Turing Machine learns to copy and to recall, and goes on beyond the lengths that it saw.</summary>
public sealed class NeuralTuringTasks : Experiment
{
    private const int Batch = 16;

    /// <inheritdoc/>
    public override string Name => "ntm";

    /// <inheritdoc/>
    public override string Summary => "Neural Turing Machine: copying and associative recall, and longer ones than it saw (Graves et al. 2014)";

    /// <param name="Name">Of the task.</param>
    /// <param name="Inputs">Bits of an input.</param>
    /// <param name="Outputs">Bits of an output.</param>
    /// <param name="Rows">Of the memory.</param>
    /// <param name="Least">The shortest length trained on.</param>
    /// <param name="Most">The longest.</param>
    /// <param name="Longer">A length that is tested only.</param>
    /// <param name="First">The longest at the start; null: lengths do not grow.</param>
    /// <param name="Rate">Adam's.</param>
    /// <param name="Clip">The norm that gradients are scaled down to.</param>
    /// <param name="Steps">At most so many.</param>
    /// <param name="Make">From a length, a batch size and a seed.</param>
    private sealed record SequenceTask(string Name, int Inputs, int Outputs, int Rows, int Least, int Most, int Longer, int? First, double Rate, double Clip, int Steps, Func<int, int, long, SequenceBatch> Make);

    private static SequenceBatch Copy(int length, int batch, long seed)
    {
        var rng = new Rng(seed, 1);
        return SequenceTasks.Copy(length, batch, ref rng);
    }

    private static SequenceBatch Recall(int items, int batch, long seed)
    {
        var rng = new Rng(seed, 2);
        return SequenceTasks.AssociativeRecall(items, batch, ref rng);
    }

    /// <summary>Mean wrong bits of a sequence over many of a length.</summary>
    private static double WrongBits(NeuralTuringMachine machine, SequenceTask task, int length, int sequences)
    {
        using var mode = Autograd.NoGrad();
        var wrong = new List<double>();
        for (var k = 0; wrong.Count < sequences; k++)
        {
            using var scope = new TensorScope();
            var batch = task.Make(length, 32, 1_000_000 + length * 1000 + k);
            wrong.AddRange(batch.WrongBits(machine.Forward(batch.Inputs)));
        }
        return wrong.Average();
    }

    /// <summary>Sequences drawn from the step's number; short ones first, longer as soon as those are learned.</summary>
    private sealed class SequenceObjective : Objective<long>
    {
        private readonly SequenceTask _task;
        private readonly Slot _curriculum;

        public SequenceObjective(SequenceTask task)
        {
            _task = task;
            Machine = Child("machine", new NeuralTuringMachine(task.Inputs, task.Outputs, task.Rows));
            // The running mean of the loss and the longest length: a part of the state, so that a resumed training goes on with them.
            _curriculum = Buffer("curriculum", Tensor.From([0.7, task.First ?? task.Most]));
        }

        public NeuralTuringMachine Machine { get; }

        public (double Mean, int Most) Curriculum
        {
            get => _curriculum.Value.ToArray<double>() is var values ? (values[0], (int)values[1]) : default;
            private set
            {
                using var mode = Autograd.NoGrad();
                using var next = Tensor.From([value.Mean, value.Most]);
                _curriculum.Value.CopyInPlace(next);
            }
        }

        protected override Tensor Loss(long batch, Step step)
        {
            var rng = new Rng(7, batch);
            var drawn = _task.Make(_task.Least + rng.Below(Curriculum.Most - _task.Least + 1), Batch, batch);
            return drawn.Loss(Machine.Forward(drawn.Inputs));
        }

        public override double RateFactor(Step step)
        {
            var factor = step.Number < _task.Steps * 0.7 ? 1 : Math.Max(0.05, (_task.Steps - step.Number) / (_task.Steps * 0.3));
            // Where lengths do not grow, the loss falls once, and steps of the old size can throw what was found away.
            return _task.First is null ? factor * Math.Clamp(Curriculum.Mean / 0.2, 0.1, 1) : factor;
        }

        public override bool AfterStep(Step step, double loss)
        {
            var (mean, most) = Curriculum;
            mean = 0.98 * mean + 0.02 * loss;
            if (mean < 0.02 && most < _task.Most) (most, mean) = (Math.Min(_task.Most, most + Math.Max(1, _task.Most / 7)), 0.1);
            Curriculum = (mean, most);
            // Learned, all lengths of it, and for a while.
            return most < _task.Most || mean >= 2e-4;
        }
    }

    private static (NeuralTuringMachine Machine, long Steps) Learn(SequenceTask task, ExperimentOptions options)
    {
        TorchRuntime.ManualSeed(3);
        var objective = new SequenceObjective(task);
        var how = new Optimisation { Optimizer = new AdamRule(), Rate = task.Rate, Schedule = new ConstantSchedule(), ClipNorm = task.Clip, Steps = task.Steps };
        var found = options.Train(task.Name, objective, new NumberFeed(500), how,
            look => options.Log($"{task.Name}: step {look.Step}, lengths to {objective.Curriculum.Most}, loss {objective.Curriculum.Mean:0.00000}"));
        return (objective.Machine, found.Steps);
    }

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var brief = options.Short;
        SequenceTask[] tasks =
        [
            new("copy", SequenceTasks.CopyBits + 1, SequenceTasks.CopyBits, 128, 1, brief ? 4 : 20, brief ? 6 : 40, 4, 1e-2, 10, brief ? 900 : 6_000, Copy),
            // Not two items first: for those, where an item stands tells which is asked for, and a machine that goes by that never
            // looks items up by their content. At ten times the rate the loss stayed at 0.26.
            new("associative recall", SequenceTasks.RecallBits + 2, SequenceTasks.RecallBits, 128, 2, 6, 12, null, 1e-3, 1, 20_000, Recall),
        ];
        var rows = new List<string[]>();
        using var threads = TorchRuntime.OneThread();
        foreach (var task in (brief ? tasks[..1] : tasks).Where(found => options.Wants(found.Name)))
        {
            var clock = System.Diagnostics.Stopwatch.StartNew();
            var (machine, steps) = Learn(task, options);
            using var owned = machine;
            var seconds = clock.Elapsed.TotalSeconds;
            var unit = task.Name == "copy" ? "vectors" : "items";
            foreach (var length in new[] { task.Most / 2, task.Most, task.Longer }.Where(length => length >= task.Least).Distinct())
                rows.Add([task.Name, $"{length} {unit}{(length > task.Most ? " (unseen)" : "")}", $"{WrongBits(machine, task, length, brief ? 64 : 600):0.000}", length > task.Most ? "few" : "about 0", $"{steps * Batch}", $"{seconds:0}"]);
        }
        return new ExperimentResult(Name, ["task", "length", "wrong bits per sequence", "paper", "sequences trained on", "seconds"], rows,
            ["The paper shows curves (figures 3 and 10): the cost per sequence falls to almost nothing within some 30,000 (copy) and 30,000 (recall) sequences, and stays small at twice the length."]);
    }
}
