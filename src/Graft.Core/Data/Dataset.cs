namespace Graft.Data;

/// <summary>Pictures, or sentences, and what is to be learned of each: a class, several labels, numbers. Cheap to cut: a subset shares its source.</summary>
public sealed class Dataset
{
    private readonly int[] _items;

    /// <summary>A dataset over a source; item k is the source's item k with label k.</summary>
    public Dataset(ItemSource source, IReadOnlyList<int> labels, IReadOnlyList<string> classes)
        : this(source, new ClassTargets([.. labels], classes)) { }

    /// <summary>A dataset over a source; item k is the source's item k with target k.</summary>
    public Dataset(ItemSource source, Targets targets) : this(source, [.. Enumerable.Range(0, targets.Count)], targets) { }

    private Dataset(ItemSource source, int[] items, Targets targets) => (Source, _items, Targets) = (source, items, targets);

    /// <summary>Where the items come from.</summary>
    public ItemSource Source { get; }

    /// <summary>Whether the items are sentences, and not pictures.</summary>
    public bool IsText => Source is TextSource;

    /// <summary>What messages call its items.</summary>
    internal ItemNoun Noun => ItemNoun.Of(IsText);

    private PictureSource Pictures => Source as PictureSource ?? throw new GraftException("these are sentences, and this is for pictures");

    /// <summary>A sentence.</summary>
    /// <exception cref="GraftException">They are pictures.</exception>
    public TextItem Text(int index) => Source is TextSource texts ? texts.Text(_items[index])
        : throw new GraftException("these are pictures, and this is for sentences");

    /// <summary>The two texts of each pair as items of their own, one behind the other: twice as many.</summary>
    /// <exception cref="GraftException">An item is no pair.</exception>
    internal Dataset Apart()
    {
        TextItem[] halves = [.. Enumerable.Range(0, Count).SelectMany(k => Text(k) is { Second: { } second } pair
            ? new[] { new TextItem(pair.First), new TextItem(second) }
            : throw new GraftException($"{Name(k)} is one text, and it is pairs that are compared"))];
        return new Dataset(new TextSource(halves, [.. Enumerable.Range(0, halves.Length).Select(k => Name(k / 2))]),
            new LabelTargets([.. halves.Select(_ => Array.Empty<int>())], []));
    }

    /// <summary>What is to be learned of each item.</summary>
    public Targets Targets { get; }

    private ClassTargets OfClasses => Targets as ClassTargets ?? throw Targets.NoClasses(Noun);

    /// <summary>A class number for each item.</summary>
    /// <exception cref="GraftException">They have no classes.</exception>
    public int[] Labels => OfClasses.Labels;

    /// <summary>Class names, in the order of their numbers.</summary>
    /// <exception cref="GraftException">They have no classes.</exception>
    public IReadOnlyList<string> Classes => OfClasses.Names;

    /// <summary>train, val or test, where the dataset has parts; null: it has none.</summary>
    public string? Part { get; init; }

    /// <summary>What was left out when it was read, and how names were understood.</summary>
    public DatasetNotes Notes { get; init; } = DatasetNotes.None;

    /// <summary>How many items.</summary>
    public int Count => _items.Length;

    /// <summary>What to call an item.</summary>
    public string Name(int index) => Source.Name(_items[index]);

    /// <summary>Its stored bytes.</summary>
    public byte[] Read(int index) => Source.Read(_items[index]);

    /// <summary>The sha256 of its stored bytes; null where they cannot be read.</summary>
    internal byte[]? Digest(int index) => Source.Digest(_items[index]);

    /// <summary>The same where it has been computed and the file is still as it was; null: it is not known.</summary>
    internal byte[]? KnownDigest(int index) => Source.KnownDigest(_items[index]);

    /// <summary>The picture.</summary>
    /// <exception cref="PictureException">It cannot be read or decoded.</exception>
    internal Picture Decode(int index, Preprocessing? preprocessing = null) => Pictures.Decode(_items[index], preprocessing);

    /// <summary>A picture of the source from bytes that were read from it.</summary>
    /// <exception cref="PictureException">They are no picture.</exception>
    internal Picture Decode(byte[] bytes, Preprocessing? preprocessing = null) => Pictures.Decode(bytes, preprocessing);

    /// <summary>These items, in this order.</summary>
    public Dataset Subset(IEnumerable<int> indices)
    {
        var chosen = indices.ToArray();
        return new Dataset(Source, [.. chosen.Select(k => _items[k])], Targets.Subset(chosen)) { Part = Part, Notes = Notes };
    }

    /// <summary>The same items with other classes: <paramref name="map"/> gives each item's new label.</summary>
    public Dataset Relabel(Func<int, int> map, IReadOnlyList<string> classes) =>
        With(new ClassTargets([.. Labels.Select(map)], classes));

    /// <summary>The same items with other targets.</summary>
    public Dataset With(Targets targets) => new(Source, _items, targets) { Part = Part, Notes = Notes };

    /// <summary>The same with more notes.</summary>
    internal Dataset With(DatasetNotes notes) => new(Source, _items, Targets) { Part = Part, Notes = Notes.With(notes) };

    /// <summary>Checks that a picture of every class can be read.</summary>
    /// <param name="readable">Indices of the pictures that can be.</param>
    /// <param name="broken">The others.</param>
    /// <exception cref="GraftException">There is a class of which none can: a model would be trained that never says its name.</exception>
    internal void RequireEveryClass(IReadOnlyCollection<int> readable, IReadOnlyList<BrokenPicture> broken)
    {
        if (readable.Count == 0 && broken.Count > 0)
            throw new GraftException($"none of the {Count} {Noun.Many} can be read. The first: {broken[0].File}: {broken[0].Error}");
        if (Targets is not ClassTargets) return;
        var good = readable.Select(k => Labels[k]).ToHashSet();
        for (var c = 0; c < Classes.Count; c++)
        {
            if (good.Contains(c)) continue;
            var names = Enumerable.Range(0, Count).Where(k => Labels[k] == c).Select(Name).ToHashSet();
            // A class of which there is nothing here, as in a subset, is not one that cannot be read.
            if (names.Count == 0) continue;
            var first = broken.FirstOrDefault(picture => names.Contains(picture.File));
            var why = first is null ? "" : $" (the first: {first.File}: {first.Error})";
            throw new GraftException($"none of the {names.Count} {Noun.Many} of the class '{Classes[c]}' can be read{why}: put readable ones there, or take the class out");
        }
    }

    /// <summary>Items of each class.</summary>
    public int[] CountsByClass()
    {
        var counts = new int[Classes.Count];
        foreach (var label in Labels) counts[label]++;
        return counts;
    }

    /// <summary>Splits so that each class gives the same share to the second part (at least one item where it has two); so each label, and each
    /// quantile of numbers.</summary>
    public (Dataset First, Dataset Second) SplitStratified(double secondShare, long seed)
    {
        var second = Targets.HeldOut(secondShare, seed);
        return (Subset(Enumerable.Range(0, Count).Where(k => !second.Contains(k))), Subset(second.Order()));
    }

    /// <summary>A fold number for each item, every class spread evenly over the folds.</summary>
    internal static int[] StratifiedFolds(IReadOnlyList<int> labels, int folds, long seed)
    {
        var fold = new int[labels.Count];
        var next = 0;
        foreach (var group in Enumerable.Range(0, labels.Count).GroupBy(k => labels[k]).OrderBy(group => group.Key))
        {
            var members = group.ToArray();
            foreach (var k in new Rng(seed, group.Key).Permutation(members.Length)) fold[members[k]] = next++ % folds;
        }
        return fold;
    }
}
