using Graft.Data;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Copies of pictures that are no longer what a camera sees, though their colours are: for those that are to tell the good from the
/// corrupted.</summary>
internal static class Corruption
{
    private const int Kinds = 4;

    /// <summary>Each picture of a batch with one fault, drawn for each: quarters that have changed places, a square of another picture, blocks turned
    /// about, the upper and the lower half of two pictures.</summary>
    /// <param name="x">N×3×S×S; left as it is.</param>
    /// <param name="rng">Draws.</param>
    /// <returns>The same shape.</returns>
    public static Tensor Of(Tensor x, ref Rng rng)
    {
        var (n, side) = ((int)x.Shape[0], (int)x.Shape[2]);
        var made = new Tensor[n];
        for (var k = 0; k < n; k++)
        {
            var own = x.Narrow(0, k, 1);
            // The next picture of the batch: with one picture alone, that picture mirrored.
            var other = n > 1 ? x.Narrow(0, (k + 1 + rng.Below(n - 1)) % n, 1) : own.Flip([3L]);
            made[k] = rng.Below(Kinds) switch
            {
                0 => Quarters(own, side, ref rng),
                1 => Pasted(own, other, side, ref rng),
                2 => Turned(own, side, ref rng),
                _ => Halves(own, other, side),
            };
        }
        return Ops.Cat(made, 0);
    }

    private static Tensor Quarters(Tensor x, int side, ref Rng rng)
    {
        var half = side / 2;
        // An order in which no quarter stays: a shift of the ring by one, two or three.
        var shift = 1 + rng.Below(3);
        Tensor Quarter(int k) => x.Narrow(2, k / 2 * half, half).Narrow(3, k % 2 * half, half);
        int[] ring = [0, 1, 3, 2];
        var at = new Tensor[4];
        for (var k = 0; k < 4; k++) at[ring[k]] = Quarter(ring[(k + shift) % 4]);
        var laid = Ops.Cat([Ops.Cat([at[0], at[1]], 3), Ops.Cat([at[2], at[3]], 3)], 2);
        return 2 * half == side ? laid : laid.UpsampleNearest2dTo([side, side]);
    }

    private static Tensor Pasted(Tensor x, Tensor other, int side, ref Rng rng)
    {
        var part = side / 3 + rng.Below(Math.Max(1, side / 4));
        var (top, left) = (rng.Below(side - part + 1), rng.Below(side - part + 1));
        return Within(x, other.Narrow(2, rng.Below(side - part + 1), part).Narrow(3, rng.Below(side - part + 1), part), top, left);
    }

    private static Tensor Turned(Tensor x, int side, ref Rng rng)
    {
        var part = side / 2;
        var (top, left) = (rng.Below(side - part + 1), rng.Below(side - part + 1));
        return Within(x, x.Narrow(2, top, part).Narrow(3, left, part).Flip([2L, 3L]), top, left);
    }

    private static Tensor Halves(Tensor x, Tensor other, int side) =>
        Ops.Cat([x.Narrow(2, 0, side / 2), other.Narrow(2, side / 2, side - side / 2)], 2);

    private static Tensor Within(Tensor x, Tensor part, int top, int left)
    {
        var made = x.Clone();
        made.Narrow(2, top, part.Shape[2]).Narrow(3, left, part.Shape[3]).CopyInPlace(part);
        return made;
    }
}
