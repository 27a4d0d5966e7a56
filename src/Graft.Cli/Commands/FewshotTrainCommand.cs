using System.CommandLine;
using Graft.FewShot;
using static Graft.Cli.Commands.FewshotArguments;

namespace Graft.Cli.Commands;

internal static class FewshotTrainCommand
{
    public static Command Create()
    {
        var data = OptionBinder<FewShotTrainOptions>.Argument("DATA");
        var augment = new Option<bool>("--augment") { Description = "Random affine changes of every training picture" };
        var (widths, depths) = (Blocks("--widths", "The ConvNet's channels, block by block (default 64-64-64-64)"),
            Blocks("--depths", "The ConvNet's convolutions, block by block (default one each): 1-2-2-2 is slower and learns more"));
        var resume = File("--resume", "Go on with a run that was stopped or killed, with the options that it began with: no others beside it", "RUN");
        var asked = OptionBinder.Of<FewShotTrainOptions>().Without("--same-instances").First("--method")
            .Says("--way", "Classes of a training episode")
            .After("--compose", augment).After("--backbone", widths, depths).After("--seed", resume);
        var command = new Command("train", """
            Learn to learn from few examples, on many small tasks.

            Examples:
              graft fewshot train omniglot.zip --method protonet --way 20 --within-groups --turns 8 --compose 0.4 --augment --trim --side 32
              graft fewshot train photos/ --method maml --way 5 --shot 5 --side 84 --out runs/maml
              graft fewshot train small1.zip --test small2.zip --drop-seen --method matching
              graft fewshot train photos/ --weights mobilenet_v2.safetensors --side 96 --steps 200 --rate 0.0001
              graft fewshot train --resume runs/maml
            """) { data };
        asked.AddTo(command);
        command.Validators.Add(found =>
        {
            if (found.GetValue(data) is null && found.GetValue(resume) is null) found.AddError("give DATA, or --resume RUN to go on with a run");
        });
        Shell.Alone(command, resume);
        FewShotTrainOptions Read(ParseResult parsed)
        {
            var read = asked.Read(parsed, new FewShotTrainOptions());
            var method = read.Method;
            var shape = new[] { ("widths", parsed.GetValue(widths)), ("depths", parsed.GetValue(depths)) }
                .Where(option => option.Item2 is not null).ToDictionary(option => option.Item1, option => option.Item2!);
            if (shape.Count > 0 && (method.Backbone != "convnet" || method.Weights is not null))
                throw Bounds.Refuse("--widths and --depths shape the ConvNet: leave them out with --backbone or --weights");
            // What is usual follows from the method; what is given stands above that.
            read = asked.Read(parsed, read with { Training = FewShotMethods.Training(method.Method, pretrained: method.Weights is not null) });
            return read with
            {
                Method = method with { BackboneOptions = shape },
                Episodes = read.Episodes with { Augmentation = parsed.GetValue(augment) ? new PictureJitter { Elastic = 0.03 } : null },
            };
        }
        Shell.Handle(command, (shell, parsed) =>
        {
            var resumed = parsed.GetValue(resume);
            var result = new FewShotTask(resumed is null ? Read(parsed) : FewShotTask.OptionsOf(resumed)) { Progress = shell.Progress,
                Log = shell.Log, Cancel = shell.Stop }.Run(resume: resumed is not null);
            shell.Result(new
            {
                run = result.Run, method = result.Method, train_classes = result.TrainClasses, test_classes = result.TestClasses,
                    accuracy = result.Inductive.Accuracy, interval = result.Inductive.Interval, episodes = result.Inductive.Episodes,
                transductive_accuracy = result.Transductive?.Accuracy, transductive_interval = result.Transductive?.Interval,
                    seconds = result.Training.Seconds, episodes_per_second = result.Training.EpisodesPerSecond, errors = result.Broken,
                    left_out = LeftOutView.Json(result.DataNotes, result.Broken), notes = result.DataNotes.Remarks,
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, result.DataNotes, result.Broken);
            shell.Say($"{result.Inductive} of queries are right, over {result.Inductive.Episodes} episodes of {result.TestClasses} classes that training never saw{(result.Transductive is { } together ? $"; {together} where queries are normalised together (transductive)" : "")}");
            shell.Say($"Model:    {Path.Combine(result.Run, FewShotModel.FileName)} ({result.Training.Seconds:0.0} s, {result.Training.EpisodesPerSecond:0.0} episodes/s)");
            shell.Say($"Evaluate: {NextCommand.Of("fewshot", "eval", result.Run)} DATA");
        });
        return command;
    }
}
