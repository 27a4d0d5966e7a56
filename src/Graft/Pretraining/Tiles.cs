using Graft.Data;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>Pictures cut into a grid of square tiles with a gap between, each at the size that the backbone takes: a border's edge must not give the
/// answer away (Noroozi and Favaro 2016, section 3.1; Doersch et al. 2015, section 3.1).</summary>
/// <param name="Grid">Tiles of a side.</param>
internal sealed record Tiles(int Grid)
{
    // Of a cell: what a tile may move within it.
    private const double Play = 0.15;

    /// <summary>As large as a tile of the backbone's size in every cell wants it.</summary>
    public Preprocessing View(Preprocessing usual)
    {
        var side = Grid * Cell(usual.Width);
        return Augmentations.Plain(usual with { Width = side, Height = side }, minArea: 0.6);
    }

    private static int Cell(int tile) => (int)Math.Ceiling(tile * (1 + Play));

    /// <summary>N×3×S×S to N·G²×3×T×T: all of the first cell, then all of the second, row by row of the grid.</summary>
    /// <param name="x">Pictures.</param>
    /// <param name="tile">T.</param>
    /// <param name="rng">Where in its cell a tile lies.</param>
    public Tensor Cut(Tensor x, int tile, ref Rng rng)
    {
        var cell = Cell(tile);
        var made = new Tensor[Grid * Grid];
        for (var k = 0; k < made.Length; k++)
        {
            var (top, left) = (k / Grid * cell + rng.Below(cell - tile + 1), k % Grid * cell + rng.Below(cell - tile + 1));
            made[k] = x.Narrow(2, top, tile).Narrow(3, left, tile);
        }
        // Each tile by itself to mean 0 and deviation 1: colours that run through a picture would give neighbours away.
        var all = Ops.Cat(made, 0);
        var centred = all - all.Mean([1L, 2L, 3L], true);
        return centred / (centred.Square().Mean([1L, 2L, 3L], true) + 1e-4).Sqrt();
    }
}
