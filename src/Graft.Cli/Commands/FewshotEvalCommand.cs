using System.CommandLine;
using Graft.Data;
using Graft.Features;
using Graft.FewShot;
using Graft.Learning;
using Graft.Models;
using static Graft.Cli.Commands.FewshotArguments;

namespace Graft.Cli.Commands;

internal static class FewshotEvalCommand
{
    public static Command Create()
    {
        var model = new Argument<string>("MODEL")
            { Description = "A run of fewshot train, or any pretrained network or run of train, which is then used as it is" };
        var data = new Argument<string>("DATA") { Description = "Class folders that training never saw" };
        var episodes = Number("--episodes", "How many; at least 600", EpisodeEvaluator.LeastEpisodes);
        var views = Number("--views", "See every picture so many times, mildly jittered, and average the scores: models of fewshot train, without mann", 1);
        var asked = OptionBinder.Of<EpisodeOptions>().Without("--compose").After("--query", episodes).After("--same-instances", views);
        var input = OptionBinder.Of<InputOptions>().Without("--labels");
        var command = new Command("eval", """
            Accuracy over episodes, with its 95% interval.

            Examples:
              graft fewshot eval runs/protonet unseen.zip --way 20 --shot 1 --within-groups
              graft fewshot eval runs/reptile unseen.zip --views 8
              graft fewshot eval mobilenet_v2.safetensors flowers/ --way 5 --shot 5
            """) { model, data };
        asked.AddTo(command);
        input.AddTo(command);
        Shell.Handle(command, (shell, parsed) =>
        {
            var options = asked.Read(parsed, new EpisodeOptions());
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
                using var encoder = PictureEncoder.Open(parsed.GetValue(model)!, input.Read(parsed, new InputOptions()), FeatureCache.Default());
                foreach (var note in notes = encoder.Notes) shell.Log(note);
                var (found, unreadable) = FrozenEvaluation.Run(encoder, set, options, count, Episode, shell.Stop);
                broken = unreadable;
                rows.AddRange(found.Select(rule => (rule.Rule, rule.Accuracy)));
            }
            shell.Result(new { results = rows.Select(row =>
                new { method = row.Name, accuracy = row.Found.Accuracy, interval = row.Found.Interval, episodes = row.Found.Episodes,
                seconds = row.Found.Seconds, transductive = row.Found.Transductive }), left_out = LeftOutView.Json(set.Notes, broken),
                notes = notes.Concat(set.Notes.Remarks) });
            if (shell.Json) return;
            LeftOutView.Say(shell, set.Notes, broken);
            shell.Table([$"{options.Way}-way {options.Shot}-shot", "accuracy", "episodes", "seconds"],
                rows.Select(row => new[] { row.Name, $"{row.Found}", $"{row.Found.Episodes}", $"{row.Found.Seconds:0.0}" }), 1, 2, 3);
        });
        return command;
    }
}
