using Graft.Torch;

namespace Graft.Models.Imports;

/// <summary>
/// SSD's prior boxes (Liu et al. 2016, section 2.2), as its Caffe layer makes them: at each position of a map, boxes of every smallest size, of
/// √(smallest · largest), and of every proportion. They depend on sizes alone.
/// </summary>
internal static class PriorBoxes
{
    /// <summary>1×2×4n: left, top, right, bottom of n boxes in shares of the picture; behind them the variances.</summary>
    /// <param name="p">The layer's prior_box_param.</param>
    /// <param name="map">N×C×H×W of the map.</param>
    /// <param name="picture">N×C×H×W of the picture.</param>
    /// <exception cref="GraftException">It names no size.</exception>
    public static Tensor Of(TextFormat p, long[] map, long[] picture)
    {
        double[] least = Reals(p, "min_size"), most = Reals(p, "max_size"), variances = Reals(p, "variance");
        if (map.Length != 4 || picture.Length != 4) throw new GraftException($"line {p.Line}: prior boxes are made for a map and a picture of four dimensions");
        if (least.Length == 0 || (most.Length > 0 && most.Length != least.Length)) throw new GraftException($"line {p.Line}: {least.Length} min_size and {most.Length} max_size do not make prior boxes");
        if (variances.Length is not (0 or 1 or 4)) throw new GraftException($"line {p.Line}: {variances.Length} variances, not one or four");
        var proportions = new List<double> { 1 };
        foreach (var ratio in Reals(p, "aspect_ratio"))
        {
            if (proportions.Any(known => Math.Abs(known - ratio) < 1e-6)) continue;
            proportions.Add(ratio);
            if (p.Flag("flip", true)) proportions.Add(1 / ratio);
        }
        var (height, width) = (p.Real("img_h", p.Real("img_size", picture[2])), p.Real("img_w", p.Real("img_size", picture[3])));
        var (down, right) = (p.Real("step_h", p.Real("step", height / map[2])), p.Real("step_w", p.Real("step", width / map[3])));
        var offset = p.Real("offset", 0.5);
        var sizes = new List<(double Width, double Height)>();
        for (var k = 0; k < least.Length; k++)
        {
            sizes.Add((least[k], least[k]));
            if (most.Length > 0) sizes.Add((Math.Sqrt(least[k] * most[k]), Math.Sqrt(least[k] * most[k])));
            sizes.AddRange(proportions.Skip(1).Select(ratio => (least[k] * Math.Sqrt(ratio), least[k] / Math.Sqrt(ratio))));
        }
        var count = checked((int)(map[2] * map[3] * sizes.Count * 4));
        var values = new float[2 * count];
        var at = 0;
        for (var y = 0; y < map[2]; y++)
        {
            for (var x = 0; x < map[3]; x++)
            {
                foreach (var size in sizes)
                {
                    var (centreX, centreY) = ((x + offset) * right, (y + offset) * down);
                    foreach (var edge in new[] { (centreX - size.Width / 2) / width, (centreY - size.Height / 2) / height, (centreX + size.Width / 2) / width, (centreY + size.Height / 2) / height })
                        values[at++] = (float)(p.Flag("clip", false) ? Math.Clamp(edge, 0, 1) : edge);
                }
            }
        }
        for (var k = 0; k < count; k++) values[count + k] = variances.Length switch { 0 => 0.1f, 1 => (float)variances[0], _ => (float)variances[k % 4] };
        return Tensor.From(values, 1, 2, count);
    }

    private static double[] Reals(TextFormat p, string name) => [.. p.Texts(name).Select(text => double.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value : throw new InvalidDataException($"line {p.Line}: {name} is '{text}', no number"))];
}
