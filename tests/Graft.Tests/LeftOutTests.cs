using System.IO.Compression;
using Graft.Data;
using Graft.Quickstart;
using Graft.Testing;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>What a dataset loses is counted and named.</summary>
public sealed class LeftOutTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static string Refused(Action action) => Assert.Throws<GraftException>(action).Message;

    [Fact]
    public void Foreign_classes_unknown_parts_loose_pictures_and_empty_folders_are_counted_alike_in_folders_and_zips()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear", "ring"], 2, 1);
        ShapeWorld.Write(_shop["d", "other"], ["star4"], 5, 1);
        File.Copy(_shop["d", "val", "gear", "0000.jpg"], _shop["d", "val", "loose.jpg"]);
        Directory.CreateDirectory(_shop["d", "train", "bees"]);
        ZipFile.CreateFromDirectory(_shop["d"], _shop["d.zip"]);
        foreach (var path in new[] { _shop["d"], _shop["d.zip"] })
        {
            var splits = DatasetReader.Open(path);
            Assert.Equal((6, 4), (splits.Train.Count, splits.Validation!.Count));
            Assert.Equal(
                ["other/ is neither train, val nor test (5 pictures)", "train/bees/ holds no picture", "val/loose.jpg lies in no class folder", "val/ring is a class that training does not have (2 pictures)"],
                splits.Ignored.Order(StringComparer.Ordinal));
            Assert.Equal(8, LeftOut.Group(splits.Notes.LeftOut).Sum(group => group.Pictures));
            // A model's view of the val part has what val lost, and nothing of train.
            var val = DatasetReader.OpenWithClasses(path, splits.Train.Classes, "val");
            Assert.DoesNotContain(val.Notes.LeftOut, one => one.Kind == LeftOutKind.EmptyFolder);
            Assert.Contains(val.Notes.LeftOut, one => one is { Kind: LeftOutKind.ForeignClass, Name: "val/ring", Pictures: 2 });
            Assert.Equal(val.Notes, val.Subset([0]).Notes);
        }
    }

    [Fact]
    public void Names_that_differ_by_case_alone_are_matched_where_that_is_unambiguous()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 2, 1);
        Directory.Move(_shop["d", "val", "gear"], _shop["d", "val", "Gear"]);
        var splits = DatasetReader.Open(_shop["d"]);
        Assert.Equal([2, 2], splits.Validation!.CountsByClass());
        Assert.Contains("val/Gear is taken for the class gear: the names differ by case alone", splits.Notes.Remarks);
        ShapeWorld.Write(_shop["d", "val"], ["gear"], 2, 1);
        splits = DatasetReader.Open(_shop["d"]);
        Assert.Equal([2, 2], splits.Validation!.CountsByClass());
        Assert.Contains("val/Gear is a class that training does not have (2 pictures)", splits.Ignored);
    }

    [Theory]
    [InlineData("feature")]
    [InlineData("full")]
    [InlineData("head-then-full")]
    [InlineData("auto")]
    public void A_class_of_which_nothing_can_be_read_is_not_trained_around(string strategy)
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear", "ring"], 4, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 2, 2);
        foreach (var file in Directory.GetFiles(_shop["d", "train", "ring"])) File.WriteAllText(file, "no picture");
        var task = new TransferTask(new TrainOptions { Data = _shop["d"], Strategy = strategy, Epochs = strategy is "feature" or "auto" ? null : 1,
            Out = _shop["run"], NoCache = true });
        Assert.Contains("none of the 4 pictures of the class 'ring' can be read (the first: train/ring/0000.jpg", Refused(() => task.Run()),
            StringComparison.Ordinal);
    }

    [Fact]
    public void With_nothing_to_train_or_to_validate_on_that_can_be_read_the_error_says_so()
    {
        ShapeWorld.Write(_shop["d", "train"], ["star4", "gear"], 3, 1);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 2, 2);
        TransferTask Task() => new(new TrainOptions { Data = _shop["d"], Strategy = "feature", Out = _shop["run"], NoCache = true });
        foreach (var file in Directory.GetFiles(_shop["d", "val"], "*", SearchOption.AllDirectories)) File.WriteAllText(file, "no picture");
        Assert.Contains("none of the 4 pictures to validate on can be read. The first: val/gear/0000.jpg", Refused(() => Task().Run()),
            StringComparison.Ordinal);
        Directory.Delete(_shop["d", "val"], true);
        ShapeWorld.Write(_shop["d", "val"], ["star4", "gear"], 2, 2);
        foreach (var file in Directory.GetFiles(_shop["d", "train"], "*", SearchOption.AllDirectories)) File.WriteAllText(file, "no picture");
        Assert.Contains("none of the 6 pictures can be read. The first: train/gear/0000.jpg", Refused(() => Task().Run()), StringComparison.Ordinal);
    }
}
