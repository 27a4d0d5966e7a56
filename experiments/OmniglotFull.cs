using Graft.Data;
using Graft.FewShot;

namespace Graft.Experiments;

/// <summary>
/// Omniglot as the papers have it, with all fifty alphabets. Lake, Salakhutdinov and Tenenbaum 2015: trained on the thirty background
/// alphabets, 20-way one-shot within each of the twenty evaluation alphabets, the supports by one drawer and the queries by another.
/// Vinyals et al. 2016 in the split that Snell et al. 2017 give: 1,028, 172 and 423 characters, each turn by a quarter a class of its own.
/// Every choice (when to stop, how many views) is made on the validation characters; the test's are looked at once for each network.
/// </summary>
internal static class OmniglotFull
{
    private const int Views = 6, Runs = 20, Episodes = 1000;

    /// <summary>The background alphabets that choices are made on: those that the split of Vinyals et al. has for that.</summary>
    private static readonly string[] s_heldOut = ["Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)"];

    /// <summary>What a network is trained and tested on.</summary>
    private sealed record Sets(EpisodePool Train, EpisodePool Validation, EpisodePool Test);

    private sealed record Found(string[] Cells, string[] Remarks);

    private static List<Omniglot.Entry> Entries()
    {
        var all = Omniglot.Entries();
        // Three times the alphabets of the minimal sets take longer to learn.
        Omniglot.Entry Of(string label, int steps)
        {
            var entry = all.Single(found => found.Label == label);
            return entry with { Training = entry.Training with { Steps = steps, ValidateEvery = 500 } };
        }
        var (prototypical, local) = (Of("prototypical network", 6000), Of("local matching", 8000));
        // Twenty classes of any alphabets are soon told apart; sixty, as Snell et al. have it, are harder.
        Omniglot.Entry Mixed(Omniglot.Entry entry) => entry with { Label = $"vinyals: {entry.Label}", Episodes = entry.Episodes with { Way = 60, WithinGroup = false, Composed = 0 } };
        return
        [
            prototypical with { Label = $"challenge: {prototypical.Label}" }, local with { Label = $"challenge: {local.Label}" },
            Mixed(prototypical with { Training = prototypical.Training with { Steps = 3000 } }), Mixed(local with { Training = local.Training with { Steps = 3000 } }),
        ];
    }

    public static ExperimentResult Run(string name, ExperimentOptions options)
    {
        var rows = new List<string[]>();
        var remarks = new List<string>();
        var sets = new Dictionary<(bool, int), Sets>();
        var wanted = Entries().Where(entry => options.Wants(entry.Label) || options.Wants(entry.Method.Method)).ToArray();
        if (wanted.Length == 0) throw Bounds.Refuse($"--only {string.Join(" ", options.Only)} names nothing of the full form, which has {string.Join(", ", Entries().Select(entry => $"\"{entry.Label}\""))}");
        foreach (var found in wanted)
        {
            options.Cancel.ThrowIfCancellationRequested();
            var entry = options.Steps is { } steps ? found with { Label = $"{found.Label}, {steps} steps", Training = found.Training with { Steps = steps } } : found;
            var challenge = entry.Episodes.WithinGroup;
            if (!sets.TryGetValue((challenge, entry.Side), out var pools)) sets[(challenge, entry.Side)] = pools = Open(challenge, entry.Side, options);
            EpisodePool.CheckDisjoint(pools.Train, pools.Validation);
            EpisodePool.CheckDisjoint(pools.Train, pools.Test);
            EpisodePool.CheckDisjoint(pools.Validation, pools.Test);
            var validation = new EpisodeSampler(pools.Validation, challenge ? Challenge(79) : new EpisodeOptions { Way = 20, Shot = 1, Query = 5, Seed = 79 });
            var (learner, training) = Omniglot.Train(entry, pools.Train, validation, options);
            using var owned = learner;
            var scores = options.Parts.Once($"{entry.Label}, scores", () => challenge ? WithinAlphabets(entry, learner, pools, validation, options) : AnyCharacters(learner, pools, options));
            rows.Add([entry.Label, .. scores.Cells, $"{training.Best} of {training.Steps}", $"{training.Seconds / 60:0.0}", challenge ? "" : entry.Paper]);
            options.Log($"{string.Join(", ", rows[^1].Where(cell => cell.Length > 0))}, {training.EpisodesPerSecond:0.0} episodes/s");
            remarks.AddRange(scores.Remarks);
        }
        remarks.Add($"Challenge: 20-way one-shot within an alphabet, error; {Runs} runs for each evaluation alphabet, drawn with a fixed seed (the official twenty runs do not come with the pictures), supports by one drawer, queries by another, every query by itself. Published (Lake et al. 2015): people 4.5%, BPL 3.3%, Siamese network 8.0%.");
        return new ExperimentResult(name, ["network", "5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot", "validation", "challenge: error", "step kept", "minutes of training", "papers"], rows, remarks);
    }

    private static EpisodeOptions Challenge(long seed) => new() { Way = 20, Shot = 1, Query = 1, WithinGroup = true, SameInstances = true, Seed = seed };

    private static Sets Open(bool challenge, int side, ExperimentOptions options)
    {
        var (background, evaluation) = (Omniglot.Read("images_background.zip", side, options), Omniglot.Read("images_evaluation.zip", side, options));
        if (challenge)
        {
            bool HeldOut(PoolClass found) => s_heldOut.Contains(found.Group);
            return new Sets(background.Where(found => !HeldOut(found)).WithTurns(mirrored: true), background.Where(HeldOut), evaluation);
        }
        var all = background.With(evaluation);
        // A line is a character and how it is turned, Greek/character07/rot090; every character stands there in all four ways.
        EpisodePool Part(string file)
        {
            var path = options.Need("omniglot", "splits", "vinyals", file);
            var names = File.ReadLines(path).Where(line => line.Contains('/', StringComparison.Ordinal)).Select(line => line[..line.LastIndexOf('/')]).ToHashSet();
            var chosen = all.Where(found => names.Contains(found.Name));
            if (chosen.Classes.Count != names.Count) throw new GraftException($"{path} names {names.Count} characters, and the pictures have {chosen.Classes.Count} of them");
            return chosen.WithTurns();
        }
        return new Sets(Part("train.txt"), Part("val.txt"), Part("test.txt"));
    }

    /// <summary>The one-shot challenge: on the validation alphabets with one view and with several, on the evaluation alphabets with the better.</summary>
    private static Found WithinAlphabets(Omniglot.Entry entry, EpisodeLearner learner, Sets pools, EpisodeSampler validation, ExperimentOptions options)
    {
        EpisodeAccuracy[] looks = [.. new[] { 1, Views }.Select(views => EpisodeEvaluator.Evaluate(learner, validation, views: views, cancel: options.Cancel))];
        var views = looks[1].Accuracy > looks[0].Accuracy ? Views : 1;
        options.Log($"{entry.Label}: validation alphabets, error {Error(looks[0])} with one view of a picture, {Error(looks[1])} with {Views}");
        var alphabets = pools.Test.Groups.Select(alphabet => (Name: alphabet, Score: EpisodeEvaluator.Evaluate(learner,
            new EpisodeSampler(pools.Test.Where(found => found.Group == alphabet), Challenge(78)), Runs, views: views, cancel: options.Cancel))).ToArray();
        // Every alphabet has as many runs: the mean's variance is the mean of theirs, by their number.
        var mean = new EpisodeAccuracy(alphabets.Average(part => part.Score.Accuracy), Math.Sqrt(alphabets.Sum(part => part.Score.Interval * part.Score.Interval)) / alphabets.Length, Runs * alphabets.Length, false, 0);
        return new Found(["", "", "", "", Error(looks[views == 1 ? 0 : 1]), Error(mean)],
            [$"{entry.Label}, {views} {(views == 1 ? "view" : "views")} of every picture (validation alphabets, error: {Error(looks[0])} with one, {Error(looks[1])} with {Views}). Error by alphabet: {string.Join("; ", alphabets.Select(part => $"{part.Name} {Error(part.Score)}"))}."]);
    }

    private static Found AnyCharacters(EpisodeLearner learner, Sets pools, ExperimentOptions options)
    {
        EpisodeAccuracy Score(EpisodePool pool, int way, int shot) => EpisodeEvaluator.Evaluate(learner, new EpisodeSampler(pool, new EpisodeOptions { Way = way, Shot = shot, Query = 15, Seed = 77 }), Episodes, cancel: options.Cancel);
        return new Found([$"{Score(pools.Test, 5, 1)}", $"{Score(pools.Test, 5, 5)}", $"{Score(pools.Test, 20, 1)}", $"{Score(pools.Test, 20, 5)}", $"20-way 1-shot {Score(pools.Validation, 20, 1)}", ""], []);
    }

    private static string Error(EpisodeAccuracy score) => FormattableString.Invariant($"{100 * (1 - score.Accuracy):0.0} ± {100 * score.Interval:0.0}%");
}
