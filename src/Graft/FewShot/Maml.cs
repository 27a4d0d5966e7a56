using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>How the gradient of a gradient step is taken.</summary>
internal enum MamlKind
{
    /// <summary>Through the inner steps, second derivatives included (Finn et al. 2017, algorithm 2).</summary>
    SecondOrder,

    /// <summary>The inner steps taken as constants (Finn et al. 2017, section 5.2).</summary>
    FirstOrder,

    /// <summary>Only the last layer is adapted within a task (Raghu et al. 2020).</summary>
    Anil,
}

/// <summary>
/// Finn, Abbeel and Levine 2017: an initialisation from which a few gradient steps on the support solve the task. BatchNorm
/// runs on the statistics of the batch at hand, as in the paper's code: that is transductive. Inductively, queries are
/// normalised with the support's statistics instead. With learned rates, each layer has a rate of its own for every step
/// (Antoniou et al. 2019, section 4).
/// </summary>
internal sealed class Maml : TaskLearner
{
    private readonly MamlKind _kind;
    private readonly Slot? _rates;

    /// <param name="backbone">Owned.</param>
    /// <param name="way">Classes of every task.</param>
    /// <param name="kind">Which gradient.</param>
    /// <param name="innerRate">α.</param>
    /// <param name="steps">Inner steps in training.</param>
    /// <param name="testSteps">Inner steps at test.</param>
    /// <param name="learnRates">A learned rate for each layer and step.</param>
    public Maml(Backbone backbone, int way, MamlKind kind = MamlKind.SecondOrder, double innerRate = 0.4, int steps = 1, int testSteps = 3,
        bool learnRates = false) : base(backbone, way)
    {
        (_kind, InnerRate, Steps, TestSteps) = (kind, innerRate, steps, testSteps);
        Names = [.. Network.NamedParameters().Select(found => found.Name)
            .Where(name => kind != MamlKind.Anil || name.StartsWith("head.", StringComparison.Ordinal))];
        if (learnRates) _rates = Parameter("rates", Ops.Full([Math.Max(steps, testSteps), Names.Count], innerRate));
    }

    private double InnerRate { get; }

    private int Steps { get; }

    private int TestSteps { get; }

    private IReadOnlyList<string> Names { get; }

    /// <inheritdoc/>
    protected override Dictionary<string, Tensor> Adapt(Support support)
    {
        var learning = Learning;
        return InnerLoop.Adapt(Network, Names, learning ? Steps : TestSteps, (step, k) => _rates is null ? InnerRate : _rates.Value[step][k],
            () => Losses.CrossEntropy(Network.Forward(support.Pictures), support.Targets), secondOrder: learning && _kind != MamlKind.FirstOrder);
    }
}
