namespace Graft.Data;

/// <summary>What a path turned out to hold.</summary>
/// <param name="Path">The path.</param>
/// <param name="Layout">What it is, in words.</param>
/// <param name="Train">The items to train on.</param>
/// <param name="Validation">The val part, with the classes of the train part.</param>
/// <param name="Test">The test part, with the classes of the train part.</param>
/// <param name="Notes">What was passed over, and how names were understood.</param>
public sealed record DatasetSplits(string Path, string Layout, Dataset Train, Dataset? Validation, Dataset? Test, DatasetNotes Notes)
{
    /// <summary>What was passed over, and why: a sentence for each.</summary>
    public IReadOnlyList<string> Ignored => [.. Notes.LeftOut.Select(one => $"{one}")];

    /// <summary>The train part where it alone is used: the others are noted as left out.</summary>
    internal Dataset TrainAlone => Train.With(Notes.With(
        new[] { Validation, Test }.OfType<Dataset>().Select(part => new LeftOut(LeftOutKind.UnusedPart, part.Part + "/", part.Count, part.Part) { Noun = part.Noun })));
}

/// <summary>
/// Opens a dataset by looking at it. Pictures: a folder of class folders; a folder with train/ and val/, valid/ or test/; a zip of either; a
/// CSV of path and label, labels or numbers; IDX files. Sentences, or pairs of them: a CSV, TSV, JSONL or Parquet of text and label, labels or a
/// number; a folder with train.tsv, dev.tsv and test.tsv; a folder or a zip of class folders with a .txt for each text.
/// </summary>
public static class DatasetReader
{
    /// <summary>Opens a dataset to train on.</summary>
    /// <exception cref="GraftException">There is none there, or it cannot be learned from: what is wrong and what to do.</exception>
    /// <param name="path">The dataset.</param>
    /// <param name="task">What is told of the items; null: what the data shows.</param>
    /// <param name="columns">Which columns of a table of text hold what; null: they are found.</param>
    public static DatasetSplits Open(string path, TargetKind? task = null, TextColumns? columns = null) => OpenParts(path, null, task, columns).ToSplits();

    /// <summary>Opens a second dataset, its classes matched by name to the first one's; items of other classes are noted as left out.</summary>
    /// <param name="path">A dataset; one class is enough.</param>
    /// <param name="classes">Names.</param>
    /// <param name="split">train, val or test; null: test, else val, else train.</param>
    /// <param name="task">What the names are of.</param>
    /// <param name="columns">Which columns of a table of text hold what; null: they are found.</param>
    /// <exception cref="GraftException">No class is shared, or there is no such part.</exception>
    public static Dataset OpenWithClasses(string path, IReadOnlyList<string> classes, string? split = null, TargetKind task = TargetKind.Classes,
        TextColumns? columns = null) => Match(path, OpenParts(path, classes, task, columns).Pick(split), classes, task);

    /// <summary>The same for items to validate on: val, else test, else train.</summary>
    internal static Dataset OpenValidation(string path, IReadOnlyList<string> classes, TargetKind task = TargetKind.Classes, TextColumns? columns = null)
    {
        var parts = OpenParts(path, classes, task, columns);
        return Match(path, parts.Part(Parts.Validation) ?? parts.Pick(null), classes, task);
    }

    /// <summary>Opens sentences of which nothing is told: the lines of a text file, the texts of a table, the .txt files below a folder. Their targets
    /// are sets of no labels.</summary>
    /// <param name="path">The file or the folder.</param>
    /// <param name="columns">Which column of a table holds the text; null: it is found.</param>
    /// <exception cref="GraftException">There is no text there.</exception>
    public static Dataset OpenUnlabelledText(string path, TextColumns? columns = null)
    {
        var (items, names, notes) = TextFolders.Unlabelled(path, columns);
        return items.Count == 0 ? throw new GraftException($"{path} holds no text{notes.Hint}")
            : new Dataset(new TextSource(items, names), new LabelTargets([.. items.Select(_ => Array.Empty<int>())], [])) { Notes = notes };
    }

    /// <summary>Every picture of a folder or a zip, whatever its folders are called; what is told of them is not asked.</summary>
    /// <param name="path">A folder, a zip, or what <see cref="Open"/> reads.</param>
    /// <returns>Pictures whose targets are none.</returns>
    /// <exception cref="GraftException">There is no picture.</exception>
    internal static Dataset OpenUnlabelledPictures(string path)
    {
        var zip = Path.GetExtension(path).Equals(".zip", StringComparison.OrdinalIgnoreCase);
        if (!Directory.Exists(path) && !zip) return Bare(Open(path).Train);
        if (Directory.Exists(path) && Directory.EnumerateFiles(path).Any(IdxReader.IsImages)) return Bare(Open(path).Train);
        if (zip && !File.Exists(path)) throw new GraftException($"{path}: there is no such file");
        var found = zip ? ZipReader.Read(path) : FolderReader.Read(path);
        if (found.Names.Count == 0) throw new GraftException($"{path} holds no pictures{found.Notes.Hint}");
        int[] all = [.. Enumerable.Range(0, found.Names.Count).OrderBy(k => found.Names[k], StringComparer.Ordinal)];
        return new Dataset(found.Open(found, all), new LabelTargets([.. all.Select(_ => Array.Empty<int>())], [])) { Notes = found.Notes };
    }

    /// <summary>The same items, of which nothing is told.</summary>
    internal static Dataset Bare(Dataset data) => data.With(new LabelTargets([.. Enumerable.Range(0, data.Count).Select(_ => Array.Empty<int>())], []));

    /// <summary>The parts of a dataset, each with classes of its own.</summary>
    /// <param name="path">The dataset.</param>
    /// <param name="known">Classes that are looked for; null: any.</param>
    /// <param name="task">What is told of the items; null: what the data shows.</param>
    /// <param name="columns">Which columns of a table of text hold what; null: they are found.</param>
    internal static DatasetParts OpenParts(string path, IReadOnlyList<string>? known = null, TargetKind? task = null, TextColumns? columns = null)
    {
        if (Directory.Exists(path)) return OpenFolder(path, known, task, columns);
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file or folder");
        var kind = Path.GetExtension(path).ToLowerInvariant();
        if (Table.IsTable(path))
        {
            return kind is ".csv" or ".tsv" && columns is not { AnyNamed: true } && !DelimitedText.TellsOfText(path) ? TableReader.Read(path, task, known)
                : TextTables.Read(path, [(null, path)], task, known, columns);
        }
        if (kind == ".txt")
            throw new GraftException($"{path} is text without labels. A dataset is a {Table.Kinds} with a column text and a column label, or a folder for each class with a .txt for each text");
        RefuseTask(path, task);
        return kind switch
        {
            ".zip" => ArrangeZip(path, known),
            _ when IdxReader.IsImages(path) => IdxReader.Read(Path.GetDirectoryName(Path.GetFullPath(path))!),
            _ => throw new GraftException($"{path} is no dataset: give a folder of class folders, a folder with train/ and val/, a zip of either, a CSV of path and label, or IDX files; "
                + $"for sentences a {Table.Kinds} of text and label, or a folder with train and test tables"),
        };
    }

    private static DatasetParts OpenFolder(string path, IReadOnlyList<string>? known, TargetKind? task, TextColumns? columns)
    {
        if (Directory.EnumerateFiles(path).Any(IdxReader.IsImages))
        {
            RefuseTask(path, task);
            return IdxReader.Read(path);
        }
        var pictures = FolderReader.Read(path);
        if (pictures.Names.Count == 0 && TextFolders.Read(path, task, known, columns) is { } texts) return texts;
        RefuseTask(path, task);
        return ClassFolders.Arrange(pictures, known);
    }

    private static DatasetParts ArrangeZip(string path, IReadOnlyList<string>? known)
    {
        var pictures = ZipReader.Read(path);
        if (pictures.Names.Count > 0 || ZipReader.Read(path, ListedFiles.Texts) is not { Names.Count: > 0 } texts) return ClassFolders.Arrange(pictures, known);
        return TextFolders.OfClasses(texts, null, known);
    }

    private static void RefuseTask(string path, TargetKind? task)
    {
        if (task == TargetKind.Similarity)
            throw new GraftException($"{path} holds no pairs of texts: how alike two are is learned from a {Table.Kinds} of two texts and a score");
        if (task is TargetKind.Labels or TargetKind.Numbers)
            throw new GraftException($"{path} tells one class of each picture: {(task == TargetKind.Labels ? "several labels" : "numbers")} come in a CSV, "
                + $"a column of paths beside {(task == TargetKind.Labels ? "one of labels (a;b)" : "the numbers")}");
    }

    private static Dataset Match(string path, Dataset data, IReadOnlyList<string> classes, TargetKind task)
    {
        Dataset matched;
        try
        {
            matched = ClassNames.Match(data, classes, task);
        }
        catch (GraftException reason)
        {
            throw new GraftException($"{path}: {reason.Message}", reason);
        }
        return matched.Count > 0 ? matched : throw new GraftException($"{path} has none of the classes {string.Join(", ", classes.Take(10))}: "
            + $"it has {string.Join(", ", data.Targets.Names.Take(10))}{data.Notes.Hint}");
    }
}
