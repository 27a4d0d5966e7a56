using System.Globalization;

namespace Graft.Data;

/// <summary>Sentences in folders: a table for each part (train.tsv, dev.tsv, test.tsv), or a text file for each sentence in a folder for each
/// class.</summary>
internal static class TextFolders
{
    /// <summary>The dataset of a folder that holds no pictures; null: it holds no text either.</summary>
    public static DatasetParts? Read(string root, TargetKind? task, IReadOnlyList<string>? known, TextColumns? columns)
    {
        string[] tables = [.. Directory.EnumerateFiles(root).Where(file => Table.IsTable(file)
            && !PictureFiles.IsHidden(Path.GetFileName(file))).Order(StringComparer.Ordinal)];
        if (tables.Length == 0)
        {
            var listing = FolderReader.Read(root, ListedFiles.Texts);
            return listing.Names.Count == 0 ? null : OfClasses(listing, task, known);
        }
        var parts = tables.Select(file => (Part: PartOf(file), Path: file)).ToArray();
        var others = Directory.EnumerateFiles(root).Except(tables).Select(Path.GetFileName).Where(name => !PictureFiles.IsHidden(name!))
            .Select(name => TextTables.Left(LeftOutKind.OtherFile, name!, 0, null));
        if (tables is [var only] && parts[0].Part is null) return TextTables.Read(root, [(null, only)], task, known, columns,
            new DatasetNotes([.. others], []));
        var named = parts.Where(file => file.Part is not null).OrderBy(file => Array.IndexOf(Parts.All, file.Part)).ToArray();
        if (named.Length == 0)
            throw new GraftException($"{root} holds {tables.Length} tables, and none is called train, val or test: {Few(tables)}. Give one of them, or call them train.tsv, dev.tsv, test.tsv");
        // Beside train.csv others are something else; beside TREC.train.tsv they are other datasets, as are tables of other names that are the same
        // part.
        if ((named.Length < parts.Length && named.Any(file => Stem(file.Path).Length > 0))
            || named.GroupBy(file => file.Part).Any(group => group.Select(file => Stem(file.Path)).Distinct().Count() > 1))
            throw new GraftException($"{root} holds tables of more than one dataset: {Few(tables)}. Put each dataset's in a folder of its own, or give one file");
        var (leftOut, remarks) = (new List<LeftOut>(others), new List<string>());
        leftOut.AddRange(parts.Where(file => file.Part is null).Select(file =>
            TextTables.Left(LeftOutKind.UnknownPart, Path.GetFileName(file.Path), 0, null)));
        foreach (var group in named.GroupBy(file => file.Part))
        {
            string[] names = [.. group.Select(file => Path.GetFileName(file.Path))];
            if (group.Select(file => Path.GetExtension(file.Path)).Distinct().Count() > 1)
                throw new GraftException($"{root}: {string.Join(" and ", names)} are both the {group.Key} part. If they hold the same, keep one of them");
            if (names.Length > 1) remarks.Add($"{string.Join(" and ", names)} are together the {group.Key} part");
            else if (Parts.Of(Path.GetFileNameWithoutExtension(names[0])) is null) remarks.Add($"{names[0]} is the {group.Key} part");
        }
        return TextTables.Read(root, [.. named.Select(file => ((string?)file.Part, file.Path))], task, known, columns,
            new DatasetNotes(leftOut, remarks));
    }

    /// <summary>The dataset of a listing of text files.</summary>
    public static DatasetParts OfClasses(Listing listing, TargetKind? task, IReadOnlyList<string>? known)
    {
        if (task is not (null or TargetKind.Classes))
            throw new GraftException($"{listing.Root} tells one class of each sentence, its folder: several labels, or numbers, come in a table, beside the text");
        var read = new Dictionary<string, string>();
        var all = listing.Open(listing, [.. Enumerable.Range(0, listing.Names.Count)]);
        for (var k = 0; k < listing.Names.Count; k++)
        {
            var (text, remark) = TextDecoder.Text(Path.Combine(listing.Root, listing.Names[k]), listing.Names[k], all.Read(k));
            if (remark is not null) listing.Remarks.Add(remark);
            read[listing.Names[k]] = text.Trim();
        }
        (all as IDisposable)?.Dispose();
        var full = new Listing(listing.Root, listing.Layout, listing.Files)
        {
            Open = (some, chosen) => new TextSource([.. chosen.Select(k => new TextItem(read[some.Names[k]]))],
                [.. chosen.Select(k => some.Names[k])]),
        };
        full.Take(listing, name => read[name].Length > 0);
        return ClassFolders.Arrange(full, known);
    }

    /// <summary>Lines of a text file, a sentence each; or the sentences of a table, or of the text files in a folder.</summary>
    public static (List<TextItem> Items, List<string> Names, DatasetNotes Notes) Unlabelled(string path, TextColumns? columns)
    {
        if (Directory.Exists(path))
        {
            var listing = FolderReader.Read(path, ListedFiles.Texts);
            if (listing.Names.Count == 0) throw new GraftException($"{path} holds no text files (.txt){listing.Notes.Hint}");
            var (found, called, empty) = (new List<TextItem>(), new List<string>(), new List<LeftOut>());
            for (var k = 0; k < listing.Names.Count; k++)
            {
                var (text, remark) = TextDecoder.ReadText(listing.Paths[k]);
                if (remark is not null) listing.Remarks.Add(remark);
                if (string.IsNullOrWhiteSpace(text))
                {
                    empty.Add(TextTables.Left(LeftOutKind.EmptyText, listing.Names[k], 1, null));
                    continue;
                }
                found.Add(new TextItem(text.Trim()));
                called.Add(listing.Names[k]);
            }
            return (found, called, listing.Notes.With(empty));
        }
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file or folder");
        if (Table.IsTable(path)) return TextTables.Unlabelled(path, columns);
        var (all, note) = TextDecoder.ReadText(path);
        var (items, names, leftOut) = (new List<TextItem>(), new List<string>(), new List<LeftOut>());
        var (name, line) = (Path.GetFileName(path), 0);
        foreach (var piece in all.TrimEnd().Split('\n'))
        {
            var called = string.Create(CultureInfo.InvariantCulture, $"{name}:{++line}");
            if (string.IsNullOrWhiteSpace(piece))
            {
                leftOut.Add(TextTables.Left(LeftOutKind.EmptyText, called, 1, null));
                continue;
            }
            items.Add(new TextItem(piece.Trim()));
            names.Add(called);
        }
        return (items, names, new DatasetNotes(leftOut, note is null ? [] : [note]));
    }

    // train.tsv, sts-train.tsv, xnli.dev.ko.tsv, train-00000-of-00002.parquet: one word of the name is a part.
    private static string? PartOf(string file)
    {
        var name = Path.GetFileNameWithoutExtension(file);
        if (Parts.Of(name) is { } whole) return whole;
        string[] found = [.. name.Split('-', '_', '.', ' ').Select(Parts.Of).OfType<string>().Distinct()];
        return found is [var one] ? one : null;
    }

    // What is left of a name without its part and its numbers: whose dataset it is.
    private static string Stem(string file) => string.Join('.', Path.GetFileNameWithoutExtension(file).Split('-', '_', '.', ' ')
        .Where(word => Parts.Of(word) is null && word.Length > 0 && !word.Any(char.IsDigit) && word is not ("of" or "matched" or "mismatched")));

    private static string Few(string[] files) => string.Join(", ", files.Take(6).Select(Path.GetFileName)) + (files.Length > 6 ? ", …" : "");
}
