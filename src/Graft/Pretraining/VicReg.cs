using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Bardes et al. 2022: two views alike (invariance), every number of an embedding spread out over a batch (variance), no two of them telling
/// the same (covariance).</summary>
internal sealed class VicReg : PretrainMethod
{
    // λ, μ, ν of eq. 6.
    private const double Invariance = 25, Variance = 25, Covariance = 1;

    private const int Width = 1024;

    public override string Name => "vicreg";

    public override string Summary => "Two views alike, each number of the embedding spread out, no two telling the same (Bardes et al. 2022)";

    public override bool CanCollapse => true;

    public override int LeastItems => 4;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) =>
        [.. Enumerable.Repeat(Augmentations.Contrastive(backbone.Preprocessing, solarize: 0.1), 2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "regularisation", 256, _ => Contrast.Adaptive(), given => new Objective(given));

    /// <summary>Eq. 6.</summary>
    /// <param name="a">N×D of first views.</param>
    /// <param name="b">N×D of second views.</param>
    internal static Tensor Loss(Tensor a, Tensor b)
    {
        var (n, d) = (a.Shape[0], a.Shape[1]);
        // Eq. 1 and 2: the hinge on the deviation.
        static Tensor Spread(Tensor z) => (1 - (z.Square().Sum([0L]) / (z.Shape[0] - 1) + 1e-4).Sqrt()).Relu().Mean();
        // Eq. 3 and 4: what stands off the diagonal of the covariance.
        Tensor Shared(Tensor z)
        {
            var c = z.T().Matmul(z) / (n - 1);
            return (c.Square().Sum() - c.Diagonal().Square().Sum()) / d;
        }
        var (x, y) = (a - a.Mean([0L]), b - b.Mean([0L]));
        return a.MseLoss(b, Reduction.Mean) * Invariance + (Spread(x) + Spread(y)) / 2.0 * Variance + (Shared(x) + Shared(y)) * Covariance;
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;

        public Objective(PretrainMaterial material) : base(material) =>
            _projector = Child("projector", new Projector(base.Width, [VicReg.Width, VicReg.Width, VicReg.Width], biasLast: false));

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step) =>
            VicReg.Loss(_projector.Forward(Features(batch.Views[0])), _projector.Forward(Features(batch.Views[1])));
    }
}
