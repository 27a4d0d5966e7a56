using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Dense layers above the pooled features that the loss looks at, and that are left behind: N×in to N×out.</summary>
internal sealed class Projector : Module
{
    private readonly Module[] _layers;

    /// <summary>Between two layers a BatchNorm (Ioffe and Szegedy 2015) and a ReLU.</summary>
    /// <param name="inputs">Of the first.</param>
    /// <param name="sizes">Outputs of each layer.</param>
    /// <param name="normLast">A BatchNorm behind the last one too.</param>
    /// <param name="norm">Whether there is any.</param>
    /// <param name="biasLast">The last layer has a bias, where no norm takes it away.</param>
    public Projector(int inputs, int[] sizes, bool normLast = false, bool norm = true, bool biasLast = true)
    {
        var layers = new List<Module>();
        for (var k = 0; k < sizes.Length; k++)
        {
            var last = k == sizes.Length - 1;
            var normed = norm && (!last || normLast);
            layers.Add(Child($"{3 * k}", new Linear(inputs, sizes[k], bias: !normed && (!last || biasLast))));
            if (normed) layers.Add(Child($"{3 * k + 1}", new BatchNorm2d(sizes[k])));
            if (!last) layers.Add(Lambda.Relu());
            inputs = sizes[k];
        }
        _layers = [.. layers];
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => _layers.Aggregate(x, (y, layer) => layer.Forward(y));
}
