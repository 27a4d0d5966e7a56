using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Is the same thing in two pictures? For faces above all: of people whose names do not matter one learns what tells people apart. It learns
/// from class folders, one for each thing.</summary>
internal sealed class SameOrDifferent : PretrainMethod
{
    public override string Name => "same-or-different";

    public override string Summary => "Is the same thing (person) in two pictures? Learns from class folders (an auxiliary task, as in Bromley et al. 1993)";

    public override bool NeedsLabels => true;

    public override int LeastItems => 4;

    public override IReadOnlyList<Preprocessing> Views(Backbone backbone) => [.. Enumerable.Repeat(Augmentations.Plain(backbone.Preprocessing, 0.7), 2)];

    public override IReadOnlyList<PretrainPhase> Phases(PretrainMaterial material)
    {
        var batch = Batch(material, 64);
        return
        [
            new PretrainPhase<ViewBatch>("pairs", How(material, Contrast.Adaptive()),
                given => (new Objective(given), new PairFeed(given, Views(given.Backbone), batch))),
        ];
    }

    /// <summary>Every picture with another: half of them of its own class, where that has a second one.</summary>
    private sealed class PairFeed : Feed<ViewBatch>
    {
        private readonly PretrainMaterial _material;
        private readonly IReadOnlyList<Preprocessing> _views;
        private readonly int _batch;
        private readonly Dictionary<int, int[]> _byClass;

        public PairFeed(PretrainMaterial material, IReadOnlyList<Preprocessing> views, int batch)
        {
            (_material, _views, _batch) = (material, views, Math.Min(batch, material.Usable.Length));
            _byClass = material.Usable.GroupBy(k => material.Labels![k]).ToDictionary(group => group.Key, group => group.ToArray());
            if (_byClass.Count < 2) throw new GraftException($"same-or-different needs two classes at least: every picture that can be read is of one");
            if (_byClass.Values.All(own => own.Length < 2)) throw new GraftException("same-or-different needs a class of two pictures at least: no picture has another of its class");
        }

        public override int Batches => _material.Usable.Length / _batch;

        public override int Size(ViewBatch batch) => batch.Indices.Length;

        public override string Unit => "pairs";

        public override IEnumerable<ViewBatch> Epoch(int epoch, int skip)
        {
            var order = new Rng(_material.Options.Seed, 1, epoch).Permutation(_material.Usable.Length).Select(k => _material.Usable[k]).ToArray();
            return Loader.Ahead(order.Chunk(_batch).Take(Batches).Skip(skip), chunk => Make(chunk, epoch));
        }

        private ViewBatch Make(int[] chunk, int epoch)
        {
            var others = Array.ConvertAll(chunk, index => Other(index, new Rng(_material.Options.Seed, 6, epoch, index)));
            Tensor Inputs(int[] items, int view) => Loader.Inputs(_material.Pictures!, items, _views[view], true, index => new Rng(_material.Options.Seed, 4, epoch, index, view));
            return new ViewBatch([Inputs(chunk, 0), Inputs(others, 1)], [.. chunk, .. others]);
        }

        private int Other(int index, Rng rng)
        {
            var own = _byClass[_material.Labels![index]];
            if (own.Length > 1 && rng.Next() < 0.5)
            {
                var at = rng.Below(own.Length - 1);
                return own[at] == index ? own[^1] : own[at];
            }
            while (true)
            {
                var other = _material.Usable[rng.Below(_material.Usable.Length)];
                if (_material.Labels[other] != _material.Labels[index]) return other;
            }
        }
    }

    private sealed class Objective : ViewObjective
    {
        private readonly Projector _head;
        private readonly int[] _labels;

        public Objective(PretrainMaterial material) : base(material) => (_head, _labels) = (Child("head", new Projector(2 * Width, [Width, 1])), material.Labels!);

        protected override Tensor Loss(ViewBatch batch, Step step)
        {
            var n = batch.Indices.Length / 2;
            var features = Features(Ops.Cat(batch.Views, 0));
            var (a, b) = (features.Narrow(0, 0, n), features.Narrow(0, n, n));
            // The same whichever comes first.
            var scores = _head.Forward(Ops.Cat([(a - b).Abs(), a * b], 1)).Flatten(0);
            return Guess.YesOrNo(scores, [.. Enumerable.Range(0, n).Select(k => _labels[batch.Indices[k]] == _labels[batch.Indices[n + k]] ? 1f : 0f)], step);
        }
    }
}
