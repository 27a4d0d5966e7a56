using Graft.Inference;
using Graft.Models;
using Graft.Models.Graphs;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>The methods that are trained on episodes, by name.</summary>
internal static class FewShotMethods
{
    /// <summary>Names, and what each is.</summary>
    public static IReadOnlyDictionary<string, string> Names { get; } = new Dictionary<string, string>
    {
        ["protonet"] = "prototypical network: nearest class mean of a learned embedding (Snell et al. 2017)",
        ["matching"] = "matching network: attention over the support, with full context embeddings (Vinyals et al. 2016)",
        ["relation"] = "relation network: a learned comparison of maps (Sung et al. 2018)",
        ["local"] = "local matching: every part finds its like nearby (after Li et al. 2019 and Keysers et al. 2007)",
        ["siamese"] = "Siamese network: same or different (Koch et al. 2015)",
        ["maml"] = "an initialisation for a few gradient steps, second order (Finn et al. 2017)",
        ["fomaml"] = "the same, first order",
        ["anil"] = "the same, only the last layer adapts (Raghu et al. 2020)",
        ["reptile"] = "an initialisation near every task's solution (Nichol et al. 2018)",
        ["mann"] = "a network with a memory that it writes and reads (Santoro et al. 2016)",
    };

    private const double PretrainedInnerRate = 1e-3;

    /// <summary>
    /// How a method is trained unless told otherwise: as <c>reproduce omniglot</c> found to work, in fewer steps than the papers
    /// take.
    /// </summary>
    /// <param name="method">By name.</param>
    /// <param name="pretrained">On a pretrained network, which large steps would spoil.</param>
    public static EpisodeTrainOptions Training(string method, bool pretrained = false) => method switch
    {
        "protonet" when !pretrained => new EpisodeTrainOptions { LearningRate = 3e-3 },
        "maml" or "fomaml" or "anil" => new EpisodeTrainOptions { EpisodesPerStep = 8 },
        "reptile" => new EpisodeTrainOptions { EpisodesPerStep = 4, LearningRate = 1 },
        "mann" => new EpisodeTrainOptions { EpisodesPerStep = 16, LearningRate = 2e-3, Steps = 1500 },
        _ => new EpisodeTrainOptions(),
    };

    /// <summary>A learner of these options, untrained (or on pretrained weights).</summary>
    /// <param name="options">Method, network, settings.</param>
    /// <param name="pretrained">What <see cref="FewShotOptions.Weights"/> names, where it has been read; it stays the caller's.</param>
    /// <exception cref="GraftException">There is no such method, or it cannot work on this backbone.</exception>
    public static EpisodeLearner Create(FewShotOptions options, Backbone? pretrained = null)
    {
        if (!Names.ContainsKey(options.Method)) throw Unknown(options.Method);
        using var read = pretrained is null && options.Weights is { } file ? Pretrained(file) : null;
        var loaded = pretrained ?? read;
        if (loaded is not null) options = Described(options, loaded);
        Backbone Backbone(string key = "", string value = "")
        {
            var given = new Dictionary<string, string>(options.BackboneOptions);
            if (options.Backbone == "convnet") { given.TryAdd("widths", "64-64-64-64"); given.TryAdd("side", "28"); given.TryAdd("channels", "1"); }
            if (key.Length > 0 && options.Backbone == "convnet") given.TryAdd(key, value);
            Backbone made;
            // Without the classifier that it came with, which no episode asks.
            using (loaded is null ? null : Initialisers.Skip()) made = BackboneCatalogue.Create(options.Backbone, null, given);
            if (loaded is not null)
            {
                made.CopyFrom(loaded.State());
                made.Preprocessing = loaded.Preprocessing;
            }
            if (options.FrozenNorms) made.FreezeBelow(0, freezeStatistics: true);
            return made;
        }
        // The Omniglot network of Finn et al. 2017 halves by strides, which quarters the work; Sung et al. 2018 keep 7×7 maps.
        Backbone Strided() => Backbone("strided", "yes");
        Maml Maml(MamlKind kind, int steps = 1, double rate = 0.4) =>
            new(Strided(), options.Way, kind, options.InnerRate ?? rate, options.InnerSteps ?? steps, options.TestSteps ?? 3, options.LearnRates);
        EpisodeLearner learner = options.Method switch
        {
            "protonet" => new PrototypicalNetwork(new Embedder(Backbone()), options.Distance ?? DistanceKind.SquaredEuclidean),
            "matching" => new MatchingNetwork(new Embedder(Backbone()), options.FullContext),
            "relation" => new RelationNetwork(new Embedder(Backbone("pools", "2"))),
            "local" => new LocalMatchingNetwork(new Embedder(Backbone("pools", "2")), options.Reach),
            "siamese" => new SiameseNetwork(new Embedder(Backbone()), options.PairLoss),
            "maml" => Maml(MamlKind.SecondOrder),
            // A single step's first-order gradient knows little of what the step did.
            "fomaml" => Maml(MamlKind.FirstOrder, 3, 0.3),
            "anil" => Maml(MamlKind.Anil),
            "reptile" => new Reptile(Strided(), options.Way, options.InnerRate ?? 0.01, options.InnerSteps ?? 5, options.TestSteps ?? 50),
            _ => new Mann(new Embedder(Strided()), options.Way, options.Controller),
        };
        learner.Options = options;
        learner.Another = () => Create(options);
        return learner;
    }

    internal static GraftException Unknown(string method) => UnknownName.Of("method", method, Names.Keys);

    /// <summary>A network to learn from episodes on; refuses one that its saved model could not make again.</summary>
    internal static Backbone Pretrained(string file, Action<string>? log = null)
    {
        // One that compares pictures goes on with its own network, which may see grey alone.
        if (FewShotModel.Is(file) && FewShotModel.Load(file) is { Learner: MetricLearner { Embedder.Backbone: var own } } earlier)
        {
            using var upstream = ModelOpener.LoadForPictures(file).Backbone;
            (own.Preprocessing, own.Provenance) = (earlier.Preprocessing, upstream.Provenance);
            return own;
        }
        var (backbone, notes) = ModelOpener.LoadForPictures(file);
        foreach (var note in notes) log?.Invoke(note);
        if (backbone is not GraphBackbone) return backbone;
        backbone.Dispose();
        throw new GraftException($"{file} holds a graph of its own, which cannot be made again without the file: graft fewshot classify and eval use it as it is. To train on episodes, give weights of an architecture that graft models lists");
    }

    /// <summary>From here on the architecture says all: copies share the parameters, and a saved model has its own.</summary>
    private static FewShotOptions Described(FewShotOptions options, Backbone backbone)
    {
        var shape = new Dictionary<string, string>(backbone.Spec.Options);
        if (backbone is ConvNet)
        {
            // A ConvNet leaves unsaid what is usual, and a method would put what is usual with it in its place.
            shape.TryAdd("channels", "3");
            shape.TryAdd("pools", $"{backbone.Stages.Count}");
            shape.TryAdd("strided", "no");
        }
        // A step that is good for four blocks from scratch throws what a deep network knows away.
        return options with { Weights = null, Backbone = backbone.Architecture, BackboneOptions = shape, Distance = options.Distance
            ?? DistanceKind.Cosine, InnerRate = options.InnerRate ?? PretrainedInnerRate };
    }
}
