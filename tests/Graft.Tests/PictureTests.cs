using Graft.Data;
using Graft.Testing;

namespace Graft.Tests;

public class PictureTests
{
    private const string MakePictures = """
        import sys, os
        from PIL import Image
        import numpy as np
        out = sys.argv[1]
        rng = np.random.RandomState(0)
        y, x = np.mgrid[0:90, 0:120]
        a = np.stack([x * 2, y * 2, (x + y) % 256], -1).astype(np.uint8)
        rgb = Image.fromarray(a)
        rgb.save(out + '/rgb.png'); rgb.save(out + '/rgb.jpg', quality=92); rgb.save(out + '/rgb.webp', lossless=True); rgb.save(out + '/rgb.tiff'); rgb.save(out + '/rgb.bmp')
        rgb.convert('L').save(out + '/grey.png'); rgb.convert('L').save(out + '/grey.jpg'); rgb.convert('P').save(out + '/palette.gif'); rgb.convert('CMYK').save(out + '/cmyk.jpg', quality=95)
        rgba = rgb.copy(); rgba.putalpha(Image.fromarray((x * 2).astype(np.uint8))); rgba.save(out + '/alpha.png')
        Image.fromarray((x * 500).astype(np.uint16)).save(out + '/deep.png')
        exif = Image.Exif(); exif[0x0112] = 6; rgb.save(out + '/turned.jpg', exif=exif, quality=95)
        """;

    [SkippableFact]
    public unsafe void Decoding_only_what_a_crop_keeps_gives_the_very_same_input()
    {
        var data = DatasetReader.Open(Workshop.Need("hymenoptera")).Validation!;
        var preprocessing = Preprocessing.Evaluation(256, 224, Normalize.ImageNet);
        float[] whole = new float[3 * 224 * 224], part = new float[3 * 224 * 224];
        for (var k = 0; k < data.Count; k++)
        {
            using var all = data.Decode(k);
            using var some = data.Decode(k, preprocessing);
            Pipeline.Run(all, preprocessing, whole);
            Pipeline.Run(some, preprocessing, part);
            Assert.True(whole.AsSpan().SequenceEqual(part), data.Name(k));
        }
    }

    [SkippableFact]
    public void Every_format_becomes_upright_rgb()
    {
        using var shop = new Workshop();
        Workshop.Python(MakePictures, shop.Root);
        foreach (var name in new[] { "rgb.png", "rgb.jpg", "rgb.webp", "rgb.tiff", "rgb.bmp", "grey.png", "grey.jpg", "palette.gif", "cmyk.jpg", "alpha.png", "deep.png" })
        {
            using var picture = Picture.Decode(File.ReadAllBytes(shop[name]));
            Assert.Equal((name, 120, 90), (name, picture.Width, picture.Height));
        }
        using var turned = Picture.Decode(File.ReadAllBytes(shop["turned.jpg"]));
        Assert.Equal((90, 120), (turned.Width, turned.Height));
        // Orientation 6: the picture's left edge was the top; its first row comes from the first column, bottom up.
        Assert.InRange(turned.Pixels[0], 0, 12);
        Assert.InRange(turned.Pixels[1], 160, 190);
        using var png = Picture.Decode(File.ReadAllBytes(shop["rgb.png"]));
        Assert.Equal(200, png.Pixels[3 * 100]);
        using var alpha = Picture.Decode(File.ReadAllBytes(shop["alpha.png"]));
        Assert.Equal(255, alpha.Pixels[0]);
        using var deep = Picture.Decode(File.ReadAllBytes(shop["deep.png"]));
        Assert.InRange(deep.Pixels[3 * 100], 100 * 500 / 257 - 2, 100 * 500 / 257 + 2);
    }

    [SkippableTheory]
    [InlineData(Filter.Bilinear)]
    [InlineData(Filter.Bicubic)]
    public void Resizing_agrees_with_PIL_to_one_level(Filter filter)
    {
        using var shop = new Workshop();
        var file = Directory.EnumerateFiles(Workshop.Need("hymenoptera", "val", "ants")).Order().First();
        foreach (var (width, height) in new[] { (256, 171), (97, 64), (700, 900), (33, 33) })
        {
            Workshop.Python("import sys\nfrom PIL import Image\nimg = Image.open(sys.argv[1]).convert('RGB').resize((int(sys.argv[3]), int(sys.argv[4])), getattr(Image, sys.argv[5]))\nopen(sys.argv[2], 'wb').write(img.tobytes())", file, shop["raw"], $"{width}", $"{height}", filter.ToString().ToUpperInvariant());
            using var picture = Picture.Decode(File.ReadAllBytes(file));
            using var resized = picture.Resize(width, height, filter);
            var theirs = File.ReadAllBytes(shop["raw"]);
            var ours = resized.Pixels.ToArray();
            Assert.Equal(theirs.Length, ours.Length);
            Assert.True(Enumerable.Range(0, ours.Length).Max(k => Math.Abs(ours[k] - theirs[k])) is var most && most <= 1, $"{width}×{height}: {most} levels apart");
        }
    }

    [SkippableFact]
    public void Evaluation_preprocessing_is_torchvisions()
    {
        using var shop = new Workshop();
        foreach (var file in Directory.EnumerateFiles(Workshop.Need("hymenoptera", "val", "bees"), "*.jpg").Order().Take(5))
        {
            Workshop.Python("""
                import sys
                from PIL import Image
                from torchvision import transforms as T
                t = T.Compose([T.Resize(256), T.CenterCrop(224), T.ToTensor(), T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
                open(sys.argv[2], 'wb').write(t(Image.open(sys.argv[1]).convert('RGB')).numpy().tobytes())
                """, file, shop["raw"]);
            var theirs = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(shop["raw"])).ToArray();
            using var picture = Picture.Decode(File.ReadAllBytes(file));
            var ours = new float[3 * 224 * 224];
            Pipeline.Run(picture, Preprocessing.Evaluation(256, 224, Normalize.ImageNet), ours);
            // One level is 1 / (255 · 0.224).
            Assert.True(ours.Zip(theirs, (a, b) => Math.Abs(a - b)).Max() <= 1.01 / (255 * 0.224));
        }
    }

    [Fact]
    public void What_is_no_picture_is_refused_with_the_reason()
    {
        string Refusal(byte[] bytes) => Assert.Throws<PictureException>(() => Picture.Decode(bytes)).Message;
        Assert.Contains("empty", Refusal([]), StringComparison.Ordinal);
        Assert.Contains("not a readable picture", Refusal("this is a text"u8.ToArray()), StringComparison.Ordinal);
        using var drawn = Quickstart.ShapeWorld.Draw("gear", 1);
        using var large = drawn.Resize(200, 200);
        var jpeg = large.ToJpeg();
        Assert.Contains("cut off", Refusal(jpeg[..(jpeg.Length / 2)]), StringComparison.Ordinal);
        Assert.Contains("not a readable picture", Refusal([0xff, 0xd8, 0xff, 1, 2, 3]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_png_bomb_is_refused_before_it_is_unpacked()
    {
        // A header of 50,000 × 50,000 pixels, with nothing behind it.
        var ihdr = new byte[] { 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 8, 2, 0, 0, 0 };
        byte[] Chunk(string type, byte[] data)
        {
            byte[] named = [.. System.Text.Encoding.ASCII.GetBytes(type), .. data];
            var length = BitConverter.GetBytes(data.Length);
            var crc = BitConverter.GetBytes(Crc(named));
            Array.Reverse(length);
            Array.Reverse(crc);
            return [.. length, .. named, .. crc];
        }
        static uint Crc(byte[] bytes)
        {
            var crc = uint.MaxValue;
            foreach (var value in bytes)
            {
                crc ^= value;
                for (var k = 0; k < 8; k++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
            }
            return ~crc;
        }
        var bomb = new byte[] { 0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10 }.Concat(Chunk("IHDR", ihdr)).Concat(Chunk("IDAT", [0x78, 0x9c, 3, 0, 0, 0, 0, 1])).Concat(Chunk("IEND", [])).ToArray();
        Assert.Contains("50000x50000", Assert.Throws<PictureException>(() => Picture.Decode(bomb)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Augmentations_depend_on_the_seed_only()
    {
        using var picture = Quickstart.ShapeWorld.Draw("arrow", 3);
        var preprocessing = Preprocessing.Small(32, Normalize.Symmetric).With(new RandomResizedCrop(32, 0.5), new HorizontalFlip(), new Rotation(20), new ColorJitter(0.3, 0.3, 0.3, 0.1), new RandAugment(), new RandomErasing(1));
        float[] Run(long seed)
        {
            var into = new float[3 * 32 * 32];
            Pipeline.Run(picture, preprocessing, into, seed);
            return into;
        }
        Assert.Equal(Run(5), Run(5));
        Assert.NotEqual(Run(5), Run(6));
        Assert.All(Run(7), value => Assert.InRange(value, -1.001f, 1.001f));
    }
}
