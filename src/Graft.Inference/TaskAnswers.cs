using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;

namespace Graft.Inference;

/// <summary>One task of a model of several.</summary>
/// <param name="Name">A column of what it was trained on.</param>
/// <param name="Card">What its answers are.</param>
public sealed record TaskAnswers(string Name, AnswerCard Card)
{
    /// <summary>The key under which a file's card holds them.</summary>
    internal const string Key = "tasks";

    private sealed record Stored(string Name, TargetKind Kind, string[] Names)
    {
        [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
        public double[][]? Residuals { get; init; }
    }

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { RespectNullableAnnotations = true };

    /// <summary>Of its outputs: a number is called as its task, others task=class.</summary>
    internal IEnumerable<string> OutputNames => Card.Task == TargetKind.Numbers ? Card.Names : Card.Names.Select(name => $"{Name}={name}");

    /// <summary>As a card holds them.</summary>
    internal static string ToCard(IReadOnlyList<TaskAnswers> tasks) => JsonSerializer.Serialize(
        tasks.Select(task => new Stored(task.Name, task.Card.Task, [.. task.Card.Names]) { Residuals = task.Card.Residuals is { } pairs ? [.. pairs]
            : null }), s_json);

    /// <summary>From a file's card; null: it is of one task.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    internal static IReadOnlyList<TaskAnswers>? Of(IReadOnlyDictionary<string, string> card, int? outputs = null)
    {
        if (!card.TryGetValue(Key, out var text)) return null;
        var stored = JsonSerializer.Deserialize<Stored[]>(text, s_json);
        if (stored is not { Length: > 0 } || stored.Any(task => task is null || task.Names.Length == 0 || task.Names.Contains(null!)
            || (task.Residuals is { } pairs && (pairs.Length != task.Names.Length || pairs.Any(pair => pair is not { Length: 2 })))))
            throw new InvalidDataException("its tasks are not names with their outputs");
        if (outputs is { } count && stored.Sum(task => task.Names.Length) != count) throw new InvalidDataException($"its tasks do not have {count} "
            + "outputs");
        return [.. stored.Select(task => new TaskAnswers(task.Name, new AnswerCard(task.Kind, task.Names) { Residuals = task.Residuals,
            Scores = true }))];
    }
}
