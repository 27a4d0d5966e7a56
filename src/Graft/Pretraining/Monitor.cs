using Graft.Data;
using Graft.Heads;
using Graft.Inference;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>How far a pretraining has come, by what was never learned from.</summary>
/// <param name="Phase">From 0.</param>
/// <param name="Step">Of the phase; 0: before it began.</param>
/// <param name="Epoch">Of the phase.</param>
/// <param name="Loss">Mean over the epoch; NaN before the first.</param>
/// <param name="Knn">Share right by the 20 nearest neighbours; null: there are no labels.</param>
/// <param name="Linear">Share right by a linear head on the features; null: likewise.</param>
/// <param name="Deviation">Mean deviation of a unit vector's numbers, times √D: 1 where embeddings lie evenly on the sphere, 0 where all are one
/// (Chen and He 2021, section 4.1).</param>
/// <param name="Rank">exp of the entropy of the embeddings' singular values (Garrido et al. 2023, eq. 1): how many directions they use.</param>
/// <param name="Width">Numbers of an embedding: the rank's greatest.</param>
/// <param name="Alignment">Mean squared distance of two views of a picture (Wang and Isola 2020, eq. 1); null: there are no views.</param>
/// <param name="Uniformity">log of the mean Gaussian potential of pairs (eq. 2); the lower the more even.</param>
internal sealed record Reading(int Phase, long Step, int Epoch, double Loss, double? Knn, double? Linear, double Deviation, double Rank, int Width,
    double? Alignment, double Uniformity)
{
    // Below these the embeddings say nothing of what is in a picture.
    private const double LeastDeviation = 0.05, LeastRank = 1.5;

    /// <summary>Why this is a collapse; null: it is none.</summary>
    public string? Collapse => Deviation < LeastDeviation ? $"the embeddings of different {{0}} are all alike (deviation {Deviation:0.000}, where 1 is even)"
        : Rank < LeastRank ? $"the embeddings use {Rank:0.0} directions of {Width}" : null;

    /// <summary>For a line of the log.</summary>
    public override string ToString() => string.Join(", ", new[]
    {
        Knn is { } knn ? FormattableString.Invariant($"neighbours right {100 * knn:0.0}%") : null,
        Linear is { } linear ? FormattableString.Invariant($"linear head right {100 * linear:0.0}%") : null,
        FormattableString.Invariant($"deviation {Deviation:0.00}"), FormattableString.Invariant($"rank {Rank:0.0} of {Width}"),
        Alignment is { } alignment ? FormattableString.Invariant($"alignment {alignment:0.00}") : null,
        FormattableString.Invariant($"uniformity {Uniformity:0.00}"),
    }.OfType<string>());
}

/// <summary>Looks at a backbone on its way: by labels that it does not learn from, where there are any, and by signs that need none.</summary>
internal sealed class Monitor : IDisposable
{
    private const int Voters = 20, Batch = 64, Probed = 256, Rows = 1024;

    // Wu et al. 2018, section 3.4.
    private const double Temperature = 0.07;

    private readonly (Dataset Data, Feed<Batch> Feed)? _bank, _queries;
    private readonly List<PictureStore> _stores = [];
    private readonly Backbone _backbone;
    private readonly Device _device;
    private readonly Tensor[] _probe;

    /// <param name="backbone">What is looked at.</param>
    /// <param name="data">Bank and queries.</param>
    /// <param name="material">Of which some is embedded.</param>
    /// <param name="method">Its views are compared.</param>
    /// <param name="device">Where the backbone is.</param>
    public Monitor(Backbone backbone, PretrainData data, PretrainMaterial material, PretrainMethod method, Device device)
    {
        (_backbone, _device) = (backbone, device);
        if (data is { Bank: { } bank, Queries: { } queries }) (_bank, _queries) = (Open(bank, material), Open(queries, material));
        _probe = material.Pictures is null ? [] : Probe(material, method);
        if (material.Pictures is null) _sentences = [.. material.Sentences.Take(Probed).Select(tokens => tokens.Ids)];
    }

    private readonly int[][] _sentences = [];

    private (Dataset, Feed<Batch>)? Open(Dataset data, PretrainMaterial material)
    {
        if (material.Pictures is null)
        {
            int[][] tokens = [.. Enumerable.Range(0, data.Count).Select(k => material.Encoder.Encode(data.Text(k)).Ids)];
            return (data, new TextFeed(tokens, data.Targets, material.Encoder.Shape.Pad, Batch, 0, shuffle: false));
        }
        var store = new PictureStore(data, PictureStore.DefaultBudget / 2);
        _stores.Add(store);
        var (usable, _) = store.Check();
        return usable.Length == 0 ? null : (data, new PictureFeed(store, usable, _backbone.Preprocessing, Batch, 0, shuffle: false));
    }

    /// <summary>Two views of the same pictures; one as it is, where the method draws none.</summary>
    private static Tensor[] Probe(PretrainMaterial material, PretrainMethod method)
    {
        var some = material.Usable.Take(Probed).ToArray();
        Preprocessing[] views = [.. method.Views(material.Backbone).Where(view => view.Width == material.Backbone.Preprocessing.Width).Take(2)];
        if (views.Length < 2) views = [material.Backbone.Preprocessing];
        return [.. views.Select((view, number) => Loader.Inputs(material.Pictures!, some, view, true, index => new Rng(1, 5, index, number)))];
    }

    /// <summary>Looks.</summary>
    /// <param name="phase">Of the plan.</param>
    /// <param name="look">Where the training stands; null: it has not begun.</param>
    /// <param name="embed">What the loss compares; null: the features themselves.</param>
    /// <param name="judge">Also by labels, which takes longer.</param>
    public Reading Read(int phase, Look? look, Func<Tensor, Tensor>? embed, bool judge = true)
    {
        using var mode = Autograd.NoGrad();
        using var scope = new TensorScope();
        var embedded = Embeddings(embed);
        Tensor[] unit = [.. embedded.Select(Contrast.Unit)];
        var (deviation, rank) = Spread(embedded[0], unit[0]);
        double? alignment = unit.Length > 1 ? (unit[0] - unit[1]).Square().Sum([1L]).Mean().Item() : null;
        var (knn, linear) = judge && _bank is { } bank && _queries is { } queries ? Judge(bank, queries) : (null, null);
        return new Reading(phase, look?.Step ?? 0, look?.Epoch ?? 0, look?.Loss ?? double.NaN, knn, linear, deviation, rank, (int)unit[0].Shape[1], alignment,
            Uniformity(unit[0]));
    }

    private Tensor[] Embeddings(Func<Tensor, Tensor>? embed)
    {
        if (_probe.Length > 0)
            return [.. _probe.Select(view => Parts((int)view.Shape[0], (from, count) => (embed ?? _backbone.Forward)(view.Narrow(0, from, count).To(_device))))];
        var encoder = (TextEncoder)_backbone;
        return [Parts(_sentences.Length, (from, count) => encoder.Forward(encoder.Batch(_sentences[from..(from + count)]).To(_device)))];
    }

    private static Tensor Parts(int count, Func<int, int, Tensor> part) =>
        Ops.Cat([.. Enumerable.Range(0, (count + Batch - 1) / Batch).Select(k => part(k * Batch, Math.Min(Batch, count - k * Batch)).To(Device.Cpu).To(DType.Float32))], 0);

    internal static (double Deviation, double Rank) Spread(Tensor rows, Tensor unit)
    {
        var (n, d) = (unit.Shape[0], unit.Shape[1]);
        if (n < 2) return (0, 1);
        var centred = unit - unit.Mean([0L]);
        var deviation = (centred.Square().Sum([0L]) / (n - 1)).Sqrt().Mean().Item() * Math.Sqrt(d);
        var values = (rows - rows.Mean([0L])).LinalgSvd(false).Item2.ToArray<float>();
        var sum = values.Sum(value => (double)value);
        if (!(sum > 1e-12)) return (deviation, 1);
        var entropy = -values.Select(value => value / sum + 1e-7).Sum(p => p * Math.Log(p));
        return (deviation, Math.Exp(entropy));
    }

    private static double Uniformity(Tensor unit)
    {
        var n = (int)unit.Shape[0];
        if (n < 2) return 0;
        var potential = ((unit.Matmul(unit.T()) - 1) * 4).Exp();
        // Pairs of a vector with itself are not pairs: each gives exp(0) = 1.
        return Math.Log(Math.Max(1e-12, (potential.Sum().Item() - n) / ((double)n * (n - 1))));
    }

    private (double? Knn, double? Linear) Judge((Dataset Data, Feed<Batch> Feed) bank, (Dataset Data, Feed<Batch> Feed) queries)
    {
        var ((known, labels), (asked, truth)) = (FeaturesOf(bank), FeaturesOf(queries));
        var classes = bank.Data.Classes.Count;
        return (Neighbours(known, labels, classes, asked, truth), labels.Distinct().Count() < 2 ? null : Linear(known, labels, classes, asked, truth));
    }

    /// <summary>Share of queries that the weighted votes of their 20 nearest neighbours get right (Wu et al. 2018, section 3.4).</summary>
    /// <param name="known">N×D features.</param>
    /// <param name="labels">N.</param>
    /// <param name="classes">How many.</param>
    /// <param name="asked">M×D.</param>
    /// <param name="truth">M.</param>
    internal static double Neighbours(Tensor known, int[] labels, int classes, Tensor asked, int[] truth)
    {
        using var scope = new TensorScope();
        var k = Math.Min(Voters, labels.Length);
        var votes = Tensor.From([.. labels.Select(label => (long)label)]).OneHot(classes).To(DType.Float32);
        var bank = Contrast.Unit(known).T();
        var right = 0;
        for (var from = 0; from < truth.Length; from += Rows)
        {
            using var part = new TensorScope();
            var (likeness, nearest) = Contrast.Unit(asked.Narrow(0, from, Math.Min(Rows, truth.Length - from))).Matmul(bank).Topk(k, 1);
            var said = (votes.IndexSelect(0, nearest.Flatten(0)).View([-1, k, classes]) * (likeness / Temperature).Exp().Unsqueeze(2)).Sum([1L]).Argmax(1).ToArray<long>();
            for (var q = 0; q < said.Length; q++) right += said[q] == truth[from + q] ? 1 : 0;
        }
        return (double)right / Math.Max(1, truth.Length);
    }

    /// <summary>Share of queries that a linear head on the features gets right.</summary>
    internal static double Linear(Tensor known, int[] labels, int classes, Tensor asked, int[] truth)
    {
        using var head = HeadFitter.Fit(known, labels, classes, new HeadOptions { C = 1 }).Head;
        using var scope = new TensorScope();
        return head.Answers(asked).Argmax(1).ToArray<long>().Zip(truth).Count(pair => pair.First == pair.Second) / (double)Math.Max(1, truth.Length);
    }

    private (Tensor Features, int[] Labels) FeaturesOf((Dataset Data, Feed<Batch> Feed) part)
    {
        var (rows, labels) = (new List<Tensor>(), new List<int>());
        foreach (var batch in part.Feed.Epoch(0, 0))
        {
            using (batch)
            {
                rows.Add(_backbone.Forward(batch.Inputs.To(_device)).To(Device.Cpu));
                labels.AddRange(batch.Indices.Select(k => part.Data.Labels[k]));
            }
        }
        return (Ops.Cat(rows, 0), [.. labels]);
    }

    public void Dispose()
    {
        foreach (var view in _probe) view.Dispose();
        foreach (var store in _stores) store.Dispose();
    }
}
