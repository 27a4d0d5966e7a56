using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Dhillon et al. 2020: a cosine classifier that starts from the support's means (section 3.1) and is tuned to the support's
/// labels and to little entropy in its answers for the queries (eq. 8). Here on frozen features: the backbone is not tuned.
/// </summary>
/// <param name="steps">Of Adam.</param>
/// <param name="rate">Of Adam.</param>
/// <param name="temperature">What cosines are multiplied by.</param>
internal sealed class TransductiveFineTuning(int steps = 25, double rate = 5e-3, double temperature = 10) : IFeatureRule
{
    /// <inheritdoc/>
    public string Name => "transductive fine-tuning";

    /// <inheritdoc/>
    public bool Transductive => true;

    /// <inheritdoc/>
    public Tensor Scores(Tensor support, Tensor labels, int way, Tensor queries)
    {
        using var mode = Autograd.EnableGrad();
        var mean = support.Mean([0L]);
        var (s, q) = (SimpleShot.Normalised(support.Detach(), mean), SimpleShot.Normalised(queries.Detach(), mean));
        using var weight = TensorScope.Detach(Distances.Means(s, labels, way).Detach().Clone());
        weight.RequiresGrad = true;
        using var optimizer = new Adam([new ParameterGroup("classifier", [weight], rate)]);
        Tensor Logits(Tensor x) => x.Matmul(Distances.Unit(weight).T()) * temperature;
        for (var step = 0; step < steps; step++)
        {
            using var scope = new TensorScope();
            optimizer.ZeroGrad();
            var answers = Logits(q).LogSoftmax(1);
            var entropy = -(answers.Exp() * answers).Sum([1L]).Mean();
            (Losses.CrossEntropy(Logits(s), labels) + entropy).Backward();
            optimizer.Step();
        }
        using var none = Autograd.NoGrad();
        return Logits(q);
    }
}
