using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Heads;
using Graft.Torch;

namespace Graft.Transfer;

/// <summary>What trains, when, at which learning rate: data that can be printed, saved, edited and given back.</summary>
public sealed record Plan
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true, Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) }, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
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
            return plan.Phases.Count > 0 ? plan : throw new GraftException($"{from}: a plan needs at least one phase");
        }
        catch (JsonException reason)
        {
            throw new GraftException($"{from}{JsonFault.Of(reason)}", reason);
        }
    }
}

/// <summary>A stretch of training.</summary>
public sealed record Phase
{
    /// <summary>For logs.</summary>
    public required string Name { get; init; }

    /// <summary>Stages from this one on train; the number of stages means the head alone.</summary>
    public required int TrainFrom { get; init; }

    /// <summary>Solve the head by a second-order method on cached features, instead of taking gradient steps.</summary>
    public bool Solve { get; init; }

    /// <summary>Passes over the training pictures.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Pictures of a step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>sgd (momentum 0.9), nesterov or adamw.</summary>
    public string Optimizer { get; init; } = "sgd";

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
}
