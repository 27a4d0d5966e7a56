using Graft.Torch;

namespace Graft.Heads;

/// <summary>
/// How alike two texts are (the bi-encoder of Reimers and Gurevych 2019, section 3): score = scale · cos(u, v) + offset. It takes N×2C, the two
/// vectors of each pair one behind the other, and gives N×1 in the units of the scores.
/// </summary>
internal sealed class CosineHead : Head
{
    private readonly Slot _scale, _offset;

    /// <summary>The cosine as it is.</summary>
    /// <param name="inputs">Numbers of one of the two vectors.</param>
    public CosineHead(int inputs) : base(HeadKind.Cosine, inputs, 1)
    {
        _scale = Parameter("scale", Ops.Ones([1]));
        _offset = Parameter("offset", Ops.Zeros([1]));
    }

    /// <summary>Units of the score from one cosine to the next, and the score of vectors at a right angle.</summary>
    public (double Scale, double Offset) Line
    {
        get => (_scale.Value.Detach().Item(), _offset.Value.Detach().Item());
        set
        {
            using var mode = Autograd.NoGrad();
            _scale.Value.CopyInPlace(Tensor.From([(float)value.Scale]));
            _offset.Value.CopyInPlace(Tensor.From([(float)value.Offset]));
        }
    }

    /// <summary>N×2C to the N cosines.</summary>
    public static Tensor Cosines(Tensor pairs)
    {
        var width = pairs.Shape[1] / 2;
        return Ops.CosineSimilarity(pairs.Narrow(1, 0, width), pairs.Narrow(1, width, width));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Cosines(x).Unsqueeze(1) * _scale.Value + _offset.Value;
}
