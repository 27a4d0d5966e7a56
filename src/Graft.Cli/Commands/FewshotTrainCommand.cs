using System.CommandLine;
using System.CommandLine.Parsing;
using Graft.FewShot;
using Graft.Models.Zoo;
using Graft.Torch;
using static Graft.Cli.Commands.FewshotArguments;

namespace Graft.Cli.Commands;

internal static class FewshotTrainCommand
{
    public static Command Create()
    {
        var data = new Argument<string?>("DATA") { Description = "Class folders (with group folders above them, such as Alphabet/character01/x.png), a zip of them, or train/, val/ and test/ with classes of their own", Arity = ArgumentArity.ZeroOrOne };
        var method = new Option<string>("--method") { Description = string.Join(", ", FewShotMethods.Names.Keys), DefaultValueFactory = _ => "protonet", HelpName = "NAME" };
        var test = File("--test", "Another dataset for the test classes (default: the dataset's own, or three classes in ten)", "DATA");
        var dropSeen = new Option<bool>("--drop-seen") { Description = "Leave test classes out that training has too, or whose group it has" };
        var (way, shot, query) = (Number("--way", "Classes of a training episode", 5), Number("--shot", "Support pictures of each class", 1), Number("--query", "Query pictures of each class", 5));
        var within = new Option<bool>("--within-groups") { Description = "All classes of an episode come from one group" };
        var turns = Number("--turns", "Turned pictures as classes of their own: 1 (no), 4, or 8 with mirrored ones", 1);
        var compose = new Option<double>("--compose") { Description = "Share of episodes whose classes are pairs of drawings, side by side: new classes that share parts", HelpName = "SHARE" };
        var augment = new Option<bool>("--augment") { Description = "Random affine changes of every training picture" };
        var trim = new Option<bool>("--trim") { Description = "Cut drawings out of a plain ground, so that all fill the picture alike" };
        var (steps, batch) = (new Option<int?>("--steps") { Description = "Steps of the optimiser (default 2000; MANN 1500)", HelpName = "N" }, new Option<int?>("--batch") { Description = "Episodes of a step (default 2; Reptile 4, MAML and its kin 8, MANN 16)", HelpName = "N" });
        var rate = new Option<double?>("--rate") { Description = "Learning rate (default 0.001; a prototypical network from scratch 0.003, MANN 0.002, Reptile 1)", HelpName = "X" };
        var (innerRate, innerSteps) = (new Option<double?>("--inner-rate") { Description = "MAML and Reptile: the rate within a task (default 0.4, 0.3 for fomaml, 0.01 for Reptile; 0.001 with --weights)", HelpName = "X" }, new Option<int?>("--inner-steps") { Description = "MAML and Reptile: steps within a task", HelpName = "N" });
        var learnRates = new Option<bool>("--learn-rates") { Description = "MAML: a learned rate for each layer and step" };
        var loss = new Option<PairLoss>("--loss") { Description = "Siamese: cross-entropy, contrastive or triplet", HelpName = "NAME", CustomParser = found => Enum.TryParse<PairLoss>(found.Tokens[0].Value.Replace("-", "", StringComparison.Ordinal), true, out var kind) ? kind : Refuse(found) };
        var distance = DistanceOption(DistanceKind.SquaredEuclidean);
        var backbone = new Option<string>("--backbone") { Description = "The network (graft models list)", DefaultValueFactory = _ => "convnet", HelpName = "NAME" };
        var weights = File("--weights", "A pretrained network to start from; --distance is then cosine unless given");
        var (widths, depths) = (Blocks("--widths", "The ConvNet's channels, block by block (default 64-64-64-64)"), Blocks("--depths", "The ConvNet's convolutions, block by block (default one each): 1-2-2-2 is slower and learns more"));
        var side = new Option<int?>("--side") { Description = "Pixels of the square picture (default 28 for the ConvNet)", HelpName = "N" };
        var overwrite = Shell.OverwriteOption("a run that is in the folder of --out (its pictures and all that is not a run's stay)");
        var resume = File("--resume", "Go on with a run that was stopped or killed, with the options that it began with: no others beside it", "RUN");
        var (output, seed) = (File("--out", "The run folder", "RUN"), new Option<long>("--seed") { Description = "Of everything that is random", HelpName = "N" });
        var command = new Command("train", """
            Learn to learn from few examples, on many small tasks.

            Examples:
              graft fewshot train omniglot.zip --method protonet --way 20 --within-groups --turns 8 --compose 0.4 --augment --trim --side 32
              graft fewshot train photos/ --method maml --way 5 --shot 5 --side 84 --out runs/maml
              graft fewshot train small1.zip --test small2.zip --drop-seen --method matching
              graft fewshot train photos/ --weights mobilenet_v2.safetensors --side 96 --steps 200 --rate 0.0001
              graft fewshot train --resume runs/maml
            """) { data };
        foreach (var option in new Option[] { method, test, dropSeen, way, shot, query, within, turns, compose, augment, trim, steps, batch, rate, innerRate, innerSteps, learnRates, loss, distance, backbone, widths, depths, weights, side, output, overwrite, seed, resume }) command.Options.Add(option);
        command.Validators.Add(found =>
        {
            if (found.GetValue(data) is null && found.GetValue(resume) is null) found.AddError("give DATA, or --resume RUN to go on with a run");
        });
        Shell.Alone(command, resume);
        FewShotTrainOptions Read(ParseResult parsed)
        {
            var name = parsed.GetValue(method)!;
            if ((parsed.GetValue(widths) ?? parsed.GetValue(depths)) is not null && (parsed.GetValue(backbone) != "convnet" || parsed.GetValue(weights) is not null))
                throw Bounds.Refuse("--widths and --depths shape the ConvNet: leave them out with --backbone or --weights");
            var training = FewShotMethods.Training(name, pretrained: parsed.GetValue(weights) is not null);
            return new FewShotTrainOptions
            {
                Data = parsed.GetValue(data)!, Threads = Shell.ThreadsOf(parsed), Test = parsed.GetValue(test), DropSeen = parsed.GetValue(dropSeen), Side = parsed.GetValue(side), Turns = parsed.GetValue(turns), Trim = parsed.GetValue(trim), Out = parsed.GetValue(output), Overwrite = parsed.GetValue(overwrite), Seed = parsed.GetValue(seed),
                Method = new FewShotOptions
                {
                    Method = name, Backbone = parsed.GetValue(backbone)!, BackboneOptions = new[] { ("widths", parsed.GetValue(widths)), ("depths", parsed.GetValue(depths)) }.Where(option => option.Item2 is not null).ToDictionary(option => option.Item1, option => option.Item2!), Weights = parsed.GetValue(weights), Distance = parsed.GetResult(distance) is { Implicit: false } ? parsed.GetValue(distance) : null, PairLoss = parsed.GetValue(loss), Way = parsed.GetValue(way),
                    InnerRate = parsed.GetValue(innerRate), InnerSteps = parsed.GetValue(innerSteps), LearnRates = parsed.GetValue(learnRates),
                },
                Episodes = new EpisodeOptions { Way = parsed.GetValue(way), Shot = parsed.GetValue(shot), Query = parsed.GetValue(query), WithinGroup = parsed.GetValue(within), Composed = parsed.GetValue(compose), Augmentation = parsed.GetValue(augment) ? new PictureJitter { Elastic = 0.03 } : null },
                Training = training with { Steps = parsed.GetValue(steps) ?? training.Steps, EpisodesPerStep = parsed.GetValue(batch) ?? training.EpisodesPerStep, LearningRate = parsed.GetValue(rate) ?? training.LearningRate },
            };
        }
        Shell.Handle(command, (shell, parsed) =>
        {
            var resumed = parsed.GetValue(resume);
            var result = new FewShotTask(resumed is null ? Read(parsed) : FewShotTask.OptionsOf(resumed)) { Progress = shell.Progress, Log = shell.Log, Cancel = shell.Stop }.Run(resume: resumed is not null);
            shell.Result(new
            {
                run = result.Run, method = result.Method, train_classes = result.TrainClasses, test_classes = result.TestClasses, accuracy = result.Inductive.Accuracy, interval = result.Inductive.Interval, episodes = result.Inductive.Episodes,
                transductive_accuracy = result.Transductive?.Accuracy, transductive_interval = result.Transductive?.Interval, seconds = result.Training.Seconds, episodes_per_second = result.Training.EpisodesPerSecond, errors = result.Broken, left_out = LeftOutView.Json(result.DataNotes, result.Broken), notes = result.DataNotes.Remarks,
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, result.DataNotes, result.Broken);
            shell.Say($"{result.Inductive} of queries are right, over {result.Inductive.Episodes} episodes of {result.TestClasses} classes that training never saw{(result.Transductive is { } together ? $"; {together} where queries are normalised together (transductive)" : "")}");
            shell.Say($"Model:    {Path.Combine(result.Run, FewShotModel.FileName)} ({result.Training.Seconds:0.0} s, {result.Training.EpisodesPerSecond:0.0} episodes/s)");
            shell.Say($"Evaluate: {NextCommand.Of("fewshot", "eval", result.Run)} DATA");
        });
        return command;
    }

    private static PairLoss Refuse(ArgumentResult found)
    {
        found.AddError($"there is no loss '{found.Tokens[0].Value}': cross-entropy, contrastive or triplet");
        return default;
    }
}
