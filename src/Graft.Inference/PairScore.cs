using System.Numerics.Tensors;
using System.Text.Json;

namespace Graft.Inference;

/// <summary>How alike two texts are, from their vectors: <c>scale · cos(u, v) + offset</c>, in the units of the scores that were learned
/// from.</summary>
/// <param name="Scale">Units of the score from one cosine to the next.</param>
/// <param name="Offset">The score of vectors at a right angle.</param>
internal sealed record PairScore(double Scale, double Offset)
{
    /// <summary>The key of an ONNX file's card.</summary>
    public const string Key = "cosine";

    /// <summary>What a card says; null: its model compares nothing.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static PairScore? Of(IReadOnlyDictionary<string, string> card) => card.GetValueOrDefault(Key) is not { } text ? null
        : JsonSerializer.Deserialize<double[]>(text) is [var scale, var offset] && double.IsFinite(scale) && double.IsFinite(offset)
            ? new PairScore(scale, offset)
            : throw new InvalidDataException($"its {Key} is not a scale and an offset");

    /// <summary>As a card's value.</summary>
    public string ToCard() => JsonSerializer.Serialize(new[] { Scale, Offset });

    /// <summary>The score of two vectors of one length.</summary>
    public float Of(ReadOnlySpan<float> u, ReadOnlySpan<float> v)
    {
        // As libtorch: vectors of no length are at a right angle to all others.
        var lengths = Math.Max(TensorPrimitives.Norm(u), 1e-8) * Math.Max(TensorPrimitives.Norm(v), 1e-8);
        return (float)(Scale * (TensorPrimitives.Dot(u, v) / lengths) + Offset);
    }
}
