using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Noroozi and Favaro 2016: a picture is cut into tiles, these are shuffled, and the network says how. Photographs are cut into nine, of whose
/// orders a hundred that differ much are asked for; small pictures into four, of which all 24 are.</summary>
internal sealed class Jigsaw : PretrainMethod
{
    private const int SmallSide = 64, Asked = 100, Hidden = 512;

    public override string Name => "jigsaw";

    public override string Summary => "In what order were the picture's tiles laid? (Noroozi and Favaro 2016)";

    public override int LeastItems => 1;

    private static Tiles TilesOf(Backbone backbone) => new(backbone.Preprocessing.Width <= SmallSide ? 2 : 3);

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [TilesOf(backbone).View(backbone.Preprocessing)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material) =>
        OnViews(material, "jigsaw", 64, _ => Contrast.Adaptive(), given => new Objective(given, TilesOf(given.Backbone)));

    /// <summary>Orders of n tiles that differ much from one another: all where they are few, else each next one the farthest of a thousand drawn from
    /// all chosen before, by the number of tiles in other places (the authors' algorithm 1, with draws in place of all 362,880).</summary>
    internal static int[][] Orders(int tiles, int most)
    {
        var all = 1;
        for (var k = 2; k <= tiles && all <= most; k++) all *= k;
        if (all <= most) return [.. Permutations([.. Enumerable.Range(0, tiles)], 0)];
        var rng = new Rng(0, tiles);
        var chosen = new List<int[]> { rng.Permutation(tiles) };
        while (chosen.Count < most)
        {
            var draws = Enumerable.Range(0, 1000).Select(_ => rng.Permutation(tiles)).ToArray();
            chosen.Add(draws.MaxBy(draw => chosen.Min(other => other.Zip(draw).Count(pair => pair.First != pair.Second)))!);
        }
        return [.. chosen];
    }

    private static IEnumerable<int[]> Permutations(int[] of, int from)
    {
        if (from == of.Length) yield return [.. of];
        for (var k = from; k < of.Length; k++)
        {
            (of[from], of[k]) = (of[k], of[from]);
            foreach (var made in Permutations(of, from + 1)) yield return made;
            (of[from], of[k]) = (of[k], of[from]);
        }
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Tiles _tiles;
        private readonly Projector _each, _head;
        private readonly int[][] _orders;

        public Objective(PretrainMaterial material, Tiles tiles) : base(material)
        {
            var count = tiles.Grid * tiles.Grid;
            (_tiles, _orders) = (tiles, Orders(count, Asked));
            _each = Child("each", new Projector(Width, [128]));
            _head = Child("head", new Projector(128 * count, [Hidden, _orders.Length]));
        }

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var (n, count) = (batch.Indices.Length, _tiles.Grid * _tiles.Grid);
            var vectors = _each.Forward(Features(_tiles.Cut(batch.First, Backbone.Preprocessing.Width, ref step.Rng))).View([count, n, 128]);
            var answers = new long[n];
            var places = new long[n * count];
            for (var k = 0; k < n; k++)
            {
                answers[k] = step.Rng.Below(_orders.Length);
                for (var t = 0; t < count; t++) places[k * count + t] = (long)_orders[answers[k]][t] * n + k;
            }
            var laid = vectors.Reshape([count * n, 128]).IndexSelect(0, Tensor.From(places).To(vectors.Device)).View([n, count * 128]);
            return Guess.Loss(_head.Forward(laid), answers, step);
        }
    }
}
