using System.CommandLine;
using Graft.Data;
using Graft.FewShot;
using Graft.Heads;
using Graft.Inference;
using Graft.Models;
using Graft.Serve;
using Graft.Transfer;

namespace Graft.Cli.Tests;

/// <summary>From words of the command line to a record of options.</summary>
public sealed class OptionBinderTests
{
    private static ParseResult Parsed(Action<Command> fill, string words)
    {
        var command = new RootCommand();
        fill(command);
        // As every command of the program has it.
        command.Options.Add(new Option<int?>(Shell.ThreadsName));
        NumberOptions.ReadAlike(command);
        return command.Parse(words);
    }

    private static T Read<T>(T start, string words) where T : class
    {
        var binder = OptionBinder.Of<T>();
        var parsed = Parsed(binder.AddTo, words);
        Assert.Empty(parsed.Errors);
        return binder.Read(parsed, start);
    }

    [Fact]
    public void What_is_not_given_stays_as_the_record_has_it()
    {
        Assert.Equal(new TrainOptions { Data = "d" }, Read(new TrainOptions { Data = "d" }, ""));
        Assert.Equal(new TrainOptions { Data = "d", Device = "cuda", Seed = 4, Head = HeadKind.Svm },
            Read(new TrainOptions { Data = "d", Device = "cuda", Seed = 4, Head = HeadKind.Svm }, ""));
        Assert.Equal(new ServeOptions { MaxBytes = 12345 }, Read(new ServeOptions { MaxBytes = 12345 }, ""));
    }

    [Fact]
    public void Every_type_of_option_is_read_and_records_within_records_are_filled()
    {
        Assert.Equal(
            new TrainOptions
            {
                Data = "d", Validation = "v", Seed = 12345678901, Epochs = 3, NoCache = true,
                Task = TargetKind.Labels, Head = HeadKind.Sigmoid, Threads = 2,
                Input = new InputOptions { Size = 64, Scale = "1/255" },
            },
            Read(new TrainOptions { Data = "d" },
                "--val v --seed 12345678901 --epochs 3 --no-cache --task labels --head Sigmoid --threads 2 --size 64 --scale 1/255"));
        Assert.Equal(new ServeOptions { MaxBytes = 3 << 20, MaxTime = TimeSpan.FromSeconds(0.5), ApiKey = "k" },
            Read(new ServeOptions(), "--max-megabytes 3 --max-seconds 0.5 --api-key k"));
        var read = Read(new FewShotTrainOptions(), "--way 20 --seed 7 --rate 0.5 --loss cross-entropy --distance squared-euclidean --within-groups");
        // One flag, and all that bear its name.
        Assert.Equal((20, 20, 7, 7), (read.Episodes.Way, read.Method.Way, read.Seed, read.Episodes.Seed));
        Assert.Equal((0.5, PairLoss.CrossEntropy, DistanceKind.SquaredEuclidean, true),
            (read.Training.LearningRate, read.Method.PairLoss, read.Method.Distance!.Value, read.Episodes.WithinGroup));
    }

    [Theory]
    [InlineData("there is no head 'oak'. There are: softmax, svm, mean, mlp, sigmoid, ridge, huber, cosine", "--head oak")]
    [InlineData("there is no task 'class'. There are: classes, labels, numbers, similarity", "--task class")]
    public void A_choice_that_is_none_names_what_there_is(string sentence, string words) =>
        Assert.Equal(sentence, Assert.Single(Parsed(OptionBinder.Of<TrainOptions>().AddTo, words).Errors).Message);

    [Theory]
    [InlineData("--max-megabytes 0: a whole number from 1 to 1048576", "--max-megabytes 0")]
    [InlineData("--max-seconds 0: a number from 0.001 to 86400", "--max-seconds 0")]
    [InlineData("--max-seconds 1E+300: a number from 0.001 to 86400", "--max-seconds 1e300")]
    public void The_command_line_and_the_library_refuse_in_the_same_words(string sentence, string words) =>
        Assert.Equal(sentence, Assert.Throws<GraftException>(() => Read(new ServeOptions(), words).Validate()).Message);

    [Fact]
    public void Help_shows_the_records_default_where_there_is_one_to_say()
    {
        string Help(Action<Command> fill)
        {
            var command = new RootCommand();
            fill(command);
            using var output = new StringWriter();
            command.Parse("--help").Invoke(new InvocationConfiguration { Output = output });
            return output.ToString();
        }
        var serve = Help(OptionBinder.Of<ServeOptions>().AddTo);
        Assert.Contains("[default: 20]", serve, StringComparison.Ordinal);
        Assert.Contains("[default: 30]", serve, StringComparison.Ordinal);
        Assert.Equal(["[default: 1]", "[default: 5]", "[default: 5]"],
            [.. Help(OptionBinder.Of<EpisodeOptions>().AddTo).Split('\n').Where(line => line.Contains("[default"))
                .Select(line => line[line.IndexOf("[default", StringComparison.Ordinal)..].Trim()).Order(StringComparer.Ordinal)]);
    }
}
