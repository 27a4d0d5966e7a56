using Graft.Data;
using Graft.FewShot;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// Omniglot as far as its two "minimal" background sets of five alphabets go: every method trained on the second set, tested on
/// the three alphabets that only the first has, and the prototypical network the other way round too. The papers train on 1,200
/// characters where here there are 156; Lake et al. 2019's one-shot challenge after a minimal set is the nearest published
/// figure. The full form (<see cref="OmniglotFull"/>) has all fifty alphabets.
/// </summary>
public sealed class Omniglot : Experiment
{
    private static Preprocessing Pictures(int side) =>
        Preprocessing.Small(side, Normalize.Symmetric) with { Steps = [new Trim(), new ResizeExact(side, side)] };

    /// <inheritdoc/>
    public override string Name => "omniglot";

    /// <inheritdoc/>
    public override string Summary => "Every few-shot method on Omniglot's minimal background sets: 5- and 20-way, 1 and 5 shots, and the one-shot challenge";

    /// <summary>
    /// A method: how it is trained, and what its paper reports for 5-way 1-shot, 5-way 5-shot, 20-way 1-shot and 20-way 5-shot. A
    /// method with an output for each class is trained again for 20.
    /// </summary>
    internal sealed record Entry(string Label, FewShotOptions Method, EpisodeOptions Episodes, EpisodeTrainOptions Training, string Paper)
    {
        public int Views { get; init; } = 1;

        // Four halvings of 28 pixels leave one position of the seven that there were; of 32, four.
        public int Side { get; init; } = 28;

        public (FewShotOptions Method, EpisodeTrainOptions Training)? Twenty { get; init; }

        // Trained on the first minimal set, and tested on the alphabets that only the second has.
        public bool OtherWay { get; init; }
    }

    private static readonly PictureJitter s_jitter = new() { Elastic = 0.03 };

    private static readonly PictureJitter s_mild = s_jitter.Times(0.5);

    internal static List<Entry> Entries()
    {
        var small = new Dictionary<string, string> { ["widths"] = "32-64-64-64" };
        // Four plain blocks do not learn all of their own training characters; with a second convolution and a shortcut in three of
        // them, they do better on those and on others.
        var widening = new Dictionary<string, string> { ["widths"] = "32-64-128-256", ["depths"] = "1-2-2-2" };
        // Twenty classes of one alphabet at a time are hard to tell apart, and made-up ones that share parts harder; mixed ones
        // are what the unrestricted test has.
        var within = new EpisodeOptions { Way = 20, Query = 5, WithinGroup = true, Composed = 0.4, Augmentation = s_mild };
        var five = new EpisodeOptions { Way = 5, Query = 5, Augmentation = s_jitter };
        EpisodeTrainOptions Steps(int steps, int batch = 2, double rate = 1e-3) =>
            new() { Steps = steps, EpisodesPerStep = batch, LearningRate = rate, ValidateEvery = 0 };
        // Milder changes than the metric methods take: within a task there is little to learn from.
        var mild = five with { Augmentation = s_mild };
        // Five classes of one alphabet, or made up, are harder to tell apart than five of any, and harder to learn by heart.
        var alike = mild with { Shot = 5, WithinGroup = true, Composed = 0.5 };
        // Methods that train on the support see it, and the queries, so many times.
        const int Views = 8;
        FewShotOptions Maml(string kind, int steps = 1, double rate = 0.4) =>
            new() { Method = kind, InnerSteps = steps, TestSteps = steps, InnerRate = rate };
        var prototypical = new Entry("prototypical network", new() { Method = "protonet", BackboneOptions = widening }, within,
            Steps(2000, rate: 6e-3), "98.8 / 99.7 / 96.0 / 98.9") { Views = 6, Side = 32 };
        var reptile = new FewShotOptions { Method = "reptile", InnerRate = 0.012 };
        (FewShotOptions, EpisodeTrainOptions) Twenty(FewShotOptions method, EpisodeTrainOptions training) => (method with { Way = 20 }, training);
        return
        [
            prototypical,
            prototypical with { Label = $"the other way round: {prototypical.Label}", OtherWay = true },
            new("matching network, full context", new() { Method = "matching" }, five with { Way = 10 },
                Steps(2200), "98.1 / 98.9 / 93.8 / 98.5") { Side = 32 },
            new("relation network", new() { Method = "relation" }, five with { Way = 10 }, Steps(1500), "99.6 / 99.8 / 97.6 / 99.1"),
            new("Siamese network", new() { Method = "siamese" }, five with { Way = 20 },
                Steps(1200), "97.3 / 98.4 / 88.2 / 97.0 (by Vinyals et al.)"),
            new("local matching", new() { Method = "local", BackboneOptions = small }, within with { Composed = 0, Augmentation = s_jitter },
                Steps(2800), "") { Views = 6 },
            new("MAML", Maml("maml"), alike, Steps(30000, 2, 2e-3), "98.7 / 99.9 / 95.8 / 98.9") { Views = Views,
                Twenty = Twenty(Maml("maml"), Steps(1500, 2, 2e-3)) },
            new("first-order MAML", Maml("fomaml", 3, 0.3), mild, Steps(4500, 8), "98.3 / 99.2 / 89.4 / 97.9 (by Nichol et al.)") { Views = Views,
                Twenty = Twenty(Maml("fomaml", 3, 0.3), Steps(700, 4)) },
            new("ANIL", Maml("anil"), mild, Steps(2500, 8), "") { Views = Views, Twenty = Twenty(Maml("anil"), Steps(500, 4)) },
            new("Reptile", reptile, five with { Shot = 1, Query = 9 }, Steps(1400, 4, 1), "97.7 / 99.5 / 89.4 / 97.1") { Views = Views,
                Twenty = Twenty(reptile with { InnerRate = 0.01, InnerSteps = 10 }, Steps(700, 2, 1)) },
            new("MANN", new() { Method = "mann" }, five with { Shot = 1, Query = 9 }, Steps(1500, 16, 2e-3), "see below"),
        ];
    }

    /// <summary>A method in a form that takes half a minute, and what it must reach then: a bar for regressions, far below what the full form
    /// gives.</summary>
    private static Entry Brief(Entry entry) => entry with
    {
        Training = entry.Training with { Steps =
            entry.Method.Method switch { "maml" or "fomaml"
            or "anil" => 2000 / entry.Training.EpisodesPerStep, "reptile" => 120, "mann" => 250, "local" => 60, _ => 80 } },
        Episodes = entry.Episodes with { Way = Math.Min(10, entry.Episodes.Way), Composed = 0 },
        Method = entry.Method.Method == "reptile" ? entry.Method with { TestSteps = 10 } : entry.Method,
        Views = 1,
        Twenty = null,
    };

    /// <inheritdoc/>
    public override bool HasFull => true;

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options) => options.Full ? OmniglotFull.Run(Name, options) : Minimal(options);

    private static IEnumerable<Entry> Wanted(ExperimentOptions options) => Entries()
        .Where(found => (options.Wants(found.Method.Method) || options.Wants(found.Label)) && !(found.OtherWay && options.Short))
        .Select(found => options.Short ? Brief(found) : found);

    private ExperimentResult Minimal(ExperimentOptions options)
    {
        var pools = new Dictionary<int, (EpisodePool Train, EpisodePool Test)>();
        var rows = new List<string[]>();
        var remarks = new List<string>();
        foreach (var entry in Wanted(options))
        {
            options.Cancel.ThrowIfCancellationRequested();
            if (!pools.TryGetValue(entry.Side, out var sets)) pools[entry.Side] = sets = Open(entry.Side, options);
            var (learned, asked) = entry.OtherWay ? (sets.Test, sets.Train) : sets;
            var pool = (Train: learned, Test: asked.WithoutSeen(learned));
            EpisodePool.CheckDisjoint(pool.Train, pool.Test);
            var described = Describe(pool.Train, pool.Test);
            if (!remarks.Contains(described)) remarks.Add(described);
            var (learner, training) = Train(entry, Turned(pool.Train), null, options);
            using var five = learner;
            EpisodeLearner? twenty = null;
            var seconds = training.Seconds;
            if (entry.Twenty is { } wide)
            {
                var wider = entry with
                {
                    Label = $"{entry.Label}, 20-way",
                    Method = wide.Method,
                    Episodes = entry.Episodes with { Way = 20, Shot = 1, Query = 2, Augmentation = s_mild },
                    Training = wide.Training,
                };
                (twenty, var more) = Train(wider, Turned(pool.Train), null, options);
                seconds += more.Seconds;
            }
            using var owned = twenty;
            // The papers' own evaluation of MAML and Reptile normalises the queries together.
            var together = learner is TaskLearner;
            string Score(int way, int shot, bool challenge = false, bool? transductive = null, int views = 1, bool balanced = false)
            {
                var answers = learner.FixedWay < way ? twenty : learner;
                if (answers is null) return "";
                var sampler = new EpisodeSampler(pool.Test,
                    new EpisodeOptions { Way = way, Shot = shot, Query = challenge ? 1 : 5, WithinGroup = challenge, SameInstances = challenge,
                    Seed = 77 });
                return EpisodeEvaluator.Evaluate(answers, sampler, EpisodeEvaluator.LeastEpisodes, transductive ?? together, cancel: options.Cancel,
                    views: views, balanced: balanced).ToString();
            }
            string[] cells = options.Short ? [Score(5, 1), "", "", "", ""]
                : [Score(5, 1), Score(5, 5), Score(20, 1), Score(20, 5), Score(20, 1, challenge: true)];
            rows.Add([$"{entry.Label}{(entry.Side == 28 ? "" : $", {entry.Side}×{entry.Side}")}{(together ? " (transductive)" : "")}",
                .. cells, $"{seconds / 60:0.0}", entry.Paper]);
            options.Log($"{entry.Label}: {string.Join(", ", cells)} after {seconds:0} s, {training.EpisodesPerSecond:0.0} episodes/s");
            if (options.Short) continue;
            var seen = entry.Views > 1 ? $", {entry.Views} views of every picture" : "";
            if (together)
            {
                void Five(string label, bool transductive, int views)
                {
                    rows.Add([$"{entry.Label}{label} ({(transductive ? "transductive" : "inductive")})",
                        Score(5, 1, transductive: transductive, views: views),
                        Score(5, 5, transductive: transductive, views: views), "", "", "", "", ""]);
                    options.Log($"{rows[^1][0]}: {rows[^1][1]}, {rows[^1][2]}");
                }
                Five("", false, 1);
                if (seen.Length > 0)
                {
                    Five(seen, true, entry.Views);
                    Five(seen, false, entry.Views);
                }
            }
            else if (seen.Length > 0) rows.Add([entry.Label + seen, "", "", "", "", Score(20, 1, challenge: true, views: entry.Views), "", ""]);
            // Those that are trained for the challenge.
            if (entry.Episodes is { WithinGroup: true, Way: 20 })
            {
                rows.Add([$"{entry.Label}{seen}, one query of each class (transductive, balanced)", "", "", "", "",
                    Score(20, 1, challenge: true, views: entry.Views, balanced: true), "", ""]);
                remarks.Add(ByAlphabet($"{entry.Label}, challenge by alphabet", learner, pool.Test, entry.Views, options));
                // How much is left to gain from training on more characters.
                remarks.Add(ByAlphabet($"{entry.Label}, on the characters that it was trained on", learner, pool.Train, entry.Views, options));
            }
            if (learner is Mann memory) remarks.Add(ByInstance(memory, pool.Test));
        }
        remarks.Add("Published for the challenge after a minimal background set (Lake et al. 2019): ConvNet 76.8%, prototypical network 69.9% right; people 95.5%.");
        return new ExperimentResult(Name, ["method", "5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot", "challenge: 20-way 1-shot within an alphabet", "minutes of training", "papers, after 1,200 characters"], rows, remarks);
    }

    private static EpisodePool Turned(EpisodePool pool) => pool.WithTurns(mirrored: true);

    /// <summary>Trains a method on a pool's classes, and keeps the step that does best on the judge's episodes, where there is one.</summary>
    internal static (EpisodeLearner Learner, EpisodeTraining Training) Train(
        Entry entry, EpisodePool pool, EpisodeSampler? judge, ExperimentOptions options)
    {
        TorchRuntime.ManualSeed(1);
        var method = entry.Method with { BackboneOptions =
            new Dictionary<string, string>(entry.Method.BackboneOptions) { ["side"] = $"{entry.Side}" } };
        var learner = FewShotMethods.Create(method);
        try
        {
            var sampler = new EpisodeSampler(pool, entry.Episodes with { Seed = 1 });
            void Tell(ProgressReport report)
            {
                if (report.Done % Math.Max(10, report.Total / 50) != 0) return;
                options.Log($"{entry.Label}: {report.Done} of {report.Total} steps, loss {report.Loss:0.000}");
            }
            var training = options.Parts.Network($"{entry.Label}, {entry.Method.Way}-way, {(entry.OtherWay ? "other way" : "")}", learner,
                context => EpisodeTraining.Run(learner, sampler, judge, entry.Training, context with { Progress = Tell }), options.Cancel);
            learner.PrepareInference();
            return (learner, training);
        }
        catch
        {
            learner.Dispose();
            throw;
        }
    }

    /// <summary>The set to learn from and the set to be tested on, as they are read; they may share alphabets.</summary>
    private static (EpisodePool Train, EpisodePool Test) Open(int side, ExperimentOptions options) =>
        (Read("images_background_small2.zip", side, options), Read("images_background_small1.zip", side, options));

    internal static EpisodePool Read(string file, int side, ExperimentOptions options) =>
        EpisodePool.Read(DatasetReader.Open(options.Need("omniglot", file)).Train, Pictures(side), grey: true, cancel: options.Cancel);

    private static string Describe(EpisodePool train, EpisodePool test) =>
        $"Trained on {train.Classes.Count} characters of {train.Groups.Count} alphabets, turned and mirrored as classes of their own; tested on {test.Classes.Count} characters of {(test.Groups.Count > 5 ? $"{test.Groups.Count} alphabets" : string.Join(", ", test.Groups))}, which training does not have. {EpisodeEvaluator.LeastEpisodes} episodes each, 95% interval.";

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

    private static string ByAlphabet(string what, EpisodeLearner learner, EpisodePool pool, int views, ExperimentOptions options)
    {
        var parts = pool.Groups.Select(alphabet => (Alphabet: alphabet, Pool: pool.Where(found => found.Group == alphabet)))
            .Where(part => part.Pool.Classes.Count >= 20)
            .Select(part => $"{part.Alphabet} {EpisodeEvaluator.Evaluate(learner, new EpisodeSampler(part.Pool, new EpisodeOptions { Way = 20, Shot = 1, Query = 1, SameInstances = true, Seed = 78 }), EpisodeEvaluator.LeastEpisodes, views: views, cancel: options.Cancel)}");
        return $"{what}{(views > 1 ? $" ({views} views)" : "")}: {string.Join("; ", parts)}.";
    }
}
