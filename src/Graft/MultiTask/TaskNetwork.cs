using Graft.Data;
using Graft.Heads;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>Above a backbone: features brought to mean 0 and deviation 1 of what it learned from, the layers that tasks share, and a linear head for
/// each.</summary>
internal sealed class TaskNetwork : Module
{
    private readonly Slot _mean, _scale;
    private readonly Module[] _heads;

    /// <summary>torch's starting values; features as they are until <see cref="Centre"/>.</summary>
    /// <param name="inputs">Features.</param>
    /// <param name="tasks">A head for each.</param>
    /// <param name="architecture">Of the shared layers.</param>
    /// <param name="hidden">Units of a shared layer.</param>
    /// <param name="tower">Units of a layer of each task's own, with ReLU, below its head; 0: there is none.</param>
    public TaskNetwork(int inputs, IReadOnlyList<TaskColumn> tasks, SharingRow architecture, int hidden, int tower = 0)
    {
        (Inputs, Tasks, Architecture, Hidden) = (inputs, tasks, architecture, hidden);
        _mean = Buffer("mean", Ops.Zeros([inputs]));
        _scale = Buffer("scale", Ops.Ones([inputs]));
        Sharing = Child("shared", architecture.Create(inputs, hidden, tasks.Count));
        _heads = [.. tasks.Select((task, t) => Child<Module>($"heads.{t}", tower == 0 ? new Linear(Sharing.Outputs, task.Names.Count)
            : new Sequential(new Linear(Sharing.Outputs, tower), Lambda.Relu(), new Linear(tower, task.Names.Count))))];
        UnitsOf = new Units?[tasks.Count];
    }

    public int Inputs { get; }

    public IReadOnlyList<TaskColumn> Tasks { get; }

    public SharingRow Architecture { get; }

    public int Hidden { get; }

    public Sharing Sharing { get; }

    /// <summary>Of tasks of numbers: what scores are turned into them by.</summary>
    public Units?[] UnitsOf { get; }

    public (Tensor Mean, Tensor Scale) Standard => (_mean.Value, _scale.Value);

    /// <summary>Takes mean and deviation of features, N×inputs; one that never differs keeps its scale.</summary>
    public void Centre(Tensor features)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var mean = features.Mean([0L]);
        var scale = (features - mean).Square().Mean([0L]).Sqrt();
        _mean.Value.CopyInPlace(mean);
        float[] safe = [.. scale.ToArray<float>().Select(value => value > 1e-6f ? value : 1f)];
        _scale.Value.CopyInPlace(Tensor.From(safe));
    }

    /// <summary>Features to each task's N×outputs scores, and the last thing that all share, where they share it.</summary>
    public (Tensor[] Scores, Tensor? Common) Run(Tensor features)
    {
        var own = Sharing.Of((features - _mean.Value) / _scale.Value);
        var common = own.Length > 1 && own.All(one => ReferenceEquals(one, own[0])) ? own[0] : null;
        return ([.. _heads.Select((head, t) => head.Forward(own[t]))], common);
    }

    /// <summary>All tasks' scores one after another; numbers in their own units.</summary>
    public override Tensor Forward(Tensor x) =>
        Ops.Cat([.. Run(x).Scores.Select((scores, t) => UnitsOf[t] is { } units ? scores * units.Scale[0] + units.Mean[0] : scores)], 1);

    /// <summary>What a task's scores say: probabilities, or numbers in their own units.</summary>
    public Tensor Answers(Tensor scores, int task) => Tasks[task].Kind switch
    {
        TargetKind.Classes => scores.Softmax(1),
        TargetKind.Labels => scores.Sigmoid(),
        _ => UnitsOf[task] is { } units ? scores * units.Scale[0] + units.Mean[0] : scores,
    };

    /// <summary>The same function as two dense layers with ReLU between; null: its sharing is no such thing.</summary>
    public (Tensor Weight, Tensor Bias)[]? AsLayers()
    {
        if (Sharing is not HardSharing { Layer: { } first } || !_heads.All(head => head is Linear)) return null;
        using var mode = Autograd.NoGrad();
        var weight = first.Weight / _scale.Value;
        var last = _heads.Cast<Linear>().Select((head, t) => UnitsOf[t] is { } units ? (head.Weight * units.Scale[0], head.Bias! * units.Scale[0]
            + units.Mean[0])
            : (head.Weight, head.Bias!)).ToArray();
        return [(weight, first.Bias! - weight.Mv(_mean.Value)), (Ops.Cat([.. last.Select(one => one.Item1)]),
            Ops.Cat([.. last.Select(one => one.Item2)]))];
    }
}
