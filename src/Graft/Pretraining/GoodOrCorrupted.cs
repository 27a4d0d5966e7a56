using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>All pictures are good, copies of them are corrupted, and the network tells the two apart: by a class, or by a score that is higher for the
/// good one by a margin.</summary>
/// <param name="margin">By a score.</param>
internal sealed class GoodOrCorrupted(bool margin) : PretrainMethod
{
    private const double Margin = 1;

    public override string Name => margin ? "max-margin" : "good-or-corrupted";

    public override string Summary => margin ? "A score that is higher for a picture than for a corrupted copy of it, by a margin (Collobert and Weston 2008)"
        : "Is the picture good, or was it corrupted?";

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [Augmentations.Plain(backbone.Preprocessing)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, margin ? "margin" : "good or corrupted", 64, _ => Contrast.Adaptive(), given => new Objective(given, margin));

    private sealed class Objective : ViewObjective
    {
        private readonly Linear _head;
        private readonly bool _margin;

        public Objective(PretrainMaterial material, bool margin) : base(material) => (_head, _margin) = (Child("head", new Linear(Width, 1)), margin);

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var n = batch.Indices.Length;
            Tensor both;
            using (Autograd.NoGrad()) both = Ops.Cat([batch.First, Corruption.Of(batch.First, ref step.Rng)], 0);
            var scores = _head.Forward(Features(both)).Flatten(0);
            if (!_margin) return Guess.YesOrNo(scores, [.. Enumerable.Range(0, 2 * n).Select(k => k < n ? 1f : 0f)], step);
            var (good, bad) = (scores.Narrow(0, 0, n), scores.Narrow(0, n, n));
            step.Count("right", (good.Detach() - bad.Detach()).Gt(0).Sum().Item(), n);
            return (Margin - good + bad).Relu().Mean();
        }
    }
}
