
namespace Graft.FewShot;

/// <summary>A method, its network and its settings; what a method does not use is passed over.</summary>
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
}
