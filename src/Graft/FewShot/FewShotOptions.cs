using Graft.Inference;

namespace Graft.FewShot;

/// <summary>A method, its network and its settings.</summary>
public sealed record FewShotOptions
{
    /// <summary>As <see cref="FewShotMethods.Names"/> lists them.</summary>
    [Option("protonet, matching, relation, local, siamese, maml, fomaml, anil, reptile, mann", HelpName = "NAME")]
    public string Method { get; init; } = "protonet";

    /// <summary>MAML, Reptile: the rate within a task; null: the method's own.</summary>
    [Option("MAML and Reptile: the rate within a task (default 0.4, 0.3 for fomaml, 0.01 for Reptile; 0.001 with --weights)", Above = 0)]
    public double? InnerRate { get; init; }

    /// <summary>MAML, Reptile: steps within a task in training; null: the method's own.</summary>
    [Option("MAML and Reptile: steps within a task", Least = 1)]
    public int? InnerSteps { get; init; }

    /// <summary>MAML: a learned rate for each layer and step.</summary>
    [Option("MAML: a learned rate for each layer and step")]
    public bool LearnRates { get; init; }

    /// <summary>Of a Siamese network.</summary>
    [Option("Siamese: cross-entropy, contrastive or triplet", Name = "--loss", HelpName = "NAME")]
    public PairLoss PairLoss { get; init; } = PairLoss.CrossEntropy;

    /// <summary>Between embeddings; null: squared Euclidean, and cosine on pretrained weights, whose features are large.</summary>
    [Option("cosine, euclidean, squared-euclidean, manhattan; with class means also mahalanobis (default: squared-euclidean, with --weights cosine)",
        HelpName = "NAME")]
    public DistanceKind? Distance { get; init; }

    /// <summary>An architecture by name, with random weights unless <see cref="Weights"/> says otherwise.</summary>
    [Option("The network (graft models list)", HelpName = "NAME")]
    public string Backbone { get; init; } = "convnet";

    /// <summary>The backbone's own options, such as widths, side and channels of the ConvNet.</summary>
    public IReadOnlyDictionary<string, string> BackboneOptions { get; init; } = new Dictionary<string, string>();

    /// <summary>A checkpoint to start from.</summary>
    [Option("A pretrained network to start from; --distance is then cosine unless given", HelpName = "FILE")]
    public string? Weights { get; init; }

    /// <summary>BatchNorm keeps its statistics: for pretrained networks, which small batches would spoil.</summary>
    [Option("BatchNorm keeps its statistics", Name = "frozen norms")]
    public bool FrozenNorms { get; init; }

    /// <summary>Matching network: full context embeddings.</summary>
    [Option("Matching network: full context embeddings", Name = "full context")]
    public bool FullContext { get; init; } = true;

    /// <summary>Local matching: positions that a part may have moved.</summary>
    [Option("Local matching: positions that a part may have moved", Name = "positions of reach", Least = 0)]
    public int Reach { get; init; } = 1;

    /// <summary>Classes of the methods that have an output for each.</summary>
    [Option("Classes of an episode", Least = 2)]
    public int Way { get; init; } = 5;

    /// <summary>MAML, Reptile: steps within a task at test; null: the method's own.</summary>
    [Option("MAML and Reptile: steps within a task at test", Name = "steps within a task at test", Least = 1)]
    public int? TestSteps { get; init; }

    /// <summary>MANN: numbers of the controller.</summary>
    [Option("MANN: numbers of the controller", Name = "numbers of the controller", Least = 1)]
    public int Controller { get; init; } = 200;

    /// <summary>Refuses what cannot be, and settings that this method has no use for.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or of another method.</exception>
    public void Validate()
    {
        OptionBounds.Check(this);
        if (!FewShotMethods.Names.ContainsKey(Method)) throw FewShotMethods.Unknown(Method);
        var (usual, maml) = (new FewShotOptions(), Method is "maml" or "fomaml" or "anil");
        var inner = maml || Method == "reptile";
        (string Name, bool Given, bool Serves, string Of)[] settings =
        [
            ("--distance", Distance is not null, Method == "protonet", "protonet"),
                ("--loss", PairLoss != usual.PairLoss, Method == "siamese", "siamese"),
            ("FullContext", FullContext != usual.FullContext, Method == "matching", "matching"),
                ("Reach", Reach != usual.Reach, Method == "local", "local"),
            ("--inner-rate", InnerRate is not null, inner, "maml, fomaml, anil and reptile"),
                ("--inner-steps", InnerSteps is not null, inner, "maml, fomaml, anil and reptile"),
            ("TestSteps", TestSteps is not null, inner, "maml, fomaml, anil and reptile"),
                ("--learn-rates", LearnRates, maml, "maml, fomaml and anil"),
                ("Controller", Controller != usual.Controller, Method == "mann", "mann"),
        ];
        foreach (var (name, _, _, of) in settings.Where(setting => setting is { Given: true, Serves: false })) throw Bounds.Refuse($"{name} is a setting of {of}, and {Method} has no use for it: leave it out");
    }
}
