using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>What passes from stage to stage.</summary>
/// <param name="X">Pictures N×C×H×W; text N×T×C; what a network begins with: pictures N×3×H×W, tokens N×T.</param>
/// <param name="Mask">Of text: N×T, 1 where a token is and 0 where a batch is filled up; null: nothing is filled up.</param>
public readonly record struct Signal(Tensor X, Tensor? Mask = null)
{
    /// <summary>A signal without a mask.</summary>
    public static implicit operator Signal(Tensor x) => new(x);

    /// <summary>The numbers alone.</summary>
    public static implicit operator Tensor(Signal signal) => signal.X;
}
