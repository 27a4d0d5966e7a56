namespace Graft.Inference;

/// <summary>How far a query is from a class.</summary>
public enum DistanceKind
{
    /// <summary>‖a − b‖₂².</summary>
    SquaredEuclidean,

    /// <summary>‖a − b‖₂.</summary>
    Euclidean,

    /// <summary>‖a − b‖₁.</summary>
    Manhattan,

    /// <summary>(a − b)ᵀ Q⁻¹ (a − b), Q the class's covariance shrunk towards the task's and the identity.</summary>
    Mahalanobis,

    /// <summary>1 − cos(a, b).</summary>
    Cosine,
}
