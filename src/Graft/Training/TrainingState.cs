using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Torch;

namespace Graft.Training;

/// <summary>A row of a run's history.</summary>
public sealed record EpochRecord(int Phase, string Name, int Epoch, double Loss, double TrainAccuracy, double ValidationLoss, double ValidationAccuracy, double Rate, double Seconds);

/// <summary>Where a training stands, beside its tensors.</summary>
public sealed record Progress
{
    /// <summary>The phase under way.</summary>
    public int Phase { get; set; }

    /// <summary>The epoch under way.</summary>
    public int Epoch { get; set; }

    /// <summary>Steps of that epoch that are done.</summary>
    public int Step { get; set; }

    /// <summary>Steps of the optimiser in this phase.</summary>
    public long OptimizerSteps { get; set; }

    /// <summary>Sum of the losses of the epoch's steps so far.</summary>
    public double LossSum { get; set; }

    /// <summary>Pictures of the epoch so far.</summary>
    public int Seen { get; set; }

    /// <summary>Of them, right.</summary>
    public int Right { get; set; }

    /// <summary>The best validation accuracy so far.</summary>
    public double BestAccuracy { get; set; } = -1;

    /// <summary>Its loss.</summary>
    public double BestLoss { get; set; } = double.MaxValue;

    /// <summary>Epochs since then, in this phase.</summary>
    public int SinceBest { get; set; }

    /// <summary>Every epoch so far.</summary>
    public List<EpochRecord> History { get; init; } = [];
}

/// <summary>Everything that a resumed run needs, in one file that is replaced as a whole.</summary>
internal static class TrainingState
{
    public const string FileName = "state.safetensors";

    private static readonly JsonSerializerOptions s_json = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    public static void Save<T>(string folder, T progress, IReadOnlyDictionary<string, Tensor> tensors) =>
        Safetensors.Write(Path.Combine(folder, FileName), tensors, new Dictionary<string, string> { ["progress"] = JsonSerializer.Serialize(progress, s_json) });

    /// <summary>What was saved; null where there is nothing.</summary>
    /// <exception cref="GraftException">The file is not what <see cref="Save"/> wrote.</exception>
    public static (T Progress, IReadOnlyDictionary<string, Tensor> Tensors)? Load<T>(string folder) where T : class
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try
        {
            var contents = Safetensors.Read(path);
            return (JsonSerializer.Deserialize<T>(contents.Metadata.GetValueOrDefault("progress") ?? "null", s_json) ?? throw new InvalidDataException("it says nothing of where the training stood"), contents.Tensors);
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException)
        {
            throw new GraftException($"{path} is damaged ({reason.Message}): the run cannot go on. Start it anew", reason);
        }
    }

    /// <summary>The tensors whose names begin so, without that beginning.</summary>
    public static IReadOnlyDictionary<string, Tensor> Part(IReadOnlyDictionary<string, Tensor> tensors, string prefix) =>
        tensors.Where(item => item.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(item => item.Key[prefix.Length..], item => item.Value);
}
