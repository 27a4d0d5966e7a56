using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Doersch et al. 2015: of two tiles of a picture, in which of eight directions from the first does the second lie?</summary>
internal sealed class RelativePatches : PretrainMethod
{
    private const int Directions = 8, Hidden = 512;

    private static readonly Tiles s_tiles = new(3);

    public override string Name => "patches";

    public override string Summary => "In which of eight directions from a picture's middle does another part of it lie? (Doersch et al. 2015)";

    public override int LeastItems => 1;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [s_tiles.View(backbone.Preprocessing)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "patches", 64, _ => Contrast.Adaptive(), given => new Objective(given));

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _head;

        public Objective(PretrainMaterial material) : base(material) => _head = Child("head", new Projector(2 * Width, [Hidden, Directions]));

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var n = batch.Indices.Length;
            var tiles = s_tiles.Cut(batch.First, Backbone.Preprocessing.Width, ref step.Rng);
            var answers = new long[n];
            for (var k = 0; k < n; k++) answers[k] = step.Rng.Below(Directions);
            // The fifth of the nine is the middle.
            var others = tiles.IndexSelect(0, Tensor.From([.. answers.Select((answer, k) => (answer < 4 ? answer : answer + 1) * n + k)]).To(tiles.Device));
            var features = Features(Ops.Cat([tiles.Narrow(0, 4 * n, n), others], 0));
            return Guess.Loss(_head.Forward(Ops.Cat([features.Narrow(0, 0, n), features.Narrow(0, n, n)], 1)), answers, step);
        }
    }
}
