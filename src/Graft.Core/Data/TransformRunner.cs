namespace Graft.Data;

/// <summary>
/// Runs a <see cref="Preprocessing"/> on a picture. Crops, resizes and flips are only noted, and done in one pass at the
/// end (with the normalisation) or before a step that changes pixels.
/// </summary>
internal static unsafe class TransformRunner
{
    /// <summary>What is still to be done to <see cref="Picture"/>: Source, resized to Width×Height, cut to Window, flipped.</summary>
    private struct Pending
    {
        public Picture Picture;
        public bool Owned;
        public Box Source, Window;
        public int Width, Height;
        public bool Flip, Cubic;

        public static Pending Of(Picture picture, bool owned) => new()
        {
            Picture = picture, Owned = owned, Width = picture.Width, Height = picture.Height,
            Source = new Box(0, 0, picture.Width, picture.Height), Window = new Box(0, 0, picture.Width, picture.Height),
        };

        public readonly bool IsResized => Width != Source.Width || Height != Source.Height;
        public readonly Resampling.Spec Spec => new(Source, Width, Height, Window, Flip, Cubic);

        /// <summary>Does what is pending, so that pixels can be changed.</summary>
        public void Flush()
        {
            if (Owned && !IsResized && !Flip && Window == new Box(0, 0, Picture.Width, Picture.Height)) return;
            var made = Picture.Create(Window.Width, Window.Height);
            Resampling.ToBytes(Picture, Spec, made);
            if (Owned) Picture.Dispose();
            this = Of(made, true);
        }
    }

    /// <summary>Writes 3×H×W (planar) or H×W×3 floats.</summary>
    /// <param name="picture">Left as it is.</param>
    public static void Run(Picture picture, Preprocessing preprocessing, ref Rng rng, bool planar, float* into)
    {
        var pending = Pending.Of(picture, false);
        RandomErasing? erasing = null;
        try
        {
            foreach (var step in preprocessing.Steps)
            {
                if (step is RandomErasing found) erasing = found;
                else Apply(step, ref pending, ref rng);
            }
            if (pending.Window.Width != preprocessing.Width || pending.Window.Height != preprocessing.Height)
            {
                pending.Flush();
                (pending.Width, pending.Height) = (preprocessing.Width, preprocessing.Height);
                pending.Window = new Box(0, 0, preprocessing.Width, preprocessing.Height);
            }
            Resampling.ToFloats(pending.Picture, pending.Spec, preprocessing.Normalize, planar, into);
            if (erasing is not null) Erase(erasing, preprocessing, ref rng, planar, into);
        }
        finally
        {
            if (pending.Owned) pending.Picture.Dispose();
        }
    }

    /// <summary>What of a picture the usual evaluation looks at: the source of its middle, with room for the filter and the chroma; empty for other
    /// steps.</summary>
    public static Box Looked(Preprocessing preprocessing, int width, int height)
    {
        const int Room = 20;
        if (preprocessing.Steps is not [Resize(var side, var filter), CenterCrop(var crop)] || crop > side || width < 1 || height < 1) return default;
        var scale = Math.Min(width, height) / (double)side;
        var reach = (crop / 2.0 + (filter == Filter.Bicubic ? 3 : 2)) * scale + Room;
        int left = Math.Max(0, (int)(width / 2.0 - reach)), top = Math.Max(0, (int)(height / 2.0 - reach));
        return new Box(left, top, Math.Min(width, (int)Math.Ceiling(width / 2.0 + reach)) - left,
            Math.Min(height, (int)Math.Ceiling(height / 2.0 + reach)) - top);
    }

    private static void Apply(Transform step, ref Pending p, ref Rng rng)
    {
        switch (step)
        {
            case Resize(var side, var filter):
                if (p.IsResized || p.Flip) p.Flush();
                p.Cubic = filter == Filter.Bicubic;
                var (w, h) = (p.Window.Width, p.Window.Height);
                p.Source = new Box(p.Source.X + p.Window.X, p.Source.Y + p.Window.Y, w, h);
                (p.Width, p.Height) = w <= h ? (side, (int)((long)side * h / w)) : ((int)((long)side * w / h), side);
                p.Window = new Box(0, 0, p.Width, p.Height);
                break;
            case ResizeExact(var width, var height):
                if (p.IsResized || p.Flip) p.Flush();
                p.Source = new Box(p.Source.X + p.Window.X, p.Source.Y + p.Window.Y, p.Window.Width, p.Window.Height);
                (p.Width, p.Height) = (width, height);
                p.Window = new Box(0, 0, width, height);
                break;
            case CenterCrop(var side):
                if (p.Window.Width < side || p.Window.Height < side) { Apply(new Resize(side), ref p, ref rng); }
                // Halves round to even, as Python's round does.
                var left = (int)Math.Round((p.Window.Width - side) / 2.0, MidpointRounding.ToEven);
                var top = (int)Math.Round((p.Window.Height - side) / 2.0, MidpointRounding.ToEven);
                p.Window = new Box(p.Window.X + left, p.Window.Y + top, side, side);
                break;
            case RandomResizedCrop crop:
                if (p.IsResized || p.Flip) p.Flush();
                var box = DrawBox(crop, p.Window.Width, p.Window.Height, ref rng);
                p.Source = box with { X = box.X + p.Source.X + p.Window.X, Y = box.Y + p.Source.Y + p.Window.Y };
                (p.Width, p.Height) = (crop.Side, crop.Side);
                p.Window = new Box(0, 0, crop.Side, crop.Side);
                break;
            case HorizontalFlip(var probability):
                p.Flip ^= rng.Next() < probability;
                break;
            case RandomCrop crop:
                p.Flush();
                Replace(ref p, PixelOperations.PaddedCrop(p.Picture, crop, ref rng));
                break;
            case Trim trim:
                p.Flush();
                if (PixelOperations.Trim(p.Picture, trim) is { } trimmed) Replace(ref p, trimmed);
                break;
            case Grayscale:
                Own(ref p);
                PixelOperations.ToGrey(p.Picture);
                break;
            case Rotation(var degrees):
                var angle = rng.Next(-degrees, degrees);
                p.Flush();
                Replace(ref p, PixelOperations.Rotate(p.Picture, angle));
                break;
            case ColorJitter jitter:
                Own(ref p);
                PixelOperations.Jitter(p.Picture, jitter, ref rng);
                break;
            case RandAugment augment:
                for (var k = 0; k < augment.Count; k++)
                {
                    Own(ref p);
                    Replace(ref p, PixelOperations.RandAugmentOnce(p.Picture, augment.Strength, ref rng));
                }
                break;
            case Sometimes(var probability, var inner):
                if (rng.Next() < probability) Apply(inner, ref p, ref rng);
                break;
            case GaussianBlur(var least, var most):
                var deviation = rng.Next(least, most);
                p.Flush();
                Replace(ref p, PixelOperations.Blur(p.Picture, deviation));
                break;
            case Solarize(var threshold):
                Own(ref p);
                PixelOperations.Solarize(p.Picture, threshold);
                break;
            default:
                throw new NotSupportedException($"no runner for {step}");
        }
    }

    private static void Own(ref Pending p)
    {
        p.Flush();
        if (p.Owned) return;
        var copy = Picture.Create(p.Picture.Width, p.Picture.Height);
        p.Picture.Pixels.CopyTo(copy.Pixels);
        p = Pending.Of(copy, true);
    }

    private static void Replace(ref Pending p, Picture made)
    {
        if (p.Owned && made != p.Picture) p.Picture.Dispose();
        p = Pending.Of(made, true);
    }

    private static Box DrawBox(RandomResizedCrop crop, int width, int height, ref Rng rng)
    {
        var area = (double)width * height;
        for (var attempt = 0; attempt < 10; attempt++)
        {
            var target = area * rng.Next(crop.MinArea, 1);
            var ratio = Math.Exp(rng.Next(-Math.Log(crop.MaxRatio), Math.Log(crop.MaxRatio)));
            var (w, h) = ((int)Math.Round(Math.Sqrt(target * ratio)), (int)Math.Round(Math.Sqrt(target / ratio)));
            if (w < 1 || h < 1 || w > width || h > height) continue;
            return new Box(rng.Below(width - w + 1), rng.Below(height - h + 1), w, h);
        }
        var side = Math.Min(width, height);
        return new Box((width - side) / 2, (height - side) / 2, side, side);
    }

    private static void Erase(RandomErasing erasing, Preprocessing preprocessing, ref Rng rng, bool planar, float* into)
    {
        if (rng.Next() >= erasing.Probability) return;
        var box = DrawBox(new RandomResizedCrop(0, 0.02, 3.3), preprocessing.Width, preprocessing.Height, ref rng);
        var shrink = Math.Min(1, Math.Sqrt(erasing.MaxArea));
        var (w, h) = (Math.Max(1, (int)(box.Width * shrink)), Math.Max(1, (int)(box.Height * shrink)));
        for (var y = box.Y; y < box.Y + h; y++)
        {
            if (!planar) { new Span<float>(into + 3 * (y * preprocessing.Width + box.X), 3 * w).Clear(); continue; }
            for (var c = 0; c < 3; c++) new Span<float>(into + (c * preprocessing.Height + y) * preprocessing.Width + box.X, w).Clear();
        }
    }
}

/// <summary>A preprocessing by itself: from a picture to the floats that a network takes.</summary>
internal static unsafe class Pipeline
{
    /// <summary>Writes 3×H×W floats.</summary>
    /// <param name="picture">Left as it is.</param>
    /// <param name="preprocessing">Its random steps draw from <paramref name="seed"/>.</param>
    /// <param name="into">At least 3·H·W long.</param>
    /// <param name="seed">Of the random steps.</param>
    public static void Run(Picture picture, Preprocessing preprocessing, Span<float> into, long seed = 0)
    {
        if (into.Length < 3 * preprocessing.Width * preprocessing.Height) throw new ArgumentException($"room for {into.Length} floats, {3 * preprocessing.Width * preprocessing.Height} needed");
        var rng = new Rng(seed);
        fixed (float* start = into) TransformRunner.Run(picture, preprocessing, ref rng, true, start);
    }
}
