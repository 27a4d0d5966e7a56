using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A support set: S pictures, S×C×H×W, with a class number 0 … way − 1 each.</summary>
public sealed record Support(Tensor Pictures, long[] Labels, int Way)
{
    /// <summary>S whole numbers.</summary>
    public Tensor Targets => Tensor.From(Labels);
}

/// <summary>A small task: learn from the support, answer for the queries.</summary>
/// <param name="Support">What is learned from.</param>
/// <param name="Queries">Q×C×H×W.</param>
/// <param name="QueryLabels">The queries' true classes.</param>
/// <param name="Classes">The pool's classes, in the order of the episode's numbers; of a composed episode, those that its parts come from.</param>
public sealed record Episode(Support Support, Tensor Queries, long[] QueryLabels, int[] Classes)
{
    /// <summary>For what a learner draws at random within this episode.</summary>
    public long Seed { get; init; }

    /// <summary>Q whole numbers.</summary>
    public Tensor QueryTargets => Tensor.From(QueryLabels);
}

/// <summary>What episodes look like.</summary>
public sealed record EpisodeOptions
{
    /// <summary>Classes in an episode.</summary>
    [Option("Classes of an episode", Least = 2)]
    public int Way { get; init; } = 5;

    /// <summary>Support pictures of each class.</summary>
    [Option("Support pictures of each class", Least = 1)]
    public int Shot { get; init; } = 1;

    /// <summary>Query pictures of each class.</summary>
    [Option("Query pictures of each class", Least = 1)]
    public int Query { get; init; } = 5;

    /// <summary>All classes of an episode come from one group (an alphabet, a super-class).</summary>
    [Option("All classes of an episode come from one group", Name = "--within-groups")]
    public bool WithinGroup { get; init; }

    /// <summary>
    /// Supports are every class's pictures of the same numbers, and so are queries: on Omniglot, all supports by one drawer and
    /// all queries by another, as in its one-shot challenge (Lake et al. 2015).
    /// </summary>
    [Option("Supports are each class's pictures of one number, queries of another: on Omniglot one drawer against another")]
    public bool SameInstances { get; init; }

    /// <summary>
    /// Share of episodes whose classes are pairs of characters, written side by side or one above the other: new classes that
    /// share parts, so that a look at one part does not tell them apart. For drawings.
    /// </summary>
    [Option("Share of episodes whose classes are pairs of drawings, side by side: new classes that share parts",
        Name = "--compose", HelpName = "SHARE", Least = 0, Most = 1)]
    public double Composed { get; init; }

    /// <summary>Random changes of every picture.</summary>
    public PictureJitter? Augmentation { get; init; }

    /// <summary>Same seed, same episodes.</summary>
    [Option("Of the episodes")]
    public long Seed { get; init; }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option out of its bounds.</exception>
    public void Validate() => OptionBounds.Check(this);
}

/// <summary>A picture of an episode: its row in the pool, how it is turned, and its class's number in the episode.</summary>
internal readonly record struct EpisodeItem(int Row, int Turn, long Label);

/// <summary>Draws episodes from a pool; episode number k is the same whenever and wherever it is drawn.</summary>
public sealed class EpisodeSampler
{
    private readonly int[][] _groups;

    /// <summary>Checks that the pool has what an episode takes.</summary>
    /// <exception cref="GraftException">Too few classes, or too few pictures of one.</exception>
    public EpisodeSampler(EpisodePool pool, EpisodeOptions options)
    {
        (Pool, Options) = (pool, options);
        options.Validate();
        var classes = pool.Classes;
        var need = options.Shot + options.Query;
        var small = classes.Where(found => found.Rows.Length < need).ToArray();
        if (small.Length > 0)
            throw new GraftException($"{small.Length} class(es) have fewer than {options.Shot} support + {options.Query} query pictures, such as {small[0].Name} with {small[0].Rows.Length}: ask for fewer with --shot and --query, or leave those classes out");
        _groups = options.WithinGroup ? [.. Enumerable.Range(0, classes.Count).GroupBy(k => classes[k].Group).Select(group => group.ToArray())
            .Where(group => group.Length >= options.Way)] : [[.. Enumerable.Range(0, classes.Count)]];
        if (_groups.Length == 0 || _groups[0].Length < options.Way)
        {
            throw new GraftException(options.WithinGroup
                ? $"no group has {options.Way} classes (the largest has {classes.GroupBy(found => found.Group).Max(group => group.Count())}): ask for fewer with --way"
                : $"{options.Way}-way episodes need {options.Way} classes, and there are {classes.Count}: ask for fewer with --way, or give more classes");
        }
    }

    /// <summary>Where the pictures come from.</summary>
    public EpisodePool Pool { get; }

    /// <summary>What episodes look like.</summary>
    public EpisodeOptions Options { get; }

    /// <summary>Episode number <paramref name="index"/>.</summary>
    public Episode Draw(long index)
    {
        var rng = new Rng(Options.Seed, 3, index);
        if (Options.Composed > 0 && rng.Next() < Options.Composed) return ComposedEpisode.Draw(Pool, Group(ref rng), Options,
            ref rng) with { Seed = index };
        var (support, query, classes) = Choose(ref rng);
        EpisodeItem[] all = [.. support, .. query];
        var pictures = Pool.Take([.. all.Select(item => item.Row)], [.. all.Select(item => item.Turn)], Options.Augmentation, ref rng);
        return new Episode(new Support(pictures.Narrow(0, 0, support.Count), [.. support.Select(item => item.Label)], Options.Way),
            pictures.Narrow(0, support.Count, query.Count), [.. query.Select(item => item.Label)], classes) { Seed = index };
    }

    /// <summary>The pictures of episode number <paramref name="index"/>, without reading them.</summary>
    internal (List<EpisodeItem> Support, List<EpisodeItem> Query) DrawItems(long index)
    {
        var rng = new Rng(Options.Seed, 3, index);
        var (support, query, _) = Choose(ref rng);
        return (support, query);
    }

    // A group as often as it has classes, so that every class is as likely.
    private int[] Group(ref Rng rng)
    {
        if (_groups.Length == 1) return _groups[0];
        var place = rng.Below(_groups.Sum(found => found.Length));
        foreach (var group in _groups)
        {
            if ((place -= group.Length) < 0) return group;
        }
        return _groups[^1];
    }

    private (List<EpisodeItem> Support, List<EpisodeItem> Query, int[] Classes) Choose(ref Rng rng)
    {
        var group = Group(ref rng);
        int[] classes = [.. rng.Permutation(group.Length).Take(Options.Way).Select(k => group[k])];
        var (support, query) = (new List<EpisodeItem>(), new List<EpisodeItem>());
        var shared = Options.SameInstances ? rng.Permutation(classes.Min(k => Pool.Classes[k].Rows.Length)) : null;
        for (var c = 0; c < classes.Length; c++)
        {
            var found = Pool.Classes[classes[c]];
            var order = shared ?? rng.Permutation(found.Rows.Length);
            for (var k = 0; k < Options.Shot + Options.Query; k++) (k < Options.Shot ? support : query)
                .Add(new EpisodeItem(found.Rows[order[k]], found.Turn, c));
        }
        return (support, query, classes);
    }
}
