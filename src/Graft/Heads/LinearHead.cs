using Graft.Data;
using Graft.Torch;

namespace Graft.Heads;

/// <summary>What is put on the features.</summary>
public enum HeadKind
{
    /// <summary>Multinomial logistic regression.</summary>
    Softmax,

    /// <summary>Linear SVM: L2, squared hinge, one against the rest.</summary>
    Svm,

    /// <summary>Nearest class mean.</summary>
    Mean,

    /// <summary>One hidden layer.</summary>
    Mlp,

    /// <summary>Several labels: a logistic regression for each.</summary>
    Sigmoid,

    /// <summary>Numbers: least squares with an L2 penalty (Hoerl and Kennard 1970).</summary>
    Ridge,

    /// <summary>Numbers: the same, large residuals counted by their size and not its square (Huber 1964).</summary>
    Huber,

    /// <summary>How alike the two texts of a pair are: a straight line on the cosine of their vectors.</summary>
    Cosine,
}

/// <summary>What kinds of head are for.</summary>
internal static class HeadKinds
{
    /// <summary>What a head of this kind tells.</summary>
    public static TargetKind Task(this HeadKind kind) =>
        kind switch { HeadKind.Sigmoid => TargetKind.Labels, HeadKind.Ridge or HeadKind.Huber => TargetKind.Numbers,
            HeadKind.Cosine => TargetKind.Similarity, _ => TargetKind.Classes };

    /// <summary>The head that is taken where none is named.</summary>
    public static HeadKind Usual(TargetKind task) =>
        task switch { TargetKind.Labels => HeadKind.Sigmoid, TargetKind.Numbers => HeadKind.Ridge,
            TargetKind.Similarity => HeadKind.Cosine, _ => HeadKind.Softmax };

    /// <summary>Refuses a head that is for another task.</summary>
    internal static void Check(HeadKind kind, TargetKind task)
    {
        if (kind.Task() == task) return;
        var name = kind.ToString().ToLowerInvariant();
        throw Bounds.Refuse(task switch
        {
            TargetKind.Labels => $"--head {name} does not tell several labels: use sigmoid",
            TargetKind.Numbers =>
                $"--head {name} does not tell numbers: use ridge or huber{(kind == HeadKind.Cosine ? ", or --task similarity" : "")}",
            TargetKind.Similarity =>
                $"--head {name} does not compare the two texts of a pair: use cosine{(kind.Task() == TargetKind.Numbers ? ", or --task numbers" : "")}",
            _ => $"--head {name} does not tell classes: use softmax, svm, mlp or mean; or --task {kind.Task().ToString().ToLowerInvariant()}",
        });
    }
}

/// <summary>What a head's scores are turned into numbers by: value = score × scale + mean, for each column.</summary>
public sealed record Units(double[] Mean, double[] Scale);

/// <summary>A head: scores for each class, label or column from features, and answers from scores.</summary>
public abstract class Head(HeadKind kind, int inputs, int classes) : Module
{
    /// <summary>Which kind.</summary>
    public HeadKind Kind { get; } = kind;

    /// <summary>Features that it takes.</summary>
    public int Inputs { get; } = inputs;

    /// <summary>Scores that it gives.</summary>
    public int Classes { get; } = classes;

    /// <summary>What scores are multiplied by to be log-odds (Guo et al. 2017); 1 where they are.</summary>
    public double Temperature { get; set; } = 1;

    /// <summary>Of numbers whose scores are not in the targets' own units; null: they are.</summary>
    public Units? Units { get; set; }

    /// <summary>
    /// What the scores say, N×outputs: probabilities of classes (the softmax of scores × <see cref="Temperature"/>), of each label by itself
    /// (the sigmoid), or numbers in the targets' own units.
    /// </summary>
    public Tensor Answers(Tensor features)
    {
        var scores = Forward(features);
        if (Kind == HeadKind.Sigmoid) return scores.Sigmoid();
        if (Kind == HeadKind.Cosine) return scores;
        if (Kind.Task() == TargetKind.Classes) return (scores * Temperature).Softmax(1);
        return Units is null ? scores : scores * Row(Units.Scale).To(scores.Device) + Row(Units.Mean).To(scores.Device);
    }

    /// <summary>Probabilities, of a head that has them.</summary>
    public Tensor Probabilities(Tensor features) => Answers(features);

    /// <summary>Values for each output, to be put on every row of scores.</summary>
    internal static Tensor Row(double[] values) => Tensor.From(Array.ConvertAll(values, value => (float)value), 1, values.Length);

    /// <summary>An untrained head.</summary>
    public static Head Create(HeadKind kind, int inputs, int outputs) => kind switch
    {
        HeadKind.Mlp => new MlpHead(inputs, outputs), HeadKind.Cosine => new CosineHead(inputs), _ => new LinearHead(kind, inputs, outputs),
    };
}

/// <summary>scores = W x + b; W: classes×inputs.</summary>
internal sealed class LinearHead : Head
{
    private readonly Slot _weight, _bias;

    /// <summary>Weights of zero: every class as likely as any other.</summary>
    public LinearHead(HeadKind kind, int inputs, int classes) : base(kind, inputs, classes)
    {
        _weight = Parameter("weight", Ops.Zeros([classes, inputs]));
        _bias = Parameter("bias", Ops.Zeros([classes]));
    }

    /// <summary>Takes values over.</summary>
    public void Set(Tensor weight, Tensor bias)
    {
        using var mode = Autograd.NoGrad();
        _weight.Value.CopyInPlace(weight);
        _bias.Value.CopyInPlace(bias);
    }

    /// <summary>The same answers with the temperature, or the units, in the weights: its scores are log-odds, or the numbers.</summary>
    public LinearHead Folded()
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var folded = new LinearHead(Kind, Inputs, Classes);
        if (Units is { } units) folded.Set(_weight.Value * Row(units.Scale).T(), _bias.Value * Row(units.Scale).Flatten(0) + Row(units.Mean)
            .Flatten(0));
        else folded.Set(_weight.Value * Temperature, _bias.Value * Temperature);
        return folded;
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Linear(_weight.Value, _bias.Value);
}

/// <summary>A hidden layer of 256 with ReLU and dropout.</summary>
internal sealed class MlpHead : Head
{
    private const int Hidden = 256;

    private readonly Sequential _layers;

    /// <summary>torch's starting values.</summary>
    public MlpHead(int inputs, int classes) : base(HeadKind.Mlp, inputs, classes) =>
        _layers = Child("layers", new Sequential(new Linear(inputs, Hidden), Lambda.Relu(), new Dropout(0.3), new Linear(Hidden, classes)));

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => _layers.Forward(x);
}
