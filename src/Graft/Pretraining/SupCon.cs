using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Khosla et al. 2020: as SimCLR, but all pictures of a class shall be near to each other. It learns from labels.</summary>
internal sealed class SupCon : PretrainMethod
{
    // τ, as in the authors' experiments on CIFAR-10.
    private const double Temperature = 0.1;

    public override string Name => "supcon";

    public override string Summary => "Pictures of a class near to each other, those of others far: learns from labels (Khosla et al. 2020)";

    public override bool NeedsLabels => true;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [.. Enumerable.Repeat(Augmentations.Contrastive(backbone.Preprocessing), 2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "contrast", 256, batch => Contrast.Usual(batch), given => new Objective(given));

    /// <summary>L_out of eq. 2: the mean over views of the mean over those of its class of −log softmax of their similarity.</summary>
    /// <param name="z">2N×D of length one: first all first views, then all second ones.</param>
    /// <param name="labels">N class numbers.</param>
    /// <param name="temperature">τ.</param>
    internal static Tensor Loss(Tensor z, long[] labels, double temperature)
    {
        var all = Tensor.From([.. labels, .. labels]).To(z.Device);
        var self = Ops.Eye(z.Shape[0], z.Shape[0]).To(z.Device);
        var same = all.Unsqueeze(1).Eq(all.Unsqueeze(0)).To(z.Type) - self;
        var logs = (z.Matmul(z.T()) / temperature - self * 1e9).LogSoftmax(1);
        // On the diagonal, where nothing is asked, minus a billion times nought.
        return -((logs * same).Sum([1L]) / same.Sum([1L])).Mean();
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _projector;
        private readonly int[] _labels;

        public Objective(PretrainMaterial material) : base(material) =>
            (_projector, _labels) = (Child("projector", new Projector(Width, [Width, 128])), material.Labels!);

        public override Tensor Embed(Tensor pictures) => _projector.Forward(Features(pictures));

        protected override Tensor Loss(ViewBatch batch, Step step) => SupCon.Loss(Contrast.Unit(_projector.Forward(Features(Ops.Cat(batch.Views, 0)))),
            [.. batch.Indices.Select(k => (long)_labels[k])], Temperature);
    }
}
