using System.Diagnostics;
using Graft.Data;
using Graft.FewShot;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// Omniglot as far as its two "minimal" background sets of five alphabets go: every method trained on the second set, tested on
/// the three alphabets that only the first has. The papers train on 1,200 characters where here there are 156; Lake et al.
/// 2019's one-shot challenge after a minimal set is the nearest published figure. With the full background set in the data's
/// folder (omniglot/images_background.zip and images_evaluation.zip), that is used.
/// </summary>
public sealed class Omniglot : Experiment
{
    private static readonly Preprocessing s_pictures = Preprocessing.Small(28, Normalize.Symmetric) with { Steps = [new Trim(), new ResizeExact(28, 28)] };

    /// <inheritdoc/>
    public override string Name => "omniglot";

    /// <inheritdoc/>
    public override string Summary => "Every few-shot method on Omniglot's minimal background sets: 5- and 20-way, 1 and 5 shots, and the one-shot challenge";

    /// <summary>A method: how it is trained, and what its paper reports for 5-way 1-shot, 5-way 5-shot, 20-way 1-shot and 20-way 5-shot.</summary>
    private sealed record Entry(string Label, FewShotOptions Method, EpisodeOptions Episodes, EpisodeTrainOptions Training, string Paper, int Views = 1);

    private static readonly PictureJitter s_jitter = new() { Elastic = 0.03 };

    private static List<Entry> Entries()
    {
        var small = new Dictionary<string, string> { ["widths"] = "32-64-64-64" };
        // Twenty classes of one alphabet at a time are hard to tell apart; mixed ones are what the unrestricted test has.
        var within = new EpisodeOptions { Way = 20, Query = 5, WithinGroup = true, Augmentation = s_jitter };
        var five = new EpisodeOptions { Way = 5, Query = 5, Augmentation = s_jitter };
        EpisodeTrainOptions Steps(int steps, int batch = 2, double rate = 1e-3) => new() { Steps = steps, EpisodesPerStep = batch, LearningRate = rate, ValidateEvery = 0 };
        // Within a task there is little to learn from: milder changes than the metric methods take.
        var mild = five with { Augmentation = s_jitter.Times(0.5) };
        return
        [
            new("prototypical network", new() { Method = "protonet" }, within, Steps(2500), "98.8 / 99.7 / 96.0 / 98.9", Views: 6),
            new("matching network, full context", new() { Method = "matching" }, five with { Way = 10 }, Steps(2200), "98.1 / 98.9 / 93.8 / 98.5"),
            new("relation network", new() { Method = "relation" }, five with { Way = 10 }, Steps(1500), "99.6 / 99.8 / 97.6 / 99.1"),
            new("Siamese network", new() { Method = "siamese" }, five with { Way = 20 }, Steps(1200), "97.3 / 98.4 / 88.2 / 97.0 (by Vinyals et al.)"),
            new("local matching", new() { Method = "local", BackboneOptions = small }, within, Steps(2800), "", Views: 6),
            new("MAML", new() { Method = "maml", TestSteps = 1 }, mild, Steps(4500, 8), "98.7 / 99.9 / 95.8 / 98.9"),
            new("MAML, trained at 5 shots", new() { Method = "maml", TestSteps = 1 }, mild with { Shot = 5 }, Steps(2200, 8), "98.7 / 99.9 / 95.8 / 98.9"),
            new("first-order MAML", new() { Method = "fomaml", TestSteps = 1 }, mild, Steps(2500, 8), "98.3 / 99.2 / 89.4 / 97.9 (by Nichol et al.)"),
            new("ANIL", new() { Method = "anil", TestSteps = 1 }, mild, Steps(1500, 8), ""),
            new("Reptile", new() { Method = "reptile" }, mild with { Shot = 1, Query = 9 }, Steps(2500, 4, 1), "97.7 / 99.5 / 89.4 / 97.1"),
            new("MANN", new() { Method = "mann" }, five with { Shot = 1, Query = 9 }, Steps(1200, 16), "see below"),
        ];
    }

    /// <summary>A method in a form that takes half a minute, and what it must reach then: a bar for regressions, far below what the full form gives.</summary>
    private static Entry Brief(Entry entry) => entry with
    {
        Training = entry.Training with { Steps = entry.Method.Method switch { "maml" or "fomaml" or "anil" => 250, "reptile" => 120, "mann" => 60, "local" => 60, _ => 80 } },
        Episodes = entry.Episodes with { Way = Math.Min(10, entry.Episodes.Way) },
        Method = entry.Method.Method == "reptile" ? entry.Method with { TestSteps = 10 } : entry.Method,
        Views = 1,
    };

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var (train, test, remark) = Open(options);
        var rows = new List<string[]>();
        var remarks = new List<string> { remark };
        var episodes = EpisodeEvaluator.LeastEpisodes;
        foreach (var entry in Entries().Where(found => options.Wants(found.Method.Method)).Select(found => options.Short ? Brief(found) : found))
        {
            options.Cancel.ThrowIfCancellationRequested();
            TorchRuntime.ManualSeed(1);
            using var learner = FewShotMethods.Create(entry.Method);
            var clock = Stopwatch.StartNew();
            var sampler = new EpisodeSampler(train.WithTurns(mirrored: true), entry.Episodes with { Seed = 1 });
            var training = new EpisodeTrainer(learner, sampler, null, entry.Training)
            {
                Cancel = options.Cancel,
                Progress = report => { if (report.Done % (500L * entry.Training.EpisodesPerStep) == 0) options.Log($"{entry.Label}: {report.Done} of {report.Total} episodes, loss {report.Loss:0.000}"); },
            }.Run();
            EpisodeAccuracy? Score(int way, int shot, bool challenge, bool transductive, int views = 1, bool balanced = false) => learner.FixedWay < way ? null
                : EpisodeEvaluator.Evaluate(learner, new EpisodeSampler(test, new EpisodeOptions { Way = way, Shot = shot, Query = challenge ? 1 : 5, WithinGroup = challenge, SameInstances = challenge, Seed = 77 }), episodes, transductive, cancel: options.Cancel, views: views, balanced: balanced);
            // The papers' own evaluation of MAML and Reptile normalises the queries together.
            var together = learner is TaskLearner;
            string Cell(EpisodeAccuracy? found) => found?.ToString() ?? "";
            var cells = options.Short ? [Cell(Score(5, 1, false, together)), "", "", "", ""]
                : new[] { Cell(Score(5, 1, false, together)), Cell(Score(5, 5, false, together)), Cell(Score(20, 1, false, together)), Cell(Score(20, 5, false, together)), Cell(Score(20, 1, true, together)) };
            rows.Add([entry.Label + (together ? " (transductive)" : ""), .. cells, $"{training.Seconds / 60:0.0}", entry.Paper]);
            options.Log($"{entry.Label}: {string.Join(", ", cells)} after {training.Seconds:0} s, {training.EpisodesPerSecond:0.0} episodes/s");
            if (together && !options.Short) rows.Add([entry.Label + " (inductive)", Cell(Score(5, 1, false, false)), Cell(Score(5, 5, false, false)), "", "", "", "", ""]);
            if (entry.Views > 1) rows.Add([$"{entry.Label}, {entry.Views} views of every picture", "", "", "", "", Cell(Score(20, 1, true, false, entry.Views)), "", ""]);
            if (learner is LocalMatchingNetwork or PrototypicalNetwork && !options.Short)
                rows.Add([$"{entry.Label}, one query of each class (transductive, balanced)", "", "", "", "", Cell(Score(20, 1, true, false, entry.Views, balanced: true)), "", ""]);
            if (learner is Mann memory) remarks.Add(ByInstance(memory, test));
            if (learner is LocalMatchingNetwork or PrototypicalNetwork && !options.Short) remarks.Add(ByAlphabet(entry, learner, test, options));
        }
        remarks.Add("Published for the challenge after a minimal background set (Lake et al. 2019): ConvNet 76.8%, prototypical network 69.9% right; people 95.5%.");
        return new ExperimentResult(Name, ["method", "5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot", "challenge: 20-way 1-shot within an alphabet", "minutes of training", "papers, after 1,200 characters"], rows, remarks);
    }

    private static (EpisodePool Train, EpisodePool Test, string Remark) Open(ExperimentOptions options)
    {
        EpisodePool Read(string file) => EpisodePool.Read(DatasetReader.Open(options.Need("omniglot", file)).Train, s_pictures, grey: true, cancel: options.Cancel);
        var full = Path.Combine(options.DataFolder, "omniglot", "images_background.zip");
        if (File.Exists(full))
        {
            var (all, evaluation) = (Read("images_background.zip"), Read("images_evaluation.zip"));
            return (all, evaluation, $"The full split: {all.Classes.Count} characters to learn from, {evaluation.Classes.Count} to be tested on.");
        }
        var train = Read("images_background_small2.zip");
        var test = Read("images_background_small1.zip").WithoutSeen(train);
        EpisodePool.CheckDisjoint(train, test);
        return (train, test, $"Trained on images_background_small2: {train.Classes.Count} characters of {train.Groups.Count} alphabets, turned and mirrored as classes of their own; tested on the {test.Classes.Count} characters of {string.Join(", ", test.Groups)}, which it does not have. {EpisodeEvaluator.LeastEpisodes} episodes each, 95% interval.");
    }

    private static string ByInstance(Mann memory, EpisodePool test)
    {
        memory.Prepare(transductive: false);
        var sampler = new EpisodeSampler(test, new EpisodeOptions { Way = 5, Shot = 1, Query = 9, Seed = 5 });
        var parts = new List<double[]>();
        for (var k = 0; k < EpisodeEvaluator.LeastEpisodes; k += 50)
        {
            using var mode = Autograd.NoGrad();
            using var scope = new TensorScope();
            parts.Add(memory.AccuracyByInstance([.. Enumerable.Range(k, 50).Select(index => sampler.Draw(index))]));
        }
        double[] mean = [.. Enumerable.Range(0, 10).Select(k => parts.Average(part => part[k]))];
        return $"MANN, right by instance 1 … 10 of a class, over {EpisodeEvaluator.LeastEpisodes} sequences of 50: {string.Join(", ", mean.Select(share => $"{100 * share:0.0}"))}%. Santoro et al. 2016, table 1, after 1,200 characters: 36.4 (1st), 82.8 (2nd), 91.0 (3rd), 92.6 (4th), 94.9 (5th), 98.1% (10th).";
    }

    private static string ByAlphabet(Entry entry, EpisodeLearner learner, EpisodePool test, ExperimentOptions options)
    {
        var parts = test.Groups.Select(alphabet => (Alphabet: alphabet, Pool: test.Where(found => found.Group == alphabet))).Where(part => part.Pool.Classes.Count >= 20)
            .Select(part => $"{part.Alphabet} {EpisodeEvaluator.Evaluate(learner, new EpisodeSampler(part.Pool, new EpisodeOptions { Way = 20, Shot = 1, Query = 1, SameInstances = true, Seed = 78 }), EpisodeEvaluator.LeastEpisodes, views: entry.Views, cancel: options.Cancel)}");
        return $"{entry.Label}, challenge by alphabet{(entry.Views > 1 ? $" ({entry.Views} views)" : "")}: {string.Join("; ", parts)}.";
    }
}
