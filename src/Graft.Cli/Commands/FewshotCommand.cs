using System.CommandLine;
using System.CommandLine.Parsing;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Cli.Commands;

internal static class FewshotCommand
{
    public static Command Create() => new("fewshot", """
        Learn from one picture of each class, or five.

        Examples:
          graft fewshot classify --support pets/ photo.jpg --weights mobilenet_v2.safetensors
          graft fewshot verify a.jpg b.jpg --weights mobilenet_v2.safetensors --calibrate pets/
          graft fewshot train omniglot.zip --method protonet --way 20 --shot 1 --turns 4
          graft fewshot eval runs/LAST other.zip --way 5 --shot 5
        """) { Train(), Eval(), Classify(), Verify() };

    private static Option<int> Number(string name, string description, int standard) => new(name) { Description = description, DefaultValueFactory = _ => standard, HelpName = "N" };

    private static Option<string?> File(string name, string description, string help = "FILE") => new(name) { Description = description, HelpName = help };

    private static Option<string?> Blocks(string name, string description)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = "N-N-…" };
        option.Validators.Add(found =>
        {
            var text = found.Tokens.Count > 0 ? found.Tokens[0].Value : "";
            if (!text.Split('-').All(part => int.TryParse(part, out var number) && number is > 0 and <= 4096)) found.AddError($"{name} '{text}': numbers above zero with hyphens between, one for each block, such as 1-2-2-2");
        });
        return option;
    }

    private static Option<DistanceKind> DistanceOption(DistanceKind standard) => new("--distance")
    {
        Description = "cosine, euclidean, squared-euclidean, manhattan; with class means also mahalanobis", HelpName = "NAME", DefaultValueFactory = _ => standard,
        CustomParser = found => ReadDistance(found),
    };

    private static DistanceKind ReadDistance(ArgumentResult found)
    {
        var text = found.Tokens[0].Value.Replace("-", "", StringComparison.Ordinal);
        if (Enum.TryParse<DistanceKind>(text, ignoreCase: true, out var kind)) return kind;
        found.AddError($"there is no distance '{found.Tokens[0].Value}': cosine, euclidean, squared-euclidean, manhattan or mahalanobis");
        return default;
    }

    private static Command Train()
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
                Data = parsed.GetValue(data)!, Test = parsed.GetValue(test), DropSeen = parsed.GetValue(dropSeen), Side = parsed.GetValue(side), Turns = parsed.GetValue(turns), Trim = parsed.GetValue(trim), Out = parsed.GetValue(output), Overwrite = parsed.GetValue(overwrite), Seed = parsed.GetValue(seed),
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

    private static Command Eval()
    {
        var model = new Argument<string>("MODEL") { Description = "A run of fewshot train, or any pretrained network or run of train, which is then used as it is" };
        var data = new Argument<string>("DATA") { Description = "Class folders that training never saw" };
        var (way, shot, query, episodes) = (Number("--way", "Classes of an episode", 5), Number("--shot", "Support pictures of each class", 1), Number("--query", "Query pictures of each class", 5), Number("--episodes", "How many; at least 600", EpisodeEvaluator.LeastEpisodes));
        var within = new Option<bool>("--within-groups") { Description = "All classes of an episode come from one group" };
        var same = new Option<bool>("--same-instances") { Description = "Supports are each class's pictures of one number, queries of another: on Omniglot one drawer against another" };
        var seed = new Option<long>("--seed") { Description = "Of the episodes", HelpName = "N" };
        var views = Number("--views", "See every picture so many times, mildly jittered, and average the scores: models of fewshot train, without mann", 1);
        var input = new InputArguments();
        var command = new Command("eval", """
            Accuracy over episodes, with its 95% interval.

            Examples:
              graft fewshot eval runs/protonet unseen.zip --way 20 --shot 1 --within-groups
              graft fewshot eval runs/reptile unseen.zip --views 8
              graft fewshot eval mobilenet_v2.safetensors flowers/ --way 5 --shot 5
            """) { model, data };
        foreach (var option in new Option[] { way, shot, query, episodes, within, same, views, seed }) command.Options.Add(option);
        input.AddTo(command, labels: false);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = new EpisodeOptions { Way = parsed.GetValue(way), Shot = parsed.GetValue(shot), Query = parsed.GetValue(query), WithinGroup = parsed.GetValue(within), SameInstances = parsed.GetValue(same), Seed = parsed.GetValue(seed) };
            options.Validate();
            var count = parsed.GetValue(episodes);
            if (count < EpisodeEvaluator.LeastEpisodes) throw Bounds.Refuse($"--episodes {count}: fewer than {EpisodeEvaluator.LeastEpisodes} tell too little");
            var seenTimes = parsed.GetValue(views);
            Bounds.Whole("--views", seenTimes, 1, 1000);
            void Episode(int done, int total) => shell.Progress(new ProgressReport("episodes", done, total, 0) { Unit = "episodes" });
            var rows = new List<(string Name, EpisodeAccuracy Found)>();
            var set = DatasetReader.Open(parsed.GetValue(data)!, TargetKind.Classes).TrainAlone;
            IReadOnlyList<BrokenPicture> broken;
            IReadOnlyList<string> notes = [];
            if (FewShotModel.Is(parsed.GetValue(model)!))
            {
                using var trained = FewShotModel.Load(parsed.GetValue(model)!);
                var pool = EpisodePool.Read(set, trained.Preprocessing, trained.Grey, cancel: shell.Stop);
                broken = pool.Broken;
                var seen = pool.Classes.Select(found => found.Name).Intersect(trained.TrainClasses).ToArray();
                if (seen.Length > 0) shell.Log($"graft: {seen.Length} of these classes were trained on ({string.Join(", ", seen.Take(3))}): they are left out");
                var sampler = new EpisodeSampler(pool.Where(found => !seen.Contains(found.Name)), options);
                void Row(bool transductive) => rows.Add(($"{trained.Learner.Options.Method}, {(transductive ? "transductive" : "inductive")}{(seenTimes > 1 ? $", {seenTimes} views" : "")}", EpisodeEvaluator.Evaluate(trained.Learner, sampler, count, transductive, 0, Episode, shell.Stop, seenTimes)));
                Row(false);
                // Views of a metric method are encoded once for all episodes, which queries normalised together cannot be.
                if (seenTimes == 1 || trained.Learner is TaskLearner) Row(true);
            }
            else
            {
                if (seenTimes > 1) throw new GraftException("--views is for models of fewshot train: a pretrained network sees each picture once");
                using var encoder = PictureEncoder.Open(parsed.GetValue(model)!, input.Read(parsed), FeatureCache.Default());
                foreach (var note in notes = encoder.Notes) shell.Log(note);
                var (found, unreadable) = FrozenEvaluation.Run(encoder, set, options, count, Episode, shell.Stop);
                broken = unreadable;
                rows.AddRange(found.Select(rule => (rule.Rule, rule.Accuracy)));
            }
            shell.Result(new { results = rows.Select(row => new { method = row.Name, accuracy = row.Found.Accuracy, interval = row.Found.Interval, episodes = row.Found.Episodes, seconds = row.Found.Seconds, transductive = row.Found.Transductive }), left_out = LeftOutView.Json(set.Notes, broken), notes = notes.Concat(set.Notes.Remarks) });
            if (shell.Json) return;
            LeftOutView.Say(shell, set.Notes, broken);
            shell.Table([$"{options.Way}-way {options.Shot}-shot", "accuracy", "episodes", "seconds"], rows.Select(row => new[] { row.Name, $"{row.Found}", $"{row.Found.Episodes}", $"{row.Found.Seconds:0.0}" }), 1, 2, 3);
        });
        return command;
    }

    private static readonly string s_weightsHelp = "A pretrained network in any format, a run of train, or a run of fewshot train (protonet, matching, siamese)";

    private static Command Classify()
    {
        var files = new Argument<string[]>("FILE") { Description = "Pictures, or folders of pictures", Arity = ArgumentArity.ZeroOrMore };
        var support = new Option<string>("--support") { Description = "A folder with a folder for each class and one picture or more in it; or a set that --save wrote", HelpName = "DIR", Required = true };
        var weights = File("--weights", s_weightsHelp + "; a saved set has its own");
        var add = File("--add", "Class folders to add to the set", "DIR");
        var save = File("--save", "Write the set with its network to one file (.safetensors)");
        var distance = DistanceOption(DistanceKind.Cosine);
        var threshold = new Option<double?>("--threshold") { Description = "Farther from every class than this is none of them (default: calibrated on the support set; where a class has one picture only, an answer beyond it is unsure)", HelpName = "X" };
        var overwrite = Shell.OverwriteOption("another file than the set of --support that --save names");
        var noCache = new Option<bool>("--no-cache") { Description = "Neither read nor keep features on disk" };
        var input = new InputArguments();
        var command = new Command("classify", """
            Say which of a few classes a picture is of, from one picture of each; from two, also that it is none of them. Nothing is trained.

            Examples:
              graft fewshot classify --support pets/ photo.jpg --weights mobilenet_v2.safetensors
              graft fewshot classify --support pets/ --weights mobilenet_v2.safetensors --save pets.safetensors
              graft fewshot classify --support pets.safetensors --add more-pets/ --save pets.safetensors new-photos/
            """) { files };
        foreach (var option in new Option[] { support, weights, add, save, overwrite, distance, threshold, noCache }) command.Options.Add(option);
        input.AddTo(command, labels: false);
        Shell.Handle(command, (shell, parsed) =>
        {
            var given = parsed.GetValue(files)!.Select(PictureFiles.Below).ToArray();
            var pictures = given.SelectMany(one => one.Files).ToArray();
            var notes = given.Aggregate(DatasetNotes.None, (all, one) => all.With(one.Notes));
            if (pictures.Length == 0 && parsed.GetValue(save) is null) throw new GraftException("no picture is given: name pictures or folders, or write the set with --save");
            Bounds.Within("--threshold", parsed.GetValue(threshold), 0);
            if (parsed.GetValue(save) is { } kept && kept != parsed.GetValue(support)) OutputFile.Check(kept, parsed.GetValue(overwrite));
            var cache = parsed.GetValue(noCache) ? null : FeatureCache.Default();
            var from = parsed.GetValue(support)!;
            SupportSet set;
            var broken = new List<BrokenPicture>();
            if (SupportSet.Is(from))
            {
                if (parsed.GetValue(weights) is not null) throw new GraftException($"{from} has its own network: leave --weights off");
                set = SupportSet.Load(from, cache);
            }
            else
            {
                var folder = Pictures.Support(from);
                var file = parsed.GetValue(weights) ?? throw new GraftException($"which network looks at the pictures? Name one with --weights FILE, such as --weights mobilenet_v2 ({NextCommand.Of("models", "pull", "mobilenet_v2")} fetches it)");
                set = new SupportSet(PictureEncoder.Open(file, input.Read(parsed), cache), parsed.GetValue(distance));
                notes = notes.With(folder.Notes);
                foreach (var note in set.Encoder.Notes) shell.Log(note);
                broken.AddRange(set.Add(folder));
            }
            using var owned = set;
            if (parsed.GetValue(add) is { } more)
            {
                var added = Pictures.Support(more);
                notes = notes.With(added.Notes);
                broken.AddRange(set.Add(added));
            }
            if (parsed.GetValue(save) is { } target) set.Save(target);
            var (answers, unreadable) = pictures.Length > 0 ? set.Classify(pictures, parsed.GetValue(threshold)) : ([], []);
            var limit = parsed.GetValue(threshold) ?? set.Threshold;
            var rough = set.IsRough && parsed.GetValue(threshold) is null;
            string Line() => (limit, rough) switch
            {
                (null, _) => "no threshold: one class of one picture tells nothing about strangers",
                ({ } far, true) => $"unsure beyond {far:0.000}: with two pictures of each class or more, or --threshold, it is \"none of these\"",
                ({ } far, false) => $"none of these beyond {far:0.000}",
            };
            shell.Result(new
            {
                classes = set.Classes.Zip(set.Counts, (name, count) => new { name, pictures = count }), threshold = limit, rough, distance = set.Distance, saved = parsed.GetValue(save),
                answers = answers.Select(found => new { file = found.File, label = found.Label, none = found.Label is null, unsure = found.Unsure, distances = found.Distances.Select(pair => new { label = pair.Class, distance = pair.Distance }) }),
                errors = broken.Concat(unreadable), left_out = LeftOutView.Json(notes, broken), notes = set.Encoder.Notes.Concat(notes.Remarks),
            });
            if (!shell.Json)
            {
                foreach (var found in answers) Console.Out.WriteLine($"{found.File}\t{found.Label ?? "none of these"}{(found.Unsure ? " (unsure)" : "")}\t{string.Join("  ", found.Distances.Take(5).Select(pair => $"{pair.Class} {pair.Distance:0.000}"))}");
                shell.Log($"{set.Classes.Count} classes, {set.Files.Count} pictures; {Line()}{(parsed.GetValue(save) is { } written ? $"; saved in {written}" : "")}");
                LeftOutView.Log(shell, notes, broken);
                foreach (var found in unreadable) Console.Error.WriteLine($"graft: {found.File}: {found.Error}");
            }
            if (unreadable.Count > 0) shell.Status = 1;
        });
        return command;
    }

    private static Command Verify()
    {
        var (first, second) = (new Argument<string?>("A") { Description = "A picture", Arity = ArgumentArity.ZeroOrOne }, new Argument<string?>("B") { Description = "Another picture", Arity = ArgumentArity.ZeroOrOne });
        var weights = new Option<string>("--weights") { Description = s_weightsHelp, HelpName = "FILE", Required = true };
        var calibrate = File("--calibrate", "Class folders (a folder for each person, part, signature): the threshold comes from their pairs", "DIR");
        var threshold = new Option<double?>("--threshold") { Description = "Farther than this is different (default: where --calibrate finds the fewest errors)", HelpName = "X" };
        var overwrite = Shell.OverwriteOption("a file that is there");
        var curve = File("--curve", "Write the error-rate curve as an SVG picture");
        var distance = DistanceOption(DistanceKind.Cosine);
        var input = new InputArguments();
        var command = new Command("verify", """
            Say whether two pictures show the same thing: faces, parts, signatures.

            Examples:
              graft fewshot verify --weights facenet.onnx --calibrate people/ --curve errors.svg
              graft fewshot verify a.jpg b.jpg --weights facenet.onnx --calibrate people/
              graft fewshot verify a.jpg b.jpg --weights facenet.onnx --threshold 0.42
            """) { first, second };
        foreach (var option in new Option[] { weights, calibrate, threshold, curve, overwrite, distance }) command.Options.Add(option);
        input.AddTo(command, labels: false);
        Shell.Handle(command, (shell, parsed) =>
        {
            var (a, b) = (parsed.GetValue(first), parsed.GetValue(second));
            Bounds.Within("--threshold", parsed.GetValue(threshold), 0);
            if (parsed.GetValue(curve) is { } drawn) OutputFile.Check(drawn, parsed.GetValue(overwrite));
            if (a is not null && b is null) throw new GraftException($"{a} is compared with what? Name a second picture");
            if (a is null && parsed.GetValue(calibrate) is null) throw new GraftException("nothing to do: name two pictures, or class folders with --calibrate");
            if (parsed.GetValue(curve) is not null && parsed.GetValue(calibrate) is null) throw new GraftException("--curve needs pairs that are known: name class folders with --calibrate");
            using var encoder = PictureEncoder.Open(parsed.GetValue(weights)!, input.Read(parsed), FeatureCache.Default());
            foreach (var note in encoder.Notes) shell.Log(note);
            var verifier = new PairVerifier(encoder, parsed.GetValue(distance));
            var known = parsed.GetValue(calibrate) is { } folder ? Pictures.Support(folder) : null;
            var notes = known?.Notes ?? DatasetNotes.None;
            var errors = known is null ? null : verifier.Calibrate(known);
            var limit = parsed.GetValue(threshold) ?? errors?.Best.Threshold;
            if (parsed.GetValue(curve) is { } file) AtomicFile.WriteText(file, errors!.ToSvg(limit));
            var found = a is null ? null : verifier.Compare(a, b!, limit);
            shell.Result(new
            {
                distance = found?.Distance, same = found?.Same, threshold = limit, equal_error_rate = errors?.EqualErrorRate, equal_error_threshold = errors?.EqualThreshold,
                missed = errors?.Best.Missed, wrongly_accepted = errors?.Best.WronglyAccepted, same_pairs = errors?.SamePairs, different_pairs = errors?.DifferentPairs, curve = errors?.Points, left_out = LeftOutView.Json(notes, verifier.Broken), notes = encoder.Notes.Concat(notes.Remarks),
            });
            if (shell.Json) return;
            LeftOutView.Say(shell, notes, verifier.Broken);
            if (errors is not null) shell.Say($"{errors.SamePairs} same and {errors.DifferentPairs} different pairs: equal error rate {errors.EqualErrorRate:P1}; at threshold {errors.Best.Threshold:0.0000}, {errors.Best.Missed:P1} of the same are missed and {errors.Best.WronglyAccepted:P1} of the different accepted");
            if (found is not null) shell.Say($"{(found.Same switch { true => "same", false => "different", _ => "no threshold" })}: distance {found.Distance:0.0000}{(limit is { } far ? $", threshold {far:0.0000}" : "; give one with --threshold or --calibrate")}");
        });
        return command;
    }
}
