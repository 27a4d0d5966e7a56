using System.Text.Json;
using Graft.Torch;

namespace Graft.Learning;

/// <summary>A look at what was learned, at the end of an epoch.</summary>
/// <param name="Phase">Of the plan, from 0.</param>
/// <param name="Name">The phase's.</param>
/// <param name="Epoch">From 1.</param>
/// <param name="Step">Steps of the phase so far.</param>
/// <param name="Loss">The mean over the epoch's steps.</param>
/// <param name="Shares">What the objective counted, as shares, such as right.</param>
/// <param name="Score">On held-out data; null where there is none.</param>
/// <param name="RateFactor">Of the last step.</param>
/// <param name="Seconds">Of the epoch.</param>
/// <param name="Best">Whether none before was better.</param>
public sealed record Look(int Phase, string Name, int Epoch, long Step, double Loss, IReadOnlyDictionary<string, double> Shares, Score? Score, double RateFactor, double Seconds, bool Best);

/// <summary>Where a training stands, beside its tensors.</summary>
internal sealed record TrainingProgress
{
    public int Phase { get; set; }

    public int Epoch { get; set; }

    // Of the epoch, done.
    public int Step { get; set; }

    // Of the phase, done.
    public long Steps { get; set; }

    public double LossSum { get; set; }

    public long Seen { get; set; }

    public Dictionary<string, Tally> Counts { get; set; } = [];

    public Score? Best { get; set; }

    public Look? BestLook { get; set; }

    // Looks since then, in this phase.
    public int SinceBest { get; set; }

    public List<Look> History { get; init; } = [];

    // Wall time of all parts of a training that was resumed.
    public double Seconds { get; set; }

    public void BeginPhase(int phase)
    {
        (Phase, Epoch, Steps, SinceBest) = (phase, 0, 0, 0);
        BeginEpoch();
    }

    public void BeginEpoch()
    {
        (Step, LossSum, Seen) = (0, 0, 0);
        Counts.Clear();
    }
}

/// <summary>
/// What a training carries from phase to phase, and what a stopped one left: where it stands, the best weights so far, the state of
/// the optimiser. In one file that is replaced as a whole.
/// </summary>
public sealed class TrainingState : IDisposable
{
    /// <summary>The file's name within a run folder.</summary>
    public const string FileName = "state.safetensors";

    private static readonly JsonSerializerOptions s_json = new() { NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals };

    private readonly Dictionary<string, Tensor> _best = [];
    private Dictionary<string, Tensor>? _saved;

    /// <summary>Of a training that begins.</summary>
    public TrainingState() { }

    private TrainingState(TrainingProgress progress, Dictionary<string, Tensor> saved)
    {
        (Progress, _saved) = (progress, saved);
        KeepBest(Part("best."));
    }

    internal TrainingProgress Progress { get; } = new();

    /// <summary>Every look so far, of all phases.</summary>
    public IReadOnlyList<Look> History => Progress.History;

    /// <summary>The look whose weights are kept; null: none so far.</summary>
    public Look? BestLook => Progress.BestLook;

    /// <summary>Wall time so far, of all parts of a training that was resumed.</summary>
    public double Seconds => Progress.Seconds;

    /// <summary>The phase to go on with.</summary>
    public int Phase => Progress.Phase;

    /// <summary>Whether it comes from a file, and its training has not gone on yet.</summary>
    public bool IsResumed => _saved is not null;

    internal IReadOnlyDictionary<string, Tensor> Best => _best;

    /// <summary>What a training left in its folder; null where there is nothing.</summary>
    /// <exception cref="GraftException">The file is not what a training wrote.</exception>
    public static TrainingState? Load(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path)) return null;
        try
        {
            var contents = Safetensors.Read(path);
            var progress = JsonSerializer.Deserialize<TrainingProgress>(contents.Metadata.GetValueOrDefault("progress") ?? "null", s_json)
                ?? throw new InvalidDataException("it says nothing of where the training stood");
            return new TrainingState(progress, contents.Tensors.ToDictionary());
        }
        catch (Exception reason) when (reason is InvalidDataException or JsonException)
        {
            throw new GraftException($"{path} is damaged ({reason.Message}): the run cannot go on. Start it anew", reason);
        }
    }

    /// <summary>The saved tensors whose names begin so, without that beginning.</summary>
    internal Dictionary<string, Tensor> Part(string prefix) =>
        (_saved ?? []).Where(item => item.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(item => item.Key[prefix.Length..], item => item.Value);

    /// <summary>The saved tensors have been taken up.</summary>
    internal void TakenUp()
    {
        foreach (var tensor in _saved?.Values ?? Enumerable.Empty<Tensor>()) tensor.Dispose();
        _saved = null;
    }

    /// <exception cref="GraftException">There is no room; what was saved before is still there.</exception>
    internal void Save(string folder, params ReadOnlySpan<(string Prefix, IEnumerable<KeyValuePair<string, Tensor>> Tensors)> parts)
    {
        var tensors = _best.ToDictionary(item => "best." + item.Key, item => item.Value);
        foreach (var (prefix, part) in parts)
        {
            foreach (var (name, tensor) in part) tensors[prefix + name] = tensor;
        }
        var path = Path.Combine(folder, FileName);
        try
        {
            Safetensors.Write(path, tensors, new Dictionary<string, string> { ["progress"] = JsonSerializer.Serialize(Progress, s_json) });
        }
        catch (Exception reason) when (reason is IOException or UnauthorizedAccessException)
        {
            throw new GraftException($"{path} could not be written ({reason.Message}). What was saved before is kept: make room, and go on with --resume {folder}", reason);
        }
    }

    internal void KeepBest(IEnumerable<KeyValuePair<string, Tensor>> weights)
    {
        foreach (var tensor in _best.Values) tensor.Dispose();
        _best.Clear();
        foreach (var (name, tensor) in Copy(weights)) _best[name] = tensor;
    }

    internal static Dictionary<string, Tensor> Copy(IEnumerable<KeyValuePair<string, Tensor>> weights)
    {
        using var mode = Autograd.NoGrad();
        return weights.ToDictionary(item => item.Key, item => TensorScope.Detach(item.Value.Detach().Clone()));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        TakenUp();
        foreach (var tensor in _best.Values) tensor.Dispose();
        _best.Clear();
    }
}
