using Graft.Data;

namespace Graft.Quickstart;

/// <summary>
/// A small world of drawn pictures: one shape each, of a random colour, size, angle and place, on a cluttered ground.
/// Upstream and downstream shapes are disjoint.
/// </summary>
internal static class ShapeWorld
{
    /// <summary>Pixels of a side.</summary>
    public const int Side = 32;

    /// <summary>What the embedded backbone is pretrained on.</summary>
    public static IReadOnlyList<string> Upstream { get;
        } = ["circle", "triangle", "square", "pentagon", "star5", "cross", "ring", "flower5", "crescent", "bars", "heart", "ellipse", "drop", "bolt"];

    /// <summary>What the quickstart adapts it to.</summary>
    public static IReadOnlyList<string> Downstream { get; } = ["star4", "clover", "arrow", "frame", "halfdisc", "gear"];

    /// <summary>Whether a point lies inside a shape of about unit size.</summary>
    private static bool Inside(string shape, double x, double y)
    {
        var (r, angle) = (Math.Sqrt(x * x + y * y), Math.Atan2(y, x));
        double Polygon(int n)
        {
            var sector = 2 * Math.PI / n;
            return Math.Cos(sector / 2) / Math.Cos(((angle % sector) + sector) % sector - sector / 2);
        }
        double Star(int n, double depth)
        {
            var sector = 2 * Math.PI / n;
            var t = Math.Abs((((angle % sector) + sector) % sector) / sector * 2 - 1);
            return depth + (1 - depth) * t * t;
        }
        return shape switch
        {
            "circle" => r < 0.9,
            "triangle" => r < 1.1 * Polygon(3),
            "square" => Math.Max(Math.Abs(x), Math.Abs(y)) < 0.75,
            "pentagon" => r < Polygon(5),
            "star5" => r < 1.1 * Star(5, 0.4),
            "star4" => r < 1.15 * Star(4, 0.32),
            "cross" => Math.Max(Math.Abs(x), Math.Abs(y)) < 0.95 && Math.Min(Math.Abs(x), Math.Abs(y)) < 0.3,
            "ring" => r is < 0.95 and > 0.55,
            "frame" => Math.Max(Math.Abs(x), Math.Abs(y)) is < 0.85 and > 0.5,
            "flower5" => r < 0.72 + 0.28 * Math.Cos(5 * angle),
            "clover" => r < 0.66 + 0.36 * Math.Cos(3 * angle),
            "crescent" => r < 0.95 && (x - 0.45) * (x - 0.45) + y * y > 0.55,
            "bars" => Math.Abs(y) < 0.9 && Math.Abs(x) < 0.9 && ((int)Math.Floor((x + 0.9) / 0.36) & 1) == 0,
            "heart" => Math.Pow(1.3 * x * 1.3 * x + 1.44 * y * y - 0.8, 3) < 2.2 * x * x * -y * y * y * 1.7,
            "ellipse" => x * x + 4 * y * y < 0.95,
            "drop" => r < 0.62 || (x < 0 && Math.Abs(y) < 0.55 * (1 + x / 1.15) && x > -1.15),
            "bolt" => Math.Abs(x + (y > 0 ? -0.25 : 0.25) + 0.5 * y) < 0.28 && Math.Abs(y) < 1,
            "arrow" => (x is > -0.95 and < 0.15 && Math.Abs(y) < 0.22) || (x is >= 0.1 and < 1 && Math.Abs(y) < 0.75 * (1 - x) / 0.9),
            "halfdisc" => r < 0.95 && y < 0.05,
            "gear" => r < 0.72 + (Math.Cos(8 * angle) > 0 ? 0.2 : 0) && r > 0.28,
            _ => throw new ArgumentException($"no shape is called {shape}"),
        };
    }

    /// <summary>Draws a picture of a shape; the same seeds draw the same picture.</summary>
    public static Picture Draw(string shape, params ReadOnlySpan<long> seeds)
    {
        var rng = new Rng(seeds);
        var picture = Picture.Create(Side, Side);
        var pixels = picture.Pixels;
        double[] Colour(ref Rng from) => [from.Next(20, 235), from.Next(20, 235), from.Next(20, 235)];
        var (ground, other, ink) = (Colour(ref rng), Colour(ref rng), Colour(ref rng));
        // Shape and ground must differ, or nobody could tell.
        while (Math.Abs(ink[0] - ground[0]) + Math.Abs(ink[1] - ground[1]) + Math.Abs(ink[2] - ground[2]) < 150) ink = Colour(ref rng);
        var (wave, phase, tilt) = (rng.Next(0.05, 0.4), rng.Next(0, 6.28), rng.Next(0, 6.28));
        var (sin, cos) = Math.SinCos(rng.Next(-0.6, 0.6));
        var (size, cx, cy) = (rng.Next(7, 12), Side / 2.0 + rng.Next(-4, 4), Side / 2.0 + rng.Next(-4, 4));
        var stretch = rng.Next(0.85, 1.18);
        var strokes = Enumerable.Range(0, 3)
            .Select(_ => (X: rng.Next(0, Side), Y: rng.Next(0, Side), A: rng.Next(0, 6.28), L: rng.Next(4, 12), C: rng.Next(20, 235))).ToArray();
        for (var y = 0; y < Side; y++)
        {
            for (var x = 0; x < Side; x++)
            {
                // Four samples a pixel smooth the edge.
                var covered = 0;
                for (var s = 0; s < 4; s++)
                {
                    double dx = (x + 0.25 + 0.5 * (s & 1) - cx) / size, dy = (y + 0.25 + 0.5 * (s >> 1) - cy) / size;
                    if (Inside(shape, (cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch)) covered++;
                }
                var mix = 0.25 * (1 + Math.Sin(wave * (x * Math.Cos(tilt) + y * Math.Sin(tilt)) * 2 + phase));
                var stroke = strokes.FirstOrDefault(line => Math.Abs((x - line.X) * Math.Sin(line.A) - (y - line.Y) * Math.Cos(line.A)) < 0.6
                    && Math.Abs((x - line.X) * Math.Cos(line.A) + (y - line.Y) * Math.Sin(line.A)) < line.L);
                for (var c = 0; c < 3; c++)
                {
                    var under = stroke.L > 0 ? stroke.C : ground[c] * (1 - mix) + other[c] * mix;
                    var level = under + (ink[c] - under) * covered / 4 + 14 * rng.Normal();
                    pixels[3 * (y * Side + x) + c] = (byte)Math.Clamp(level, 0, 255);
                }
            }
        }
        return picture;
    }

    /// <summary>Writes class folders of JPEG files.</summary>
    public static void Write(string folder, IReadOnlyList<string> shapes, int each, long seed)
    {
        foreach (var (shape, number) in shapes.Select((shape, k) => (shape, k)))
        {
            Directory.CreateDirectory(Path.Combine(folder, shape));
            for (var k = 0; k < each; k++)
            {
                using var picture = Draw(shape, seed, number, k);
                File.WriteAllBytes(Path.Combine(folder, shape, $"{k:0000}.jpg"), picture.ToJpeg(92));
            }
        }
    }
}
