using Graft.Data;
using Graft.Inference;
using Graft.Learning;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>
/// Several tasks on one network: of each the mean loss over the items of a batch that tell of it (classes by cross-entropy, labels by the sigmoid
/// cross-entropy, numbers by the squared error in units of their deviation), made into one step by a weighting. What a batch's labels hold is all
/// tasks' numbers, NaN where nothing is told. Now and then it measures the cosines between the tasks' gradients. The networks stay the caller's.
/// </summary>
internal sealed class MultiTaskObjective : Objective<Batch>
{
    // So many looks at the angles between tasks in a training.
    private const int Looks = 64;

    private readonly Module? _body;
    private readonly TaskNetwork _network;
    private readonly Weighting _weighting;
    private readonly int[] _starts;
    private readonly int _width;
    private readonly Device _device;
    private readonly Slot _cosines, _counted;
    private Batch? _last;

    /// <param name="body">Below the network; null: batches hold features.</param>
    /// <param name="network">Shared layers and heads.</param>
    /// <param name="weighting">Of the tasks.</param>
    /// <param name="columns">Where each task's numbers begin in a row of targets.</param>
    /// <param name="width">Numbers in such a row.</param>
    /// <param name="device">Where all are.</param>
    public MultiTaskObjective(Module? body, TaskNetwork network, Weighting weighting, int[] columns, int width, Device device = default)
    {
        if (body is not null) _body = Child("body", body);
        (_network, _weighting, _starts, _width, _device) = (Child("network", network), Child("weighting", weighting), columns, width, device);
        var pairs = new double[columns.Length * columns.Length];
        (_cosines, _counted) = (Buffer("cosines", Tensor.From(pairs)), Buffer("cosines_counted", Tensor.From(pairs)));
    }

    /// <summary>What the body's parameters train at, as a share of the rate.</summary>
    public double BodyRate { get; init; } = 1;

    /// <summary>The mean cosine between two tasks' gradients by the shared parameters; NaN: it was never measured.</summary>
    public double[,] Cosines
    {
        get
        {
            var (sum, count, tasks) = (_cosines.Value.ToArray<double>(), _counted.Value.ToArray<double>(), _starts.Length);
            var mean = new double[tasks, tasks];
            for (var k = 0; k < sum.Length; k++) mean[k / tasks, k % tasks] = k / tasks == k % tasks ? 1 : count[k] > 0 ? sum[k] / count[k]
                : double.NaN;
            return mean;
        }
    }

    // The layers above the body come last: of those is the last shared layer.
    private List<Tensor> Shared() => [.. (_body?.Parameters() ?? []).Where(parameter => parameter.RequiresGrad), .. _network.Sharing.Parameters()];

    private (Tensor?[] Losses, Tensor? Common) Losses(Batch batch)
    {
        var inputs = batch.Inputs.To(_device);
        var (scores, common) = _network.Run(_body is null ? inputs : _body.Forward(inputs));
        var targets = batch.Labels.ToArray<float>();
        return ([.. scores.Select((own, task) => Loss(own, task, targets))], common);
    }

    private Tensor? Loss(Tensor scores, int task, float[] targets)
    {
        var (count, start) = (targets.Length / _width, _starts[task]);
        int[] told = [.. Enumerable.Range(0, count).Where(k => !float.IsNaN(targets[k * _width + start]))];
        if (told.Length == 0) return null;
        if (told.Length < count) scores = scores.IndexSelect(0, Tensor.From(Array.ConvertAll(told, k => (long)k)).To(_device));
        var kind = _network.Tasks[task].Kind;
        if (kind == TargetKind.Classes)
            return scores.CrossEntropyLoss(Tensor.From([.. told.Select(k => (long)targets[k * _width + start])]).To(_device));
        var outputs = _network.Tasks[task].Width;
        var wanted = Tensor.From([.. told.SelectMany(k => targets[(k * _width + start)..(k * _width + start + outputs)])], told.Length, outputs)
            .To(_device);
        if (kind == TargetKind.Labels) return scores.BinaryCrossEntropyWithLogits(wanted);
        return scores.MseLoss(_network.UnitsOf[task] is { } units ? (wanted - units.Mean[0]) / units.Scale[0] : wanted);
    }

    protected override Tensor Loss(Batch batch, Step step) => Losses(batch).Losses.OfType<Tensor>().Aggregate((a, b) => a + b);

    public override (Tensor?[] Gradients, double Loss) Gradient(Batch batch, Step step, IReadOnlyList<Tensor> parameters)
    {
        using var mode = Autograd.EnableGrad();
        _last = batch;
        var (losses, common) = Losses(batch);
        // A batch in which nothing is told teaches nothing.
        if (losses.All(loss => loss is null)) return (new Tensor?[parameters.Count], 0);
        var shared = Shared();
        var at = new TaskStep(losses, shared, common, step);
        var value = at.Present.Sum(task => at.Values[task]);
        if (!double.IsFinite(value)) return (new Tensor?[parameters.Count], value);
        foreach (var task in at.Present) step.Count(_network.Tasks[task].Name, at.Values[task], 1);
        Measure(at);
        var direction = _starts.Length > 1 ? _weighting.Direction(at) : null;
        var total = _weighting.Total(at);
        if (direction is null) return (Autograd.Grad([total], parameters, allowUnused: true), value);
        var pieces = TaskStep.Cut(direction, shared).Zip(shared).ToDictionary(pair => pair.Second, pair => pair.First);
        Tensor[] others = [.. parameters.Where(parameter => !pieces.ContainsKey(parameter))];
        var own = Autograd.Grad([total], others, allowUnused: true).Zip(others).ToDictionary(pair => pair.Second, pair => pair.First);
        return ([.. parameters.Select(parameter => pieces.TryGetValue(parameter, out var piece) ? piece : own[parameter])], value);
    }

    private void Measure(TaskStep at)
    {
        var tasks = _starts.Length;
        if (tasks < 2 || at.Step.Number % Math.Max(1, at.Step.Total / Looks) != 0 || at.Present.Length < 2) return;
        var gram = TaskStep.Gram([.. at.Present.Select(at.Gradient)]);
        var (sum, count) = (_cosines.Value.ToArray<double>(), _counted.Value.ToArray<double>());
        for (var i = 0; i < at.Present.Length; i++)
        {
            for (var j = 0; j < at.Present.Length; j++)
            {
                if (i == j || gram[i, i] <= 0 || gram[j, j] <= 0) continue;
                var k = at.Present[i] * tasks + at.Present[j];
                (sum[k], count[k]) = (sum[k] + gram[i, j] / Math.Sqrt(gram[i, i] * gram[j, j]), count[k] + 1);
            }
        }
        using var still = Autograd.NoGrad();
        _cosines.Value.CopyInPlace(Tensor.From(sum));
        _counted.Value.CopyInPlace(Tensor.From(count));
    }

    public override bool AfterStep(Step step, double loss)
    {
        if (_last is { } batch && _starts.Length > 1)
        {
            _weighting.After(() =>
            {
                using var mode = Autograd.NoGrad();
                using var scope = new TensorScope();
                return [.. Losses(batch).Losses.Select(own => own?.Item() ?? double.NaN)];
            });
        }
        _last = null;
        return true;
    }

    public override IReadOnlyList<ParameterGroup> Groups(Optimisation how)
    {
        var groups = new List<ParameterGroup> { new("heads", [.. _network.Parameters()], how.Rate, how.WeightDecay) };
        Tensor[] body = [.. (_body?.Parameters() ?? []).Where(parameter => parameter.RequiresGrad)], weights = [.. _weighting.Parameters()];
        if (body.Length > 0) groups.Add(new ParameterGroup("body", body, how.Rate * BodyRate, how.WeightDecay));
        if (weights.Length > 0) groups.Add(new ParameterGroup("weighting", weights, how.Rate, 0));
        return groups;
    }

    /// <summary>The mean of the tasks' scores (accuracy, mean average precision, R², none below 0), and of their losses.</summary>
    public override Score Evaluate(Feed<Batch> heldOut, Workers workers, CancellationToken cancel)
    {
        var judged = Judge(heldOut, 0, cancel);
        double[] losses = [.. judged.Select(one => one.Loss).Where(double.IsFinite)];
        double[] values = [.. judged.Where(one => one.Metrics is not null).Select(one => Share(one.Metrics!.Score.Value))];
        return new Score("mean score", values.Length == 0 ? 0 : values.Average(), true, losses.Length == 0 ? 0 : losses.Average())
        {
            Others = judged.Select((one, task) => (_network.Tasks[task].Name, one)).Where(pair => pair.one.Metrics is not null)
                .ToDictionary(pair => pair.Name, pair => pair.one.Metrics!.Score.Value),
        };
    }

    private static double Share(double value) => double.IsFinite(value) ? Math.Clamp(value, 0, 1) : 0;

    /// <summary>How well each task is told on the items that tell of it; null where none does.</summary>
    /// <param name="heldOut">Its epoch 0 is taken whole.</param>
    /// <param name="resamples">Of the intervals.</param>
    /// <param name="cancel">Stops.</param>
    public (TaskMetrics? Metrics, double Loss, float[] Answers, Targets Targets)[] Judge(Feed<Batch> heldOut, int resamples, CancellationToken cancel)
    {
        using var mode = Autograd.NoGrad();
        var (answers, rows) = (_network.Tasks.Select(_ => new List<float>()).ToArray(), new List<float[]>());
        var (losses, counts) = (new double[answers.Length], new int[answers.Length]);
        foreach (var batch in heldOut.Epoch(0, 0))
        {
            using (batch)
            using (new TensorScope())
            {
                cancel.ThrowIfCancellationRequested();
                var inputs = batch.Inputs.To(_device);
                var (scores, _) = _network.Run(_body is null ? inputs : _body.Forward(inputs));
                var targets = batch.Labels.ToArray<float>();
                rows.AddRange(targets.Chunk(_width));
                for (var task = 0; task < scores.Length; task++)
                {
                    answers[task].AddRange(_network.Answers(scores[task], task).ToArray<float>());
                    var told = targets.Chunk(_width).Count(row => !float.IsNaN(row[_starts[task]]));
                    if (Loss(scores[task], task, targets) is { } loss) (losses[task], counts[task]) = (losses[task] + loss.Item() * told,
                        counts[task] + told);
                }
            }
        }
        return [.. _network.Tasks.Select((task, t) =>
        {
            var (items, targets) = task.Told(rows, _starts[t]);
            var outputs = task.Names.Count;
            float[] own = [.. items.SelectMany(k => answers[t].GetRange(k * outputs, outputs))];
            return (items.Length == 0 ? null : TaskMetrics.Of(own, targets, null, resamples), counts[t] == 0 ? double.NaN : losses[t] / counts[t],
                own, targets);
        })];
    }

    protected internal override string? FirstBadOutput(Batch batch)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var bad = Losses(batch).Losses.ToList().FindIndex(loss => loss is not null && !double.IsFinite(loss.Item()));
        return bad < 0 ? null : $"the loss of {_network.Tasks[bad].Name}";
    }

    // Body and network live on.
    protected override void Dispose(bool disposing)
    {
        _weighting.Dispose();
        _cosines.Value.Dispose();
        _counted.Value.Dispose();
    }
}
