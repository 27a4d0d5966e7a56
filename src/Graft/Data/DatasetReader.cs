using System.Globalization;
using System.IO.Compression;
using CsvHelper;
using CsvHelper.Configuration;

namespace Graft.Data;

/// <summary>What a path turned out to hold. <paramref name="Ignored"/> lists what was passed over, and why.</summary>
public sealed record DatasetSplits(string Path, string Layout, Dataset Train, Dataset? Validation, Dataset? Test, IReadOnlyList<string> Ignored);

/// <summary>
/// Opens a dataset by looking at it: a folder of class folders; a folder (or a zip) with train/ and val/, valid/ or test/; a
/// CSV of path and label; IDX files.
/// </summary>
public static class DatasetReader
{
    private static readonly HashSet<string> s_extensions = new(StringComparer.OrdinalIgnoreCase)
    {
        ".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".heic", ".avif", ".jfif",
    };

    private static readonly string[] s_train = ["train", "training"], s_validation = ["val", "valid", "validation"], s_test = ["test", "testing"];

    private sealed record Entry(string Path, string Class);

    /// <summary>Opens a dataset.</summary>
    /// <exception cref="GraftException">There is none there, or it cannot be learned from: what is wrong and what to do.</exception>
    public static DatasetSplits Open(string path)
    {
        if (Directory.Exists(path))
            return Directory.EnumerateFiles(path).Any(IsIdxImages) ? OpenIdx(path) : OpenFolder(path);
        if (!File.Exists(path)) throw new GraftException($"{path}: there is no such file or folder");
        return System.IO.Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".zip" => OpenZip(path),
            ".csv" or ".tsv" => OpenCsv(path),
            _ when IsIdxImages(path) => OpenIdx(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!),
            _ => throw new GraftException($"{path} is no dataset: give a folder of class folders, a folder with train/ and val/, a zip of either, a CSV of path and label, or IDX files"),
        };
    }

    internal static bool IsPicture(string name) => s_extensions.Contains(Path.GetExtension(name)) && !Path.GetFileName(name).StartsWith('.');

    private static DatasetSplits OpenFolder(string root)
    {
        var ignored = new List<string>();
        var entries = new List<Entry>();
        Walk(root, "", [], entries, ignored);
        return Assemble(root, "folder", entries, ignored, paths => new FileSource(root, [.. paths.Select(path => Path.Combine(root, path))]));
    }

    /// <summary>Collects pictures below; follows links, but never into a folder that it is already inside.</summary>
    private static void Walk(string root, string below, HashSet<string> inside, List<Entry> entries, List<string> ignored)
    {
        var folder = Path.Combine(root, below);
        string real;
        try
        {
            real = new DirectoryInfo(folder).ResolveLinkTarget(true)?.FullName ?? Path.GetFullPath(folder);
        }
        catch (IOException)
        {
            ignored.Add($"{below}: a link that leads nowhere");
            return;
        }
        if (!inside.Add(real))
        {
            ignored.Add($"{below}: a link back to a folder that it lies in");
            return;
        }
        try
        {
            foreach (var file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
            {
                var name = Path.Combine(below, Path.GetFileName(file));
                if (IsPicture(file)) entries.Add(new Entry(name, ""));
                else if (!Path.GetFileName(file).StartsWith('.')) ignored.Add($"{name}: not a picture by its name");
            }
            foreach (var child in Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal))
            {
                var name = Path.GetFileName(child);
                if (!name.StartsWith('.') && name != "__MACOSX") Walk(root, Path.Combine(below, name), inside, entries, ignored);
            }
        }
        catch (UnauthorizedAccessException)
        {
            ignored.Add($"{below}: may not be read");
        }
        catch (IOException reason)
        {
            ignored.Add($"{below}: {reason.Message}");
        }
        finally
        {
            inside.Remove(real);
        }
    }

    private static DatasetSplits OpenZip(string path)
    {
        List<string> names;
        try
        {
            using var archive = ZipFile.OpenRead(path);
            names = [.. archive.Entries.Where(entry => entry.Length > 0 && IsPicture(entry.FullName) && !entry.FullName.Contains("__MACOSX", StringComparison.Ordinal)).Select(entry => entry.FullName)];
        }
        catch (InvalidDataException reason)
        {
            throw new GraftException($"{path} is no zip archive that can be read ({reason.Message}). Download it again", reason);
        }
        names.Sort(StringComparer.Ordinal);
        // A zip often holds one folder that holds everything.
        var prefix = names.Count > 0 && names[0].Split('/') is [var top, _, _, ..] && names.All(name => name.StartsWith(top + "/", StringComparison.Ordinal)) && Role(top) is null ? top + "/" : "";
        var entries = names.Select(name => new Entry(name[prefix.Length..], "")).ToList();
        return Assemble(path, "zip", entries, [], paths => new ZipSource(path, [.. paths.Select(name => prefix + name)]));
    }

    private static string? Role(string folder)
    {
        var name = folder.ToLowerInvariant();
        return s_train.Contains(name) ? "train" : s_validation.Contains(name) ? "val" : s_test.Contains(name) ? "test" : null;
    }

    private static DatasetSplits Assemble(string root, string layout, List<Entry> found, List<string> ignored, Func<string[], PictureSource> open)
    {
        if (found.Count == 0) throw new GraftException($"{root} holds no pictures. Put each class's pictures in a folder of its own: {Path.GetFileName(root.TrimEnd('/'))}/CLASS/picture.jpg");
        string[] Parts(Entry entry) => entry.Path.Split('/', '\\');
        var split = found.Any(entry => Parts(entry) is [var first, _, _, ..] && Role(first) == "train");
        var loose = found.Where(entry => Parts(entry).Length < (split ? 3 : 2)).ToList();
        ignored.AddRange(loose.Select(entry => $"{entry.Path}: lies in no class folder"));
        var byRole = found.Except(loose)
            .Select(entry => (Role: split ? Role(Parts(entry)[0]) : "train", Entry: entry with { Class = Parts(entry)[split ? 1 : 0] }))
            .ToLookup(item => item.Role, item => item.Entry);
        ignored.AddRange(byRole[null].GroupBy(entry => Parts(entry)[0]).Select(group => $"{group.Key}/: neither train, val nor test ({group.Count()} pictures)"));
        string[] classes = [.. byRole["train"].Select(entry => entry.Class).Distinct().Order(StringComparer.Ordinal)];
        if (classes.Length == 0) throw new GraftException($"{root} holds pictures, but none in a class folder. Put each class's pictures in a folder of its own: {Path.GetFileName(root.TrimEnd('/'))}/CLASS/picture.jpg");
        if (classes.Length == 1) throw new GraftException($"{root} holds one class only ('{classes[0]}'): a classifier needs at least two class folders to tell apart");
        var number = classes.Select((name, k) => (name, k)).ToDictionary(pair => pair.name, pair => pair.k);
        Dataset? Make(string role)
        {
            var known = byRole[role].Where(entry => number.ContainsKey(entry.Class)).ToArray();
            ignored.AddRange(byRole[role].Except(known).GroupBy(entry => entry.Class).Select(group => $"{role}/{group.Key}/: a class that train/ does not have ({group.Count()} pictures)"));
            return known.Length == 0 ? null : new Dataset(open([.. known.Select(entry => entry.Path)]), [.. known.Select(entry => number[entry.Class])], classes);
        }
        return new DatasetSplits(root, split ? $"{layout} with splits" : $"{layout} of class folders", Make("train")!, Make("val"), Make("test"), ignored);
    }

    /// <summary>Opens a second folder, its classes matched by name to the first one's.</summary>
    /// <exception cref="GraftException">No class is shared.</exception>
    public static Dataset OpenWithClasses(string path, IReadOnlyList<string> classes, string? preferred = null)
    {
        var splits = Directory.Exists(path) && !Directory.EnumerateFiles(path).Any(IsIdxImages) ? OpenFolderFor(path, classes, preferred) : Pick(Open(path), preferred);
        var number = classes.Select((name, k) => (name, k)).ToDictionary(pair => pair.name, pair => pair.k);
        var map = splits.Classes.Select(name => number.GetValueOrDefault(name, -1)).ToArray();
        var known = splits.Subset(Enumerable.Range(0, splits.Count).Where(k => map[splits.Labels[k]] >= 0));
        if (known.Count == 0) throw new GraftException($"{path} has none of the classes {string.Join(", ", classes.Take(10))}: it has {string.Join(", ", splits.Classes.Take(10))}");
        return known.Relabel(label => map[label], classes);
    }

    private static Dataset Pick(DatasetSplits splits, string? preferred) => preferred switch
    {
        "train" => splits.Train,
        "val" => splits.Validation ?? splits.Test ?? splits.Train,
        _ => splits.Test ?? splits.Validation ?? splits.Train,
    };

    // One class is enough to evaluate on, so this does not go through the checks of a training set.
    private static Dataset OpenFolderFor(string path, IReadOnlyList<string> classes, string? preferred)
    {
        var known = classes.ToHashSet();
        if (!Directory.EnumerateDirectories(path).Any(folder => known.Contains(Path.GetFileName(folder)))) return Pick(Open(path), preferred);
        var entries = new List<Entry>();
        Walk(path, "", [], entries, []);
        var members = entries.Select(entry => entry with { Class = entry.Path.Split('/', '\\')[0] }).Where(entry => known.Contains(entry.Class)).ToArray();
        if (members.Length == 0) throw new GraftException($"{path} holds no pictures in the class folders {string.Join(", ", classes.Take(10))}");
        return new Dataset(new FileSource(path, [.. members.Select(entry => Path.Combine(path, entry.Path))]), [.. members.Select(entry => classes.ToList().IndexOf(entry.Class))], classes);
    }

    private static DatasetSplits OpenCsv(string path)
    {
        var ignored = new List<string>();
        var rows = new List<(string Path, string Label, string Role)>();
        var folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        using var text = new StreamReader(path);
        using var csv = new CsvReader(text, new CsvConfiguration(CultureInfo.InvariantCulture)
        {
            DetectDelimiter = true, DetectDelimiterValues = [",", ";", "\t"], TrimOptions = TrimOptions.Trim, BadDataFound = bad => throw new GraftException($"{path}, line {bad.Context.Parser?.RawRow}: a stray quote in '{bad.RawRecord.Trim()}'. Double the quotes inside a quoted field"),
        });
        try
        {
            if (!csv.Read() || !csv.ReadHeader()) throw new GraftException($"{path} is empty: the first line names the columns, such as path,label");
            var headers = csv.HeaderRecord!;
            int Column(params string[] names) => Array.FindIndex(headers, header => names.Contains(header.Trim().ToLowerInvariant()));
            var (file, label, role) = (Column("path", "file", "filename", "image", "picture"), Column("label", "class", "target", "category"), Column("split", "set", "subset"));
            if (file < 0 || label < 0) throw new GraftException($"{path}, line 1: the columns are {string.Join(", ", headers)}; one must be called path (or file, image) and one label (or class)");
            while (csv.Read())
            {
                var name = csv.GetField(file) ?? "";
                var value = csv.GetField(label) ?? "";
                if (name.Length == 0 || value.Length == 0) { ignored.Add($"line {csv.Parser.RawRow}: no path or no label"); continue; }
                if (!File.Exists(Path.Combine(folder, name))) { ignored.Add($"line {csv.Parser.RawRow}: {name} does not exist"); continue; }
                rows.Add((name, value, role >= 0 ? Role(csv.GetField(role) ?? "") ?? "train" : "train"));
            }
        }
        catch (CsvHelperException reason)
        {
            throw new GraftException($"{path}, line {csv.Parser.RawRow}: {reason.Message.Split('\n')[0].Trim()}", reason);
        }
        string[] classes = [.. rows.Select(row => row.Label).Distinct().Order(StringComparer.Ordinal)];
        if (classes.Length < 2) throw new GraftException($"{path} names {rows.Count} pictures that exist, of {classes.Length} class(es); at least two classes are needed{(ignored.Count > 0 ? $". First problem: {ignored[0]}" : "")}");
        Dataset? Make(string role)
        {
            var members = rows.Where(row => row.Role == role).ToArray();
            return members.Length == 0 ? null : new Dataset(new FileSource(folder, [.. members.Select(row => Path.Combine(folder, row.Path))]), [.. members.Select(row => Array.IndexOf(classes, row.Label))], classes);
        }
        return new DatasetSplits(path, "CSV", Make("train") ?? throw new GraftException($"{path} has no row of the split train"), Make("val"), Make("test"), ignored);
    }

    private static bool IsIdxImages(string path) => Path.GetFileName(path).Contains("idx3-ubyte", StringComparison.Ordinal);

    private static DatasetSplits OpenIdx(string folder)
    {
        Dataset? Read(string start)
        {
            var images = Directory.EnumerateFiles(folder, $"{start}-images*idx3-ubyte*").FirstOrDefault();
            if (images is null) return null;
            var labels = Directory.EnumerateFiles(folder, $"{start}-labels*idx1-ubyte*").FirstOrDefault() ?? throw new GraftException($"{images} has no {start}-labels-idx1-ubyte beside it");
            var (sizes, pixels) = IdxSource.ReadFile(images);
            var (count, values) = IdxSource.ReadFile(labels);
            if (sizes.Length != 3 || count.Length != 1 || sizes[0] != count[0]) throw new GraftException($"{images} holds {sizes[0]} pictures and {labels} {count[0]} labels");
            var fashion = folder.Contains("fashion", StringComparison.OrdinalIgnoreCase) && values.Max() == 9;
            string[] classes = fashion
                ? ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
                : [.. Enumerable.Range(0, values.Max() + 1).Select(k => k.ToString(CultureInfo.InvariantCulture))];
            return new Dataset(new IdxSource(images, pixels, sizes[2], sizes[1]), Array.ConvertAll(values, value => (int)value), classes);
        }
        return new DatasetSplits(folder, "IDX", Read("train") ?? throw new GraftException($"{folder} has no train-images-idx3-ubyte"), null, Read("t10k"), []);
    }
}
