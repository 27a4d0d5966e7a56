using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>RotNet (Gidaris et al. 2018): each picture is turned by 0, 90, 180 and 270 degrees, and the network says by how much.</summary>
internal sealed class RotationTask : PretrainMethod
{
    private const int Turns = 4;

    public override string Name => "rotation";

    public override string Summary => "By how much was the picture turned: 0, 90, 180 or 270 degrees? (RotNet, Gidaris et al. 2018)";

    public override int LeastItems => 1;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [Augmentations.Plain(backbone.Preprocessing)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "rotation", 64, batch => Contrast.Usual(batch, ratePer256: 0.2) with { Optimizer = new SgdRule(Nesterov: true) }, given => new Objective(given));

    /// <summary>N×C×S×S to 4N×C×S×S: first all as they are, then all turned by 90 degrees, and so on.</summary>
    internal static Tensor Turned(Tensor x)
    {
        var transposed = x.Transpose(2, 3);
        return Ops.Cat([x, transposed.Flip([2L]), x.Flip([2L, 3L]), transposed.Flip([3L])], 0);
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Linear _head;

        public Objective(PretrainMaterial material) : base(material) => _head = Child("head", new Linear(Width, Turns));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var scores = _head.Forward(Features(Turned(batch.First)));
            var n = batch.Indices.Length;
            return Guess.Loss(scores, [.. Enumerable.Range(0, Turns * n).Select(k => (long)(k / n))], step);
        }
    }
}
