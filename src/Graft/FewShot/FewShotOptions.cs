
namespace Graft.FewShot;

/// <summary>A method, its network and its settings.</summary>
public sealed record FewShotOptions
{
    /// <summary>As <see cref="FewShotMethods.Names"/> lists them.</summary>
    public string Method { get; init; } = "protonet";

    /// <summary>An architecture by name, with random weights unless <see cref="Weights"/> says otherwise.</summary>
    public string Backbone { get; init; } = "convnet";

    /// <summary>The backbone's own options, such as widths, side and channels of the ConvNet.</summary>
    public IReadOnlyDictionary<string, string> BackboneOptions { get; init; } = new Dictionary<string, string>();

    /// <summary>A checkpoint to start from.</summary>
    public string? Weights { get; init; }

    /// <summary>BatchNorm keeps its statistics: for pretrained networks, which small batches would spoil.</summary>
    public bool FrozenNorms { get; init; }

    /// <summary>Between embeddings; null: squared Euclidean, and cosine on pretrained weights, whose features are large.</summary>
    public DistanceKind? Distance { get; init; }

    /// <summary>Of a Siamese network.</summary>
    public PairLoss PairLoss { get; init; } = PairLoss.CrossEntropy;

    /// <summary>Matching network: full context embeddings.</summary>
    public bool FullContext { get; init; } = true;

    /// <summary>Local matching: positions that a part may have moved.</summary>
    public int Reach { get; init; } = 1;

    /// <summary>Classes of the methods that have an output for each.</summary>
    public int Way { get; init; } = 5;

    /// <summary>MAML, Reptile: the rate within a task; null: the method's own.</summary>
    public double? InnerRate { get; init; }

    /// <summary>MAML, Reptile: steps within a task in training; null: the method's own.</summary>
    public int? InnerSteps { get; init; }

    /// <summary>MAML, Reptile: steps within a task at test; null: the method's own.</summary>
    public int? TestSteps { get; init; }

    /// <summary>MAML: a learned rate for each layer and step.</summary>
    public bool LearnRates { get; init; }

    /// <summary>MANN: numbers of the controller.</summary>
    public int Controller { get; init; } = 200;

    /// <summary>Refuses what cannot be, and settings that this method has no use for.</summary>
    /// <exception cref="GraftException">An option out of its bounds, or of another method.</exception>
    public void Validate()
    {
        if (!FewShotMethods.Names.ContainsKey(Method)) throw FewShotMethods.Unknown(Method);
        var (usual, maml) = (new FewShotOptions(), Method is "maml" or "fomaml" or "anil");
        var inner = maml || Method == "reptile";
        (string Name, bool Given, bool Serves, string Of)[] settings =
        [
            ("--distance", Distance is not null, Method == "protonet", "protonet"), ("--loss", PairLoss != usual.PairLoss, Method == "siamese", "siamese"),
            ("FullContext", FullContext != usual.FullContext, Method == "matching", "matching"), ("Reach", Reach != usual.Reach, Method == "local", "local"),
            ("--inner-rate", InnerRate is not null, inner, "maml, fomaml, anil and reptile"), ("--inner-steps", InnerSteps is not null, inner, "maml, fomaml, anil and reptile"),
            ("TestSteps", TestSteps is not null, inner, "maml, fomaml, anil and reptile"), ("--learn-rates", LearnRates, maml, "maml, fomaml and anil"), ("Controller", Controller != usual.Controller, Method == "mann", "mann"),
        ];
        foreach (var (name, _, _, of) in settings.Where(setting => setting is { Given: true, Serves: false })) throw Bounds.Refuse($"{name} is a setting of {of}, and {Method} has no use for it: leave it out");
        Bounds.Whole("--way", Way, 2);
        Bounds.Positive("--inner-rate", InnerRate);
        Bounds.Whole("--inner-steps", InnerSteps, 1);
        Bounds.Whole("steps within a task at test", TestSteps, 1);
        Bounds.Whole("positions of reach", Reach, 0);
        Bounds.Whole("numbers of the controller", Controller, 1);
    }
}
