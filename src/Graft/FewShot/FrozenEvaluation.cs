using System.Diagnostics;
using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A rule's accuracy over episodes of features.</summary>
internal sealed record RuleAccuracy(string Rule, EpisodeAccuracy Accuracy);

/// <summary>Every rule on the features of a frozen network, over the same episodes: each picture goes through the network once.</summary>
internal static class FrozenEvaluation
{
    /// <summary>Encodes the pictures, then scores every rule; gives the pictures that cannot be read as well.</summary>
    public static (IReadOnlyList<RuleAccuracy> Rules, IReadOnlyList<BrokenPicture> Broken) Run(
        PictureEncoder encoder, Dataset data, EpisodeOptions options, int episodes, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        var (features, indices, broken) = encoder.Encode(data);
        using var rows = Tensor.From(features, indices.Length, encoder.Size);
        return (Run(rows, [.. indices.Select(k => data.Labels[k])], data.Classes, FeatureRules.All(), options, episodes,
            progress, cancel), broken);
    }

    /// <summary>Scores rules on features that are there: n×d, with a class number each.</summary>
    /// <exception cref="GraftException">Too few classes, or too few pictures of one.</exception>
    public static IReadOnlyList<RuleAccuracy> Run(
        Tensor features, int[] labels,
        IReadOnlyList<string> classes, IReadOnlyList<IFeatureRule> rules, EpisodeOptions options, int episodes, Action<int, int>? progress = null,
        CancellationToken cancel = default)
    {
        using var mode = Autograd.NoGrad();
        var need = options.Shot + options.Query;
        var members = Enumerable.Range(0, classes.Count).Select(c => Enumerable.Range(0, labels.Length).Where(k => labels[k] == c).ToArray())
            .ToArray();
        if (options.Way < 2 || classes.Count < options.Way) throw new GraftException($"{options.Way}-way episodes need {Math.Max(2, options.Way)} classes, and there are {classes.Count}: ask for fewer with --way");
        for (var c = 0; c < classes.Count; c++)
        {
            if (members[c].Length < need) throw new GraftException($"the class '{classes[c]}' has {members[c].Length} pictures, and an episode takes {options.Shot} support + {options.Query} query pictures: ask for fewer with --shot and --query");
        }
        var (right, seconds) = (rules.Select(_ => new double[episodes]).ToArray(), new double[rules.Count]);
        for (var e = 0; e < episodes; e++)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = new TensorScope();
            var rng = new Rng(options.Seed, 4, e);
            var (support, query, supportLabels, queryLabels) = (new List<long>(), new List<long>(), new List<long>(), new List<long>());
            foreach (var (c, number) in rng.Permutation(classes.Count).Take(options.Way).Select((c, number) => (c, number)))
            {
                var order = rng.Permutation(members[c].Length);
                for (var k = 0; k < need; k++)
                {
                    (k < options.Shot ? support : query).Add(members[c][order[k]]);
                    (k < options.Shot ? supportLabels : queryLabels).Add(number);
                }
            }
            var (s, q, targets) = (features.IndexSelect(0, Tensor.From([.. support])), features.IndexSelect(0, Tensor.From([.. query])),
                Tensor.From([.. supportLabels]));
            for (var r = 0; r < rules.Count; r++)
            {
                using var inner = new TensorScope();
                var clock = Stopwatch.GetTimestamp();
                right[r][e] = EpisodeEvaluator.Right(rules[r].Scores(s, targets, options.Way, q), [.. queryLabels]);
                seconds[r] += Stopwatch.GetElapsedTime(clock).TotalSeconds;
            }
            progress?.Invoke(e + 1, episodes);
        }
        return [.. rules.Select((rule, r) =>
            new RuleAccuracy(rule.Transductive ? $"{rule.Name} (transductive)" : rule.Name,
            EpisodeAccuracy.Of(right[r], rule.Transductive, seconds[r])))];
    }
}
