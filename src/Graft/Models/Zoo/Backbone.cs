using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using Graft.Data;
using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>A named piece of a backbone.</summary>
/// <param name="Name">Such as stem, s1.</param>
/// <param name="Channels">Channels (or units) that it gives.</param>
/// <param name="Modules">Its modules, in the order in which they run.</param>
/// <param name="Forward">What it does.</param>
public sealed record Stage(string Name, int Channels, IReadOnlyList<Module> Modules, Func<Tensor, Tensor> Forward)
{
    /// <summary>A stage of modules one after another.</summary>
    public static Stage Of(string name, int channels, params Module[] modules) =>
        new(name, channels, modules, x => modules.Aggregate(x, (y, module) => module.Forward(y)));

    /// <summary>What it does with text, of which it must know which places hold tokens; null: it does not ask.</summary>
    internal Func<Signal, Signal>? Masked { get; init; }

    /// <summary>Runs it.</summary>
    public Signal Run(Signal x) => Masked is { } masked ? masked(x) : x with { X = Forward(x.X) };

    /// <summary>How many numbers its parameters are.</summary>
    public long ParameterCount => Modules.Sum(module => module.ParameterCount);
}

/// <summary>Where a backbone's weights come from.</summary>
/// <param name="Source">A file, an address, or "random".</param>
/// <param name="Licence">As its publisher states it.</param>
/// <param name="Sha256">Of the file, in hexadecimal; empty for random weights.</param>
/// <param name="Domain">What it was trained on.</param>
public sealed record Provenance(string Source, string Licence, string Sha256, string Domain)
{
    private readonly Task<string>? _digest;

    /// <summary>What the weights were before, from the nearest to the first: the upstream of a run, its upstream, and so on; null where nothing is
    /// known.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<Provenance>? Lineage { get; init; }

    /// <summary>Of the file, in hexadecimal; empty for random weights.</summary>
    public string Sha256 { get => _digest is null ? field : _digest.GetAwaiter().GetResult(); init; } = Sha256;

    /// <summary>Of a file: its digest is worked out while the network is loaded.</summary>
    public static Provenance OfFile(string path, string licence, string domain)
    {
        // Opened now: the file may be gone before its turn comes.
        var file = File.OpenRead(path);
        return new Provenance(Path.GetFileName(path), licence, "", domain, Task.Run(() =>
        {
            using (file) return Convert.ToHexStringLower(SHA256.HashData(file));
        }));
    }

    private Provenance(string source, string licence, string sha256, string domain, Task<string> digest)
        : this(source, licence, sha256, domain) => _digest = digest;

    /// <summary>Weights drawn at random.</summary>
    public static Provenance Random => new("random", "", "", "nothing");

    /// <summary>Whether there is something to transfer.</summary>
    public bool IsPretrained => Source != "random";
}

/// <summary>
/// A network with named stages in order of depth, the preprocessing that it expects, and its origin. Everything in
/// transfer is said in stages.
/// </summary>
public abstract class Backbone : Module
{
    /// <summary>Its name, as <c>graft models list</c> shows it.</summary>
    public abstract string Architecture { get; }

    /// <summary>From the input on.</summary>
    public abstract IReadOnlyList<Stage> Stages { get; }

    /// <summary>What its input has gone through.</summary>
    public Preprocessing Preprocessing { get; set; } = null!;

    /// <summary>Where its weights come from.</summary>
    public Provenance Provenance { get; set; } = Provenance.Random;

    /// <summary>The classifier that it was trained with, if its checkpoint had one.</summary>
    public Linear? UpstreamHead { get; protected set; }

    /// <summary>What the outputs of its own classifier are called, where its file says so.</summary>
    public IReadOnlyList<string>? ClassNames { get; set; }

    /// <summary>What its file's card says of its own answers, where they are not classes; null: they are.</summary>
    internal IReadOnlyDictionary<string, string>? TaskCard { get; set; }

    /// <summary>The name under which <see cref="UpstreamHead"/> stands in checkpoints.</summary>
    public abstract string HeadName { get; }

    /// <summary>Numbers in the features that a head is put on.</summary>
    public int FeatureSize => Stages[^1].Channels;

    /// <summary>An untrained backbone of the same shape.</summary>
    protected virtual Backbone CreateSame() => BackboneCatalogue.Create(Spec, UpstreamClasses);

    /// <summary>Runs stages <paramref name="from"/> … <paramref name="to"/> − 1.</summary>
    public Signal Forward(Signal x, int from, int to)
    {
        for (var k = from; k < to; k++) x = Stages[k].Run(x);
        return x;
    }

    /// <summary>Features: N×<see cref="FeatureSize"/>.</summary>
    public override Tensor Forward(Tensor x) => Pool(Forward(x, 0, Stages.Count));

    /// <summary>A stage's output as N×channels: the mean over the positions of N×C×H×W; of tokens N×T×C, what the network itself reads.</summary>
    public virtual Tensor Pool(Signal x) => x.X.Dimensions switch { 4 => x.X.Mean([2, 3]), 3 => x.X.Mean([1L]), _ => x.X };

    /// <summary>Whether it has the classifier that it was trained with, and so can be used as it is.</summary>
    public virtual bool CanClassify => UpstreamHead is not null;

    /// <summary>N×3×H×W inputs to N×classes scores, by the classifier that it was trained with.</summary>
    /// <exception cref="GraftException">It has none.</exception>
    public virtual Tensor Classify(Tensor x) =>
        (UpstreamHead ?? throw new GraftException($"{Architecture} has no classifier of its own: train one with {NextCommand.Of("train")}"))
        .Forward(Forward(x));

    /// <summary>Outputs of its own classifier.</summary>
    public virtual int? UpstreamClasses => UpstreamHead is { } head ? (int)head.Weight.Shape[0] : null;

    /// <summary>The same shape with random weights, for the same input.</summary>
    internal Backbone Untrained()
    {
        var made = CreateSame();
        made.Preprocessing = Preprocessing;
        return made;
    }

    /// <summary>A copy that shares no memory: training it leaves this as it is.</summary>
    public Backbone Clone()
    {
        var copy = CreateSame();
        copy.CopyFrom(State());
        copy.Preprocessing = Preprocessing;
        copy.Provenance = Provenance;
        copy.ClassNames = ClassNames;
        copy.TaskCard = TaskCard;
        return copy;
    }

    /// <summary>Trains stages from <paramref name="trainFrom"/> on; those below, and every BatchNorm's statistics where asked, stay.</summary>
    public void FreezeBelow(int trainFrom, bool freezeStatistics)
    {
        for (var k = 0; k < Stages.Count; k++)
        {
            foreach (var module in Stages[k].Modules)
            {
                module.SetTrainable(k >= trainFrom);
                foreach (var norm in module.Modules().OfType<INormStatistics>()) norm.Frozen = k < trainFrom || freezeStatistics;
            }
        }
        UpstreamHead?.SetTrainable(false);
    }

    /// <summary>A digest of the architecture and every value: equal exactly where the function is.</summary>
    public unsafe string Fingerprint()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(Spec.ToString()));
        foreach (var (name, slot) in NamedSlots())
        {
            if (name.StartsWith(HeadName + ".", StringComparison.Ordinal) || name.EndsWith("num_batches_tracked", StringComparison.Ordinal)) continue;
            using var scope = new TensorScope();
            var ready = slot.Value.Detach().To(Device.Cpu).Contiguous();
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(new ReadOnlySpan<byte>((void*)ready.Data, checked((int)ready.Bytes)));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>What makes the same shape again; its text stands in fingerprints and records.</summary>
    public virtual BackboneSpec Spec => new(Architecture);
}
