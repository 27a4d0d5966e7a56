using NetVips;

namespace Graft.Data;

/// <summary>
/// Pictures by NetVips, whose packages bring libvips for Linux, Windows and macOS: the road where Graft's own libraries are not. As native/vips.cpp
/// does
/// it: upright, 8 bits, RGB, transparency laid on white.
/// </summary>
internal static class NetVipsPictures
{
    private static readonly Lazy<bool> s_started = new(Start);

    private static bool Start()
    {
        // Lanes are parallel across pictures already.
        NetVips.NetVips.Concurrency = 1;
        Cache.Max = 0;
        NetVips.NetVips.BlockUntrusted = true;
        return true;
    }

    /// <summary>Decodes a file's bytes.</summary>
    /// <exception cref="PictureException">Not a picture, cut off, or too large.</exception>
    public static unsafe Picture Decode(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _ = s_started.Value;
            if (!IsKnown(bytes)) throw new PictureException("not a readable picture (not a picture: the first bytes are of no known format)");
            if (bytes is [(byte)'B', (byte)'M', ..]) return Bitmap.Decode(bytes);
            using var read = Image.NewFromBuffer(bytes.ToArray(), access: Enums.Access.Sequential, failOn: Enums.FailOn.Truncated);
            if ((long)read.Width * read.Height > Picture.PixelLimit) throw Picture.TooLarge($"{read.Width}x{read.Height} pixels");
            using var steps = new Steps(read);
            if (read.Contains("orientation") && read.Get("orientation") is int and > 1)
            {
                // Turning reads out of order, so the picture is first brought into memory.
                steps.Do(image => image.CopyMemory());
                steps.Do(image => image.Autorot());
            }
            if (steps.Now.Interpretation != Enums.Interpretation.Multiband) steps.Do(image => image.Colourspace(Enums.Interpretation.Srgb));
            if (steps.Now.HasAlpha()) steps.Do(image => image.Flatten(background: [255.0]));
            if (steps.Now.Format != Enums.BandFormat.Uchar) steps.Do(image => image.Cast(Enums.BandFormat.Uchar));
            if (steps.Now.Bands < 3)
            {
                steps.Do(image => image[0]);
                steps.Do(image => image.Bandjoin(image, image));
            }
            else if (steps.Now.Bands > 3) steps.Do(image => image.ExtractBand(0, n: 3));
            var made = Picture.Create(steps.Now.Width, steps.Now.Height);
            try
            {
                steps.Now.WriteToMemory<byte>().CopyTo(made.Pixels);
                return made;
            }
            catch
            {
                made.Dispose();
                throw;
            }
        }
        catch (VipsException reason)
        {
            throw new PictureException($"not a readable picture ({Sentence(reason)})", reason);
        }
        catch (Exception reason) when (reason is DllNotFoundException or TypeInitializationException)
        {
            throw new GraftException("no reader of pictures is here: add the package NetVips.Native to the program, or Graft's own libraries beside it", reason);
        }
    }

    /// <summary>As JPEG.</summary>
    public static byte[] ToJpeg(Picture picture, int quality)
    {
        _ = s_started.Value;
        using var image = Image.NewFromMemory(picture.Pixels.ToArray(), picture.Width, picture.Height, 3, Enums.BandFormat.Uchar);
        return image.JpegsaveBuffer(q: quality);
    }

    private static string Sentence(VipsException reason) =>
        (reason.Message.Split('\n') is [_, { Length: > 0 } second, ..] ? second : reason.Message.Split('\n')[0]).Trim();

    // Without PPM, which this libvips has no reader of. Formats are told by their first bytes: an unknown one is refused before any loader sees it.
    private static bool IsKnown(ReadOnlySpan<byte> b) =>
        b is [0xff, 0xd8, 0xff, ..] or [0x89, (byte)'P', (byte)'N', (byte)'G', ..] or [(byte)'G', (byte)'I', (byte)'F', (byte)'8', ..]
            or [(byte)'I', (byte)'I', (byte)'*' or (byte)'+', 0, ..]
            or [(byte)'M', (byte)'M', 0, (byte)'*' or (byte)'+', ..] or [(byte)'B', (byte)'M', ..]
        || (b.Length >= 12 && ((b.StartsWith("RIFF"u8) && b[8..].StartsWith("WEBP"u8)) || b[4..].StartsWith("ftyp"u8)));

    /// <summary>One image after another: each frees the one before it at the end.</summary>
    private sealed class Steps(Image first) : IDisposable
    {
        private readonly List<Image> _made = [];

        public Image Now { get; private set; } = first;

        public void Do(Func<Image, Image> step) => _made.Add(Now = step(Now));

        public void Dispose()
        {
            for (var k = _made.Count - 1; k >= 0; k--) _made[k].Dispose();
        }
    }
}

/// <summary>Which libraries this process reads pictures with: one road, from the first picture to the last.</summary>
internal static class PictureRoad
{
    /// <summary>Graft's own (TurboJPEG and Debian's libvips), where they are; else NetVips. <c>GRAFT_PICTURES=netvips</c> or <c>native</c> says
    /// which.</summary>
    public static bool IsNative { get; } = Environment.GetEnvironmentVariable("GRAFT_PICTURES") switch
    {
        "netvips" => false,
        "native" => true,
        null or "" => System.Runtime.InteropServices.NativeLibrary.TryLoad("graft_pictures", typeof(PictureRoad).Assembly, null, out _),
        var other => throw Bounds.Refuse($"GRAFT_PICTURES={other}: netvips or native"),
    };
}
