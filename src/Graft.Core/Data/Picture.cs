using System.Runtime.InteropServices;

namespace Graft.Data;

/// <summary>A file that is no picture, is cut off, or has more pixels than allowed.</summary>
public sealed class PictureException : GraftException
{
    /// <summary>An error without a message.</summary>
    public PictureException() { }

    /// <summary>What is wrong with the picture.</summary>
    public PictureException(string message) : base(message) { }

    /// <summary>An error that another one caused.</summary>
    public PictureException(string message, Exception inner) : base(message, inner) { }
}

/// <summary>A decoded picture: 8-bit RGB, upright, row by row. Its memory is native: dispose it.</summary>
internal sealed unsafe class Picture : IDisposable
{
    /// <summary>More pixels than this are refused as a decompression bomb (PIL's own limit).</summary>
    public const long PixelLimit = 178_956_970;

    private nint _pixels;

    private Picture(nint pixels, int width, int height)
    {
        (_pixels, Width, Height) = (pixels, width, height);
        if (Bytes > 1 << 16) GC.AddMemoryPressure(Bytes);
    }

    /// <summary>Frees the pixels if it was not disposed.</summary>
    ~Picture() => Free();

    /// <summary>Pixels across.</summary>
    public int Width { get; }

    /// <summary>Pixels down.</summary>
    public int Height { get; }

    /// <summary>Width × height × 3.</summary>
    public long Bytes => 3L * Width * Height;

    /// <summary>Red, green, blue, from the top left.</summary>
    public Span<byte> Pixels => new((void*)Address, checked((int)Bytes));

    internal nint Address => _pixels != 0 ? _pixels : throw new ObjectDisposedException(nameof(Picture));

    /// <summary>An uninitialised picture.</summary>
    public static Picture Create(int width, int height) => new((nint)NativeMemory.Alloc((nuint)(3L * width * height)), width, height);

    /// <summary>A picture of grey levels, one byte a pixel.</summary>
    public static Picture FromGrey(ReadOnlySpan<byte> levels, int width, int height)
    {
        var picture = Create(width, height);
        var pixels = picture.Pixels;
        for (var k = 0; k < levels.Length; k++) pixels[3 * k] = pixels[3 * k + 1] = pixels[3 * k + 2] = levels[k];
        return picture;
    }

    private static bool IsJpeg(ReadOnlySpan<byte> bytes) => bytes is [0xff, 0xd8, 0xff, ..];

    /// <summary>Decodes a file's bytes: JPEG by libjpeg-turbo, everything else (and CMYK JPEG) by libvips; all by NetVips where Graft's own libraries
    /// are not.</summary>
    /// <exception cref="PictureException">Not a picture, cut off, or too large.</exception>
    public static Picture Decode(ReadOnlySpan<byte> bytes) => Decode(bytes, null);

    /// <summary>Decodes as much as a preprocessing looks at: of a JPEG, pixels that it crops away may hold anything.</summary>
    internal static Picture Decode(ReadOnlySpan<byte> bytes, Preprocessing? preprocessing)
    {
        if (bytes.Length == 0) throw new PictureException("the file is empty");
        if (!PictureRoad.IsNative) return NetVipsPictures.Decode(bytes);
        fixed (byte* start = bytes)
        {
            byte* pixels;
            int width, height;
            if (IsJpeg(bytes))
            {
                var region = default(Box);
                if (preprocessing is not null && PictureNative.gp_jpeg_size(start, bytes.Length, &width, &height) == PictureNative.Ok) region =
                    TransformRunner.Looked(preprocessing, width, height);
                var status = PictureNative.gp_jpeg_decode(start, bytes.Length, PixelLimit, &region, &pixels, &width, &height);
                if (status == PictureNative.Ok) return new Picture((nint)pixels, width, height);
                if (status != PictureNative.OtherReader) throw Failure(status, PictureNative.gp_error());
            }
            var other = PictureNative.gv_decode(start, bytes.Length, PixelLimit, &pixels, &width, &height);
            return other == PictureNative.Ok ? new Picture((nint)pixels, width, height) : throw Failure(other, PictureNative.gv_error());
        }
    }

    private static PictureException Failure(int status, nint text)
    {
        var reason = Marshal.PtrToStringUTF8(text) ?? "";
        return status == PictureNative.TooLarge ? TooLarge(reason) : new PictureException($"not a readable picture ({reason})");
    }

    internal static PictureException TooLarge(string size) =>
        new($"{size}, more than the limit of {PixelLimit / 1_000_000} million: a decompression bomb, or a picture to make smaller first");

    /// <summary>Resized with PIL's antialiased filters.</summary>
    public Picture Resize(int width, int height, Filter filter = Filter.Bilinear)
    {
        var resized = Create(width, height);
        Resampling.ToBytes(this, new Resampling.Spec(new Box(0, 0, Width, Height), width, height, new Box(0, 0, width, height), false,
            filter == Filter.Bicubic), resized);
        return resized;
    }

    /// <summary>As JPEG.</summary>
    public byte[] ToJpeg(int quality = 85)
    {
        if (!PictureRoad.IsNative) return NetVipsPictures.ToJpeg(this, quality);
        byte* bytes;
        long length;
        if (PictureNative.gp_jpeg_encode((byte*)Address, Width, Height, quality, &bytes, &length) != PictureNative.Ok)
            throw new PictureException(Marshal.PtrToStringUTF8(PictureNative.gp_error()) ?? "");
        var copy = new ReadOnlySpan<byte>(bytes, checked((int)length)).ToArray();
        NativeMemory.Free(bytes);
        return copy;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        var pixels = Interlocked.Exchange(ref _pixels, 0);
        if (pixels == 0) return;
        NativeMemory.Free((void*)pixels);
        if (Bytes > 1 << 16) GC.RemoveMemoryPressure(Bytes);
    }
}
