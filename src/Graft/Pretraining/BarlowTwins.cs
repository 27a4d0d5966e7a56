using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Zbontar et al. 2021: over a batch, each number of an embedding shall be the same for both views, and tell what no other number
/// tells.</summary>
internal sealed class BarlowTwins : PretrainMethod
{
    // λ of eq. 1, as in the paper.
    private const double OffDiagonal = 5e-3;

    private const int Width = 1024;

    public override string Name => "barlow";

    public override string Summary => "The cross-correlation of two views' embeddings shall be the identity (Zbontar et al. 2021)";

    public override bool CanCollapse => true;

    public override int LeastItems => 4;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) =>
        [Augmentations.Contrastive(backbone.Preprocessing, blur: 1), Augmentations.Contrastive(backbone.Preprocessing, blur: 0.1, solarize: 0.2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "decorrelation", 256, _ => Contrast.Adaptive(), given => new Objective(given));

    /// <summary>Eq. 1 over eq. 2, the mean over D in place of the sum.</summary>
    /// <param name="a">N×D of first views.</param>
    /// <param name="b">N×D of second views.</param>
    internal static Tensor Loss(Tensor a, Tensor b)
    {
        static Tensor Standard(Tensor z)
        {
            var centred = z - z.Mean([0L]);
            return centred / (centred.Square().Mean([0L]) + 1e-5).Sqrt();
        }
        var (n, d) = (a.Shape[0], a.Shape[1]);
        var c = Standard(a).T().Matmul(Standard(b)) / n;
        var own = c.Diagonal();
        return ((own - 1).Square().Sum() + (c.Square().Sum() - own.Square().Sum()) * OffDiagonal) / d;
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;

        public Objective(PretrainMaterial material) : base(material) =>
            _projector = Child("projector", new Projector(base.Width, [BarlowTwins.Width, BarlowTwins.Width, BarlowTwins.Width], biasLast: false));

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step) =>
            BarlowTwins.Loss(_projector.Forward(Features(batch.Views[0])), _projector.Forward(Features(batch.Views[1])));
    }
}
