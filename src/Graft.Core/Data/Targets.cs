using System.Globalization;
using System.Text.Json.Serialization;

namespace Graft.Data;

/// <summary>What is told of an item: of a picture, of a sentence.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<TargetKind>))]
public enum TargetKind
{
    /// <summary>One class of several.</summary>
    Classes,

    /// <summary>Any number of labels, none among them.</summary>
    Labels,

    /// <summary>One number or more.</summary>
    Numbers,

    /// <summary>How alike the two texts of a pair are, as a number: each is read by itself, and their vectors are compared.</summary>
    Similarity,
}

/// <summary>What is to be learned of each item of a dataset.</summary>
/// <param name="kind">Which of the kinds below.</param>
/// <param name="names">Of the classes, the labels or the columns: of a head's outputs, in their order.</param>
public abstract class Targets(TargetKind kind, IReadOnlyList<string> names)
{
    /// <summary>Which kind.</summary>
    public TargetKind Kind { get; } = kind;

    /// <summary>Of the outputs, in their order.</summary>
    public IReadOnlyList<string> Names { get; } = names;

    /// <summary>How many items.</summary>
    public abstract int Count { get; }

    /// <summary>These items, in this order.</summary>
    public abstract Targets Subset(IReadOnlyList<int> indices);

    /// <summary>As text that tells two targets apart.</summary>
    public abstract string Describe(int index);

    /// <summary>The items of the second of two parts, which has this share of what there is of every kind.</summary>
    public abstract IReadOnlySet<int> HeldOut(double share, long seed);

    /// <summary>A fold number for each item, what there is of every kind spread evenly over them.</summary>
    public abstract int[] Folds(int folds, long seed);

    internal GraftException NoClasses(ItemNoun noun) =>
        new($"the {noun.Many} have {(Kind switch { TargetKind.Labels => "several labels each", TargetKind.Similarity => "scores of how alike they are", _ => "numbers" })}, and this is for {noun.Many} of one class each");
}

/// <summary>One class for each item.</summary>
/// <param name="labels">A class number for each.</param>
/// <param name="names">Of the classes.</param>
public sealed class ClassTargets(int[] labels, IReadOnlyList<string> names) : Targets(TargetKind.Classes, names)
{
    /// <summary>A class number for each.</summary>
    public int[] Labels { get; } = labels;

    /// <inheritdoc/>
    public override int Count => Labels.Length;

    /// <inheritdoc/>
    public override Targets Subset(IReadOnlyList<int> indices) => new ClassTargets([.. indices.Select(k => Labels[k])], Names);

    /// <inheritdoc/>
    public override string Describe(int index) => Names[Labels[index]];

    /// <inheritdoc/>
    public override IReadOnlySet<int> HeldOut(double share, long seed)
    {
        var second = new HashSet<int>();
        for (var c = 0; c < Names.Count; c++)
        {
            int[] members = [.. Enumerable.Range(0, Count).Where(k => Labels[k] == c)];
            if (members.Length < 2) continue;
            var take = Math.Clamp((int)Math.Round(members.Length * share), 1, members.Length - 1);
            foreach (var k in new Rng(seed, c).Permutation(members.Length).Take(take)) second.Add(members[k]);
        }
        return second;
    }

    /// <inheritdoc/>
    public override int[] Folds(int folds, long seed) => Dataset.StratifiedFolds(Labels, folds, seed);
}

/// <summary>Any number of labels for each item.</summary>
/// <param name="sets">The label numbers of each.</param>
/// <param name="names">Of the labels.</param>
public sealed class LabelTargets(int[][] sets, IReadOnlyList<string> names) : Targets(TargetKind.Labels, names)
{
    /// <summary>The label numbers of each.</summary>
    public int[][] Sets { get; } = sets;

    /// <inheritdoc/>
    public override int Count => Sets.Length;

    /// <summary>Items that have each label.</summary>
    public int[] Counts()
    {
        var counts = new int[Names.Count];
        foreach (var label in Sets.SelectMany(set => set)) counts[label]++;
        return counts;
    }

    /// <inheritdoc/>
    public override Targets Subset(IReadOnlyList<int> indices) => new LabelTargets([.. indices.Select(k => Sets[k])], Names);

    /// <inheritdoc/>
    public override string Describe(int index) => string.Join("; ", Sets[index].Select(label => Names[label]));

    /// <inheritdoc/>
    public override IReadOnlySet<int> HeldOut(double share, long seed)
    {
        var parts = Stratified([1 - share, share], seed);
        return Enumerable.Range(0, Count).Where(k => parts[k] == 1).ToHashSet();
    }

    /// <inheritdoc/>
    public override int[] Folds(int folds, long seed) => Stratified([.. Enumerable.Repeat(1.0 / folds, folds)], seed);

    /// <summary>
    /// Iterative stratification (Sechidis et al. 2011, algorithm 1): the label with the fewest items left first, each of its items to the
    /// part that still wants most of that label, then to the one that wants most items.
    /// </summary>
    private int[] Stratified(double[] shares, long seed)
    {
        var part = Enumerable.Repeat(-1, Count).ToArray();
        var order = new Rng(seed, 7).Permutation(Count);
        double[] wanted = [.. shares.Select(share => share * Count)];
        var left = Counts();
        double[][] wantedOf = [.. left.Select(count => shares.Select(share => share * count).ToArray())];
        void Put(int item, int label)
        {
            var best = 0;
            for (var p = 1; p < shares.Length; p++)
            {
                var (more, total) = (label < 0 ? 0 : wantedOf[label][p] - wantedOf[label][best], wanted[p] - wanted[best]);
                if (more > 1e-9 || (Math.Abs(more) <= 1e-9 && total > 1e-9)) best = p;
            }
            part[item] = best;
            wanted[best]--;
            foreach (var own in Sets[item])
            {
                wantedOf[own][best]--;
                left[own]--;
            }
        }
        while (left.Any(count => count > 0))
        {
            var rarest = Enumerable.Range(0, left.Length).Where(k => left[k] > 0).MinBy(k => left[k]);
            foreach (var item in order.Where(k => part[k] < 0 && Sets[k].Contains(rarest))) Put(item, rarest);
        }
        foreach (var item in order.Where(k => part[k] < 0)) Put(item, -1);
        return part;
    }
}

/// <summary>One number or more for each item; or one for each pair of texts, how alike they are.</summary>
public sealed class NumberTargets : Targets
{
    /// <param name="rows">A value of each column, for each item.</param>
    /// <param name="names">Of the columns.</param>
    public NumberTargets(float[][] rows, IReadOnlyList<string> names) : this(rows, names, TargetKind.Numbers) { }

    /// <param name="rows">A value of each column, for each item.</param>
    /// <param name="names">Of the columns: of similarity, of the one.</param>
    /// <param name="kind">Numbers, or the similarity of pairs.</param>
    /// <exception cref="ArgumentException">Another kind.</exception>
    public NumberTargets(float[][] rows, IReadOnlyList<string> names, TargetKind kind) : base(kind, names)
    {
        if (kind is not (TargetKind.Numbers or TargetKind.Similarity)) throw new ArgumentException($"numbers are no targets of the kind {kind}",
            nameof(kind));
        Rows = rows;
    }

    /// <summary>A value of each column, for each item.</summary>
    public float[][] Rows { get; }

    /// <inheritdoc/>
    public override int Count => Rows.Length;

    /// <inheritdoc/>
    public override Targets Subset(IReadOnlyList<int> indices) => new NumberTargets([.. indices.Select(k => Rows[k])], Names, Kind);

    /// <inheritdoc/>
    public override string Describe(int index) => string.Join("; ", Rows[index].Select(value => value.ToString("R", CultureInfo.InvariantCulture)));

    /// <inheritdoc/>
    public override IReadOnlySet<int> HeldOut(double share, long seed)
    {
        var parts = Blocks(Math.Max(2, (int)Math.Round(1 / share)), seed);
        return Enumerable.Range(0, Count).Where(k => parts[k] == 0).ToHashSet();
    }

    /// <inheritdoc/>
    public override int[] Folds(int folds, long seed) => Blocks(folds, seed);

    // Neighbours in size go to different parts: every part has the same quantiles. Several columns count by the sum of their ranks.
    private int[] Blocks(int size, long seed)
    {
        var rank = new double[Count];
        for (var c = 0; c < Names.Count; c++)
        {
            int[] sorted = [.. Enumerable.Range(0, Count).OrderBy(k => Rows[k][c])];
            for (var k = 0; k < Count; k++) rank[sorted[k]] += k;
        }
        var part = new int[Count];
        foreach (var (block, number) in Enumerable.Range(0, Count).OrderBy(k => rank[k]).Chunk(size).Select((block, number) => (block, number)))
        {
            var shuffled = new Rng(seed, number).Permutation(size);
            for (var k = 0; k < block.Length; k++) part[block[k]] = shuffled[k];
        }
        return part;
    }
}
