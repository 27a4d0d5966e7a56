using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Heads;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>What trains, when, at which learning rate: data that can be printed, saved, edited and given back.</summary>
public sealed record Plan
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) }, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, RespectNullableAnnotations = true,
    };

    /// <summary>The strategy that made it.</summary>
    public required string Strategy { get; init; }

    /// <summary>Which head.</summary>
    public HeadKind Head { get; init; } = HeadKind.Softmax;

    /// <summary>The head stands on the pooled output of this stage; null: of the last.</summary>
    public string? FeatureStage { get; init; }

    /// <summary>One after another.</summary>
    public required IReadOnlyList<Phase> Phases { get; init; }

    /// <summary>Why, in plain words.</summary>
    public IReadOnlyList<string> Reasons { get; init; } = [];

    /// <summary>As indented JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, s_json);

    /// <summary>Reads a plan that was printed and perhaps edited.</summary>
    /// <exception cref="GraftException">Not a plan: line and reason.</exception>
    public static Plan FromJson(string json, string from)
    {
        try
        {
            var plan = JsonSerializer.Deserialize<Plan>(json, s_json) ?? throw new GraftException($"{from} holds no plan");
            if (plan.Phases.Count == 0) throw new GraftException($"{from}: a plan needs at least one phase");
            return !plan.Phases.Contains(null!) ? plan : throw new GraftException($"{from}: a phase is null");
        }
        catch (JsonException reason)
        {
            throw new GraftException($"{from}{JsonFault.Of(reason)}", reason);
        }
    }

    /// <summary>Refuses a plan that cannot be carried out on a backbone.</summary>
    /// <param name="backbone">What it is for.</param>
    /// <param name="from">The file that it was read from, for the message; null: it was made here.</param>
    /// <exception cref="GraftException">A field that cannot be: phase, field and bounds.</exception>
    public void Validate(Backbone backbone, string? from = null)
    {
        var source = from ?? $"the plan '{Strategy}'";
        try
        {
            if (Phases.Count == 0) throw Bounds.Refuse($"{source}: a plan needs at least one phase");
            if (FeatureStage is { } name && backbone.Stages.All(stage => stage.Name != name))
                throw Bounds.Refuse($"{source}, featureStage {name}: {backbone.Architecture} has no such stage. It has: {string.Join(", ", backbone.Stages.Select(stage => stage.Name))}");
            if (Phases.All(phase => phase.Objective != PhaseObjective.Supervised))
                throw Bounds.Refuse($"{source}: no phase trains the head: end with one that solves it (solve, trainFrom {backbone.Stages.Count})");
            for (var k = 0; k < Phases.Count; k++) Phases[k].Validate(backbone, Head, $"{source}, phase {k + 1} ({Phases[k].Name}),");
        }
        catch (GraftException reason) when (reason.IsUsage)
        {
            // The plan is at fault, and not what was typed.
            throw new GraftException(reason.Message, reason);
        }
    }
}

/// <summary>What a phase of gradient steps makes smaller.</summary>
public enum PhaseObjective
{
    /// <summary>The error of what the head says: cross-entropy, the squared error, and the like.</summary>
    Supervised,

    /// <summary>Sentences of one class together, of two classes apart (SetFit, Tunstall et al. 2022): the backbone alone trains.</summary>
    Contrastive,

    /// <summary>Pairs with a higher score closer together (CoSENT, Su 2022): the backbone alone trains.</summary>
    Cosent,
}

/// <summary>A stretch of training.</summary>
public sealed record Phase
{
    /// <summary>For logs.</summary>
    public required string Name { get; init; }

    /// <summary>Stages from this one on train; the number of stages means the head alone.</summary>
    public required int TrainFrom { get; init; }

    /// <summary>What the gradient steps follow.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public PhaseObjective Objective { get; init; }

    /// <summary>Of the objective contrastive: how many pairs of its own class, and as many with another, each sentence gives in an epoch.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int PairsOfEach { get; init; }

    /// <summary>Of the objective contrastive: steps of an epoch at most, fewer pairs being drawn then; 0: no bound.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public int MostSteps { get; init; }

    /// <summary>Solve the head by a second-order method on cached features, instead of taking gradient steps.</summary>
    public bool Solve { get; init; }

    /// <summary>Passes over the training pictures.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Pictures of a step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>sgd (momentum 0.9), nesterov, adam, adamw or lars; or an object with kind and its constants.</summary>
    public OptimizerRule Optimizer { get; init; } = new SgdRule();

    /// <summary>The head's learning rate.</summary>
    public double HeadRate { get; init; } = 0.01;

    /// <summary>A learning rate for each stage (0 where it does not train).</summary>
    public IReadOnlyList<double> StageRates { get; init; } = [];

    /// <summary>L2 penalty.</summary>
    public double WeightDecay { get; init; } = 1e-4;

    /// <summary>How the rates change.</summary>
    public Schedule Schedule { get; init; } = new CosineSchedule();

    /// <summary>Share of the label given to the other classes (Szegedy et al. 2016).</summary>
    public double LabelSmoothing { get; init; }

    /// <summary>Limit of the gradient's norm; 0: none.</summary>
    public double ClipNorm { get; init; }

    /// <summary>Decay of the averaged weights that are evaluated and kept; 0: none.</summary>
    public double Ema { get; init; }

    /// <summary>Stop after so many epochs without a better validation; 0: never.</summary>
    public int Patience { get; init; }

    /// <summary>Keep BatchNorm's statistics as they are.</summary>
    public bool FreezeStatistics { get; init; } = true;

    /// <summary>Steps that change pictures at random; empty: as for evaluation.</summary>
    public IReadOnlyList<Transform> Augmentation { get; init; } = [];

    /// <summary>
    /// With frozen stages: how many views of each picture (augmented where there is an augmentation) go through them once and
    /// are cached. 0: they run every time.
    /// </summary>
    public int Views { get; init; } = 1;

    /// <summary>Beta parameter of mixup; 0: none.</summary>
    public double Mixup { get; init; }

    /// <summary>Beta parameter of CutMix; 0: none.</summary>
    public double CutMix { get; init; }

    /// <summary>Refuses what cannot be; <paramref name="where"/> begins the message.</summary>
    internal void Validate(Backbone backbone, HeadKind head, string where)
    {
        var stages = backbone.Stages.Count;
        Bounds.Whole($"{where} trainFrom", TrainFrom, 0, stages);
        if (Objective != PhaseObjective.Supervised) ValidatePairs(backbone, head, where);
        else if (PairsOfEach != 0 || MostSteps != 0)
            throw Bounds.Refuse($"{where} {(PairsOfEach != 0 ? "pairsOfEach" : "mostSteps")} is for the objective contrastive. Leave it out, or say objective");
        if (Solve)
        {
            if (TrainFrom != stages) throw Bounds.Refuse($"{where} trainFrom {TrainFrom}: solving trains the head alone, which is {stages}, the number of stages. Set solve to false to train stages too");
            return;
        }
        Bounds.Whole($"{where} epochs", Epochs, 1);
        Bounds.Whole($"{where} batchSize", BatchSize, 1);
        Bounds.Within($"{where} headRate", HeadRate, 0);
        if (StageRates.Count != 0 && StageRates.Count != stages)
            throw Bounds.Refuse($"{where} stageRates has {StageRates.Count} rates and {backbone.Architecture} {stages} stages ({string.Join(", ", backbone.Stages.Select(stage => stage.Name))}): one for each, or none for the head's rate everywhere");
        foreach (var rate in StageRates) Bounds.Within($"{where} stageRates", rate, 0);
        Bounds.Within($"{where} weightDecay", WeightDecay, 0);
        Bounds.Within($"{where} labelSmoothing", LabelSmoothing, 0, 1);
        Bounds.Within($"{where} clipNorm", ClipNorm, 0);
        if (!(Ema >= 0 && Ema < 1)) throw Bounds.Refuse(FormattableString.Invariant($"{where} ema {Ema}: a number from 0 to below 1"));
        Bounds.Whole($"{where} patience", Patience, 0);
        Bounds.Whole($"{where} views", Views, 0);
        Bounds.Within($"{where} mixup", Mixup, 0);
        Bounds.Within($"{where} cutMix", CutMix, 0);
        Bounds.Within($"{where} schedule's warmUp", Schedule.WarmUp, 0, 1);
        if (Schedule is StepSchedule steps)
        {
            Bounds.Whole($"{where} schedule's parts", steps.Parts, 1);
            Bounds.Within($"{where} schedule's gamma", steps.Gamma, 0);
        }
        if (Schedule is CosineSchedule cosine) Bounds.Within($"{where} schedule's floor", cosine.Floor, 0, 1);
        if (Schedule is OneCycleSchedule cycle && !(cycle.Rise > 0 && cycle.Rise < 1)) throw Bounds.Refuse(FormattableString.Invariant($"{where} schedule's rise {cycle.Rise}: a number above 0 and below 1"));
        if (Objective != PhaseObjective.Supervised) return;
        if (head == HeadKind.Cosine) throw Bounds.Refuse($"{where} has gradient steps, and the head cosine compares two texts: say objective cosent, or solve it");
        if (head == HeadKind.Mean) throw Bounds.Refuse($"{where} has gradient steps, and the head mean has no gradient to follow: use softmax, svm or mlp, or solve it");
        if (head.Task() != Data.TargetKind.Classes && (Mixup > 0 || CutMix > 0 || LabelSmoothing > 0))
            throw Bounds.Refuse($"{where} {(Mixup > 0 ? "mixup" : CutMix > 0 ? "cutMix" : "labelSmoothing")} with the head {head.ToString().ToLowerInvariant()}: it takes one class for each picture. Set it to 0");
        if (head == HeadKind.Svm && (Mixup > 0 || CutMix > 0 || LabelSmoothing > 0))
            throw Bounds.Refuse($"{where} {(Mixup > 0 ? "mixup" : CutMix > 0 ? "cutMix" : "labelSmoothing")} with the head svm: its hinge takes a class for each picture, not shares of several. Set it to 0, or use softmax");
        if (BatchSize == 1 && Normalises(backbone)) throw Bounds.Refuse($"{where} batchSize 1: BatchNorm takes its statistics from a batch, and one picture has none. Give 2 or more, or set freezeStatistics");
    }

    // Pairs train the backbone alone, and by their own loss.
    private void ValidatePairs(Backbone backbone, HeadKind head, string where)
    {
        var name = Objective.ToString().ToLowerInvariant();
        if (!Enum.IsDefined(Objective)) throw Bounds.Refuse($"{where} objective {name}: use supervised, contrastive or cosent");
        if (Solve) throw Bounds.Refuse($"{where} objective {name} takes gradient steps, and solve takes none. Set one of them aside");
        if (backbone is not TextEncoder) throw Bounds.Refuse($"{where} objective {name} is for sentences, and {backbone.Architecture} sees pictures: {NextCommand.Of("fewshot", "train")} learns from few pictures");
        if (TrainFrom == backbone.Stages.Count) throw Bounds.Refuse($"{where} trainFrom {TrainFrom}: the objective {name} trains stages, and that is the head alone. Give a number below");
        if (Objective == PhaseObjective.Cosent && head != HeadKind.Cosine)
            throw Bounds.Refuse($"{where} objective cosent is of pairs with scores, and the head {head.ToString().ToLowerInvariant()} tells something else: use the head cosine");
        if (Objective == PhaseObjective.Contrastive && head.Task() != Data.TargetKind.Classes)
            throw Bounds.Refuse($"{where} objective contrastive puts sentences of one class together, and the head {head.ToString().ToLowerInvariant()} tells no classes: use softmax, svm, mlp or mean, on data of one class each");
        if (Objective == PhaseObjective.Contrastive) Bounds.Whole($"{where} pairsOfEach", PairsOfEach, 1);
        else if (PairsOfEach != 0 || MostSteps != 0)
            throw Bounds.Refuse($"{where} {(PairsOfEach != 0 ? "pairsOfEach" : "mostSteps")} is for the objective contrastive: the others have their pairs from the data. Leave it out");
        Bounds.Whole($"{where} mostSteps", MostSteps, 0);
        foreach (var (field, value) in new[] { ("mixup", Mixup), ("cutMix", CutMix), ("labelSmoothing", LabelSmoothing) })
        {
            if (value > 0) throw Bounds.Refuse($"{where} {field} with the objective {name}, which knows pairs and no classes' shares. Set it to 0");
        }
    }

    /// <summary>The parameters of stages that train, below <paramref name="end"/>, each stage at its rate.</summary>
    internal IReadOnlyList<ParameterGroup> StageGroups(Backbone backbone, int end)
    {
        var groups = new List<ParameterGroup>();
        for (var k = TrainFrom; k < end; k++)
        {
            Tensor[] parameters = [.. backbone.Stages[k].Modules.SelectMany(module => module.Parameters())];
            var rate = k < StageRates.Count ? StageRates[k] : HeadRate;
            if (parameters.Length > 0 && rate > 0) groups.Add(new ParameterGroup(backbone.Stages[k].Name, parameters, rate, WeightDecay));
        }
        return groups;
    }

    /// <summary>Whether a BatchNorm takes its statistics from the batches of this phase.</summary>
    internal bool Normalises(Backbone backbone) => !FreezeStatistics && backbone.Stages.Skip(TrainFrom).Any(stage => stage.Modules.Any(module => module.Modules().OfType<INormStatistics>().Any()));

    internal Optimisation Optimisation() => new() { Optimizer = Optimizer, Rate = HeadRate, WeightDecay = WeightDecay, Schedule = Schedule, Epochs = Epochs, ClipNorm = ClipNorm, Ema = Ema, Patience = Patience };
}
