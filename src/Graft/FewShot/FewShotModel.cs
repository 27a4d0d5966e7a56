using System.Text.Json;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Learning;
using Graft.Models;
using Graft.Models.Checkpoints;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>A trained few-shot learner in one file: its parameters, its settings, its pictures' preprocessing, and the classes that it was trained
/// on.</summary>
/// <param name="Learner">Answers for queries by a support set.</param>
/// <param name="Preprocessing">What its pictures go through.</param>
/// <param name="Grey">Whether they have one channel.</param>
/// <param name="TrainClasses">Names; accuracy on these would tell nothing.</param>
internal sealed record FewShotModel(EpisodeLearner Learner, Preprocessing Preprocessing, bool Grey, IReadOnlyList<string> TrainClasses) : IDisposable
{
    /// <summary>The file's name within a run folder.</summary>
    public const string FileName = RunFolder.FewShotModel;

    private static readonly JsonSerializerOptions s_json =
        new(JsonSerializerDefaults.Web) { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.KebabCaseLower) } };

    /// <summary>The pretrained network that it began with; null: random weights.</summary>
    public Provenance? Upstream { get; init; }

    /// <summary>Writes the model, atomically.</summary>
    public void Save(string path) => new ModelFile(Describe(), Learner.State(), path).Write();

    /// <summary>All but the parameters: what a file says of itself.</summary>
    internal Dictionary<string, string> Describe()
    {
        var card = new Dictionary<string, string>
        {
            ["format"] = ModelCard.FewShot, ["method"] = Learner.Options.Method,
                ["options"] = JsonSerializer.Serialize(Learner.Options with { Weights = null }, s_json), ["preprocessing"] = Preprocessing.ToJson(),
            ["grey"] = Grey ? "yes" : "no", ["train-classes"] = JsonSerializer.Serialize(TrainClasses),
        };
        if (Upstream is not null) card["upstream"] = ModelCard.Text(Upstream);
        // The network of what compares pictures serves as an upstream.
        if (Learner is not MetricLearner { Embedder.Backbone: var backbone }) return card;
        (card["architecture"], card["licence"]) = (backbone.Architecture, Upstream?.Licence ?? "");
        card["domain"] = $"few-shot learning by {Learner.Options.Method} on {TrainClasses.Count} classes"
            + (Upstream is null ? "" : $"; upstream: {Upstream.Domain}");
        foreach (var (key, value) in backbone.Spec.Options) card[key] = value;
        return card;
    }

    /// <summary>Whether a file or run folder is such a model.</summary>
    public static bool Is(string path) => ModelFile.FormatOf(FileOf(path)) == ModelCard.FewShot;

    private static string FileOf(string path) => Directory.Exists(path) ? Path.Combine(path, FileName) : path;

    /// <summary>Reads a model from a run folder or a file.</summary>
    /// <exception cref="GraftException">There is none, or it is damaged.</exception>
    public static FewShotModel Load(string runOrFile)
    {
        var path = FileOf(runOrFile);
        if (!File.Exists(path)) throw new GraftException($"{runOrFile} has no {FileName}: train one with {NextCommand.Of("fewshot", "train")} DATA --out {NextCommand.Quoted(runOrFile)}");
        return ModelFile.Open(path, ModelCard.FewShot, From);
    }

    /// <summary>From what <see cref="Describe"/> gave and the parameters.</summary>
    internal static FewShotModel From(ModelFile file)
    {
        using var skip = Initialisers.Skip();
        var learner = FewShotMethods.Create(file.Required<FewShotOptions>("options", s_json));
        try
        {
            CheckpointMatcher.Load(learner, file.Tensors, file.Path);
            learner.Prepare(transductive: false);
            return new FewShotModel(learner, Preprocessing.FromJson(file.Required("preprocessing")), file.Required("grey") == "yes",
                file.Required<string[]>("train-classes")) { Upstream = ModelCard.Upstream(file.Card) };
        }
        catch
        {
            learner.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Learner.Dispose();
}
