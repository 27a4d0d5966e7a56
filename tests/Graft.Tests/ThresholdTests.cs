using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Inference;
using Graft.Models;
using Graft.Quickstart;
using Graft.Testing;
using Xunit.Abstractions;

namespace Graft.Tests;

/// <summary>Where a support set says "none of these": how many pictures of its own classes it refuses, and how many of others.</summary>
public sealed class ThresholdTests(ITestOutputHelper output) : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    // The supports are taken in order, draw by draw; every other picture is asked.
    [SkippableTheory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_support_set_refuses_at_most_one_known_photograph_in_ten(int shot)
    {
        var insects = Workshop.Need("hymenoptera", "val");
        var others = Files(Workshop.Need("imagenet-samples", "images")).Where((_, k) => k % 10 == 0).ToArray();
        using var encoder = PictureEncoder.Of(ModelOpener.Load(Workshop.Need("weights", "mobilenet_v2_imagenet.safetensors")).Backbone, new FeatureCache(_shop["cache"]));
        var (ants, bees) = (Files(Path.Combine(insects, "ants")), Files(Path.Combine(insects, "bees")));
        var (known, strangers) = (new List<SupportAnswer>(), new List<SupportAnswer>());
        for (var draw = 0; draw < 20; draw++)
        {
            string[] own = [.. ants.Skip(shot * draw).Take(shot), .. bees.Skip(shot * draw).Take(shot)];
            foreach (var file in own) Put(file, _shop[$"support{draw}", Path.GetFileName(Path.GetDirectoryName(file)!)]);
            // Not disposed of: the encoder is shared.
            var set = new SupportSet(encoder);
            set.Add(Pictures.Support(_shop[$"support{draw}"]));
            Assert.Equal(shot == 1, set.IsRough);
            known.AddRange(set.Classify([.. ants.Concat(bees).Except(own)]).Answers);
            strangers.AddRange(set.Classify(others).Answers);
        }
        double Refused(List<SupportAnswer> answers) => answers.Average(answer => answer.Label is null ? 1.0 : 0);
        double Unsure(List<SupportAnswer> answers) => answers.Average(answer => answer.Unsure ? 1.0 : 0);
        output.WriteLine($"{shot} of each: of known pictures {Refused(known):P1} are refused and {Unsure(known):P1} unsure, of others {Refused(strangers):P1} and {Unsure(strangers):P1}");
        Assert.InRange(Refused(known), 0, 0.1);
        // From one picture of each nothing is refused, but what is strange is said to be unsure more often than what is known.
        Assert.InRange(shot == 1 ? Unsure(strangers) - Unsure(known) : Refused(strangers), 0.25, 1);
        Assert.Equal(0, shot == 1 ? Refused(strangers) : Unsure(strangers));
    }

    [Fact]
    public void One_picture_of_each_class_refuses_nothing_by_itself()
    {
        string[] shapes = ["star4", "gear"];
        ShapeWorld.Write(_shop["shapes"], shapes, 20, 1);
        var (stars, gears) = (Files(_shop["shapes", "star4"]), Files(_shop["shapes", "gear"]));
        using var set = new SupportSet(PictureEncoder.Of(ModelOpener.Load("shapes").Backbone));
        Put(gears[0], _shop["first", "gear"]);
        set.Add(Pictures.Support(_shop["first"]));
        Assert.Null(set.Threshold);
        Assert.All(set.Classify(stars).Answers, answer => Assert.Equal(("gear", false), (answer.Label, answer.Unsure)));

        Put(stars[0], _shop["second", "star4"]);
        set.Add(Pictures.Support(_shop["second"]));
        Assert.True(set.IsRough);
        Assert.All(set.Classify([.. stars, .. gears]).Answers, answer => Assert.Equal(answer.Unsure, answer.Distances[0].Distance > set.Threshold));
        Assert.All(set.Classify([.. stars, .. gears]).Answers, answer => Assert.NotNull(answer.Label));
        // A line of one's own is a line.
        Assert.All(set.Classify([stars[1]], threshold: -1).Answers, answer => Assert.Equal((null, false), (answer.Label, answer.Unsure)));

        Put(stars[1], _shop["third", "star4"]);
        Put(gears[1], _shop["third", "gear"]);
        set.Add(Pictures.Support(_shop["third"]));
        Assert.False(set.IsRough);
        Assert.All(set.Classify([.. stars, .. gears]).Answers, answer => Assert.Equal(answer.Label is null, answer.Distances[0].Distance > set.Threshold));
    }

    private static string[] Files(string folder) => [.. Directory.EnumerateFiles(folder).Where(PictureFiles.IsPicture).Order(StringComparer.Ordinal)];

    private static void Put(string file, string folder)
    {
        Directory.CreateDirectory(folder);
        File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
    }
}
