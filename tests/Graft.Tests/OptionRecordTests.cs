using System.Reflection;
using Graft.FewShot;
using Graft.Heads;
using Graft.Models;
using Graft.Serve;
using Graft.Transfer;

namespace Graft.Tests;

/// <summary>Records of options say of each property what it is, and hold themselves to it.</summary>
public sealed class OptionRecordTests
{
    /// <summary>What no option is made of, each with the reason.</summary>
    private static readonly Dictionary<string, string> s_others = new()
    {
        ["PlanOptions"] = "what a task hands to the runner of its plan: no setting of a user's",
        ["FewShotOptions.BackboneOptions"] = "names and values of the network's own, which --widths and --depths write",
        ["EpisodeOptions.Augmentation"] = "a record of a transform, which --augment gives",
        ["ServeOptions.StopsOnSignals"] = "for the host's program, not for who starts it",
    };

    public static TheoryData<Type> Records => [.. new[] { typeof(TrainOptions).Assembly, typeof(ServeOptions).Assembly }
        .SelectMany(assembly => assembly.GetTypes()).Where(type => type.Name.EndsWith("Options", StringComparison.Ordinal)
            && type.GetMethod("<Clone>$") is not null && !s_others.ContainsKey(type.Name))];

    [Theory]
    [MemberData(nameof(Records))]
    public void Every_property_that_can_be_set_is_an_option_or_has_a_reason(Type record)
    {
        var told = OptionBounds.Of(record).Select(found => found.Property.Name).ToHashSet();
        Assert.NotEmpty(told);
        string[] untold = [.. record.GetProperties().Where(property => property.CanWrite && !told.Contains(property.Name))
            .Select(property => $"{record.Name}.{property.Name}")];
        Assert.All(untold, name => Assert.Contains(name, s_others.Keys));
    }

    [Theory]
    [MemberData(nameof(Records))]
    public void Every_option_has_a_text_and_a_name_of_its_own(Type record)
    {
        var options = OptionBounds.Of(record).Where(found => found.Option is not null).ToArray();
        Assert.All(options, found => Assert.Matches(@"^\S.*[^\s.]$", found.Option!.Text));
        Assert.Equal(options.Length, options.Select(found => found.Name).Distinct().Count());
        // A choice names all that may be chosen, and a flag that takes text says what text.
        Assert.All(options.Where(found => found.Name.StartsWith('-') && found.Type.IsEnum), found =>
            Assert.All(OptionBounds.Names(found.Type), name => Assert.Contains(name, found.Option!.Text, StringComparison.Ordinal)));
        Assert.All(options.Where(found => found.Name.StartsWith('-') && found.Type == typeof(string)),
            found => Assert.NotNull(found.Option!.HelpName));
    }

    [Theory]
    [MemberData(nameof(Records))]
    public void Every_default_lies_within_its_own_bounds(Type record) => OptionBounds.Check(Activator.CreateInstance(record)!);

    [Fact]
    public void Names_are_listed_of_every_method_and_strategy_there_is()
    {
        string Text(Type record, string property) => OptionBounds.Of(record).Single(found => found.Property.Name == property).Option!.Text;
        Assert.Equal(string.Join(", ", FewShotMethods.Names.Keys), Text(typeof(FewShotOptions), nameof(FewShotOptions.Method)));
        Assert.StartsWith(string.Join(", ", Strategies.Names) + ";",
            Text(typeof(TrainOptions), nameof(TrainOptions.Strategy)), StringComparison.Ordinal);
    }

    public static TheoryData<string, object> Bad => new()
    {
        { "--epochs 0: a whole number from 1 on", new TrainOptions { Data = "d", Epochs = 0 } },
        { "--threads 5000: a whole number from 1 to 4096", new TrainOptions { Data = "d", Threads = 5000 } },
        { "--size 7: a whole number from 8 to 8192", new TrainOptions { Data = "d", Input = new InputOptions { Size = 7 } } },
        { "--channels cmyk: rgb, bgr, grey or gray", new TrainOptions { Data = "d", Input = new InputOptions { Channels = "cmyk" } } },
        { "there is no task '7'. There are: classes, labels, numbers, similarity", new TrainOptions { Data = "d", Task = (Data.TargetKind)7 } },
        { "--inner-rate 0: a number above 0", new FewShotTrainOptions { Method = new FewShotOptions { Method = "maml", InnerRate = 0 } } },
        { "--turns 3: 1, 4 or 8", new FewShotTrainOptions { Turns = 3 } },
        { "--way 1: a whole number from 2 on", new FewShotTrainOptions { Episodes = new EpisodeOptions { Way = 1 } } },
        { "--compose NaN: a number from 0 to 1", new FewShotTrainOptions { Episodes = new EpisodeOptions { Composed = double.NaN } } },
        { "--rate NaN: a number above 0", new FewShotTrainOptions { Training = new EpisodeTrainOptions { LearningRate = double.NaN } } },
        { "steps within a task at test 0: a whole number from 1 on", new FewShotOptions { Method = "maml", TestSteps = 0 } },
        { "--max-megabytes 0: a whole number from 1 to 1048576", new ServeOptions { MaxBytes = 0 } },
        { "--max-megabytes 1048577: a whole number from 1 to 1048576", new ServeOptions { MaxBytes = (1L << 40) + 1 } },
        { "--max-seconds 0: a number from 0.001 to 86400", new ServeOptions { MaxTime = TimeSpan.Zero } },
        { "C 0: a number above 0", new HeadOptions { C = 0 } },
    };

    [Theory]
    [MemberData(nameof(Bad))]
    public void A_value_out_of_its_bounds_is_refused_in_one_sentence(string sentence, object record)
    {
        var refused = Assert.Throws<GraftException>(() => OptionBounds.Check(record));
        Assert.Equal(sentence, refused.Message);
        Assert.True(refused.IsUsage);
        // The record's own Validate says the same.
        var told = Assert.Throws<TargetInvocationException>(() => record.GetType().GetMethod("Validate")!.Invoke(record, null)).InnerException;
        Assert.Equal(sentence, told?.Message);
    }
}
