using System.IO.Compression;
using Graft.Data;
using Graft.Quickstart;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>Which pictures are trained on and which are held out, by the words that people use for it.</summary>
public sealed class SplitTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    private string Table(string text)
    {
        if (!Directory.Exists(_shop["d"])) ShapeWorld.Write(_shop["d"], ["star4", "gear"], 4, 1);
        File.WriteAllText(_shop["t.csv"], text);
        return _shop["t.csv"];
    }

    private string Rows(params string[] splits) => Table("ImagePath,Label,Split\n" + string.Concat(splits.Select((split, k) => $"d/star4/{k:0000}.jpg,star,{split}\nd/gear/{k:0000}.jpg,gear,{split}\n")));

    [Theory]
    [InlineData("training_set", "test_set", "dev")]
    [InlineData("Train", "holdout", "eval")]
    [InlineData("train_images", "Testing", "valid")]
    [InlineData("train2017", "hold-out", "val2017")]
    public void Folders_and_tables_know_the_same_words(string train, string test, string validation)
    {
        foreach (var (folder, each) in new[] { (train, 4), (test, 3), (validation, 2) }) ShapeWorld.Write(_shop["f", folder], ["star4", "gear"], each, 1);
        var splits = DatasetReader.Open(_shop["f"]);
        Assert.Equal((8, 6, 4), (splits.Train.Count, splits.Test!.Count, splits.Validation!.Count));
        var table = DatasetReader.Open(Rows(train, train, test, validation));
        Assert.Equal((4, 2, 2), (table.Train.Count, table.Test!.Count, table.Validation!.Count));
    }

    [Theory]
    [InlineData("0", "is a number")]
    [InlineData("fold7", "is not known")]
    [InlineData("", "is blank")]
    public void A_split_that_nobody_can_tell_is_refused_with_its_line(string word, string reason)
    {
        var refused = Refused(() => DatasetReader.Open(Rows("train", word)));
        Assert.Contains("line 4", refused, StringComparison.Ordinal);
        Assert.Contains(reason, refused, StringComparison.Ordinal);
        Assert.Contains("test_set, holdout", refused, StringComparison.Ordinal);
    }

    [Fact]
    public void A_column_that_is_blank_throughout_is_no_split_and_that_is_said()
    {
        var splits = DatasetReader.Open(Rows("", ""));
        Assert.Equal(4, splits.Train.Count);
        Assert.Contains(splits.Notes.Remarks, line => line.Contains("is blank", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("ImageSource")]
    [InlineData("ImagePath")]
    [InlineData("file_name")]
    [InlineData("image_path")]
    [InlineData("filepath")]
    public void Columns_that_people_have_are_found(string column) => Assert.Equal(2, DatasetReader.Open(Table($"id,{column},Label\n1,d/star4/0000.jpg,star\n2,d/gear/0000.jpg,gear\n")).Train.Count);

    [Fact]
    public void Rows_with_too_few_or_too_many_fields_are_explained()
    {
        var few = Refused(() => DatasetReader.Open(Table("path,label\nd/star4/0000.jpg,star\nd/gear/0000.jpg\n")));
        Assert.Contains("line 3: it has 1 of the 2 fields that line 1 names (path, label), and its label is not among them", few, StringComparison.Ordinal);
        var many = Refused(() => DatasetReader.Open(Table("path,label\nd/star4/0000.jpg,a, b\n")));
        Assert.Contains("line 2: it has 3 fields, and line 1 names 2", many, StringComparison.Ordinal);
        Assert.Contains("double quotes", many, StringComparison.Ordinal);
    }

    [Fact]
    public void A_class_of_the_val_rows_alone_is_not_trained_on_and_is_left_out_aloud()
    {
        var splits = DatasetReader.Open(Table("path,label,split\nd/star4/0000.jpg,star,train\nd/gear/0000.jpg,gear,train\nd/gear/0001.jpg,gear,val\nd/gear/0002.jpg,wheel,val\n"));
        Assert.Equal(["gear", "star"], splits.Train.Classes);
        Assert.Equal(1, splits.Validation!.Count);
        Assert.Contains("val/wheel is a class that training does not have", splits.Ignored);
    }

    [Fact]
    public void A_nest_of_single_folders_is_entered_alike_in_folders_and_zips()
    {
        ShapeWorld.Write(_shop["nest", "photos", "all"], ["star4", "gear"], 3, 1);
        File.WriteAllText(_shop["nest", "read me.txt"], "");
        ZipFile.CreateFromDirectory(_shop["nest"], _shop["nest.zip"]);
        foreach (var path in new[] { _shop["nest"], _shop["nest.zip"] })
        {
            var splits = DatasetReader.Open(path);
            Assert.Equal(["gear", "star4"], splits.Train.Classes);
            Assert.Equal(["read me.txt is no picture by its name"], splits.Ignored);
        }
        // A class that is looked for is no nest.
        Directory.CreateDirectory(_shop["one", "ants", "monday"]);
        File.Copy(_shop["nest", "photos", "all", "gear", "0000.jpg"], _shop["one", "ants", "monday", "1.jpg"]);
        Assert.Equal(1, DatasetReader.OpenWithClasses(_shop["one"], ["ants", "bees"]).Count);
    }

    [Fact]
    public void Folders_that_may_be_parts_by_another_name_are_remarked_on()
    {
        foreach (var part in new[] { "first", "second" }) ShapeWorld.Write(_shop["q", part], ["star4", "gear"], 2, 1);
        Assert.Contains(DatasetReader.Open(_shop["q"]).Notes.Remarks, line => line.Contains("first/ and second/ hold the same folders (gear, star4)", StringComparison.Ordinal));
    }

    [Fact]
    public void Hidden_folders_count_neither_in_folders_nor_in_zips_nor_in_tables()
    {
        ShapeWorld.Write(_shop["d"], ["star4", "gear"], 3, 1);
        foreach (var place in new[] { new[] { "d", ".ipynb_checkpoints" }, ["d", "gear", ".ipynb_checkpoints"], ["d", "__MACOSX"] })
        {
            Directory.CreateDirectory(_shop[place]);
            File.Copy(_shop["d", "gear", "0000.jpg"], _shop[[.. place, "0000.jpg"]]);
        }
        File.WriteAllText(_shop["d", "gear", "._0000.jpg"], "");
        ZipFile.CreateFromDirectory(_shop["d"], _shop["d.zip"]);
        foreach (var path in new[] { _shop["d"], _shop["d.zip"] })
        {
            var splits = DatasetReader.Open(path);
            Assert.Equal([3, 3], splits.Train.CountsByClass());
            Assert.Equal([".ipynb_checkpoints", "__MACOSX", "gear/.ipynb_checkpoints"], splits.Notes.LeftOut.Select(one => one.Name).Order(StringComparer.Ordinal));
            Assert.All(splits.Notes.LeftOut, one => Assert.Equal((LeftOutKind.Hidden, 1), (one.Kind, one.Pictures)));
        }
        Assert.Equal(6, PictureFiles.Below(_shop["d"]).Files.Count);
        Assert.Equal([3, 3], FewShot.Pictures.Support(_shop["d"]).CountsByClass());
        Assert.Equal(2, DatasetReader.Open(Table("path,label\nd/star4/0000.jpg,star\nd/gear/0000.jpg,gear\nd/gear/.ipynb_checkpoints/0000.jpg,gear\n")).Train.Count);
    }

    [Fact]
    public void A_part_that_is_asked_for_is_the_part_that_is_taken_or_an_error()
    {
        foreach (var part in new[] { "train", "val" }) ShapeWorld.Write(_shop["p", part], ["star4", "gear"], 2, 1);
        string[] classes = ["gear", "star4"];
        Assert.Equal("val", DatasetReader.OpenWithClasses(_shop["p"], classes).Part);
        Assert.Equal("train", DatasetReader.OpenWithClasses(_shop["p"], classes, "training").Part);
        Assert.Contains("has no part 'test', only train and val", Refused(() => DatasetReader.OpenWithClasses(_shop["p"], classes, "test")), StringComparison.Ordinal);
        Assert.Contains("--split foo: there is no such part: train, val or test", Refused(() => DatasetReader.OpenWithClasses(_shop["p"], classes, "foo")), StringComparison.Ordinal);
        Assert.Contains("has no parts", Refused(() => DatasetReader.OpenWithClasses(_shop["p", "val"], classes, "val")), StringComparison.Ordinal);
        Directory.Move(_shop["p", "train"], _shop["p", "test"]);
        Assert.Contains("has no part to train on, only val and test", Refused(() => DatasetReader.Open(_shop["p"])), StringComparison.Ordinal);
        Assert.Equal("test", DatasetReader.OpenWithClasses(_shop["p"], classes).Part);
    }
}
