using System.Text.Json;
using Graft.Data;
using Graft.Features;
using Graft.Models.Hub;
using Graft.Transfer;

namespace Graft.Experiments;

/// <summary>
/// SetFit (Tunstall et al. 2022): a sentence encoder tuned on pairs of 8 or 64 labelled sentences of each class, beside a head on the encoder as it
/// is, over several draws of the sentences. The settings are those of the paper's code: nothing is chosen here.
/// </summary>
public sealed class SetFit : Experiment
{
    private const string Encoder = "all-minilm-l6-v2";
    private const int MostTested = 2000, FewTested = 500;

    // Published are paraphrase-MiniLM-L6's figures at 8 sentences a class, where there are some.
    private sealed record Corpus(string Name, string[] Train, string[]? Test, double? Published = null, TextColumns? Columns = null);

    private static readonly Corpus[] s_corpora =
    [
        new("CR", ["text", "senteval", "custrev.tsv"], null, 71.6), new("SUBJ", ["text", "senteval", "subj.tsv"], null),
        new("SST-2", ["sst2"], []), new("AG News", ["text", "ag_news", "test.tsv"], null, 83.1, new TextColumns("title", "description")),
        new("TREC", ["text", "senteval", "TREC.train.tsv"], ["text", "senteval", "TREC.test.tsv"]), new("MPQA", ["text", "senteval", "mpqa.tsv"],
            null),
        new("MR", ["text", "senteval", "rt-polarity.tsv"], null),
    ];

    /// <inheritdoc/>
    public override string Name => "setfit";

    /// <inheritdoc/>
    public override string Summary => "8 or 64 labelled sentences a class: SetFit against a head on frozen features (seven data sets)";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var weights = new ModelHub(new Downloader()).Pull(Encoder, options.Cancel).GetAwaiter().GetResult();
        var folder = Directory.CreateDirectory(Path.Combine(Path.GetFullPath(options.Output), Name)).FullName;
        var draws = options.Seeds ?? (options.Short ? 1 : 5);
        var rows = new List<string[]>();
        foreach (var corpus in options.Short ? s_corpora[..2] : s_corpora)
        {
            int[] wanted = [.. (options.Short ? [8] : (int[])[8, 64]).Where(shots => options.Wants($"{corpus.Name} {shots}"))];
            if (wanted.Length == 0) continue;
            var (pool, test) = Open(corpus, options);
            foreach (var shots in wanted)
            {
                var found = Enumerable.Range(0, draws).Select(draw =>
                {
                    var data = Write(Path.Combine(folder, $"{corpus.Name.Replace(' ', '-')}-{shots}-{draw}"), Draw(pool, shots, draw), test);
                    double[] Of(string strategy) => options.Parts.Once($"{corpus.Name} {shots} {draw} {strategy}", () =>
                    {
                        options.Log($"{corpus.Name}, {shots} a class, draw {draw + 1} of {draws}, {strategy}");
                        var how = new TrainOptions { Data = data, Weights = weights, Strategy = strategy, Seed = draw, Out = Path.Combine(data,
                            "run"),
                            Overwrite = true, NoReport = true };
                        var result = new TransferTask(how) { Cache = FeatureCache.Default(), Cancel = options.Cancel }.Run();
                        return new[] { result.Accuracy, result.Seconds };
                    });
                    var both = (Frozen: Of("feature"), Tuned: Of("setfit"));
                    Directory.Delete(data, recursive: true);
                    return both;
                }).ToArray();
                rows.Add([corpus.Name, $"{shots}", shots == 8 && corpus.Published is { } published ? FormattableString.Invariant($"{published:0.0}")
                    : "",
                    Spread([.. found.Select(both => both.Frozen[0])]), Spread([.. found.Select(both => both.Tuned[0])]), $"{draws}", $"{test.Count}",
                    FormattableString.Invariant($"{found.Average(both => both.Tuned[1]):0}")]);
            }
        }
        return new ExperimentResult(Name,
            ["data", "a class", "published SetFit, %", "frozen, head solved, %", "SetFit, %", "draws", "test sentences", "seconds of a SetFit run"],
                rows,
            ["± is the standard deviation over the draws. Published: another MiniLM-L6 (paraphrase-MiniLM), other draws, whole test parts."]);
    }

    private static string Spread(double[] values)
    {
        var mean = values.Average();
        var deviation = Math.Sqrt(values.Sum(value => (value - mean) * (value - mean)) / Math.Max(1, values.Length - 1));
        return FormattableString.Invariant($"{100 * mean:0.0}") + (values.Length > 1 ? FormattableString.Invariant($" ± {100 * deviation:0.0}") : "");
    }

    /// <summary>What sentences are drawn from, and what is tested on: the data's own parts, or two halves.</summary>
    private static (Dataset Pool, Dataset Test) Open(Corpus corpus, ExperimentOptions options)
    {
        var splits = DatasetReader.Open(options.Need(corpus.Train), columns: corpus.Columns);
        var (pool, test) = corpus.Test switch
        {
            null => splits.Train.SplitStratified(0.5, 0),
            [] => (splits.Train, splits.Test!),
            _ => (splits.Train, DatasetReader.OpenWithClasses(options.Need(corpus.Test), splits.Train.Classes)),
        };
        var most = options.Short ? FewTested : MostTested;
        return (pool, test.Count <= most ? test : test.Subset(new Rng(0, 21).Permutation(test.Count).Take(most).Order()));
    }

    private static Dataset Draw(Dataset pool, int shots, int draw) =>
        pool.Subset(Enumerable.Range(0, pool.Classes.Count).SelectMany(c =>
        {
            int[] members = [.. Enumerable.Range(0, pool.Count).Where(k => pool.Labels[k] == c)];
            return new Rng(draw, 22, c).Permutation(members.Length).Take(shots).Select(k => members[k]);
        }));

    private static string Write(string folder, Dataset train, Dataset test)
    {
        Directory.CreateDirectory(folder);
        foreach (var (name, data) in new[] { ("train", train), ("test", test) })
        {
            // A title and what follows it are one text.
            File.WriteAllLines(Path.Combine(folder, name + ".jsonl"), Enumerable.Range(0, data.Count).Select(k =>
                JsonSerializer.Serialize(new { text = data.Text(k) is { Second: { } second } two ? $"{two.First} {second}" : data.Text(k).First,
                    label = data.Classes[data.Labels[k]] })));
        }
        return folder;
    }
}
