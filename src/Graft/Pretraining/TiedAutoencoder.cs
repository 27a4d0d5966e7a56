using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>
/// Dense layers that rebuild their input, the way back by the same weights transposed: y = s(Wx̃ + b), z = s(Wᵀy + c) (Vincent et al. 2008, section
/// 2.2; of several layers Hinton and Salakhutdinov 2006). What is in 0 … 1 costs its cross-entropy, the sum over the row; else its squared error.
/// </summary>
internal sealed class TiedAutoencoder : LayerObjective
{
    private readonly Linear[] _layers;
    private readonly Slot[] _back;
    private readonly InputNoise _noise;
    private readonly bool _isBinary;

    /// <param name="material">Whose backbone holds the layers.</param>
    /// <param name="from">The lowest layer.</param>
    /// <param name="count">How many.</param>
    /// <param name="noise">What is done to the input.</param>
    public TiedAutoencoder(PretrainMaterial material, int from, int count, InputNoise noise)
        : base(material, [.. ((Mlp)material.Backbone).Layers.Skip(from).Take(count)])
    {
        _layers = [.. Network.Layers.Skip(from).Take(count)];
        _back = [.. _layers.Select((layer, k) => Parameter($"back{k + 1}", Ops.Zeros([layer.Weight.Shape[1]])))];
        (_noise, _isBinary) = (noise, from == 0 || Network.IsSigmoid);
    }

    /// <summary>Adam: the sums over rows of different lengths ask for no rate of their own.</summary>
    public static Optimisation Usual { get; } = new()
    {
        Optimizer = new AdamRule(), Rate = 1e-3, Epochs = 15, Schedule = new CosineSchedule { WarmUp = 0.05 },
    };

    /// <summary>Rows to what is rebuilt of them.</summary>
    public Tensor Rebuild(Tensor rows) => _isBinary ? Sums(Here(rows)).Sigmoid() : Sums(Here(rows));

    private Tensor Sums(Tensor x)
    {
        foreach (var layer in _layers) x = Network.Activate(layer.Forward(x));
        for (var k = _layers.Length - 1; k >= 0; k--)
        {
            x = x.Matmul(_layers[k].Weight) + _back[k].Value;
            if (k > 0) x = Network.Activate(x);
        }
        return x;
    }

    protected override Tensor Loss(RowBatch batch, Step step)
    {
        var x = Here(batch.Rows);
        var z = Sums(_noise.Of(x));
        var sum = _isBinary ? z.BinaryCrossEntropyWithLogits(x, reduction: Reduction.Sum) : z.MseLoss(x, Reduction.Sum);
        return sum / x.Shape[0];
    }
}
