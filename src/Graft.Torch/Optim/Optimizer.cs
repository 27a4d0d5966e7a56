namespace Graft.Torch;

/// <summary>Parameters that share a learning rate and a weight decay.</summary>
public sealed class ParameterGroup(string name, IReadOnlyList<Tensor> parameters, double learningRate, double weightDecay = 0)
{
    /// <summary>For logs.</summary>
    public string Name { get; } = name;

    /// <summary>The tensors that are changed.</summary>
    public IReadOnlyList<Tensor> Parameters { get; } = parameters;

    /// <summary>The rate before a schedule's factor.</summary>
    public double LearningRate { get; set; } = learningRate;

    /// <summary>L2 penalty (decoupled in AdamW).</summary>
    public double WeightDecay { get; set; } = weightDecay;
}

/// <summary>Changes parameters by their gradients; every rule runs over whole groups with the <c>_foreach_</c> operators.</summary>
public abstract class Optimizer : IDisposable
{
    private readonly Dictionary<string, Tensor> _state = [];

    /// <summary>For these groups.</summary>
    protected Optimizer(IReadOnlyList<ParameterGroup> groups) => Groups = groups;

    /// <summary>The groups.</summary>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>A schedule's factor on every rate.</summary>
    public double RateFactor { get; set; } = 1;

    /// <summary>Steps taken.</summary>
    public long Steps { get; set; }

    /// <summary>Moves every parameter that has a gradient.</summary>
    public void Step()
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        Steps++;
        for (var g = 0; g < Groups.Count; g++)
        {
            var group = Groups[g];
            var with = Enumerable.Range(0, group.Parameters.Count).Select(k => (Index: k, Tensor: group.Parameters[k], Grad: group.Parameters[k].Grad)).Where(item => item.Grad is not null).ToList();
            if (with.Count == 0) continue;
            var index = g;
            Tensor[] Moments(string name) => [.. with.Select(item => Moment($"{index}.{item.Index}.{name}", item.Tensor))];
            Update(group, [.. with.Select(item => item.Tensor)], [.. with.Select(item => item.Grad!)], Moments);
        }
    }

    /// <summary>The rule for one group. <paramref name="moments"/> gives each parameter's state tensor of a name, zero at first.</summary>
    protected abstract void Update(ParameterGroup group, Tensor[] parameters, Tensor[] gradients, Func<string, Tensor[]> moments);

    private Tensor Moment(string key, Tensor like) => _state.TryGetValue(key, out var found) ? found : _state[key] = TensorScope.Detach(like.ZerosLike());

    /// <summary>Forgets the gradients.</summary>
    public void ZeroGrad()
    {
        foreach (var group in Groups)
        {
            foreach (var parameter in group.Parameters) parameter.Grad = null;
        }
    }

    /// <summary>Scales the gradients down where their joint norm is above a limit.</summary>
    /// <returns>The norm before.</returns>
    public double ClipGradients(double limit)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        Tensor[] gradients = [.. Groups.SelectMany(group => group.Parameters).Select(parameter => parameter.Grad).OfType<Tensor>()];
        if (gradients.Length == 0) return 0;
        var norm = Ops.Stack(Ops.ForeachNorm(gradients)).LinalgVectorNorm().Item();
        if (norm > limit && double.IsFinite(norm)) Ops.ForeachMulInPlace(gradients, limit / (norm + 1e-6));
        return norm;
    }

    /// <summary>What a resumed run needs, by name.</summary>
    public IReadOnlyDictionary<string, Tensor> State => _state;

    /// <summary>Takes up the state of a run that stopped.</summary>
    public void Restore(IReadOnlyDictionary<string, Tensor> state, long steps)
    {
        using var mode = Autograd.NoGrad();
        foreach (var tensor in _state.Values) tensor.Dispose();
        _state.Clear();
        foreach (var (key, tensor) in state) _state[key] = TensorScope.Detach(tensor.Clone());
        Steps = steps;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _state.Values) tensor.Dispose();
        _state.Clear();
        GC.SuppressFinalize(this);
    }
}

/// <summary>Stochastic gradient descent with momentum, also Nesterov's (Sutskever et al. 2013).</summary>
public sealed class Sgd(IReadOnlyList<ParameterGroup> groups, double momentum = 0.9, bool nesterov = false) : Optimizer(groups)
{
    /// <inheritdoc/>
    protected override void Update(ParameterGroup group, Tensor[] parameters, Tensor[] gradients, Func<string, Tensor[]> moments)
    {
        if (group.WeightDecay != 0) gradients = Ops.ForeachAdd(gradients, parameters, group.WeightDecay);
        if (momentum != 0)
        {
            var velocity = moments("velocity");
            Ops.ForeachMulInPlace(velocity, momentum);
            Ops.ForeachAddInPlace(velocity, gradients);
            gradients = nesterov ? Ops.ForeachAdd(gradients, velocity, momentum) : velocity;
        }
        Ops.ForeachAddInPlace(parameters, gradients, -group.LearningRate * RateFactor);
    }
}

/// <summary>Layer-wise adaptive rates (You et al. 2017, algorithm 1), for batches of thousands: each weight moves by a share of its own length. Norms and biases, which
/// have one dimension, move as by <see cref="Sgd"/> and without decay, as SimCLR's and BYOL's authors have it.</summary>
/// <param name="groups">What moves.</param>
/// <param name="momentum">Of the steps.</param>
/// <param name="trust">η: the share.</param>
public sealed class Lars(IReadOnlyList<ParameterGroup> groups, double momentum = 0.9, double trust = 0.001) : Optimizer(groups)
{
    /// <inheritdoc/>
    protected override void Update(ParameterGroup group, Tensor[] parameters, Tensor[] gradients, Func<string, Tensor[]> moments)
    {
        var velocity = moments("velocity");
        Ops.ForeachMulInPlace(velocity, momentum);
        for (var k = 0; k < parameters.Length; k++)
        {
            var (weight, gradient) = (parameters[k], gradients[k]);
            if (weight.Dimensions > 1)
            {
                var (length, slope) = (weight.LinalgVectorNorm(), gradient.LinalgVectorNorm());
                var share = length * trust / (slope + length * group.WeightDecay);
                // Where either is nought there is no share to speak of: the plain step.
                share = (length * slope).Gt(0).Where(share, share.OnesLike());
                gradient = (gradient + weight * group.WeightDecay) * share;
            }
            velocity[k].AddInPlace(gradient);
        }
        Ops.ForeachAddInPlace(parameters, velocity, -group.LearningRate * RateFactor);
    }
}

/// <summary>Kingma and Ba 2015; with <c>decoupled</c>, AdamW (Loshchilov and Hutter 2019).</summary>
public class Adam(IReadOnlyList<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, bool decoupled = false) : Optimizer(groups)
{
    /// <inheritdoc/>
    protected override void Update(ParameterGroup group, Tensor[] parameters, Tensor[] gradients, Func<string, Tensor[]> moments)
    {
        var rate = group.LearningRate * RateFactor;
        if (group.WeightDecay != 0)
        {
            if (decoupled) Ops.ForeachMulInPlace(parameters, 1 - rate * group.WeightDecay);
            else gradients = Ops.ForeachAdd(gradients, parameters, group.WeightDecay);
        }
        var (mean, square) = (moments("mean"), moments("square"));
        Ops.ForeachMulInPlace(mean, beta1);
        Ops.ForeachAddInPlace(mean, gradients, 1 - beta1);
        Ops.ForeachMulInPlace(square, beta2);
        Ops.ForeachAddcmulInPlace(square, gradients, gradients, 1 - beta2);
        var root = Ops.ForeachSqrt(square);
        Ops.ForeachDivInPlace(root, Math.Sqrt(1 - Math.Pow(beta2, Steps)));
        Ops.ForeachAddInPlace(root, epsilon);
        Ops.ForeachAddcdivInPlace(parameters, mean, root, -rate / (1 - Math.Pow(beta1, Steps)));
    }
}

/// <summary>Adam with decoupled weight decay.</summary>
public sealed class AdamW(IReadOnlyList<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    : Adam(groups, beta1, beta2, epsilon, decoupled: true);
