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
}

/// <summary>A head: scores for each class from features. Probabilities are the softmax of scores × <see cref="Temperature"/>.</summary>
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

    /// <summary>N×classes probabilities.</summary>
    public Tensor Probabilities(Tensor features) => (Forward(features) * Temperature).Softmax(1);

    /// <summary>An untrained head.</summary>
    public static Head Create(HeadKind kind, int inputs, int classes) => kind == HeadKind.Mlp ? new MlpHead(inputs, classes) : new LinearHead(kind, inputs, classes);
}

/// <summary>scores = W x + b; W: classes×inputs.</summary>
public sealed class LinearHead : Head
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

    /// <summary>The same probabilities with the temperature in the weights: its scores are log-odds.</summary>
    public LinearHead Folded()
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var folded = new LinearHead(Kind, Inputs, Classes);
        folded.Set(_weight.Value * Temperature, _bias.Value * Temperature);
        return folded;
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Linear(_weight.Value, _bias.Value);
}

/// <summary>A hidden layer of 256 with ReLU and dropout.</summary>
public sealed class MlpHead : Head
{
    private const int Hidden = 256;

    private readonly Sequential _layers;

    /// <summary>torch's starting values.</summary>
    public MlpHead(int inputs, int classes) : base(HeadKind.Mlp, inputs, classes) =>
        _layers = Child("layers", new Sequential(new Linear(inputs, Hidden), Lambda.Relu(), new Dropout(0.3), new Linear(Hidden, classes)));

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => _layers.Forward(x);
}
