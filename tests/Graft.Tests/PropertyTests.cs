using CsCheck;
using Graft.Data;
using Graft.FewShot;
using Graft.Learning;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Torch;

namespace Graft.Tests;

/// <summary>What holds for every picture, split, feed and episode, on cases drawn at random; a failure prints the seed that draws it again.</summary>
public sealed class PropertyTests
{
    private static readonly Gen<long> s_seed = Gen.Long[-5, 1L << 40];

    /// <summary>Pictures that have names only.</summary>
    private sealed class Named : PictureSource
    {
        public override string Name(int index) => $"{index}";

        public override byte[] Read(int index) => throw new NotSupportedException();
    }

    private static Dataset Labelled(int[] labels) => new(new Named(), labels, [.. Enumerable.Range(0, labels.Max() + 1).Select(c => $"class {c}")]);

    private static int[] Names(Dataset data) => [.. Enumerable.Range(0, data.Count).Select(k => int.Parse(data.Name(k)))];

    // Pictures and steps

    private static readonly Gen<Transform> s_cut = Gen.OneOf<Transform>(
        Gen.Int[1, 40].Select(side => (Transform)new Resize(side)), Gen.Int[1, 40].Select(side => (Transform)new Resize(side, Filter.Bicubic)),
            Gen.Int[1, 40].Select(side => (Transform)new CenterCrop(side)),
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40]).Select(size => (Transform)new ResizeExact(size.Item1, size.Item2)),
        Gen.Int[1, 40].Select(side => (Transform)new RandomResizedCrop(side)), Gen.Double[0, 1].Select(p => (Transform)new HorizontalFlip(p)));

    private static readonly Normalize s_unit = new([0, 0, 0], [1, 1, 1]);

    private static float[] Run(Picture picture, Preprocessing preprocessing, long seed = 0)
    {
        var into = new float[3 * preprocessing.Width * preprocessing.Height];
        Pipeline.Run(picture, preprocessing, into, seed);
        return into;
    }

    private static Picture Drawn(int width, int height, long seed)
    {
        var picture = Picture.Create(width, height);
        var rng = new Rng(seed);
        foreach (ref var level in picture.Pixels) level = (byte)rng.Below(256);
        return picture;
    }

    [Fact]
    public void Whatever_is_cut_and_resized_a_plain_picture_stays_plain_for_nothing_outside_it_is_read() =>
        Gen.Select(Gen.Int[1, 60], Gen.Int[1, 60], Gen.Int[0, 255], s_cut.Array[0, 5], s_seed).Sample((width, height, level, steps, seed) =>
        {
            using var picture = Picture.Create(width, height);
            picture.Pixels.Fill((byte)level);
            var values = Run(picture, new Preprocessing(24, 17, steps, s_unit), seed);
            Assert.All(values, value => Assert.InRange(value * 255, level - 0.51, level + 0.51));
        }, iter: 400, threads: 1);

    [Fact]
    public void A_triangle_filter_stays_between_the_darkest_and_the_lightest_level() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 40], s_seed).Sample((width, height, toWidth, toHeight, seed) =>
        {
            using var picture = Drawn(width, height, seed);
            var (low, high) = (picture.Pixels.ToArray().Min(), picture.Pixels.ToArray().Max());
            Assert.All(Run(picture, new Preprocessing(toWidth, toHeight, [new ResizeExact(toWidth, toHeight)], s_unit)), value =>
                Assert.InRange(value * 255, low - 0.01, high + 0.01));
        }, iter: 300, threads: 1);

    [Fact]
    public void Its_own_size_is_no_change_and_two_mirrors_are_none_either() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], s_seed).Sample((width, height, seed) =>
        {
            using var picture = Drawn(width, height, seed);
            var as_is = Run(picture, new Preprocessing(width, height, [], s_unit));
            for (var k = 0; k < width * height; k++) Assert.Equal(picture.Pixels[3 * k] / 255f, as_is[k], 5);
            Assert.Equal(as_is, Run(picture, new Preprocessing(width, height, [new ResizeExact(width, height)], s_unit)));
            Assert.Equal(as_is, Run(picture, new Preprocessing(width, height, [new Resize(Math.Min(width, height))], s_unit)));
            Assert.Equal(as_is, Run(picture, new Preprocessing(width, height, [new HorizontalFlip(1), new HorizontalFlip(1)], s_unit)));
        }, iter: 200, threads: 1);

    [Fact]
    public void The_middle_is_cut_out_pixel_by_pixel() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 40], Gen.Int[1, 40], s_seed).Where((width, height, side, _) => side <= Math.Min(width, height))
            .Sample((width, height, side, seed) =>
        {
            using var picture = Drawn(width, height, seed);
            var cut = Run(picture, new Preprocessing(side, side, [new CenterCrop(side)], s_unit));
            // torchvision's center_crop: int(round((size - side) / 2.0)), halves to even.
            int left = (int)Math.Round((width - side) / 2.0), top = (int)Math.Round((height - side) / 2.0);
            for (var y = 0; y < side; y++)
            {
                for (var x = 0; x < side; x++) Assert.Equal(picture.Pixels[3 * ((top + y) * width + left + x)] / 255f, cut[y * side + x], 5);
            }
        }, iter: 300, threads: 1);

    [Fact]
    public void What_a_decoder_may_leave_out_lies_inside_the_picture() =>
        Gen.Select(Gen.Int[1, 3000], Gen.Int[1, 3000], Gen.Int[1, 400], Gen.Int[1, 400]).Sample((width, height, resize, crop) =>
        {
            var box = TransformRunner.Looked(Preprocessing.Evaluation(resize, crop, s_unit), width, height);
            if (box == default) { Assert.True(crop > resize); return; }
            Assert.True(box is { X: >= 0, Y: >= 0, Width: > 0, Height: > 0 } && box.X + box.Width <= width && box.Y + box.Height <= height, $"{box}");
            // The middle is always looked at.
            Assert.True(box.X <= width / 2 && box.X + box.Width >= width / 2 && box.Y <= height / 2 && box.Y + box.Height >= height / 2, $"{box}");
        }, iter: 2000);

    // Numbers and splits

    [Fact]
    public void A_permutation_has_every_number_once_and_follows_from_its_seeds() =>
        Gen.Select(Gen.Int[0, 300], s_seed, s_seed).Sample((n, a, b) =>
        {
            var order = new Rng(a, b).Permutation(n);
            Assert.Equal(Enumerable.Range(0, n), order.Order());
            Assert.Equal(order, new Rng(a, b).Permutation(n));
        }, iter: 500);

    [Fact]
    public void A_number_below_a_bound_is_below_it() =>
        Gen.Select(Gen.Int[1, int.MaxValue], s_seed).Sample((bound, seed) =>
        {
            var rng = new Rng(seed);
            for (var k = 0; k < 20; k++) Assert.InRange(rng.Below(bound), 0, bound - 1);
            for (var k = 0; k < 20; k++) Assert.InRange(rng.Next(), 0, 1 - 1e-16);
        }, iter: 500);

    private static readonly Gen<int[]> s_labels = Gen.Int[1, 6].SelectMany(classes => Gen.Int[0, classes - 1].Array[1, 80]);

    [Fact]
    public void A_split_shares_out_every_picture_of_every_class_once() =>
        Gen.Select(s_labels, Gen.Double[0, 1], s_seed).Sample((labels, share, seed) =>
        {
            var data = Labelled(labels);
            var (first, second) = data.SplitStratified(share, seed);
            Assert.Equal(Enumerable.Range(0, labels.Length), Names(first).Concat(Names(second)).Order());
            Assert.All(new[] { first, second }, part => Assert.Equal(part.Labels, Names(part).Select(k => labels[k])));
            var (all, taken) = (data.CountsByClass(), second.CountsByClass());
            for (var c = 0; c < all.Length; c++)
            {
                Assert.Equal(all[c] < 2 ? 0 : Math.Clamp((int)Math.Round(all[c] * share), 1, all[c] - 1), taken[c]);
            }
            Assert.Equal(Names(second), Names(data.SplitStratified(share, seed).Second));
        }, iter: 500);

    [Fact]
    public void Pictures_of_one_class_more_do_not_move_those_of_another() =>
        Gen.Select(s_labels, Gen.Int[1, 20], Gen.Double[0, 1], s_seed).Sample((labels, more, share, seed) =>
        {
            var last = labels.Max();
            var grown = Labelled([.. labels, .. Enumerable.Repeat(last, more)]).SplitStratified(share, seed).Second;
            var held = Labelled(labels).SplitStratified(share, seed).Second;
            Assert.Equal(Names(held).Where(k => labels[k] != last), Names(grown).Where(k => k < labels.Length && labels[k] != last));
        }, iter: 300);

    [Fact]
    public void Folds_are_even_over_all_pictures_and_over_every_class() =>
        Gen.Select(s_labels, Gen.Int[1, 8], s_seed).Sample((labels, folds, seed) =>
        {
            var fold = Dataset.StratifiedFolds(labels, folds, seed);
            foreach (var members in Enumerable.Range(0, labels.Length).GroupBy(k => labels[k])
                .Append(Enumerable.Range(0, labels.Length).GroupBy(_ => -1).Single()))
            {
                int[] sizes = [.. Enumerable.Range(0, folds).Select(f => members.Count(k => fold[k] == f))];
                Assert.Equal(members.Count(), sizes.Sum());
                Assert.True(sizes.Max() - sizes.Min() <= 1, string.Join(' ', sizes));
            }
            Assert.Equal(fold, Dataset.StratifiedFolds(labels, folds, seed));
        }, iter: 300);

    // Feeds

    [Fact]
    public void An_epoch_of_indices_is_a_permutation_and_a_resumed_one_is_its_tail() =>
        Gen.Select(Gen.Int[1, 100], Gen.Int[1, 40], s_seed, Gen.Int[0, 50], Gen.Int[0, 12]).Sample((items, size, seed, epoch, skip) =>
        {
            using var feed = new IndexFeed(items, size, seed);
            var batches = feed.Epoch(epoch, 0).ToList();
            Assert.Equal(feed.Batches, batches.Count);
            Assert.Equal(Enumerable.Range(0, items), batches.SelectMany(batch => batch).Order());
            Assert.All(batches, batch => Assert.InRange(feed.Size(batch), 1, size));
            Assert.Equal(batches.Skip(skip), feed.Epoch(epoch, skip));
        }, iter: 300);

    [Fact]
    public void Numbers_of_batches_go_on_from_epoch_to_epoch() =>
        Gen.Select(Gen.Int[1, 50], Gen.Int[1, 20], Gen.Int[0, 60]).Sample((batches, epochs, skip) =>
        {
            using var feed = new NumberFeed(batches);
            Assert.Equal(Enumerable.Range(0, batches * epochs).Select(k => (long)k), Enumerable.Range(0, epochs)
                .SelectMany(epoch => feed.Epoch(epoch, 0)));
            Assert.Equal(feed.Epoch(epochs, 0).Skip(skip), feed.Epoch(epochs, skip));
        }, iter: 200);

    [Fact]
    public void An_order_is_cut_into_batches_of_which_none_is_lost_and_none_stands_alone() =>
        Gen.Select(Gen.Int[1, 200], Gen.Int[1, 40], Gen.Bool).Sample((pictures, size, join) =>
        {
            var batches = Loader.Cut([.. Enumerable.Range(0, pictures)], size, join).ToList();
            Assert.Equal(Enumerable.Range(0, pictures), batches.SelectMany(batch => batch));
            Assert.All(batches, batch => Assert.InRange(batch.Length, 1, join ? size + 1 : size));
            if (!join) return;
            Assert.Equal(Loader.Count(pictures, size), batches.Count);
            if (pictures > 1 && size > 1) Assert.True(batches[^1].Length > 1);
        }, iter: 500);

    [Fact]
    public void Pictures_come_in_the_same_batches_with_the_same_pixels_when_an_epoch_is_resumed()
    {
        using var shop = new Workshop();
        ShapeWorld.Write(shop.Root, ["star4", "gear"], 4, 1);
        using var store = new PictureStore(DatasetReader.Open(shop.Root).Train);
        int[] items = [.. Enumerable.Range(0, 8)];
        var steps = Preprocessing.Small(8, s_unit).With(new RandomResizedCrop(8), new HorizontalFlip());
        Gen.Select(Gen.Int[1, 9], Gen.Int[0, 5], Gen.Int[0, 4], s_seed).Sample((size, epoch, skip, seed) =>
        {
            using var feed = new PictureFeed(store, items, steps, size, seed);
            (int[], float[])[] All(int from) => [.. feed.Epoch(epoch, from).Select(batch =>
            {
                using (batch) return (batch.Indices, batch.Inputs.Contiguous().ToArray<float>());
            })];
            var (whole, tail) = (All(0), All(skip));
            Assert.Equal(feed.Batches, whole.Length);
            Assert.Equal(items, whole.SelectMany(batch => batch.Item1).Order());
            Assert.Equal(whole.Skip(skip).Select(batch => batch.Item1), tail.Select(batch => batch.Item1));
            Assert.Equal(whole.Skip(skip).Select(batch => batch.Item2), tail.Select(batch => batch.Item2));
        }, iter: 25, threads: 1);
    }

    // Episodes

    [Fact]
    public void An_episode_has_its_ways_and_shots_and_no_picture_is_support_and_query()
    {
        using var shop = new Workshop();
        using var scope = new TensorScope();
        string[] groups = ["star4", "gear", "cross"];
        foreach (var group in groups) ShapeWorld.Write(shop["d", group], ["ring", "triangle"], 5, 1);
        var pool = EpisodePool.Read(DatasetReader.Open(shop["d"]).Train, Preprocessing.Small(8, s_unit)).WithTurns();
        Assert.Equal(24, pool.Classes.Count);
        Gen.Select(Gen.Int[2, 8], Gen.Int[1, 4], Gen.Int[1, 4], Gen.Bool, s_seed, Gen.Long[0, 1L << 40])
            .Where((way, shot, query, within, _, _) => shot + query <= 5 && (!within || way <= 2)).Sample((way, shot, query, within, seed, index) =>
        {
            var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = way, Shot = shot, Query = query, WithinGroup = within, Seed = seed });
            var (support, queries) = sampler.DrawItems(index);
            foreach (var (items, each) in new[] { (support, shot), (queries, query) })
                Assert.Equal(Enumerable.Range(0, way).Select(label => ((long)label, each)), items.GroupBy(item => item.Label)
                    .OrderBy(label => label.Key).Select(label => (label.Key, label.Count())));
            Assert.Equal(way * (shot + query), support.Concat(queries).Select(item => (item.Row, item.Turn)).Distinct().Count());
            // An episode's class is one class of the pool.
            var classes = support.Concat(queries).GroupBy(item => item.Label)
                .Select(label => Assert.Single(pool.Classes, found => found.Turn == label.First().Turn
                && label.All(item => item.Turn == found.Turn && found.Rows.Contains(item.Row)))).ToArray();
            Assert.Equal(way, classes.Distinct().Count());
            if (within) Assert.Single(classes.Select(found => found.Group).Distinct());
            var (again, _) = sampler.DrawItems(index);
            Assert.Equal(support, again);
        }, iter: 300, threads: 1);
        Gen.Select(Gen.Int[1, 12], Gen.Int[1, 9], Gen.Int[0, 30], Gen.Int[0, 12], Gen.Bool).Sample((perStep, batches, epoch, skip, together) =>
        {
            using var feed = new EpisodeFeed(new EpisodeSampler(pool, new EpisodeOptions { Way = 2, Query = 1 }), perStep, batches, together);
            var all = feed.Epoch(epoch, 0).ToList();
            Assert.Equal(feed.Batches, all.Count);
            Assert.Equal(Enumerable.Range(0, perStep * batches).Select(k => (long)epoch * batches * perStep + k),
                all.SelectMany(batch => batch.Numbers));
            Assert.Equal(all.Skip(skip).Select(batch => batch.Numbers), feed.Epoch(epoch, skip).Select(batch => batch.Numbers));
            var parts = Enumerable.Range(0, feed.Parts).Select(part => feed.Part(all[0], part, feed.Parts)).ToList();
            Assert.Equal(all[0].Numbers, parts.SelectMany(part => part.Batch.Numbers).Order());
            Assert.All(parts, part => Assert.Equal((double)part.Batch.Numbers.Count / perStep, part.Share));
            Assert.Equal(1, parts.Sum(part => part.Share), 9);
        }, iter: 200, threads: 1);
    }

    // Threads

    private sealed class Sum : Module
    {
        public List<int> Seen { get; } = [];

        public override Tensor Forward(Tensor x) => x;
    }

    [Fact]
    public void Which_replica_does_what_follows_from_the_works_number_and_so_do_its_sums() =>
        Gen.Select(Gen.Int[1, 9], Gen.Int[0, 40]).Sample((replicas, items) =>
        {
            Sum[] all = [.. Enumerable.Range(0, replicas).Select(_ => new Sum())];
            using (var workers = new Workers(all))
            {
                // Every replica is one thread's, so its list needs no lock; sums of floats depend on their order, and here it is fixed.
                workers.Run(items, (k, replica) => ((Sum)replica).Seen.Add(k));
                workers.Run(items, (k, replica) => ((Sum)replica).Seen.Add(k));
            }
            int[] once = [.. Enumerable.Range(0, items)];
            for (var r = 0; r < replicas; r++)
            {
                var own = replicas == 1 ? once : [.. once.Where(k => k % replicas == r)];
                Assert.Equal([.. own, .. own], all[r].Seen);
            }
        }, iter: 40, threads: 1);
}
