namespace Graft.Data;

/// <summary>What a path turned out to hold.</summary>
/// <param name="Path">The path.</param>
/// <param name="Layout">What it is, in words.</param>
/// <param name="Train">The pictures to train on.</param>
/// <param name="Validation">The val part, with the classes of the train part.</param>
/// <param name="Test">The test part, with the classes of the train part.</param>
/// <param name="Notes">What was passed over, and how names were understood.</param>
public sealed record DatasetSplits(string Path, string Layout, Dataset Train, Dataset? Validation, Dataset? Test, DatasetNotes Notes)
{
    /// <summary>What was passed over, and why: a sentence for each.</summary>
    public IReadOnlyList<string> Ignored => [.. Notes.LeftOut.Select(one => $"{one}")];

    /// <summary>The train part where it alone is used: the others are noted as left out.</summary>
    internal Dataset TrainAlone => Train.With(Notes.With(
        new[] { Validation, Test }.OfType<Dataset>().Select(part => new LeftOut(LeftOutKind.UnusedPart, part.Part + "/", part.Count, part.Part))));
}

/// <summary>
/// Opens a dataset by looking at it: a folder of class folders; a folder with train/ and val/, valid/ or test/; a zip of either; a
/// CSV of path and label, labels or numbers; IDX files.
/// </summary>
public static class DatasetReader
{
    /// <summary>Opens a dataset to train on.</summary>
    /// <exception cref="GraftException">There is none there, or it cannot be learned from: what is wrong and what to do.</exception>
    /// <param name="path">The dataset.</param>
    /// <param name="task">What is told of the pictures; null: what the data shows.</param>
    public static DatasetSplits Open(string path, TargetKind? task = null) => OpenParts(path, null, task).ToSplits();

    /// <summary>Opens a second dataset, its classes matched by name to the first one's; pictures of other classes are noted as left out.</summary>
    /// <param name="path">A dataset; one class is enough.</param>
    /// <param name="classes">Names.</param>
    /// <param name="split">train, val or test; null: test, else val, else train.</param>
    /// <param name="task">What the names are of.</param>
    /// <exception cref="GraftException">No class is shared, or there is no such part.</exception>
    public static Dataset OpenWithClasses(string path, IReadOnlyList<string> classes, string? split = null, TargetKind task = TargetKind.Classes) =>
        Match(path, OpenParts(path, classes, task).Pick(split), classes, task);

    /// <summary>The same for pictures to validate on: val, else test, else train.</summary>
    internal static Dataset OpenValidation(string path, IReadOnlyList<string> classes, TargetKind task = TargetKind.Classes)
    {
        var parts = OpenParts(path, classes, task);
        return Match(path, parts.Part(Parts.Validation) ?? parts.Pick(null), classes, task);
    }

    /// <summary>The parts of a dataset, each with classes of its own.</summary>
    /// <param name="path">The dataset.</param>
    /// <param name="known">Classes that are looked for; null: any.</param>
    /// <param name="task">What is told of the pictures; null: what the data shows.</param>
    internal static DatasetParts OpenParts(string path, IReadOnlyList<string>? known = null, TargetKind? task = null)
    {
        if (task is TargetKind.Labels or TargetKind.Numbers
            && (Directory.Exists(path) || (File.Exists(path) && Path.GetExtension(path).ToLowerInvariant() is not (".csv" or ".tsv"))))
            throw new GraftException($"{path} tells one class of each picture: {(task == TargetKind.Labels ? "several labels" : "numbers")} come in a CSV, a column of paths beside {(task == TargetKind.Labels ? "one of labels (a;b)" : "the numbers")}");
        if (Directory.Exists(path))
            return Directory.EnumerateFiles(path).Any(IdxReader.IsImages) ? IdxReader.Read(path)
                : ClassFolders.Arrange(FolderReader.Read(path), known);
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file or folder");
        return Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".zip" => ClassFolders.Arrange(ZipReader.Read(path), known),
            ".csv" or ".tsv" => TableReader.Read(path, task, known),
            _ when IdxReader.IsImages(path) => IdxReader.Read(Path.GetDirectoryName(Path.GetFullPath(path))!),
            _ => throw new GraftException($"{path} is no dataset: give a folder of class folders, a folder with train/ and val/, a zip of either, a CSV of path and label, or IDX files"),
        };
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
