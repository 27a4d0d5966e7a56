using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Learning;

namespace Graft.Models.Zoo;

/// <summary>
/// What a file that Graft wrote says of itself, key by key: in the metadata of safetensors and ONNX, and in an entry of PyTorch's archives.
/// </summary>
internal static class ModelCard
{
    /// <summary>The format of a run's model: tensors under <c>backbone.</c> and <c>head.</c>.</summary>
    public const string Classifier = "graft-classifier-1";

    /// <summary>The format of one network, its classifier under the architecture's own name.</summary>
    public const string Network = "graft-network-1";

    /// <summary>The format of a program: ONNX, TorchScript.</summary>
    public const string Program = OnnxCard.Program;

    /// <summary>The format of a few-shot learner.</summary>
    public const string FewShot = "graft-fewshot-1";

    /// <summary>The format of a model of several tasks: tensors under <c>backbone.</c> and <c>network.</c>.</summary>
    public const string MultiTask = "graft-multitask-1";

    /// <summary>The format of a support set.</summary>
    public const string Support = SupportCard.Format;

    /// <summary>The key <c>input</c> of a program that normalises by itself.</summary>
    public const string Levels = OnnxCard.Levels;

    /// <summary>The key <c>input</c> of any other.</summary>
    public const string Normalised = "N×3×H×W, normalised as preprocessing says";

    /// <summary>The key of the value within a program's graph that is the features which its head stands on, where they are the last stage's.</summary>
    public const string FeaturesAt = "features-at";

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    /// <summary>What a network's pictures go through before it sees them; null where the card does not say.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static Preprocessing? Preprocessing(IReadOnlyDictionary<string, string> card) => OnnxCard.Preprocessing(card);

    /// <summary>The classes' names, if they are as many as the outputs (two, where one output is the odds of the second).</summary>
    public static IReadOnlyList<string>? Classes(IReadOnlyDictionary<string, string> card, int? outputs)
    {
        try
        {
            if (outputs is not { } count || !card.TryGetValue("classes", out var text)) return null;
            return JsonSerializer.Deserialize<string[]>(text) is { } names && names.Length == (Task(card) is null ? Math.Max(2, count) : count)
                && !names.Contains(null!) ? names : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The card of a model that tells several labels or numbers; null: it tells classes.</summary>
    public static IReadOnlyDictionary<string, string>? Task(IReadOnlyDictionary<string, string> card) => card.GetValueOrDefault("task") is "labels"
        or "numbers" ? card : null;

    /// <summary>Where the weights of a file come from: the file, and behind it what its card names as its upstream.</summary>
    public static Provenance Origin(string path, IReadOnlyDictionary<string, string> card, string licence, string domain)
    {
        var here = Provenance.OfFile(path, card.GetValueOrDefault("licence") ?? licence, card.GetValueOrDefault("domain") ?? domain);
        // All runs' models have the same name: the folder tells them apart.
        if (RunFolder.Models.Contains(here.Source) && Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(path))) is { Length: > 0 } run) here =
            here with { Source = $"{run}/{here.Source}" };
        return Upstream(card) is { IsPretrained: true } before ? here with { Lineage = [before with { Lineage = null }, .. before.Lineage ?? []] }
            : here;
    }

    /// <summary>What the card names as its upstream; null where it names none.</summary>
    public static Provenance? Upstream(IReadOnlyDictionary<string, string> card) => card.TryGetValue("upstream", out var text)
        ? JsonSerializer.Deserialize<Provenance>(text, s_json) : null;

    /// <summary>An origin as the card's key <c>upstream</c> holds it.</summary>
    public static string Text(Provenance origin) => JsonSerializer.Serialize(origin, s_json);
}
