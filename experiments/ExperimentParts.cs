using System.Text.Json;
using Graft.Learning;
using Graft.Torch;

namespace Graft.Experiments;

/// <summary>
/// What an experiment that was stopped has already: results by name, networks that are trained, and one that was being trained. Run again,
/// it goes on from there; once it has finished, its parts are deleted. Parts of another build are not taken up.
/// </summary>
public sealed class ExperimentParts
{
    private const string BuildFile = "build", NetworkFile = "network.safetensors";

    private static readonly JsonSerializerOptions s_json = new() { NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals, IncludeFields = true };

    private readonly string? _folder;

    /// <summary>Nothing is kept.</summary>
    public static ExperimentParts None { get; } = new(null);

    private ExperimentParts(string? folder) => _folder = folder;

    /// <summary>Kept in a folder, which is made when there is something to keep.</summary>
    /// <param name="folder">Of this experiment alone.</param>
    /// <param name="log">Told what is taken up.</param>
    public static ExperimentParts In(string folder, Action<string> log)
    {
        var build = $"{typeof(ExperimentParts).Module.ModuleVersionId} {typeof(Training).Module.ModuleVersionId}";
        var mark = Path.Combine(folder, BuildFile);
        if (File.Exists(mark) && File.ReadAllText(mark) != build)
        {
            log($"{folder} holds parts of another build of Graft: they are not taken up");
            Directory.Delete(folder, recursive: true);
        }
        else if (File.Exists(mark))
        {
            log($"Going on with what {folder} has");
        }
        Directory.CreateDirectory(folder);
        AtomicFile.WriteText(mark, build);
        return new ExperimentParts(folder);
    }

    /// <summary>A result that is worked out once, however often the experiment is stopped.</summary>
    public T Once<T>(string name, Func<T> work)
    {
        if (_folder is null) return work();
        var path = Path.Combine(_folder, Slug(name) + ".json");
        if (File.Exists(path)) return JsonSerializer.Deserialize<T>(File.ReadAllText(path), s_json)!;
        var found = work();
        AtomicFile.WriteText(path, JsonSerializer.Serialize(found, s_json));
        return found;
    }

    /// <summary>A network that is trained once: read where an earlier try has finished it, gone on with where one was stopped.</summary>
    /// <param name="name">Of the network within the experiment.</param>
    /// <param name="network">Whose weights are kept.</param>
    /// <param name="train">Trains it; given where its state is kept.</param>
    /// <param name="cancel">An experiment that is stopped has no result.</param>
    public T Network<T>(string name, Module network, Func<TrainingContext, T> train, CancellationToken cancel)
    {
        if (_folder is null) return train(new TrainingContext { Cancel = cancel });
        var folder = Directory.CreateDirectory(Path.Combine(_folder, Slug(name))).FullName;
        var path = Path.Combine(folder, NetworkFile);
        var found = Once(name, () =>
        {
            using var state = TrainingState.Load(folder) ?? new TrainingState();
            var trained = train(new TrainingContext { State = state, Folder = folder, Cancel = cancel });
            cancel.ThrowIfCancellationRequested();
            Safetensors.Write(path, network.State());
            File.Delete(Path.Combine(folder, TrainingState.FileName));
            return trained;
        });
        var kept = Safetensors.Read(path).Tensors;
        network.CopyFrom(kept);
        foreach (var tensor in kept.Values) tensor.Dispose();
        return found;
    }

    /// <summary>The experiment has its result.</summary>
    public void Finish()
    {
        if (_folder is not null) Directory.Delete(_folder, recursive: true);
    }

    private static string Slug(string name) => string.Concat(name.Select(letter => char.IsLetterOrDigit(letter) ? char.ToLowerInvariant(letter) : '-'));
}
