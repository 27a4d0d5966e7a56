using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>Which rule moves the parameters, with its constants: data, as the plan is.</summary>
[JsonConverter(typeof(OptimizerRuleConverter))]
public abstract record OptimizerRule
{
    /// <summary>An optimiser over groups.</summary>
    public abstract Optimizer Over(IReadOnlyList<ParameterGroup> groups);
}

/// <summary>Stochastic gradient descent.</summary>
/// <param name="Momentum">0: none.</param>
/// <param name="Nesterov">Nesterov's momentum (Sutskever et al. 2013).</param>
public sealed record SgdRule(double Momentum = 0.9, bool Nesterov = false) : OptimizerRule
{
    /// <inheritdoc/>
    public override Optimizer Over(IReadOnlyList<ParameterGroup> groups) => new Sgd(groups, Momentum, Nesterov);
}

/// <summary>Layer-wise adaptive rates (You et al. 2017), for batches of thousands.</summary>
/// <param name="Momentum">Of the steps.</param>
/// <param name="Trust">η: by which share of its length a weight moves.</param>
public sealed record LarsRule(double Momentum = 0.9, double Trust = 0.001) : OptimizerRule
{
    /// <inheritdoc/>
    public override Optimizer Over(IReadOnlyList<ParameterGroup> groups) => new Lars(groups, Momentum, Trust);
}

/// <summary>Adam (Kingma and Ba 2015).</summary>
/// <param name="Beta1">Decay of the mean of gradients.</param>
/// <param name="Beta2">Decay of the mean of their squares.</param>
/// <param name="Decoupled">AdamW: the weight decay does not go through the means (Loshchilov and Hutter 2019).</param>
public sealed record AdamRule(double Beta1 = 0.9, double Beta2 = 0.999, bool Decoupled = false) : OptimizerRule
{
    /// <inheritdoc/>
    public override Optimizer Over(IReadOnlyList<ParameterGroup> groups) => new Adam(groups, Beta1, Beta2, decoupled: Decoupled);
}

/// <summary>A rule as JSON: one of five names where its constants are the usual ones (sgd, nesterov, adam, adamw, lars), else an object with kind.</summary>
internal sealed class OptimizerRuleConverter : JsonConverter<OptimizerRule>
{
    private static readonly (string Name, OptimizerRule Rule)[] s_names =
        [("sgd", new SgdRule()), ("nesterov", new SgdRule(Nesterov: true)), ("adam", new AdamRule()), ("adamw", new AdamRule(Decoupled: true)), ("lars", new LarsRule())];

    public override OptimizerRule Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            var name = reader.GetString();
            return s_names.FirstOrDefault(known => known.Name == name).Rule ?? throw new JsonException($"the optimizer '{name}' is unknown: use sgd, nesterov, adam, adamw or lars");
        }
        using var document = JsonDocument.ParseValue(ref reader);
        var given = document.RootElement;
        if (given.ValueKind != JsonValueKind.Object) throw new JsonException("optimizer: a name (sgd, nesterov, adam, adamw or lars) or an object with kind");
        var kind = given.TryGetProperty("kind", out var found) ? found.GetString() : null;
        double Number(string name, double usual) => given.TryGetProperty(name, out var value) ? value.GetDouble() : usual;
        bool Flag(string name) => given.TryGetProperty(name, out var value) && value.GetBoolean();
        return kind switch
        {
            "sgd" => new SgdRule(Number("momentum", 0.9), Flag("nesterov")),
            "adam" => new AdamRule(Number("beta1", 0.9), Number("beta2", 0.999), Flag("decoupled")),
            "lars" => new LarsRule(Number("momentum", 0.9), Number("trust", 0.001)),
            _ => throw new JsonException($"optimizer: the kind '{kind}' is unknown: use sgd, adam or lars"),
        };
    }

    public override void Write(Utf8JsonWriter writer, OptimizerRule value, JsonSerializerOptions options)
    {
        if (s_names.FirstOrDefault(known => known.Rule == value).Name is { } name)
        {
            writer.WriteStringValue(name);
            return;
        }
        writer.WriteStartObject();
        switch (value)
        {
            case SgdRule sgd:
                writer.WriteString("kind", "sgd");
                writer.WriteNumber("momentum", sgd.Momentum);
                writer.WriteBoolean("nesterov", sgd.Nesterov);
                break;
            case LarsRule lars:
                writer.WriteString("kind", "lars");
                writer.WriteNumber("momentum", lars.Momentum);
                writer.WriteNumber("trust", lars.Trust);
                break;
            case AdamRule adam:
                writer.WriteString("kind", "adam");
                writer.WriteNumber("beta1", adam.Beta1);
                writer.WriteNumber("beta2", adam.Beta2);
                writer.WriteBoolean("decoupled", adam.Decoupled);
                break;
            default: throw new JsonException($"{value.GetType().Name} has no form as JSON");
        }
        writer.WriteEndObject();
    }
}

/// <summary>How an objective is optimised.</summary>
public sealed record Optimisation
{
    /// <summary>What moves the parameters.</summary>
    public OptimizerRule Optimizer { get; init; } = new AdamRule(Decoupled: true);

    /// <summary>The learning rate, where the objective gives its groups none of their own.</summary>
    public double Rate { get; init; } = 1e-3;

    /// <summary>L2 penalty, likewise.</summary>
    public double WeightDecay { get; init; }

    /// <summary>How the rates change.</summary>
    public Schedule Schedule { get; init; } = new CosineSchedule();

    /// <summary>Passes over the feed; passed over where <see cref="Steps"/> is set.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Steps of the optimiser, in place of epochs.</summary>
    public long? Steps { get; init; }

    /// <summary>Gradients are scaled down to this norm; 0: never.</summary>
    public double ClipNorm { get; init; }

    /// <summary>Decay of the averaged weights that are evaluated and kept; 0: none.</summary>
    public double Ema { get; init; }

    /// <summary>Stop after so many looks without a better one; 0: never.</summary>
    public int Patience { get; init; }

    /// <summary>Checks every number.</summary>
    /// <exception cref="GraftException">One is out of its bounds: which, and what it may be.</exception>
    public void Validate()
    {
        static void Check(bool good, string what) { if (!good) throw new GraftException(what); }
        Check(double.IsFinite(Rate) && Rate > 0, $"a learning rate of {Rate}: it has to be above zero");
        Check(double.IsFinite(WeightDecay) && WeightDecay >= 0, $"a weight decay of {WeightDecay}: it may not be below zero");
        Check(Steps is null or > 0, $"{Steps} steps: there has to be one at least");
        Check(Steps is not null || Epochs > 0, $"{Epochs} epochs: there has to be one at least");
        Check(double.IsFinite(ClipNorm) && ClipNorm >= 0, $"a gradient norm of {ClipNorm}: 0 (never) or above");
        Check(Ema is >= 0 and < 1, $"an average's decay of {Ema}: from 0 (none) to below 1");
        Check(Patience >= 0, $"a patience of {Patience}: 0 (no end) or above");
    }
}
