using System.Globalization;
using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// A dense layer of sigmoid units as a restricted Boltzmann machine (Smolensky 1986): E(v, h) = −aᵀv − bᵀh − hᵀWv, with W and b the layer's, and
/// a, the bias of what is below, left behind. The gradient of −log p(v) is taken by contrastive divergence with k steps of Gibbs sampling (Hinton
/// 2002, eq. 5), or by chains that go on from step to step (Tieleman 2008). Rows v are in 0 … 1 and taken for probabilities (Hinton 2012, section 3).
/// The loss that is shown is the squared error of one reconstruction, the sum over the row.
/// </summary>
internal sealed class RestrictedBoltzmannMachine : LayerObjective, IRemarks
{
    // Hinton 2012, sections 8 and 9.
    private const double Deviation = 0.01;

    private const int Judged = 1000, Shown = 16;

    private readonly Linear _layer;
    private readonly Slot _below;
    private readonly Slot? _chains;
    private readonly int _gibbs;
    private readonly LayerFeed _feed;
    private readonly bool _isLowest;

    /// <param name="material">Whose backbone holds the layer.</param>
    /// <param name="layer">From 0.</param>
    /// <param name="feed">Its rows.</param>
    /// <param name="chains">Of the persistent kind; read where that is asked for.</param>
    public RestrictedBoltzmannMachine(PretrainMaterial material, int layer, LayerFeed feed, int chains)
        : base(material, ((Mlp)material.Backbone).Layers[layer])
    {
        (_layer, _feed, _isLowest) = (Network.Layers[layer], feed, layer == 0);
        _gibbs = material.Options.Reconstruction.Gibbs ?? 1;
        // Not what the steps before have left of the generator: a resumed run would begin otherwise.
        TorchRuntime.ManualSeed(new Rng(material.Options.Seed, 9, layer).NextSeed());
        if (!Network.Provenance.IsPretrained)
        {
            Initialisers.Normal(_layer.Weight, Deviation);
            Initialisers.Constant(_layer.Bias!, 0);
        }
        _below = Parameter("below", LogOdds(feed.Mean()).Flatten(0));
        if (material.Options.Reconstruction.Persistent)
            _chains = Buffer("chains", Ops.Full([chains, _layer.Weight.Shape[0]], 0.5, DType.Float32).Bernoulli());
    }

    private static Tensor LogOdds(Tensor mean)
    {
        using var mode = Autograd.NoGrad();
        var p = mean.Clamp(0.01, 0.99);
        return (p / (1 - p)).Log();
    }

    /// <summary>p(h = 1 | v).</summary>
    private Tensor Above(Tensor v) => _layer.Forward(v).Sigmoid();

    /// <summary>p(v = 1 | h).</summary>
    private Tensor BelowOf(Tensor h) => (h.Matmul(_layer.Weight) + _below.Value).Sigmoid();

    /// <summary>⟨·⟩ of the negative phase minus ⟨·⟩ of the data.</summary>
    public override (Tensor?[] Gradients, double Loss) Gradient(RowBatch batch, Step step, IReadOnlyList<Tensor> parameters)
    {
        using var mode = Autograd.NoGrad();
        var v0 = Here(batch.Rows);
        var h0 = Above(v0);
        // Chains that go on rebuild nothing: some rows are rebuilt for the loss alone.
        var shown = _chains is null ? v0.Shape[0] : Math.Min(Shown, v0.Shape[0]);
        var once = BelowOf(Draw(h0.Narrow(0, 0, shown)));
        var (v, h) = _chains is null ? Divergence(once) : Persistent(_chains.Value);
        var error = (v0.Narrow(0, 0, shown) - once).Square().Sum([1L]).Mean().Item();
        // Both phases in one product.
        var (n, m) = ((double)v0.Shape[0], (double)v.Shape[0]);
        var (above, below) = (Ops.Cat([h / m, h0 / -n], 0), Ops.Cat([v, v0], 0));
        Tensor For(Tensor parameter) => ReferenceEquals(parameter, _layer.Weight) ? above.T().Matmul(below)
            : ReferenceEquals(parameter, _layer.Bias) ? above.Sum([0L])
            : v.Mean([0L]) - v0.Mean([0L]);
        return ([.. parameters.Select(For)], error);
    }

    /// <summary>Units that are on with these chances, by single draws: torch's own Bernoulli takes double ones.</summary>
    private static Tensor Draw(Tensor chances) => Ops.Rand(chances.Shape, chances.Type, chances.Device).Lt(chances).To(chances.Type);

    /// <summary>From the data: what is below is never drawn, what is above is, but for the last time (Hinton 2012, section 3).</summary>
    private (Tensor V, Tensor H) Divergence(Tensor v)
    {
        var h = Above(v);
        for (var k = 1; k < _gibbs; k++)
        {
            v = BelowOf(Draw(h));
            h = Above(v);
        }
        return (v, h);
    }

    private (Tensor V, Tensor H) Persistent(Tensor chains)
    {
        var (state, v, h) = (chains, chains, chains);
        for (var k = 0; k < _gibbs; k++)
        {
            v = Draw(BelowOf(state));
            h = Above(v);
            state = Draw(h);
        }
        chains.CopyInPlace(state);
        return (v, h);
    }

    protected override Tensor Loss(RowBatch batch, Step step)
    {
        var v = Here(batch.Rows);
        return (v - BelowOf(Above(v))).Square().Sum([1L]).Mean();
    }

    /// <summary>How likely it holds pictures that it learned from, by annealed importance sampling.</summary>
    public IReadOnlyList<string> Remarks(long seed)
    {
        if (!_isLowest) return [];
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        TorchRuntime.ManualSeed(new Rng(seed, 10).NextSeed());
        var (w, b, a) = (_layer.Weight.Detach(), _layer.Bias!.Detach(), _below.Value.Detach());
        var (logZ, error) = AnnealedImportance.LogPartition(w, b, a, LogOdds(_feed.Mean()).Flatten(0));
        using var some = _feed.Some(Judged);
        var rows = some.Bernoulli();
        var likelihood = -AnnealedImportance.FreeEnergy(rows, w, b, a).Mean().Item() - logZ;
        return [string.Create(CultureInfo.InvariantCulture,
            $"log-likelihood {likelihood:0.0} nats a picture, the mean over {rows.Shape[0]} pictures that it learned from, drawn to black and white; ")
            + string.Create(CultureInfo.InvariantCulture,
                $"log Z = {logZ:0.0} by annealed importance sampling (Salakhutdinov and Murray 2008), the standard error of Z {100 * error:0}%")];
    }
}
