using Graft.FewShot;

namespace Graft.Experiments;

/// <summary>
/// Omniglot as the papers have it, with all fifty alphabets. Lake, Salakhutdinov and Tenenbaum 2015: trained on background alphabets,
/// 20-way one-shot within each of the twenty evaluation alphabets, the supports by one drawer and the queries by another. Vinyals et
/// al. 2016, as Snell et al. 2017 use their split: 1,028, 172 and 423 characters, each quarter turn of one a class of its own.
/// Every choice (which step is kept, how many views) is made on validation characters; the test's are looked at once for each network.
/// </summary>
internal static class OmniglotFull
{
    private const int Views = 6, Runs = 20, Episodes = 1000;

    /// <summary>The background alphabets that choices are made on: those that the split of Vinyals et al. has for that.</summary>
    private static readonly string[] s_heldOut = ["Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)"];

    private static readonly string[] s_headers =
    [
        "network", "5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot", "validation", "challenge: error", "step kept",
        "minutes of training", "papers",
    ];

    /// <summary>What a network learns from, what choices are made on, and what it is tested on.</summary>
    private sealed record Sets(EpisodePool Train, EpisodePool Validation, EpisodePool Test);

    /// <summary>What the test came to: cells of its row, from "5-way 1-shot" to "challenge: error".</summary>
    private sealed record Scores(string[] Cells, string? Remark = null);

    private static List<Omniglot.Entry> Entries()
    {
        var minimal = Omniglot.Entries();
        Omniglot.Entry Of(string label, int steps)
        {
            var entry = minimal.Single(found => found.Label == label);
            return entry with { Training = entry.Training with { Steps = steps, ValidateEvery = 500 } };
        }
        Omniglot.Entry Challenge(Omniglot.Entry entry) => entry with { Label = $"challenge: {entry.Label}" };
        // Snell et al. train with sixty classes of any alphabets.
        Omniglot.Entry Mixed(Omniglot.Entry entry) => entry with
        {
            Label = $"vinyals: {entry.Label}",
            Episodes = entry.Episodes with { Way = 60, WithinGroup = false, Composed = 0 },
        };
        // Three times as many steps as for the minimal sets, for five times as many alphabets; of episodes three times as large, fewer.
        return
        [
            Challenge(Of("prototypical network", 6000)), Challenge(Of("local matching", 8400)),
            Mixed(Of("prototypical network", 3000)), Mixed(Of("local matching", 3000)),
        ];
    }

    public static ExperimentResult Run(string name, ExperimentOptions options)
    {
        var entries = Entries();
        var wanted = entries.Where(entry => options.Wants(entry.Label) || options.Wants(entry.Method.Method)).ToArray();
        if (wanted.Length == 0)
        {
            var labels = string.Join(", ", entries.Select(entry => $"\"{entry.Label}\""));
            throw Bounds.Refuse($"--only {string.Join(" ", options.Only)} names nothing of the full form, which has {labels}");
        }
        var rows = new List<string[]>();
        var remarks = new List<string>();
        var sets = new Dictionary<(bool, int), Sets>();
        foreach (var found in wanted)
        {
            options.Cancel.ThrowIfCancellationRequested();
            var entry = options.Steps is { } steps
                ? found with { Label = $"{found.Label}, {steps} steps", Training = found.Training with { Steps = steps } }
                : found;
            var challenge = entry.Episodes.WithinGroup;
            if (!sets.TryGetValue((challenge, entry.Side), out var pools))
                sets[(challenge, entry.Side)] = pools = challenge ? ByAlphabet(entry.Side, options) : ByCharacter(entry.Side, options);
            EpisodePool.CheckDisjoint(pools.Train, pools.Validation);
            EpisodePool.CheckDisjoint(pools.Train, pools.Test);
            EpisodePool.CheckDisjoint(pools.Validation, pools.Test);
            var judge = new EpisodeSampler(pools.Validation, challenge ? Task(79) : new EpisodeOptions { Way = 20, Shot = 1, Query = 5, Seed = 79 });
            var (learner, training) = Omniglot.Train(entry, pools.Train, judge, options);
            using var owned = learner;
            var scores = options.Parts.Once($"{entry.Label}, scores",
                () => challenge ? WithinAlphabets(entry.Label, learner, pools, judge, options) : AnyCharacters(learner, pools, options));
            var paper = challenge ? "" : entry.Paper;
            rows.Add([entry.Label, .. scores.Cells, $"{training.Best} of {training.Steps}", $"{training.Seconds / 60:0.0}", paper]);
            options.Log($"{string.Join(", ", rows[^1].Where(cell => cell.Length > 0))}; {training.EpisodesPerSecond:0.0} episodes/s");
            if (scores.Remark is { } remark) remarks.Add(remark);
        }
        remarks.Add("Challenge: 20-way one-shot within an alphabet, every query by itself, supports by one drawer, queries by another; "
            + $"{Runs} runs for each evaluation alphabet, drawn with a fixed seed: the official twenty runs do not come with the pictures. "
            + "Published (Lake et al. 2015), error: people 4.5%, BPL 3.3%, Siamese network 8.0%.");
        return new ExperimentResult(name, s_headers, rows, remarks);
    }

    private static EpisodeOptions Task(long seed) => new() { Way = 20, Shot = 1, Query = 1, WithinGroup = true, SameInstances = true, Seed = seed };

    private static Sets ByAlphabet(int side, ExperimentOptions options)
    {
        static bool HeldOut(PoolClass found) => s_heldOut.Contains(found.Group);
        var background = Omniglot.Read("images_background.zip", side, options);
        var learned = background.Where(found => !HeldOut(found)).WithTurns(mirrored: true);
        return new Sets(learned, background.Where(HeldOut), Omniglot.Read("images_evaluation.zip", side, options));
    }

    private static Sets ByCharacter(int side, ExperimentOptions options)
    {
        var all = Omniglot.Read("images_background.zip", side, options).With(Omniglot.Read("images_evaluation.zip", side, options));
        // A line is a character and how it is turned, Greek/character07/rot090; every character stands there in all four ways.
        EpisodePool Part(string file)
        {
            var path = options.Need("omniglot", "splits", "vinyals", file);
            var names = File.ReadLines(path).Where(line => line.Length > 0).Select(line => Path.GetDirectoryName(line)!).ToHashSet();
            var chosen = all.Where(found => names.Contains(found.Name));
            if (chosen.Classes.Count == names.Count) return chosen.WithTurns();
            throw new GraftException($"{path} names {names.Count} characters, and the pictures have {chosen.Classes.Count} of them");
        }
        return new Sets(Part("train.txt"), Part("val.txt"), Part("test.txt"));
    }

    /// <summary>The challenge: on the validation alphabets with one view and with several, on the evaluation alphabets with the better.</summary>
    private static Scores WithinAlphabets(string label, EpisodeLearner learner, Sets pools, EpisodeSampler judge, ExperimentOptions options)
    {
        EpisodeAccuracy Judged(int views) => EpisodeEvaluator.Evaluate(learner, judge, views: views, cancel: options.Cancel);
        var (one, several) = (Judged(1), Judged(Views));
        var views = several.Accuracy > one.Accuracy ? Views : 1;
        var choice = $"validation alphabets, error: {Error(one)} with one view of every picture, {Error(several)} with {Views}";
        options.Log($"{label}, {choice}");
        EpisodeAccuracy Within(string alphabet) => EpisodeEvaluator.Evaluate(learner,
            new EpisodeSampler(pools.Test.Where(found => found.Group == alphabet), Task(78)), Runs, views: views, cancel: options.Cancel);
        var alphabets = pools.Test.Groups.Select(alphabet => (Name: alphabet, Score: Within(alphabet))).ToArray();
        // The mean of independent means: its variance is the sum of theirs, by the square of their number.
        var interval = Math.Sqrt(alphabets.Sum(part => part.Score.Interval * part.Score.Interval)) / alphabets.Length;
        var mean = new EpisodeAccuracy(alphabets.Average(part => part.Score.Accuracy), interval, Runs * alphabets.Length, false, 0);
        return new Scores(["", "", "", "", Error(views == 1 ? one : several), Error(mean)],
            $"{label} ({choice}; tested with {views}). Error by alphabet: "
            + string.Join("; ", alphabets.Select(part => $"{part.Name} {Error(part.Score)}")) + ".");
    }

    /// <summary>Classes of any alphabets, fifteen queries each.</summary>
    private static Scores AnyCharacters(EpisodeLearner learner, Sets pools, ExperimentOptions options)
    {
        string Score(EpisodePool pool, int way, int shot)
        {
            var sampler = new EpisodeSampler(pool, new EpisodeOptions { Way = way, Shot = shot, Query = 15, Seed = 77 });
            return EpisodeEvaluator.Evaluate(learner, sampler, Episodes, cancel: options.Cancel).ToString();
        }
        var test = pools.Test;
        var validation = $"20-way 1-shot {Score(pools.Validation, 20, 1)}";
        return new Scores([Score(test, 5, 1), Score(test, 5, 5), Score(test, 20, 1), Score(test, 20, 5), validation, ""]);
    }

    private static string Error(EpisodeAccuracy score) =>
        FormattableString.Invariant($"{100 * (1 - score.Accuracy):0.0} ± {100 * score.Interval:0.0}%");
}
