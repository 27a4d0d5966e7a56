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
    private readonly string _about = "";

    /// <summary>Nothing is kept.</summary>
    public static ExperimentParts None { get; } = new(null);

    private ExperimentParts(string? folder, string about = "") => (_folder, _about) = (folder, about);

    /// <summary>Kept in a folder, which is made when there is something to keep.</summary>
    /// <param name="folder">Of this experiment alone.</param>
    /// <param name="log">Told what is taken up.</param>
    /// <param name="data">The folder of the datasets: parts of other data are not taken up either.</param>
    public static ExperimentParts In(string folder, Action<string> log, string? data = null)
    {
        var about = $"{typeof(ExperimentParts).Module.ModuleVersionId} {typeof(Training).Module.ModuleVersionId} {(data is null ? "" : Path.GetFullPath(data))}";
        var mark = Path.Combine(folder, BuildFile);
        if (File.Exists(mark) && File.ReadAllText(mark) != about)
        {
            log($"{folder} holds parts of another build of Graft, or of other data: they are not taken up");
            Directory.Delete(folder, recursive: true);
        }
        else if (File.Exists(mark))
        {
            log($"Going on with what {folder} has");
        }
        return new ExperimentParts(folder, about);
    }

    /// <summary>The folder, made and marked.</summary>
    private string Kept()
    {
        Directory.CreateDirectory(_folder!);
        var mark = Path.Combine(_folder!, BuildFile);
        if (!File.Exists(mark)) AtomicFile.WriteText(mark, _about);
        return _folder!;
    }

    /// <summary>A result that is worked out once, however often the experiment is stopped.</summary>
    public T Once<T>(string name, Func<T> work)
    {
        if (_folder is null) return work();
        var path = Path.Combine(Kept(), Slug(name) + ".json");
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
        if (_folder is null)
        {
            using var fresh = new TrainingState();
            return train(new TrainingContext { State = fresh, Cancel = cancel });
        }
        var folder = Directory.CreateDirectory(Path.Combine(Kept(), Slug(name))).FullName;
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
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    private static string Slug(string name) => string.Concat(name.Select(letter => char.IsLetterOrDigit(letter) ? char.ToLowerInvariant(letter) : '-'));
}
