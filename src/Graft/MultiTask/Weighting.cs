using Graft.Data;
using Graft.Learning;
using Graft.Torch;

namespace Graft.MultiTask;

/// <summary>How several losses become one step. What it remembers are its parameters and buffers, so that a resumed training goes on to the
/// bit.</summary>
internal abstract class Weighting : Module
{
    /// <summary>The scalar whose gradient trains the heads, and the shared layers too where there is no <see cref="Direction"/>. Weights sum to
    /// the number of tasks, so that equal ones are 1.</summary>
    public abstract Tensor Total(TaskStep at);

    /// <summary>What takes the place of the shared parameters' gradient, as one vector; null: the gradient of <see cref="Total"/>.</summary>
    public virtual Tensor? Direction(TaskStep at) => null;

    /// <summary>Told after the optimiser's step.</summary>
    /// <param name="losses">The same batch's losses now; NaN of a task of which the batch tells nothing. It costs a forward pass.</param>
    public virtual void After(Func<double[]> losses) { }

    /// <summary>Not a layer.</summary>
    public sealed override Tensor Forward(Tensor x) => throw new NotSupportedException("a weighting has no output of its own");

    /// <summary>Numbers that it remembers, as a buffer of doubles, which no average of weights touches.</summary>
    protected Slot Memory(string name, params double[] start) => Buffer(name, Tensor.From(start));

    protected static double[] Read(Slot slot) => slot.Value.ToArray<double>();

    protected static void Write(Slot slot, double[] values)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        slot.Value.CopyInPlace(Tensor.From(values));
    }

    /// <summary>Σ w L over the tasks that the batch tells of.</summary>
    protected static Tensor Sum(TaskStep at, Func<int, double> weight) =>
        at.Present.Select(task => at.Loss(task) * weight(task)).Aggregate((a, b) => a + b);
}

/// <summary>What a weighting is made for.</summary>
/// <param name="Kinds">Of each task.</param>
/// <param name="Given">Weights that were asked for; null: equal ones.</param>
internal sealed record WeightingSetup(IReadOnlyList<TargetKind> Kinds, IReadOnlyList<double>? Given = null)
{
    public int Count => Kinds.Count;
}

/// <summary>A batch's losses and, where they are asked for, their gradients.</summary>
/// <param name="losses">Of each task, with its graph; null: the batch tells nothing of it.</param>
/// <param name="shared">Parameters of the layers that all tasks share.</param>
/// <param name="common">N×D, the last thing that all tasks share; null: each has one of its own.</param>
/// <param name="step">Where the training stands.</param>
internal sealed class TaskStep(IReadOnlyList<Tensor?> losses, IReadOnlyList<Tensor> shared, Tensor? common, Step step)
{
    private readonly Tensor?[] _gradients = new Tensor?[losses.Count];

    public Step Step => step;

    public int Count => losses.Count;

    /// <summary>The tasks that the batch tells of.</summary>
    public int[] Present { get; } = [.. Enumerable.Range(0, losses.Count).Where(task => losses[task] is not null)];

    /// <summary>NaN where the batch tells nothing.</summary>
    public double[] Values { get; } = [.. losses.Select(loss => loss?.Item() ?? double.NaN)];

    public Tensor Loss(int task) => losses[task]!;

    /// <summary>Of a task's loss by all shared parameters, as one vector.</summary>
    public Tensor Gradient(int task) => _gradients[task] ??= Flat(task, shared);

    /// <summary>Of a task's loss by what all tasks share last (Sener and Koltun 2018, the upper bound); by the shared parameters where there is no
    /// such thing.</summary>
    public Tensor CommonGradient(int task) => common is null ? Gradient(task) : Flat(task, [common]);

    /// <summary>The norm of a task's gradient by the last matrix of the shared parameters.</summary>
    public double LastNorm(int task) => shared.LastOrDefault(parameter => parameter.Dimensions >= 2) is { } last ? Flat(task, [last])
        .LinalgVectorNorm().Item() : 0;

    private Tensor Flat(int task, IReadOnlyList<Tensor> by)
    {
        var found = Autograd.Grad([Loss(task)], by, retainGraph: true, allowUnused: true);
        return Ops.Cat([.. found.Select((gradient, k) => (gradient ?? by[k].Detach().ZerosLike()).Flatten(0))]);
    }

    /// <summary>Inner products of vectors, one for each present task.</summary>
    public static double[,] Gram(IReadOnlyList<Tensor> vectors)
    {
        using var mode = Autograd.NoGrad();
        var rows = Ops.Stack(vectors).To(DType.Float64);
        var flat = rows.Matmul(rows.T()).ToArray<double>();
        var gram = new double[vectors.Count, vectors.Count];
        for (var i = 0; i < flat.Length; i++) gram[i / vectors.Count, i % vectors.Count] = flat[i];
        return gram;
    }

    /// <summary>A vector cut into gradients of the shared parameters.</summary>
    public static Tensor[] Cut(Tensor vector, IReadOnlyList<Tensor> like)
    {
        var (cut, at) = (new Tensor[like.Count], 0L);
        for (var k = 0; k < cut.Length; k++)
        {
            cut[k] = vector.Narrow(0, at, like[k].Count).View(like[k].Shape);
            at += like[k].Count;
        }
        return cut;
    }
}
