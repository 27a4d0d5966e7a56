namespace Graft.Data;

/// <summary>What a path holds, each part with classes of its own; a dataset without parts is one part, train.</summary>
internal sealed record DatasetParts(string Root, string Layout, bool HasParts, IReadOnlyDictionary<string, Dataset> All, DatasetNotes Notes)
{
    /// <summary>Makes the parts of labelled items.</summary>
    /// <param name="root">The path.</param>
    /// <param name="layout">What it is, in words.</param>
    /// <param name="hasParts">Whether the parts are the dataset's own.</param>
    /// <param name="items">A part and a class for each item.</param>
    /// <param name="notes">What was noticed.</param>
    /// <param name="open">Opens some of the items.</param>
    public static DatasetParts Of(string root, string layout, bool hasParts, IReadOnlyList<(string Part, string Class)> items,
        DatasetNotes notes, Func<int[], ItemSource> open) =>
        Of(root, layout, hasParts, [.. items.Select(item => item.Part)], notes, open, chosen =>
        {
            string[] classes = [.. chosen.Select(k => items[k].Class).Distinct().Order(StringComparer.Ordinal)];
            var number = classes.Select((name, k) => (name, k)).ToDictionary(pair => pair.name, pair => pair.k);
            return new ClassTargets([.. chosen.Select(k => number[items[k].Class])], classes);
        });

    /// <summary>The same with targets of any kind.</summary>
    /// <param name="root">The path.</param>
    /// <param name="layout">What it is, in words.</param>
    /// <param name="hasParts">Whether the parts are the dataset's own.</param>
    /// <param name="items">A part for each item.</param>
    /// <param name="notes">What was noticed.</param>
    /// <param name="open">Opens some of the items.</param>
    /// <param name="targets">Of some of the items.</param>
    public static DatasetParts Of(string root, string layout, bool hasParts,
        IReadOnlyList<string> items, DatasetNotes notes, Func<int[], ItemSource> open, Func<int[], Targets> targets)
    {
        var parts = Enumerable.Range(0, items.Count).GroupBy(k => items[k]).ToDictionary(group => group.Key, group =>
        {
            int[] chosen = [.. group];
            return new Dataset(open(chosen), targets(chosen))
            {
                Part = hasParts ? group.Key : null,
                Notes = notes.OfPart(group.Key),
            };
        });
        return new DatasetParts(root, layout, hasParts, parts, notes);
    }

    /// <summary>The part, or null.</summary>
    public Dataset? Part(string name) => All.GetValueOrDefault(name);

    /// <summary>The parts that there are, for messages.</summary>
    public string Names => string.Join(" and ", Parts.All.Where(All.ContainsKey));

    /// <summary>The part that is asked for; without a wish test, else val, else train.</summary>
    /// <exception cref="GraftException">It is not there, or there is no such word.</exception>
    public Dataset Pick(string? wish)
    {
        if (wish is null) return Part(Parts.Test) ?? Part(Parts.Validation) ?? All.Values.First();
        var name = Parts.Of(wish) ?? throw new GraftException($"--split {wish}: there is no such part: train, val or test");
        if (!HasParts)
            throw new GraftException($"--split {wish}: {Root} has no parts, its {All.Values.First().Noun.Many} are not divided: leave --split out");
        return Part(name) ?? throw new GraftException($"--split {wish}: {Root} has no part '{name}', only {Names}");
    }

    /// <summary>For training: every other part with the classes of the train part.</summary>
    /// <exception cref="GraftException">It cannot be learned from.</exception>
    public DatasetSplits ToSplits()
    {
        var train = Part(Parts.Train) ?? throw new GraftException($"{Root} has no part to train on, only {Names}: call one part train{Notes.Hint}");
        if (train.Targets is ClassTargets && train.Classes.Count < 2)
            throw new GraftException($"{Root} holds one class only ('{train.Classes[0]}'), of {train.Count} {train.Noun.Many}: "
                + $"a classifier needs at least two to tell apart{Notes.Hint}");
        var notes = Notes;
        Dataset? Matched(string name)
        {
            if (Part(name) is not { } part) return null;
            var matched = ClassNames.Match(part, train.Targets.Names, train.Targets.Kind);
            notes = notes.With(matched.Notes);
            return matched.Count > 0 ? matched : null;
        }
        var (validation, test) = (Matched(Parts.Validation), Matched(Parts.Test));
        return new DatasetSplits(Root, Layout, train, validation, test, notes);
    }
}
