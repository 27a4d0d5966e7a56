using System.Diagnostics;
using Graft.Learning;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>Accuracy over episodes.</summary>
/// <param name="Accuracy">The mean over episodes.</param>
/// <param name="Interval">Half of the 95% interval of that mean: 1.96 standard errors over episodes.</param>
/// <param name="Episodes">How many.</param>
/// <param name="Transductive">Whether queries were answered together, BatchNorm's statistics of theirs included.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record EpisodeAccuracy(double Accuracy, double Interval, int Episodes, bool Transductive, double Seconds)
{
    /// <inheritdoc/>
    public override string ToString() => $"{100 * Accuracy:0.0} ± {100 * Interval:0.0}%";

    /// <summary>From each episode's accuracy.</summary>
    internal static EpisodeAccuracy Of(IReadOnlyList<double> accuracies, bool transductive, double seconds)
    {
        var mean = accuracies.Average();
        var variance = accuracies.Sum(value => (value - mean) * (value - mean)) / Math.Max(1, accuracies.Count - 1);
        return new EpisodeAccuracy(mean, 1.96 * Math.Sqrt(variance / accuracies.Count), accuracies.Count, transductive, seconds);
    }
}

/// <summary>Scores a learner over many episodes.</summary>
public static class EpisodeEvaluator
{
    /// <summary>Fewer episodes than this tell too little.</summary>
    public const int LeastEpisodes = 600;

    // Milder than in training: a view should still look like a picture of its class.
    private static readonly PictureJitter s_viewJitter = new PictureJitter().Times(0.6);

    /// <summary>Mean accuracy over episodes, with its interval; the learner is left in inference mode.</summary>
    /// <param name="learner">What answers.</param>
    /// <param name="sampler">Where episodes come from.</param>
    /// <param name="episodes">How many.</param>
    /// <param name="transductive">Queries are answered together.</param>
    /// <param name="first">The first episode's number.</param>
    /// <param name="progress">Episodes done, of all.</param>
    /// <param name="cancel">Stops.</param>
    /// <param name="views">
    /// Each picture is seen so many times, mildly jittered but for the first, and scores are averaged. Metric methods (inductively)
    /// compare every view with every other; methods that train on the support train on all views of it.
    /// </param>
    /// <param name="balanced">Queries are known to be spread evenly over the classes (<see cref="BalancedAssignment"/>); transductive.</param>
    public static EpisodeAccuracy Evaluate(EpisodeLearner learner, EpisodeSampler sampler, int episodes = LeastEpisodes, bool transductive = false,
        long first = 0, Action<int, int>? progress = null, CancellationToken cancel = default, int views = 1, bool balanced = false)
    {
        using var workers = Workers.Of(learner, Math.Min(episodes, Cores.Count));
        return Evaluate(workers, sampler, episodes, transductive, first, progress, cancel, views, balanced);
    }

    internal static EpisodeAccuracy Evaluate(Workers workers, EpisodeSampler sampler, int episodes, bool transductive, long first = 0,
        Action<int, int>? progress = null, CancellationToken cancel = default, int views = 1, bool balanced = false)
    {
        var clock = Stopwatch.StartNew();
        foreach (var replica in workers.Replicas) ((EpisodeLearner)replica).Prepare(transductive);
        var accuracies = new double[episodes];
        var done = 0;
        using var table = !transductive && sampler.Options is { Augmentation: null, Composed: 0 } && workers.Replicas[0] is MetricLearner
            ? new EncodedPool(workers, sampler.Pool, views) : null;
        if (views > 1 && table is null && (workers.Replicas[0] is not TaskLearner || sampler.Options is not { Augmentation: null, Composed: 0 }))
            throw new GraftException("several views are for metric methods, inductively, and for methods that train on the support; of pictures as they are");
        workers.Run(episodes, (k, replica) =>
        {
            var learner = (EpisodeLearner)replica;
            cancel.ThrowIfCancellationRequested();
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            Tensor scores;
            long[] labels;
            if (table is not null)
            {
                var (support, query) = sampler.DrawItems(first + k);
                (scores, labels) = (table.Scores((MetricLearner)learner, support, query, sampler.Options.Way), [.. query.Select(item => item.Label)]);
            }
            else if (views > 1)
            {
                (scores, labels) = InViews((TaskLearner)learner, sampler, first + k, views);
            }
            else
            {
                var episode = sampler.Draw(first + k);
                (scores, labels) = (learner.Scores(episode.Support, episode.Queries), episode.QueryLabels);
            }
            accuracies[k] = Right(balanced ? BalancedAssignment.Apply(scores) : scores, labels);
            var count = Interlocked.Increment(ref done);
            progress?.Invoke(count, episodes);
        });
        return EpisodeAccuracy.Of(accuracies, transductive || balanced, clock.Elapsed.TotalSeconds);
    }

    private static (Tensor Scores, long[] Labels) InViews(TaskLearner learner, EpisodeSampler sampler, long index, int views)
    {
        var (support, query) = sampler.DrawItems(index);
        var rng = new Data.Rng(43, index);
        Tensor[] Views(List<EpisodeItem> items)
        {
            var (rows, turns) = (items.Select(item => item.Row).ToArray(), items.Select(item => item.Turn).ToArray());
            return [.. Enumerable.Range(0, views).Select(view => sampler.Pool.Take(rows, turns, view == 0 ? null : s_viewJitter, ref rng))];
        }
        var shown = new Support(Ops.Cat(Views(support), 0),
            [.. Enumerable.Repeat(support, views).SelectMany(items => items.Select(item => item.Label))], sampler.Options.Way);
        return (learner.Scores(shown, Views(query)), [.. query.Select(item => item.Label)]);
    }

    internal static double Right(Tensor scores, long[] labels)
    {
        if (double.IsNaN(scores.Sum().Item())) throw new GraftException("the scores are no numbers: the training, or its steps within a task, went too far. Try a smaller --rate or --inner-rate");
        var said = scores.Argmax(1).ToArray<long>();
        return said.Zip(labels, (a, b) => a == b).Count(right => right) / (double)labels.Length;
    }

    /// <summary>Every picture of a pool, encoded once: inductively, a picture's embedding is the same in every episode.</summary>
    private sealed class EncodedPool : IDisposable
    {
        private const int Chunk = 64;

        private readonly Tensor[] _views;
        private readonly Dictionary<(int Row, int Turn), long> _places = [];

        public EncodedPool(Workers workers, EpisodePool pool, int views)
        {
            var items = pool.Classes.SelectMany(found => found.Rows.Select(row => (Row: row, found.Turn))).Distinct().ToArray();
            for (var k = 0; k < items.Length; k++) _places[items[k]] = k;
            _views = [.. Enumerable.Range(0, views).Select(view => Encode(workers, pool, items, view == 0 ? null : s_viewJitter, view))];
        }

        private static Tensor Encode(Workers workers, EpisodePool pool, (int Row, int Turn)[] items, PictureJitter? jitter, int view)
        {
            var chunks = items.Chunk(Chunk).ToArray();
            var parts = new Tensor[chunks.Length];
            workers.Run(chunks.Length, (k, learner) =>
            {
                using var mode = Autograd.NoGrad();
                using var scope = new TensorScope();
                var rng = new Data.Rng(41, view, k);
                parts[k] = TensorScope.Detach(((MetricLearner)learner)
                    .Encode(pool.Take([.. chunks[k].Select(item => item.Row)], [.. chunks[k].Select(item => item.Turn)], jitter, ref rng)));
            });
            using var none = Autograd.NoGrad();
            var rows = TensorScope.Detach(Ops.Cat(parts, 0));
            foreach (var part in parts) part.Dispose();
            return rows;
        }

        /// <summary>The mean of the scores of every view of the support with every view of the queries.</summary>
        public Tensor Scores(MetricLearner learner, IReadOnlyList<EpisodeItem> support, IReadOnlyList<EpisodeItem> query, int way)
        {
            Tensor[] Rows(IReadOnlyList<EpisodeItem> items)
            {
                var places = Tensor.From([.. items.Select(item => _places[(item.Row, item.Turn)])]);
                return [.. _views.Select(view => view.IndexSelect(0, places))];
            }
            var (shown, asked, labels) = (Rows(support), Rows(query), Tensor.From([.. support.Select(item => item.Label)]));
            return Ops.Stack([.. shown.SelectMany(s => asked.Select(q => learner.FromEmbeddings(s, labels, way, q)))]).Mean([0L]);
        }

        public void Dispose()
        {
            foreach (var view in _views) view.Dispose();
        }
    }
}
