using System.Globalization;
using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>Functions that make plans. Epochs follow from the number of pictures: about so many steps, within bounds.</summary>
public static class Strategies
{
    /// <summary>Names as the command line takes them.</summary>
    public static IReadOnlyList<string> Names { get; } = ["auto", "feature", "partial", "full", "head-then-full", "gradual", "scratch", "setfit"];

    private const double HeadRate = 0.1;

    /// <summary>A strategy by name; partial:K trains the K deepest stages, feature:STAGE takes features from a stage.</summary>
    /// <exception cref="GraftException">No such strategy.</exception>
    public static Plan ByName(string name, Backbone backbone, int pictures, HeadKind head = HeadKind.Softmax)
    {
        var (kind, option) = name.Split(':') is [var first, var second] ? (first, second) : (name, null);
        if (head == HeadKind.Cosine && kind != "feature") return Compared(name, kind, option, backbone, pictures);
        return kind switch
        {
            "feature" => Feature(backbone, head, option),
            "partial" => Partial(backbone, pictures, option is null ? 2 : Deepest(option, backbone), head),
            _ when option is not null => throw Unknown(name),
            "full" => Full(backbone, pictures, head),
            "head-then-full" => HeadThenFull(backbone, pictures, head),
            "gradual" => Gradual(backbone, pictures, head),
            "scratch" => Scratch(backbone, pictures, head),
            "setfit" => SetFit(backbone, head),
            _ => throw Unknown(name),
        };
    }

    private static GraftException Unknown(string name) =>
        Bounds.Refuse($"{UnknownName.Of("strategy", name, Names).Message}; also partial:K and feature:STAGE");

    private static int Deepest(string text, Backbone backbone) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var k)
        && k >= 1 && k <= backbone.Stages.Count ? k
        : throw Bounds.Refuse($"--strategy partial:{text}: the K deepest stages of {backbone.Architecture} are a whole number from 1 to {backbone.Stages.Count}");

    /// <summary>Frozen backbone, head on its features, solved to a tolerance.</summary>
    public static Plan Feature(Backbone backbone, HeadKind head = HeadKind.Softmax, string? stage = null)
    {
        if (stage is not null && backbone.Stages.All(found => found.Name != stage)) throw UnknownName.Of($"stage of {backbone.Architecture}", stage,
            backbone.Stages.Select(found => found.Name), NextCommand.Of("models", "show", backbone.Architecture));
        return new Plan { Strategy = stage is null ? "feature" : $"feature:{stage}", Head = head, FeatureStage = stage, Phases = [Solved(backbone)] };
    }

    private static Phase Solved(Backbone backbone) => new() { Name = "head", TrainFrom = backbone.Stages.Count, Solve = true };

    /// <summary>The head solved, then it and the deepest stages together; the rest is frozen and runs once.</summary>
    public static Plan Partial(Backbone backbone, int pictures, int deepest, HeadKind head = HeadKind.Softmax)
    {
        var from = Math.Clamp(backbone.Stages.Count - deepest, 0, backbone.Stages.Count);
        return new Plan { Strategy = $"partial:{deepest}", Head = Trainable(head),
            Phases = [Solved(backbone), Tuned(backbone, pictures, $"top {deepest}", from, HeadRate / 30, 600)] };
    }

    /// <summary>Everything from the pretrained values at once, the head new.</summary>
    public static Plan Full(Backbone backbone, int pictures, HeadKind head = HeadKind.Softmax) =>
        new()
        {
            Strategy = "full", Head = Trainable(head),
            Phases = [backbone is TextEncoder ? Tuned(backbone, pictures, "all", 0, HeadRate / 10, 400)
                : Tuned(backbone, pictures, "all", 0, HeadRate / 10, 800) with { HeadRate = HeadRate,
                    Schedule = new CosineSchedule { WarmUp = 0.1 } }],
        };

    /// <summary>The head until it is reasonable (solved), then everything at a hundredth of the head's rate.</summary>
    public static Plan HeadThenFull(Backbone backbone, int pictures, HeadKind head = HeadKind.Softmax) =>
        new() { Strategy = "head-then-full", Head = Trainable(head),
            Phases = [Solved(backbone), Tuned(backbone, pictures, "all", 0, HeadRate / 100, 300)] };

    /// <summary>Howard and Ruder 2018: the head, then from the top down one more stage at a time, deeper stages at higher rates.</summary>
    public static Plan Gradual(Backbone backbone, int pictures, HeadKind head = HeadKind.Softmax)
    {
        var phases = new List<Phase> { Solved(backbone) };
        for (var from = backbone.Stages.Count - 1; from >= 0; from--)
            phases.Add(Tuned(backbone, pictures, $"from {backbone.Stages[from].Name}", from, HeadRate / 100, 60, decay: 2.6));
        return new Plan { Strategy = "gradual", Head = Trainable(head), Phases = phases };
    }

    /// <summary>Random values, trained as if nothing were known; BatchNorm's statistics are its own.</summary>
    public static Plan Scratch(Backbone backbone, int pictures, HeadKind head = HeadKind.Softmax) => new()
    {
        Strategy = "scratch", Head = Trainable(head),
        Phases = [backbone is TextEncoder ? FromNothing(backbone, pictures)
            : Tuned(backbone, pictures, "all", 0, 0.05, 1500) with { HeadRate = 0.05, FreezeStatistics = false, WeightDecay = 5e-4,
            Schedule = new OneCycleSchedule(), LabelSmoothing = head == HeadKind.Svm || head.Task() != TargetKind.Classes ? 0 : 0.05 }],
    };

    /// <summary>
    /// SetFit (Tunstall et al. 2022): few labelled sentences. The encoder is tuned on pairs of them, drawn anew in each epoch, at the rate, batch and
    /// warm-up of the paper's code, with R = 20; then the head is solved on its vectors.
    /// </summary>
    public static Plan SetFit(Backbone backbone, HeadKind head = HeadKind.Softmax)
    {
        if (backbone is not TextEncoder) throw Bounds.Refuse($"--strategy setfit is for sentences, and {backbone.Architecture} sees pictures: {NextCommand.Of("fewshot", "train")} learns from few pictures");
        if (head.Task() != TargetKind.Classes)
            throw Bounds.Refuse($"--strategy setfit puts sentences of one class together, and the head {head.ToString().ToLowerInvariant()} tells no classes: use another strategy, or data of one class each");
        return new Plan
        {
            Strategy = "setfit", Head = head,
            Phases =
            [
                Paired(backbone, "contrastive", 0) with { Objective = PhaseObjective.Contrastive, BatchSize = 16, PairsOfEach = 20, MostSteps = 500 },
                Solved(backbone),
            ],
        };
    }

    /// <summary>How alike the texts of pairs are: the backbone is tuned by the order of the scores, then the line on the cosine is solved.</summary>
    private static Plan Compared(string name, string kind, string? option, Backbone backbone, int pairs)
    {
        var from = kind switch
        {
            "full" or "head-then-full" when option is null => 0,
            "partial" => Math.Clamp(backbone.Stages.Count - (option is null ? 2 : Deepest(option, backbone)), 0, backbone.Stages.Count),
            "gradual" or "scratch" or "setfit" when option is null =>
                throw Bounds.Refuse($"--strategy {name} is not for the similarity of pairs: use feature, partial:K, or full"),
            _ => throw Unknown(name),
        };
        var perEpoch = Math.Max(1, (pairs + PairedBatch - 1) / PairedBatch);
        return new Plan
        {
            Strategy = name, Head = HeadKind.Cosine,
            Phases =
            [
                Paired(backbone, from == 0 ? "all" : $"from {backbone.Stages[from].Name}", from) with
                {
                    Objective = PhaseObjective.Cosent, BatchSize = PairedBatch, Epochs = Math.Clamp((600 + perEpoch - 1) / perEpoch, 1, 4),
                },
                Solved(backbone),
            ],
        };
    }

    private const int PairedBatch = 32;

    // As sentence encoders are tuned (Reimers and Gurevych 2019, section 3.1): 2·10⁻⁵ for all stages alike, the first tenth of the steps to warm up.
    private static Phase Paired(Backbone backbone, string name, int from) => new()
    {
        Name = name, TrainFrom = from, Optimizer = new AdamRule(Decoupled: true), HeadRate = 2e-5, WeightDecay = 0.01, ClipNorm = 1, Views = 0,
        StageRates = [.. backbone.Stages.Select((_, k) => k < from ? 0 : 2e-5)], Schedule = new CosineSchedule { WarmUp = 0.1 },
    };

    // Nothing is known below, so that no stage is to be kept from moving.
    private static Phase FromNothing(Backbone backbone, int sentences) => TextPhase(backbone, sentences, "all", 0, 1500, 1) with
    {
        HeadRate = 3e-4, StageRates = [.. backbone.Stages.Select(_ => 3e-4)],
    };

    private static HeadKind Trainable(HeadKind head) => head != HeadKind.Mean ? head
        : throw Bounds.Refuse("--head mean has no gradient to follow, and this strategy takes gradient steps: use softmax, svm or mlp, or --strategy feature");

    /// <summary>A gradient phase. With a decay, each stage's rate is that of the one above divided by it (Howard and Ruder's discriminative
    /// rates).</summary>
    private static Phase Tuned(Backbone backbone, int pictures, string name, int from, double rate, int steps, double decay = 1)
    {
        if (backbone is TextEncoder) return TextPhase(backbone, pictures, name, from, steps, decay);
        const int Batch = 32;
        // A step on photographs costs a hundred times one on small pictures, and their pretrained networks need fewer.
        if (backbone.Preprocessing.Width >= 96) steps = Math.Max(1, steps / 4);
        var perEpoch = Math.Max(1, (pictures + Batch - 1) / Batch);
        var count = backbone.Stages.Count;
        // Frozen stages run once per view; too large an output is made anew every time instead.
        var side = Math.Max(1, backbone.Preprocessing.Width >> Math.Min(from, 4));
        var rowBytes = from > 0 ? 4L * backbone.Stages[from - 1].Channels * side * side : 0;
        var views = from > 0 && rowBytes * pictures * 4 <= 1L << 30 ? 4 : 0;
        return new Phase
        {
            Name = name, TrainFrom = from, Epochs = Math.Clamp((steps + perEpoch - 1) / perEpoch, 1, 40), BatchSize = Batch,
            HeadRate = rate, StageRates = [.. Enumerable.Range(0, count).Select(k => k < from ? 0 : rate / Math.Pow(decay, count - 1 - k))],
            ClipNorm = 5, Augmentation = Augmentation(backbone.Preprocessing), Views = views,
        };
    }

    /// <summary>
    /// A gradient phase of a Transformer: AdamW with the rates, the decay of 0.01, the clipping and the warm-up of BERT's fine-tuning (Devlin et al.
    /// 2019, appendix A.3; more and longer steps where data is scarce: Mosbach et al. 2021), the head at a rate of its own, each stage's rate that of
    /// the one above times 0.8 (Sun et al. 2019, section 5.3.4: 0.95 a layer of twelve).
    /// </summary>
    private static Phase TextPhase(Backbone backbone, int sentences, string name, int from, int steps, double decay)
    {
        const int Batch = 32;
        const double HeadsRate = 1e-3;
        // A row of a table of words moves only where its word stands.
        var rate = backbone is TextEncoder { Shape.Kind: EncoderShape.Words } ? 3e-3 : 1e-4;
        var perEpoch = Math.Max(1, (sentences + Batch - 1) / Batch);
        var count = backbone.Stages.Count;
        var fall = decay > 1 ? decay : 1.25;
        return new Phase
        {
            Name = name, TrainFrom = from, BatchSize = Batch, Epochs = Math.Clamp((steps + perEpoch - 1) / perEpoch, steps <= 60 ? 1 : 3, 20),
            Optimizer = new AdamRule(Decoupled: true), HeadRate = HeadsRate, WeightDecay = 0.01, ClipNorm = 1, Views = 0,
            StageRates = [.. Enumerable.Range(0, count).Select(k => k < from ? 0 : rate / Math.Pow(fall, count - 1 - k))],
            Schedule = new CosineSchedule { WarmUp = 0.1 },
        };
    }

    /// <summary>Photographs: crops of most of the picture, and flips. Small pictures: shifts by an eighth, and flips.</summary>
    public static IReadOnlyList<Transform> Augmentation(Preprocessing preprocessing) => preprocessing.Width >= 96
        ? [new RandomResizedCrop(preprocessing.Width, 0.5), new HorizontalFlip()]
        : [new ResizeExact(preprocessing.Width, preprocessing.Height), new RandomCrop(preprocessing.Width, preprocessing.Width / 8),
            new HorizontalFlip()];
}
