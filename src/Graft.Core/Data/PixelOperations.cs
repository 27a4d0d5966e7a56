namespace Graft.Data;

/// <summary>Augmentations that change pixels one by one.</summary>
internal static class PixelOperations
{
    public static Picture PaddedCrop(Picture picture, RandomCrop crop, ref Rng rng)
    {
        var made = Picture.Create(crop.Side, crop.Side);
        var left = rng.Below(Math.Max(1, picture.Width + 2 * crop.Padding - crop.Side + 1)) - crop.Padding;
        var top = rng.Below(Math.Max(1, picture.Height + 2 * crop.Padding - crop.Side + 1)) - crop.Padding;
        made.Pixels.Clear();
        for (var y = Math.Max(0, -top); y < crop.Side && y + top < picture.Height; y++)
        {
            var from = Math.Max(0, -left);
            var count = Math.Min(crop.Side, picture.Width - left) - from;
            if (count > 0) picture.Pixels.Slice(3 * ((y + top) * picture.Width + from + left), 3 * count)
                .CopyTo(made.Pixels[(3 * (y * crop.Side + from))..]);
        }
        return made;
    }

    /// <summary>The square around what differs from the corners' colour, or null where they differ themselves or nothing else does.</summary>
    public static Picture? Trim(Picture picture, Trim trim)
    {
        var (w, h) = (picture.Width, picture.Height);
        var pixels = picture.Pixels;
        bool Differs(ReadOnlySpan<byte> pixel, ReadOnlySpan<byte> ground) => Math.Abs(pixel[0] - ground[0]) > trim.Tolerance
            || Math.Abs(pixel[1] - ground[1]) > trim.Tolerance || Math.Abs(pixel[2] - ground[2]) > trim.Tolerance;
        Span<byte> corner = [pixels[0], pixels[1], pixels[2]];
        foreach (var at in (ReadOnlySpan<int>)[w - 1, (h - 1) * w, h * w - 1])
        {
            if (Differs(pixels.Slice(3 * at, 3), corner)) return null;
        }
        var (left, top, right, bottom) = (w, h, -1, -1);
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
            {
                if (!Differs(pixels.Slice(3 * (y * w + x), 3), corner)) continue;
                (left, right, top, bottom) = (Math.Min(left, x), Math.Max(right, x), Math.Min(top, y), y);
            }
        }
        if (right < 0) return null;
        var side = (int)Math.Round(Math.Max(Math.Max(right - left + 1, bottom - top + 1), trim.Least * Math.Min(w, h)) * (1 + 2 * trim.Margin));
        var (x0, y0) = ((int)Math.Round((left + right + 1 - side) / 2.0), (int)Math.Round((top + bottom + 1 - side) / 2.0));
        var made = Picture.Create(side, side);
        var to = made.Pixels;
        for (var k = 0; k < to.Length; k += 3) corner.CopyTo(to[k..]);
        for (var y = Math.Max(0, -y0); y < side && y + y0 < h; y++)
        {
            var from = Math.Max(0, -x0);
            var count = Math.Min(side, w - x0) - from;
            if (count > 0) pixels.Slice(3 * ((y + y0) * w + from + x0), 3 * count).CopyTo(to[(3 * (y * side + from))..]);
        }
        return made;
    }

    /// <summary>Every channel the luma, with PIL's weights and rounding.</summary>
    public static void ToGrey(Picture picture)
    {
        var pixels = picture.Pixels;
        for (var k = 0; k + 2 < pixels.Length; k += 3) pixels[k] = pixels[k + 1] = pixels[k + 2] =
            (byte)((19595 * pixels[k] + 38470 * pixels[k + 1] + 7471 * pixels[k + 2] + 0x8000) >> 16);
    }

    public static Picture Rotate(Picture picture, double degrees)
    {
        var (sin, cos) = Math.SinCos(degrees * Math.PI / 180);
        return Affine(picture, cos, -sin, sin, cos);
    }

    /// <summary>Each output pixel is taken, bilinearly, from where the matrix sends it about the middle; black outside.</summary>
    private static Picture Affine(Picture picture, double xx, double xy, double yx, double yy, double dx = 0, double dy = 0)
    {
        var (w, h) = (picture.Width, picture.Height);
        var made = Picture.Create(w, h);
        var from = picture.Pixels;
        var to = made.Pixels;
        to.Clear();
        double cx = (w - 1) / 2.0, cy = (h - 1) / 2.0;
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
            {
                var sx = xx * (x - cx) + xy * (y - cy) + cx + dx;
                var sy = yx * (x - cx) + yy * (y - cy) + cy + dy;
                if (sx < 0 || sy < 0 || sx > w - 1 || sy > h - 1) continue;
                var (x0, y0) = ((int)sx, (int)sy);
                var (x1, y1) = (Math.Min(x0 + 1, w - 1), Math.Min(y0 + 1, h - 1));
                var (fx, fy) = (sx - x0, sy - y0);
                for (var c = 0; c < 3; c++)
                {
                    var upper = from[3 * (y0 * w + x0) + c] * (1 - fx) + from[3 * (y0 * w + x1) + c] * fx;
                    var lower = from[3 * (y1 * w + x0) + c] * (1 - fx) + from[3 * (y1 * w + x1) + c] * fx;
                    to[3 * (y * w + x) + c] = (byte)(upper * (1 - fy) + lower * fy + 0.5);
                }
            }
        }
        return made;
    }

    public static void Jitter(Picture picture, ColorJitter jitter, ref Rng rng)
    {
        if (jitter.Brightness > 0) Blend(picture, Grey.None, rng.Next(Math.Max(0, 1 - jitter.Brightness), 1 + jitter.Brightness));
        if (jitter.Contrast > 0) Blend(picture, Grey.Mean, rng.Next(Math.Max(0, 1 - jitter.Contrast), 1 + jitter.Contrast));
        if (jitter.Saturation > 0) Blend(picture, Grey.Own, rng.Next(Math.Max(0, 1 - jitter.Saturation), 1 + jitter.Saturation));
        if (jitter.Hue > 0) TurnHue(picture, rng.Next(-jitter.Hue, jitter.Hue));
    }

    private enum Grey { None, Mean, Own }

    private static double Luma(ReadOnlySpan<byte> pixel) => 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];

    private static byte Clip(double level) => (byte)Math.Clamp(level + 0.5, 0, 255);

    /// <summary>factor × pixel + (1 − factor) × grey: brightness against black, contrast against the mean, saturation against the pixel's
    /// own.</summary>
    private static void Blend(Picture picture, Grey against, double factor)
    {
        var pixels = picture.Pixels;
        var grey = 0.0;
        if (against == Grey.Mean)
        {
            for (var k = 0; k < pixels.Length; k += 3) grey += Luma(pixels[k..]);
            grey /= pixels.Length / 3;
        }
        for (var k = 0; k < pixels.Length; k += 3)
        {
            if (against == Grey.Own) grey = Luma(pixels[k..]);
            for (var c = 0; c < 3; c++) pixels[k + c] = Clip(factor * pixels[k + c] + (1 - factor) * grey);
        }
    }

    /// <summary>Rotates colours about the grey axis: in YIQ, by the angle.</summary>
    private static void TurnHue(Picture picture, double turn)
    {
        var (sin, cos) = Math.SinCos(2 * Math.PI * turn);
        var pixels = picture.Pixels;
        for (var k = 0; k < pixels.Length; k += 3)
        {
            double r = pixels[k], g = pixels[k + 1], b = pixels[k + 2];
            var y = 0.299 * r + 0.587 * g + 0.114 * b;
            double i = 0.596 * r - 0.274 * g - 0.322 * b, q = 0.211 * r - 0.523 * g + 0.312 * b;
            (i, q) = (cos * i - sin * q, sin * i + cos * q);
            pixels[k] = Clip(y + 0.956 * i + 0.621 * q);
            pixels[k + 1] = Clip(y - 0.272 * i - 0.647 * q);
            pixels[k + 2] = Clip(y - 1.106 * i + 1.703 * q);
        }
    }

    /// <summary>One operation of RandAugment's list, at torchvision's ranges for a strength of 0 … 30.</summary>
    public static Picture RandAugmentOnce(Picture picture, int strength, ref Rng rng)
    {
        var share = Math.Clamp(strength / 30.0, 0, 1);
        var sign = rng.Next() < 0.5 ? -1 : 1;
        switch (rng.Below(14))
        {
            case 0: return picture;
            case 1: return Affine(picture, 1, sign * 0.3 * share, 0, 1);
            case 2: return Affine(picture, 1, 0, sign * 0.3 * share, 1);
            case 3: return Affine(picture, 1, 0, 0, 1, dx: sign * share * 150.0 / 331 * picture.Width);
            case 4: return Affine(picture, 1, 0, 0, 1, dy: sign * share * 150.0 / 331 * picture.Height);
            case 5: return Rotate(picture, sign * 30 * share);
            case 6: Blend(picture, Grey.None, 1 + sign * 0.9 * share); return picture;
            case 7: Blend(picture, Grey.Own, 1 + sign * 0.9 * share); return picture;
            case 8: Blend(picture, Grey.Mean, 1 + sign * 0.9 * share); return picture;
            case 9: Sharpen(picture, sign * 0.9 * share); return picture;
            case 10: Map(picture, level => (byte)(level & (0xff << (int)Math.Round(share * 4)))); return picture;
            case 11: Solarize(picture, (int)Math.Ceiling(255 * (1 - share))); return picture;
            case 12: StretchLevels(picture); return picture;
            default: Equalise(picture); return picture;
        }
    }

    /// <summary>Levels from a threshold on are turned round.</summary>
    public static void Solarize(Picture picture, int threshold) => Map(picture, level => level >= threshold ? (byte)(255 - level) : level);

    /// <summary>Rows, then columns, with a Gaussian's weights out to three deviations; beyond the border the last pixel goes on.</summary>
    public static Picture Blur(Picture picture, double deviation)
    {
        var (w, h) = (picture.Width, picture.Height);
        var reach = Math.Max(1, (int)Math.Ceiling(3 * deviation));
        Span<float> weights = stackalloc float[reach + 1];
        var sum = 0f;
        for (var k = 0; k <= reach; k++) sum += (weights[k] = (float)Math.Exp(-k * k / (2 * deviation * deviation))) * (k == 0 ? 1 : 2);
        for (var k = 0; k <= reach; k++) weights[k] /= sum;
        var between = new float[3 * w * h];
        var from = picture.Pixels;
        for (var y = 0; y < h; y++)
        {
            for (var x = 0; x < w; x++)
            {
                for (var c = 0; c < 3; c++)
                {
                    var value = weights[0] * from[3 * (y * w + x) + c];
                    for (var k = 1; k <= reach; k++)
                        value += weights[k] * (from[3 * (y * w + Math.Max(0, x - k)) + c] + from[3 * (y * w + Math.Min(w - 1, x + k)) + c]);
                    between[3 * (y * w + x) + c] = value;
                }
            }
        }
        var made = Picture.Create(w, h);
        var to = made.Pixels;
        for (var y = 0; y < h; y++)
        {
            for (var k = 0; k < 3 * w; k++)
            {
                var value = weights[0] * between[3 * w * y + k];
                for (var d = 1; d <= reach; d++)
                    value += weights[d] * (between[3 * w * Math.Max(0, y - d) + k] + between[3 * w * Math.Min(h - 1, y + d) + k]);
                to[3 * w * y + k] = (byte)Math.Clamp(value + 0.5f, 0, 255);
            }
        }
        return made;
    }

    private static void Map(Picture picture, Func<byte, byte> function)
    {
        Span<byte> table = stackalloc byte[256];
        for (var k = 0; k < 256; k++) table[k] = function((byte)k);
        var pixels = picture.Pixels;
        for (var k = 0; k < pixels.Length; k++) pixels[k] = table[pixels[k]];
    }

    private static void Sharpen(Picture picture, double amount)
    {
        var (w, h) = (picture.Width, picture.Height);
        var from = picture.Pixels.ToArray();
        var pixels = picture.Pixels;
        for (var y = 1; y < h - 1; y++)
        {
            for (var k = 3 * (y * w + 1); k < 3 * (y * w + w - 1); k++)
            {
                var around = from[k - 3] + from[k + 3] + from[k - 3 * w] + from[k + 3 * w] + from[k - 3 * w - 3] + from[k - 3 * w + 3]
                    + from[k + 3 * w - 3] + from[k + 3 * w + 3];
                var smooth = (around + 5 * from[k]) / 13.0;
                pixels[k] = Clip(from[k] + amount * (from[k] - smooth));
            }
        }
    }

    private static void StretchLevels(Picture picture)
    {
        var pixels = picture.Pixels;
        for (var c = 0; c < 3; c++)
        {
            byte low = 255, high = 0;
            for (var k = c; k < pixels.Length; k += 3) (low, high) = (Math.Min(low, pixels[k]), Math.Max(high, pixels[k]));
            if (high <= low) continue;
            for (var k = c; k < pixels.Length; k += 3) pixels[k] = Clip(255.0 * (pixels[k] - low) / (high - low));
        }
    }

    private static void Equalise(Picture picture)
    {
        var pixels = picture.Pixels;
        Span<int> counts = stackalloc int[256];
        for (var c = 0; c < 3; c++)
        {
            counts.Clear();
            for (var k = c; k < pixels.Length; k += 3) counts[pixels[k]]++;
            var total = pixels.Length / 3;
            for (int k = 0, below = 0; k < 256; k++) (counts[k], below) = ((int)(255L * below / Math.Max(1, total - 1)), below + counts[k]);
            for (var k = c; k < pixels.Length; k += 3) pixels[k] = (byte)Math.Min(255, counts[pixels[k]]);
        }
    }
}
