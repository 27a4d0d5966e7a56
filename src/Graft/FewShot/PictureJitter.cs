using Graft.Data;
using Graft.Torch;

namespace Graft.FewShot;

/// <summary>
/// Random changes of whole batches, picture by picture: an affine map (Koch et al. 2015, section 3.4), a smooth elastic
/// distortion (Simard et al. 2003), thicker or thinner strokes. Coordinates run from −1 to 1 over a picture.
/// </summary>
public sealed record PictureJitter
{
    /// <summary>Turned by up to so many degrees to either side.</summary>
    public double Rotation { get; init; } = 15;

    /// <summary>Each axis scaled by e^±this.</summary>
    public double Scale { get; init; } = 0.25;

    /// <summary>Sheared by up to this.</summary>
    public double Shear { get; init; } = 0.3;

    /// <summary>Moved by up to this on each axis.</summary>
    public double Shift { get; init; } = 0.15;

    /// <summary>Standard deviation of the displacements of a 5×5 grid, smoothly filled in between.</summary>
    public double Elastic { get; init; }

    /// <summary>A quarter of the pictures get their dark strokes thickened, a quarter thinned, by up to a pixel.</summary>
    public bool Strokes { get; init; }

    /// <summary>The same kinds of change, so many times as strong.</summary>
    public PictureJitter Times(double factor) => this with { Rotation = Rotation * factor, Scale = Scale * factor, Shear = Shear * factor, Shift = Shift * factor, Elastic = Elastic * factor };

    /// <summary>Applies to N×C×H×W levels of 0 … 1; beyond the border a picture goes on as at its border.</summary>
    public Tensor Apply(Tensor x, ref Rng rng)
    {
        var (n, height, width) = (x.Shape[0], x.Shape[2], x.Shape[3]);
        var maps = new float[n * 6];
        for (var k = 0; k < n; k++)
        {
            var turn = rng.Next(-Rotation, Rotation) * Math.PI / 180;
            var (across, down, shear) = (Math.Exp(rng.Next(-Scale, Scale)), Math.Exp(rng.Next(-Scale, Scale)), rng.Next(-Shear, Shear));
            var (cos, sin) = (Math.Cos(turn), Math.Sin(turn));
            double[] map = [across * cos, across * (shear * cos - sin), rng.Next(-Shift, Shift), down * sin, down * (shear * sin + cos), rng.Next(-Shift, Shift)];
            for (var j = 0; j < 6; j++) maps[6 * k + j] = (float)map[j];
        }
        var grid = Coordinates(height, width).Matmul(Tensor.From(maps, n, 2, 3).Transpose(1, 2)).View([n, height, width, 2]);
        if (Elastic > 0)
        {
            const int Knots = 5;
            var bends = new float[n * 2 * Knots * Knots];
            for (var k = 0; k < bends.Length; k++) bends[k] = (float)(Elastic * rng.Normal());
            grid += Tensor.From(bends, n, 2, Knots, Knots).UpsampleBicubic2d([height, width], true).Permute([0, 2, 3, 1]);
        }
        var y = x.GridSampler(grid, 0, 1, false);
        return Strokes ? Thicken(y, ref rng) : y;
    }

    // x, y and 1 of each pixel's centre: HW×3.
    private static Tensor Coordinates(long height, long width)
    {
        var values = new float[height * width * 3];
        for (var k = 0; k < height * width; k++)
        {
            values[3 * k] = (2f * (k % width) + 1) / width - 1;
            values[3 * k + 1] = (2f * (k / width) + 1) / height - 1;
            values[3 * k + 2] = 1;
        }
        return Tensor.From(values, height * width, 3);
    }

    private static Tensor Thicken(Tensor x, ref Rng rng)
    {
        var n = x.Shape[0];
        var (dark, light) = (new float[n], new float[n]);
        for (var k = 0; k < n; k++)
        {
            var (kind, amount) = (rng.Next(), (float)rng.Next());
            (dark[k], light[k]) = kind < 0.25 ? (0.7f * amount, 0f) : kind > 0.75 ? (0f, 0.6f * amount) : (0f, 0f);
        }
        var darker = -(-x).MaxPool2d([3, 3], [1, 1], [1, 1]);
        var lighter = x.MaxPool2d([3, 3], [1, 1], [1, 1]);
        return x + (darker - x) * Tensor.From(dark, n, 1, 1, 1) + (lighter - x) * Tensor.From(light, n, 1, 1, 1);
    }
}
