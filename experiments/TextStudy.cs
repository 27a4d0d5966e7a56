using System.Text.Json;
using Graft.Data;
using Graft.Inference.Text;
using Graft.Learning;
using Graft.Models;
using Graft.Pretraining;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>What experiments on pretrained encoders of sentences have in common: a pretraining that goes on where it was stopped, datasets of few
/// labels, and accuracies on a test part.</summary>
internal sealed class TextStudy(ExperimentOptions options, string name)
{
    /// <summary>Share right, its 95% interval, and the seconds of the training.</summary>
    public sealed record Judged(double Accuracy, double Low, double High, double Seconds);

    private string Folder { get; } = Directory.CreateDirectory(Path.Combine(Path.GetFullPath(options.Output), name)).FullName;

    /// <summary>A run of <c>graft pretrain</c>.</summary>
    public string Pretrained(string part, PretrainOptions how)
    {
        var run = Path.Combine(Folder, part);
        return options.Parts.Once($"pretrained {part}", () =>
        {
            options.Log($"{part}: {how.Method} on {how.Data}");
            var resume = File.Exists(Path.Combine(run, TrainingState.FileName));
            var task = new PretrainTask(resume ? PretrainTask.OptionsOf(run) : how with { Out = run, Overwrite = true, NoReport = true })
            {
                Cancel = options.Cancel, Log = line => options.Log($"{part}: {line}"),
            };
            return task.Run(resume).Run;
        });
    }

    /// <summary>A dataset of so many labelled sentences, with the same test part.</summary>
    /// <param name="set">A folder of the datasets.</param>
    /// <param name="labels">Sentences to learn from, drawn by the seed; all, where there are no more.</param>
    /// <param name="seed">Of the draw.</param>
    /// <param name="tested">Sentences of the test part; null: all.</param>
    public string Labelled(string set, int labels, long seed, int? tested = null)
    {
        var folder = Path.Combine(Folder, $"{set}-{labels}-{seed}");
        Directory.CreateDirectory(folder);
        var splits = DatasetReader.Open(options.Need(set));
        Write(Path.Combine(folder, "train.jsonl"), splits.Train, new Rng(seed, 11).Permutation(splits.Train.Count).Take(labels));
        // Drawn: NSMC's file begins with many good ones.
        Write(Path.Combine(folder, "test.jsonl"), splits.Test!, new Rng(12).Permutation(splits.Test!.Count).Take(tested ?? int.MaxValue));
        return folder;
    }

    private static void Write(string path, Dataset data, IEnumerable<int> items) => AtomicFile.WriteText(path,
        string.Concat(items.Select(k => JsonSerializer.Serialize(new { text = data.Text(k).First, label = data.Classes[data.Labels[k]] }) + "\n")));

    /// <summary>A frozen network with a solved head, asked about the test part.</summary>
    public Judged Frozen(string part, string data, string weights, long seed) =>
        Train(part, new TrainOptions { Data = data, Weights = weights, Strategy = "feature", Seed = seed });

    /// <summary>A network of which everything trains, from its weights or from random ones of the same shape: at the same rates, for as many steps,
    /// so that what it begins with is all that differs.</summary>
    /// <param name="part">A name within the experiment.</param>
    /// <param name="data">Of <see cref="Labelled"/>.</param>
    /// <param name="weights">The network.</param>
    /// <param name="scratch">Its shape alone.</param>
    /// <param name="labels">Sentences to learn from.</param>
    /// <param name="seed">Of everything random.</param>
    /// <param name="epochs">In place of the strategy's.</param>
    public Judged Whole(string part, string data, string weights, bool scratch, int labels, long seed, int? epochs = null)
    {
        var file = Path.Combine(Folder, "plan.json");
        using (var backbone = ModelOpener.Load(weights).Backbone)
            AtomicFile.WriteText(file, (Strategies.Scratch(backbone, labels) with { Strategy = scratch ? "scratch" : "full" }).ToJson());
        return Train(part, new TrainOptions { Data = data, Weights = weights, PlanFile = file, Seed = seed, Epochs = epochs });
    }

    private Judged Train(string part, TrainOptions how) => options.Parts.Once(part, () =>
    {
        var data = how.Data;
        how = how with { Out = Path.Combine(Folder, "train"), Overwrite = true, NoReport = true };
        var result = new TransferTask(how) { Cancel = options.Cancel }.Run();
        using var model = TextModel.Open(result.Run);
        var judged = model.Judge(DatasetReader.OpenWithClasses(data, model.Card.Names, "test"), cancel: options.Cancel).Metrics;
        var found = new Judged(judged.Accuracy, judged.Low, judged.High, result.Seconds);
        options.Log(FormattableString.Invariant(
            $"{part}: {100 * found.Accuracy:0.0}% ({100 * found.Low:0.0} to {100 * found.High:0.0}), {found.Seconds:0} s"));
        return found;
    });
}
