using System.Buffers.Binary;

namespace Graft.Data;

/// <summary>Windows bitmaps as nearly all programs write them: 24 or 32 bits a pixel, not compressed. NetVips's libvips reads none.</summary>
internal static class Bitmap
{
    private const int FileHeader = 14, InfoHeader = 40, NotCompressed = 0, Masks = 3;

    /// <summary>Decodes a bitmap.</summary>
    /// <exception cref="PictureException">Cut off, too large, or of a rarer kind.</exception>
    public static Picture Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < FileHeader + InfoHeader) throw Broken("it is cut off");
        int Number(ReadOnlySpan<byte> from, int at) => BinaryPrimitives.ReadInt32LittleEndian(from[at..]);
        var (start, header) = (Number(bytes, 10), Number(bytes, FileHeader));
        var (width, signed) = (Number(bytes, FileHeader + 4), Number(bytes, FileHeader + 8));
        var bits = BinaryPrimitives.ReadInt16LittleEndian(bytes[(FileHeader + 14)..]);
        var compression = Number(bytes, FileHeader + 16);
        if (header < InfoHeader || width < 1 || signed is 0 or int.MinValue || start < FileHeader + InfoHeader) throw Broken("its header is damaged");
        var height = Math.Abs(signed);
        if ((long)width * height > Picture.PixelLimit) throw Picture.TooLarge($"{width}x{height} pixels");
        // With masks, only those of the usual order: blue, green, red.
        var usual = compression == NotCompressed || (compression == Masks && bits == 32 && bytes.Length >= FileHeader + InfoHeader + 12
            && (Number(bytes, FileHeader + InfoHeader), Number(bytes, FileHeader + InfoHeader + 4),
                Number(bytes, FileHeader + InfoHeader + 8)) is (0xff0000, 0xff00, 0xff));
        if (bits is not (24 or 32) || !usual) throw Broken($"a bitmap of {bits} bits a pixel, compression {compression}: 24 and 32 bits, not compressed, are read. Save it as PNG");
        var (size, stride) = (bits / 8, ((long)width * bits + 31) / 32 * 4);
        if (start + stride * height > bytes.Length) throw Broken("it is cut off");
        var picture = Picture.Create(width, height);
        var pixels = picture.Pixels;
        for (var y = 0; y < height; y++)
        {
            // From the bottom up, unless the height is below zero.
            var row = bytes.Slice((int)(start + stride * (signed > 0 ? height - 1 - y : y)), width * size);
            var into = pixels.Slice(3 * width * y, 3 * width);
            for (var x = 0; x < width; x++) (into[3 * x], into[3 * x + 1], into[3 * x + 2]) = (row[size * x + 2], row[size * x + 1], row[size * x]);
        }
        return picture;
    }

    private static PictureException Broken(string why) => new($"not a readable picture ({why})");
}
