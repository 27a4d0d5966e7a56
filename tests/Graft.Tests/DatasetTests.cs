using System.IO.Compression;
using Graft.Data;
using Graft.Learning;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Tests;

public class DatasetTests
{
    private static Workshop Shapes(int each = 4, params string[] classes)
    {
        var shop = new Workshop();
        ShapeWorld.Write(shop["d"], classes.Length == 0 ? ["star4", "gear"] : classes, each, 1);
        return shop;
    }

    [Fact]
    public void A_folder_of_class_folders_with_Korean_names_and_spaces()
    {
        using var shop = Shapes();
        Directory.Move(shop["d", "star4"], shop["d", "네 별"]);
        var splits = DatasetReader.Open(shop["d"]);
        Assert.Equal(["gear", "네 별"], splits.Train.Classes);
        Assert.Equal([4, 4], splits.Train.CountsByClass());
        using var picture = splits.Train.Decode(7);
        Assert.Equal(32, picture.Width);
    }

    [Fact]
    public void Train_and_valid_folders_and_a_zip_of_them()
    {
        using var shop = new Workshop();
        ShapeWorld.Write(shop["d", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(shop["d", "valid"], ["star4", "gear"], 2, 2);
        var folder = DatasetReader.Open(shop["d"]);
        Assert.Equal((6, 4), (folder.Train.Count, folder.Validation!.Count));
        ZipFile.CreateFromDirectory(shop["d"], shop["d.zip"], CompressionLevel.Fastest, includeBaseDirectory: true);
        var zip = DatasetReader.Open(shop["d.zip"]);
        Assert.Equal((6, 4), (zip.Train.Count, zip.Validation!.Count));
        Assert.Equal(folder.Train.Read(2), zip.Train.Read(2));
    }

    [Fact]
    public void A_csv_with_a_missing_file_goes_on_and_one_with_a_stray_quote_names_the_line()
    {
        using var shop = Shapes();
        File.WriteAllText(shop["a.csv"], "path,label\nd/star4/0000.jpg,별\nd/gear/0000.jpg,\"톱니, 바퀴\"\nd/gone.jpg,별\n");
        var splits = DatasetReader.Open(shop["a.csv"]);
        Assert.Equal(2, splits.Train.Count);
        Assert.Contains("톱니, 바퀴", splits.Train.Classes);
        Assert.Contains("line 4: d/gone.jpg does not exist", splits.Ignored);
        File.WriteAllText(shop["b.csv"], "path,label\nd/star4/0000.jpg,st\"ar\n");
        Assert.Contains("line 2", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["b.csv"])).Message, StringComparison.Ordinal);
        File.WriteAllText(shop["c.csv"], "name,kind\nx,y\n");
        Assert.Contains("must be called path", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["c.csv"])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_learned_from_is_refused_with_the_remedy()
    {
        using var shop = Shapes(3, "gear");
        Assert.Contains("one class only ('gear')", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["d"])).Message,
            StringComparison.Ordinal);
        Directory.CreateDirectory(shop["empty"]);
        Assert.Contains("holds no pictures", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["empty"])).Message,
            StringComparison.Ordinal);
        Assert.Contains("no such file", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["nowhere"])).Message, StringComparison.Ordinal);
        File.WriteAllText(shop["x.zip"], "no zip");
        Assert.Contains("no zip archive", Assert.Throws<GraftException>(() => DatasetReader.Open(shop["x.zip"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_loop_of_links_ends()
    {
        using var shop = Shapes();
        Directory.CreateSymbolicLink(shop["d", "gear", "again"], shop["d"]);
        var splits = DatasetReader.Open(shop["d"]);
        Assert.Equal(8, splits.Train.Count);
        Assert.Contains(splits.Ignored, line => line.Contains("a link back", StringComparison.Ordinal));
    }

    [Fact]
    public void Splits_are_stratified_and_seeded()
    {
        using var shop = Shapes(10);
        var all = DatasetReader.Open(shop["d"]).Train;
        var (first, second) = all.SplitStratified(0.2, 3);
        Assert.Equal([2, 2], second.CountsByClass());
        Assert.Equal(16, first.Count);
        var (_, again) = all.SplitStratified(0.2, 3);
        Assert.Equal(Enumerable.Range(0, 4).Select(second.Name), Enumerable.Range(0, 4).Select(again.Name));
    }

    [Fact]
    public void Inspection_finds_broken_files_and_duplicates_across_splits()
    {
        using var shop = new Workshop();
        ShapeWorld.Write(shop["d", "train"], ["star4", "gear"], 5, 1);
        ShapeWorld.Write(shop["d", "val"], ["star4", "gear"], 3, 2);
        File.Copy(shop["d", "train", "gear", "0001.jpg"], shop["d", "val", "gear", "copy.jpg"]);
        File.WriteAllText(shop["d", "train", "gear", "text.jpg"], "no picture");
        File.WriteAllBytes(shop["d", "train", "gear", "empty.jpg"], []);
        var report = Inspection.Run(DatasetReader.Open(shop["d"]));
        Assert.Equal(2, report.Broken.Count);
        var equal = Assert.Single(report.Duplicates, found => found.Exact);
        Assert.True(equal.AcrossSplits);
        Assert.False(equal.AcrossClasses);
        Assert.Equal((32, 32), (report.Narrowest, report.Tallest));
    }

    [SkippableFact]
    public void Mnist_is_read_from_its_gzipped_files()
    {
        var splits = DatasetReader.Open(Workshop.Need("mnist"));
        Assert.Equal((60000, 10000), (splits.Train.Count, splits.Test!.Count));
        Assert.Equal([5, 0, 4, 1, 9], splits.Train.Labels[..5]);
    }

    [Fact]
    public void A_damaged_idx_file_is_refused()
    {
        using var shop = new Workshop();
        File.WriteAllBytes(shop["train-images-idx3-ubyte"], [0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]);
        File.WriteAllBytes(shop["train-labels-idx1-ubyte"], [0, 0, 8, 1, 0, 0, 0, 9, 1]);
        Assert.Contains("cut off", Assert.Throws<GraftException>(() => DatasetReader.Open(shop.Root)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_loader_gives_the_same_batches_for_a_seed_and_every_picture_once()
    {
        using var shop = Shapes(9);
        var data = DatasetReader.Open(shop["d"]).Train;
        using var store = new PictureStore(data);
        var loader = new Loader(store, Preprocessing.Small(32, Normalize.Symmetric).With(new RandomResizedCrop(32)), 4, 11);
        var items = Enumerable.Range(0, data.Count).ToArray();
        (int[], float)[] Epoch(int epoch, int skip = 0) =>
            [.. loader.Batches(items, epoch, true, skip)
            .Select(batch => { using (batch) return (batch.Indices, batch.Inputs.ToArray<float>().Sum()); })];
        var first = Epoch(0);
        Assert.Equal(items, first.SelectMany(batch => batch.Item1).Order());
        Assert.Equal(first.Select(batch => batch.Item2), Epoch(0).Select(batch => batch.Item2));
        Assert.Equal(first.Skip(2).Select(batch => batch.Item2), Epoch(0, 2).Select(batch => batch.Item2));
        Assert.NotEqual(first.SelectMany(batch => batch.Item1), Epoch(1).SelectMany(batch => batch.Item1));
    }
}
