using Graft.Data;
using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>What a pretraining learns from, and by what it is judged on the way.</summary>
/// <param name="Items">Of which nothing is told.</param>
/// <param name="Bank">Labelled items whose neighbours the queries look for; null: there are no labels.</param>
/// <param name="Queries">Labelled items that are asked about, none of which is learned from.</param>
/// <param name="Labels">The class of each of <paramref name="Items"/>; null: there are none.</param>
/// <param name="Notes">What was left out, and what is done with labels.</param>
internal sealed record PretrainData(Dataset Items, Dataset? Bank, Dataset? Queries, int[]? Labels, DatasetNotes Notes)
{
    // More would make a look longer than what it looks at.
    private const int MostInBank = 4000, MostQueries = 1000;

    private const double HeldOut = 0.1;

    /// <summary>Opens what the options name.</summary>
    /// <param name="options">Data, and what to judge by.</param>
    /// <param name="text">Whether they are sentences; null: as the data shows.</param>
    /// <exception cref="GraftException">There is nothing to learn from.</exception>
    public static PretrainData Open(PretrainOptions options, bool? text)
    {
        text ??= IsText(options.Data);
        var (items, queries, labels, notes) = text.Value ? (DatasetReader.OpenUnlabelledText(options.Data, options.Columns), null, null, DatasetNotes.None)
            : Pictures(options);
        var bank = queries is null ? null : labels is null ? null : items.With(new ClassTargets(labels, queries.Classes));
        if (options.Validation is { } path)
        {
            var given = DatasetReader.Open(path, null, options.Columns);
            if (given.Train.Targets is not ClassTargets) throw new GraftException($"--val {path} tells no classes: those are what it is judged by");
            if (given.Train.IsText != text) throw new GraftException($"--val {path} holds {given.Train.Noun.Many}, and {options.Data} {items.Noun.Many}");
            (bank, queries) = (given.Validation ?? given.Test) is { } held ? (given.Train, held) : given.Train.SplitStratified(0.3, options.Seed);
        }
        return new PretrainData(items, Some(bank, MostInBank, options.Seed), Some(queries, MostQueries, options.Seed), labels, items.Notes.With(notes));
    }

    private static (Dataset Items, Dataset? Queries, int[]? Labels, DatasetNotes Notes) Pictures(PretrainOptions options)
    {
        if (Labelled(options.Data) is not { } splits || splits.Train.Targets is not ClassTargets { Names.Count: > 1 })
            return (DatasetReader.OpenUnlabelledPictures(options.Data), null, null, DatasetNotes.None);
        var held = splits.Validation ?? splits.Test;
        var (learned, queries) = held is not null && splits.Train.Classes.SequenceEqual(held.Classes) ? (splits.Train, held)
            : splits.Train.SplitStratified(HeldOut, options.Seed);
        var from = held is null ? $"{queries.Count} pictures are held out" : $"its {held.Part} part";
        return (DatasetReader.Bare(learned), queries, learned.Labels, new DatasetNotes([],
            [$"the class folders of {options.Data} are not learned from; by them it is judged on the way ({from})"]));
    }

    /// <summary>The data with its classes; null: it has none, which is no error here.</summary>
    private static DatasetSplits? Labelled(string path)
    {
        try
        {
            return DatasetReader.Open(path);
        }
        catch (GraftException)
        {
            // No class folders, or one alone: then every picture below is taken, and what cannot be opened at all is told there.
            return null;
        }
    }

    private static Dataset? Some(Dataset? data, int most, long seed) =>
        data is null || data.Count <= most ? data : data.Subset(new Rng(seed, 7).Permutation(data.Count).Take(most).Order());

    /// <summary>Whether a path holds text: a .txt, a table whose columns tell of text, a folder with such files and no picture.</summary>
    private static bool IsText(string path)
    {
        if (File.Exists(path)) return Path.GetExtension(path).Equals(".txt", StringComparison.OrdinalIgnoreCase)
            || (Table.IsTable(path) && (Path.GetExtension(path).ToLowerInvariant() is not (".csv" or ".tsv") || DelimitedText.TellsOfText(path)));
        return Directory.Exists(path) && FolderReader.Read(path).Names.Count == 0 && !Directory.EnumerateFiles(path).Any(IdxReader.IsImages);
    }

    /// <summary>Refuses too little.</summary>
    /// <exception cref="GraftException">There is nothing to compare.</exception>
    public void Require(PretrainMethod method)
    {
        if (Items.Count < method.LeastItems)
            throw new GraftException($"{Items.Count} {(Items.Count == 1 ? $"{Items.Noun.One} is" : $"{Items.Noun.Many} are")} too few for {method.Name}, which compares one with others: give {Math.Max(method.LeastItems, 100)} or more");
        if (method.NeedsLabels && Labels is null)
            throw new GraftException($"{method.Name} learns from labels, and there are none: give class folders, or choose another --method");
    }

    /// <summary>Refuses a network for the other kind of data.</summary>
    /// <exception cref="GraftException">Pictures for a text encoder, or the other way round.</exception>
    public void Require(Backbone backbone, string data)
    {
        if (Items.IsText != backbone is TextEncoder)
            throw new GraftException($"{data} holds {Items.Noun.Many}, and {backbone.Architecture} reads {(Items.IsText ? "pictures" : "sentences")}");
    }
}
