using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Caron et al. 2020: pictures are shared out evenly among prototypes, and from one view the share of another is foretold.</summary>
internal sealed class SwAv : PretrainMethod
{
    // τ and ε of eq. 2 and 3; three rounds of Sinkhorn's are enough (section 3.1).
    private const double Temperature = 0.1, Evenness = 0.05;

    private const int Rounds = 3, Prototypes = 256, Width = 128;

    public override string Name => "swav";

    public override string Summary => "Pictures shared out evenly among prototypes; a view foretells the share of another (Caron et al. 2020)";

    public override bool CanCollapse => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => Crops.Of(backbone);

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "shares", 256, _ => Contrast.Adaptive(), given => new Objective(given));

    /// <summary>Shares of pictures in prototypes, N×K, whose rows are 1 and whose columns are equal: eq. 3 by Sinkhorn and Knopp.</summary>
    /// <param name="scores">N×K.</param>
    internal static Tensor Shares(Tensor scores)
    {
        var (n, k) = (scores.Shape[0], scores.Shape[1]);
        var q = ((scores - scores.Max()) / Evenness).Exp().T();
        q = q / q.Sum();
        for (var round = 0; round < Rounds; round++)
        {
            q = q / (q.Sum([1L], true) * k);
            q = q / (q.Sum([0L], true) * n);
        }
        return (q * n).T();
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;
        private readonly Slot _prototypes;

        public Objective(PretrainMaterial material) : base(material)
        {
            _projector = Child("projector", new Projector(base.Width, [2 * base.Width, SwAv.Width]));
            using var mode = Autograd.NoGrad();
            _prototypes = Parameter("prototypes", Contrast.Unit(Ops.Empty([Prototypes, SwAv.Width]).NormalInPlace(0, 1)));
        }

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            // Held still in the first epoch, as by the authors: the features have to settle first.
            var prototypes = step.Epoch == 0 ? _prototypes.Value.Detach() : _prototypes.Value;
            var scores = Crops.Through(batch.Views, views => Contrast.Unit(_projector.Forward(Features(views))).Matmul(prototypes.T()));
            var logs = scores.Select(own => (own / Temperature).LogSoftmax(1)).ToArray();
            var losses = new List<Tensor>();
            for (var large = 0; large < 2; large++)
            {
                Tensor shares;
                using (Autograd.NoGrad()) shares = Shares(scores[large].Detach());
                for (var view = 0; view < logs.Length; view++) if (view != large) losses.Add(-(shares * logs[view]).Sum([1L]).Mean());
            }
            return Ops.Stack(losses).Mean();
        }

        public override bool AfterStep(Step step, double loss)
        {
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            _prototypes.Value.CopyInPlace(Contrast.Unit(_prototypes.Value));
            return true;
        }
    }
}
