using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Models;
using Graft.Models.Hub;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// Reviews of books, films, electronics and kitchenware, good or bad (Blitzer et al. 2007), each domain by itself: a sentence encoder frozen, a head
/// solved on its vectors. The penalty is chosen within the training folds.
/// </summary>
public sealed class Amazon : Experiment
{
    private const string Encoder = "all-minilm-l6-v2";

    private const int Folds = 5;

    /// <inheritdoc/>
    public override string Name => "amazon";

    /// <inheritdoc/>
    public override string Summary => "Reviews of four kinds of goods, good or bad, each kind by itself: a sentence encoder frozen";

    /// <inheritdoc/>
    public override ExperimentResult Run(ExperimentOptions options)
    {
        var weights = new ModelHub(new Downloader()).Pull(Encoder, options.Cancel).GetAwaiter().GetResult();
        using var encoder = ModelOpener.Load(weights).Backbone;
        using var extractor = new FeatureExtractor(encoder, FeatureCache.Default()) { KeepNetwork = true };
        var rows = new List<string[]>();
        var means = new List<double>();
        foreach (var domain in options.Short ? ["kitchen"] : (string[])["books", "dvd", "electronics", "kitchen"])
        {
            var data = DatasetReader.Open(options.Need("text", "amazon", domain + ".tsv"), TargetKind.Classes,
                new TextColumns { Text = "title", Pair = "text", Label = "label" }).Train;
            if (options.Short) data = data.SplitStratified(0.15, 0).Second;
            var found = extractor.Pooled(data, encoder.Preprocessing, cancel: options.Cancel);
            using var owned = found.Rows;
            var features = found.Stage(encoder, encoder.Stages.Count - 1);
            int[] labels = [.. found.Indices.Select(k => data.Labels[k])];
            var fold = Dataset.StratifiedFolds(labels, Folds, 0);
            var shares = Enumerable.Range(0, Folds).Select(held =>
            {
                using var scope = new TensorScope();
                using var mode = Autograd.NoGrad();
                long[] known = [.. Enumerable.Range(0, labels.Length).Where(k => fold[k] != held).Select(k => (long)k)];
                long[] asked = [.. Enumerable.Range(0, labels.Length).Where(k => fold[k] == held).Select(k => (long)k)];
                using var head = HeadFitter.Fit(features.IndexSelect(0, Tensor.From(known)), [.. known.Select(k => labels[k])], data.Classes.Count,
                    new HeadOptions()).Head;
                return head.Answers(features.IndexSelect(0, Tensor.From(asked))).Argmax(1).ToArray<long>().Zip(asked)
                    .Count(pair => pair.First == labels[pair.Second]) / (double)asked.Length;
            }).ToArray();
            means.Add(shares.Average());
            options.Log($"{domain}: {shares.Average():P1}");
            rows.Add([domain, $"{labels.Length}", SelfSupervised.Spread(shares)]);
        }
        rows.Add(["mean", "", SelfSupervised.Percent(means.Average())]);
        return new ExperimentResult(Name, ["reviews of", "reviews", "right, %"], rows,
            [$"{Encoder}, {Folds} folds, mean and 95% interval over them; title and review are read as a pair, of which what is beyond 256 tokens is cut. Published in-domain figures on words: about 80 to 86 (Glorot et al. 2011; Chen et al. 2012)."]);
    }
}
