using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Features;
using Graft.Heads;
using Graft.Inference;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>A linear probe on one stage. Of several labels its accuracy is the mean average precision, of numbers R².</summary>
public sealed record StageProbe(string Stage, int Features, double Accuracy, double StandardError);

/// <summary>What the advisor measured.</summary>
public sealed record Evidence
{
    /// <summary>What is told of the pictures.</summary>
    public TargetKind Task { get; init; }

    /// <summary>Whether the items are sentences, and not pictures.</summary>
    public bool IsText { get; init; }

    internal ItemNoun Noun => ItemNoun.Of(IsText);

    /// <summary>Training pictures that can be read.</summary>
    public int Pictures { get; init; }

    /// <summary>Classes, labels, or columns of numbers.</summary>
    public int Classes { get; init; }

    /// <summary>Pictures of the rarest class or label; of numbers, all.</summary>
    public int Fewest { get; init; }

    /// <summary>Numbers that full fine-tuning would train.</summary>
    public long Parameters { get; init; }

    /// <summary>Cross-validated accuracy of a linear probe on every stage, from the input on.</summary>
    public IReadOnlyList<StageProbe> Probes { get; init; } = [];

    /// <summary>Share that the largest class would get right alone; of several labels, the mean average precision of any order; of numbers 0, the R² of the mean.</summary>
    public double Chance { get; init; }

    /// <summary>LogME on the last stage.</summary>
    public double LogMe { get; init; }

    /// <summary>LEEP, where the backbone still has its own classifier.</summary>
    public double? Leep { get; init; }

    /// <summary>Distance of the pictures' BatchNorm statistics from the upstream's.</summary>
    public double? StatisticsDistance { get; init; }

    /// <summary>Seconds of an epoch on cached features.</summary>
    public double FeatureSeconds { get; init; }

    /// <summary>Seconds of an epoch of full fine-tuning.</summary>
    public double FullSeconds { get; init; }

    /// <summary>Whether the backbone is pretrained at all.</summary>
    public bool Pretrained { get; init; }
}

/// <summary>What the advisor recommends, and why.</summary>
/// <param name="Strategy">As <c>--strategy</c> takes it.</param>
/// <param name="Quadrant">small or large × similar or different (cs231n, "Transfer Learning").</param>
/// <param name="Reasons">In plain words, with the numbers.</param>
/// <param name="Evidence">The measurements.</param>
public sealed record Advice(string Strategy, string Quadrant, IReadOnlyList<string> Reasons, Evidence Evidence)
{
    /// <summary>Pictures that could not be measured, because they cannot be read.</summary>
    [JsonIgnore]
    public IReadOnlyList<BrokenPicture> Broken { get; init; } = [];
}

/// <summary>
/// Measures how a backbone suits a task and recommends a plan. The measurements are kept beside the feature cache under a
/// digest of pictures and weights, so they are made once.
/// </summary>
public sealed class Advisor(Backbone backbone, FeatureCache? cache, Device device = default)
{
    // Below so many pictures, full fine-tuning of a network of millions of parameters wins little over its features and
    // costs a hundred times more (Kornblith et al. 2019, figure 8: the gap opens with thousands of examples).
    private const int SmallDataset = 2000;

    // Lower-stage features win by more than two standard errors only where the top ones are about something else.
    private const double Errors = 2;

    // Of a sentence, for the time of a step.
    private const int UsualTokens = 32;

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <summary>Measures, or takes an earlier measurement of the same, and recommends.</summary>
    public Advice Advise(Dataset train, long seed = 0, Action<int, int>? progress = null, CancellationToken cancel = default)
    {
        using var scope = new TensorScope();
        var pooled = new FeatureExtractor(backbone, cache, device).Pooled(train, backbone.Preprocessing, progress: progress, cancel: cancel);
        train.RequireEveryClass(pooled.Indices, pooled.Broken);
        var path = cache is null ? null : Path.Combine(Path.GetDirectoryName(cache.Root)!, "advice", Key(train, pooled, seed) + ".json");
        if (path is not null && Kept(path) is { } known) return Recommend(known) with { Broken = pooled.Broken };
        var evidence = Measure(train, pooled, seed, cancel);
        if (path is not null)
        {
            try
            {
                AtomicFile.WriteText(path, JsonSerializer.Serialize(evidence, s_json));
            }
            catch (IOException)
            {
                return Recommend(evidence) with { Broken = pooled.Broken }; // not kept: measured again next time
            }
        }
        return Recommend(evidence) with { Broken = pooled.Broken };
    }

    // A measurement that cannot be read is made again.
    private static Evidence? Kept(string path)
    {
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize<Evidence>(File.ReadAllText(path), s_json) : null;
        }
        catch (Exception reason) when (reason is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // The features stand for the pictures and the weights: equal features, equal advice.
    private unsafe string Key(Dataset train, Extraction pooled, long seed)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(new ReadOnlySpan<byte>((void*)pooled.Rows.Data, checked((int)Math.Min(pooled.Rows.Bytes, int.MaxValue))));
        hash.AppendData(Encoding.UTF8.GetBytes($"2 {string.Join(',', pooled.Indices.Select(k => train.Targets is ClassTargets classes ? $"{classes.Labels[k]}" : train.Targets.Describe(k)))} {seed} {backbone.Fingerprint()} {Cores.Count} {device}"));
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..32];
    }

    private Evidence Measure(Dataset train, Extraction pooled, long seed, CancellationToken cancel)
    {
        using var scope = new TensorScope();
        using var mode = Autograd.NoGrad();
        var targets = train.Targets.Subset(pooled.Indices);
        var clock = Stopwatch.StartNew();
        // Probing needs no more pictures than this; drawn evenly.
        const int ProbeLimit = 4000;
        int[] rows = targets.Count <= ProbeLimit ? [.. Enumerable.Range(0, targets.Count)] : [.. new Rng(seed, 5).Permutation(targets.Count).Take(ProbeLimit).Order()];
        var chosen = Tensor.From([.. rows.Select(k => (long)k)]);
        var probed = targets.Subset(rows);
        var probes = new List<StageProbe>();
        for (var k = 0; k < backbone.Stages.Count; k++)
        {
            cancel.ThrowIfCancellationRequested();
            var features = pooled.Stage(backbone, k).IndexSelect(0, chosen);
            // Of numbers the penalty decides whether anything is learned at all: it is chosen.
            var fit = HeadFitter.Fit(features, probed, new HeadOptions { Kind = HeadKinds.Usual(targets.Kind), C = targets is NumberTargets ? null
                : 10, Seed = seed, Tolerance = 1e-3 });
            using (fit.Head) probes.Add(new StageProbe(backbone.Stages[k].Name, backbone.Stages[k].Channels, fit.CrossValidated, StandardError(fit, probed)));
        }
        var featureSeconds = clock.Elapsed.TotalSeconds / backbone.Stages.Count;
        var top = pooled.Stage(backbone, backbone.Stages.Count - 1).IndexSelect(0, chosen);
        var (fewest, chance) = targets switch
        {
            LabelTargets labels => (labels.Counts().Min(), labels.Counts().Average() / labels.Count),
            ClassTargets classes => (train.Subset(pooled.Indices).CountsByClass().Min(), (double)train.Subset(pooled.Indices).CountsByClass().Max() / classes.Count),
            _ => (targets.Count, 0.0),
        };
        return new Evidence
        {
            Task = targets.Kind, IsText = train.IsText, Pictures = targets.Count, Classes = targets.Names.Count, Fewest = fewest, Parameters = backbone.Stages.Sum(stage => stage.ParameterCount),
            Probes = probes, Chance = chance,
            // Pairs are compared, and not told by a line on their features.
            LogMe = targets.Kind == TargetKind.Similarity ? double.NaN : Transferability.LogMe(top, probed),
            // Of classes alone: it asks which upstream class goes with which of ours.
            Leep = probed is ClassTargets own && backbone.UpstreamHead is { } head && backbone.TaskCard is null && backbone.Provenance.IsPretrained ? Transferability.Leep(head.Forward(top).Softmax(1), own.Labels, own.Names.Count) : null,
            StatisticsDistance = backbone.Provenance.IsPretrained && !train.IsText ? Transferability.StatisticsDistance(backbone, train) : null,
            FeatureSeconds = featureSeconds, FullSeconds = FullEpochSeconds(targets.Count), Pretrained = backbone.Provenance.IsPretrained,
        };
    }

    /// <summary>Of a share the binomial's; of other measures a quarter of their 95% interval over pictures drawn with replacement.</summary>
    private static double StandardError(FittedHead fit, Targets targets)
    {
        if (targets is ClassTargets) return Math.Sqrt(Math.Max(fit.CrossValidated * (1 - fit.CrossValidated), 1e-4) / targets.Count);
        if (fit.HeldOut is not { } said) return double.NaN;
        return TaskMetrics.Of(said, targets, resamples: 100) switch
        {
            LabelMetrics labels => (labels.Interval[1] - labels.Interval[0]) / 3.92,
            NumberMetrics { OfPairs: true } pairs => (pairs.PerColumn[0].SpearmanInterval[1] - pairs.PerColumn[0].SpearmanInterval[0]) / 3.92,
            NumberMetrics numbers => numbers.PerColumn.Average(column => column.RSquaredInterval[1] - column.RSquaredInterval[0]) / 3.92,
            _ => double.NaN,
        };
    }

    /// <summary>One step of full fine-tuning on 16 random pictures, timed after one to warm up, for so many pictures.</summary>
    private double FullEpochSeconds(int pictures)
    {
        using var probe = backbone.Clone();
        using var enabled = Autograd.EnableGrad();
        probe.FreezeBelow(0, true);
        probe.Train();
        const int Batch = 16;
        var seconds = 0.0;
        for (var k = 0; k < 2; k++)
        {
            using var scope = new TensorScope();
            var clock = Stopwatch.StartNew();
            var x = probe is TextEncoder encoder ? encoder.Batch([.. Enumerable.Range(0, Batch).Select(_ => Enumerable.Repeat(encoder.Shape.Pad + 1,
                Math.Min(UsualTokens, encoder.MostTokens)).ToArray())])
                : Ops.Randn([Batch, 3, backbone.Preprocessing.Height, backbone.Preprocessing.Width]).Contiguous(MemoryFormat.ChannelsLast);
            probe.Forward(x).Sum().Backward();
            seconds = clock.Elapsed.TotalSeconds;
        }
        return seconds * pictures / Batch;
    }

    // A class of one picture leaves none to judge by: what can be said is what is safe.
    private static Advice Unmeasured(Evidence e, bool large) => new(large ? "head-then-full" : "feature", $"{(large ? "large" : "small")}, domain unknown",
    [
        Size(e, large),
        $"The rarest class has one {e.Noun.One}, so none can be held out, and how well the features serve cannot be measured.",
        large ? "Large, and nothing more is known: the head first, then all at a hundredth of its rate." : "Small, and nothing more is known: a linear head on the top features is the safest.",
    ], e);

    private static string Size(Evidence e, bool large)
    {
        var what = e.Task switch { TargetKind.Labels => $"{e.Classes} labels ({e.Fewest} of the rarest)", TargetKind.Numbers => e.Classes == 1
            ? "a number" : $"{e.Classes} numbers", TargetKind.Similarity => "a score", _ => $"{e.Classes} classes ({e.Fewest} of the rarest)" };
        return $"{e.Pictures} {e.Noun.Many} {(e.Task == TargetKind.Classes ? "of" : "with")} {what} against {e.Parameters / 1e6:0.0} million parameters: a {(large ? "large" : "small")} dataset (the line is at {SmallDataset}).";
    }

    // Few labels and no upstream of the same kind: what has no labels may be one.
    private static string Unlabelled(Evidence e) =>
        $"If there are many more {e.Noun.Many} of this kind without labels, make an upstream of them ({NextCommand.Of("pretrain")} DIR{(e.Pretrained ? " --weights, from this network on" : "")}), and let {NextCommand.Of("compare")} --weights say whether it is worth it.";

    /// <summary>The rule, apart from the measuring.</summary>
    public static Advice Recommend(Evidence e)
    {
        var top = e.Probes[^1];
        var best = e.Probes.MaxBy(probe => probe.Accuracy)!;
        var lowerWins = best != top && best.Accuracy - top.Accuracy > Errors * Math.Sqrt(best.StandardError * best.StandardError + top.StandardError * top.StandardError);
        // Pretrained features that explain most of what chance leaves open are about this domain.
        var explained = (top.Accuracy - e.Chance) / Math.Max(1e-9, 1 - e.Chance);
        var similar = !lowerWins && explained >= 0.6;
        var large = e.Pictures >= SmallDataset;
        if (e.Pretrained && double.IsNaN(top.Accuracy)) return Unmeasured(e, large);
        var reasons = new List<string>
        {
            Size(e, large),
            e.Task switch
            {
                TargetKind.Labels => $"A linear probe on the top stage has a mean average precision of {top.Accuracy:0.000} on held-out {e.Noun.Many} (any order: {e.Chance:0.000}); the best stage is {best.Stage} with {best.Accuracy:0.000}.",
                TargetKind.Numbers => $"A linear probe on the top stage explains R² = {top.Accuracy:0.000} of the numbers of held-out {e.Noun.Many} (their mean: 0); the best stage is {best.Stage} with {best.Accuracy:0.000}.",
                TargetKind.Similarity =>
                    $"The cosine of the top stage's vectors orders the pairs with a Spearman correlation of {top.Accuracy:0.000} (chance: 0); the best stage is {best.Stage} with {best.Accuracy:0.000}.",
                _ => $"A linear probe on the top stage is right on {top.Accuracy:P1} of held-out {e.Noun.Many} (chance: {e.Chance:P1}); the best stage is {best.Stage} with {best.Accuracy:P1}.",
            },
            $"{(double.IsNaN(e.LogMe) ? "By that" : $"LogME of the top features is {e.LogMe:0.000}")}{(e.Leep is { } leep ? $", LEEP {leep:0.000}" : "")}{(e.StatisticsDistance is { } distance ? $"; the {e.Noun.Many}' statistics lie {distance:0.000} from the upstream's (0: the same domain)" : "")}{(double.IsNaN(e.LogMe) ? "" : ":")} the domain is {(similar ? "similar to" : "different from")} the upstream's.",
            $"On this machine an epoch of full fine-tuning takes about {e.FullSeconds:0.0} s; the head on cached features takes {e.FeatureSeconds:0.0} s in all.",
        };
        if (!e.Pretrained)
        {
            reasons.Add("The backbone has random weights, so there is nothing to transfer: train it from scratch.");
            if (!large) reasons.Add(Unlabelled(e));
            return new Advice("scratch", $"{(large ? "large" : "small")}, nothing upstream", reasons, e);
        }
        var (strategy, why) = (large, similar) switch
        {
            (false, true) => ("feature", $"Small and similar: the features fit as they are, and fine-tuning millions of parameters on so few {e.Noun.Many} would overfit. Train a linear head on frozen features."),
            (false, false) when lowerWins => ($"feature:{best.Stage}", $"Small and different: the top of the network is about something else, so the head goes on {best.Stage}, further down."),
            (false, false) when explained < 0.3 && e.Pictures >= 50 * e.Classes => ("head-then-full", "Small and different, with no stage that serves well as it is: the features have to change. The head first, then everything at a small rate."),
            (false, false) => ("feature", "Small and different, but no lower stage is better than the top: a linear head on the top features is the safest."),
            (true, true) => ("head-then-full", "Large and similar: there is enough to fine-tune everything, gently. The head first, then all at a hundredth of its rate."),
            (true, false) => ("full", "Large and different: fine-tune the whole network; pretrained values are still the better start."),
        };
        reasons.Add(why);
        if (!similar && !large) reasons.Add(Unlabelled(e));
        return new Advice(strategy, $"{(large ? "large" : "small")}, {(similar ? "similar" : "different")}", reasons, e);
    }
}
