using System.Runtime.InteropServices;
using System.Text.Json;
using Graft.Data;
using Graft.Testing;

namespace Graft.Tests;

/// <summary>The page of graft export --to web prepares pictures as Graft does. Its script runs in Node here, from the same pixels.</summary>
public sealed class PagePreparationTests : IDisposable
{
    private const string Script = """
        import fs from "node:fs";
        import { prepare } from "./picture.mjs";
        const { pictures, preprocessings } = JSON.parse(fs.readFileSync("cases.json", "utf8"));
        for (const { file, width, height } of pictures) {
          const picture = { width, height, pixels: new Uint8Array(fs.readFileSync(file)) };
          preprocessings.forEach((wanted, k) => fs.writeFileSync(`${file}.${k}`, new Uint8Array(prepare(picture, wanted).buffer)));
        }
        """;

    private static readonly (int Width, int Height)[] s_sizes = [(500, 375), (375, 500), (225, 225), (40, 31), (7, 300), (1, 1)];

    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private static Preprocessing[] Preprocessings =>
    [
        Preprocessing.Evaluation(256, 224, Normalize.ImageNet),
        Preprocessing.Evaluation(256, 224, Normalize.ImageNet) with { Steps = [new Resize(248, Filter.Bicubic), new CenterCrop(224)] },
        Preprocessing.Small(32, Normalize.Symmetric),
        Preprocessing.Small(28, Normalize.Levels) with { Steps = [new Grayscale(), new ResizeExact(28, 28)] },
        Preprocessing.Small(64, new Normalize([0.1, 0.2, 0.3], [0.9, 0.8, 0.7])) with { Steps = [new Trim(), new ResizeExact(64, 64)] },
        Preprocessing.Small(64, Normalize.Symmetric) with { Steps = [new Trim(0.2, 0.1, 3), new Grayscale(), new Resize(72, Filter.Bicubic), new CenterCrop(64)] },
        new(97, 65, [new Resize(100)], Normalize.Symmetric),
        new(96, 96, [new CenterCrop(96)], Normalize.Symmetric),
        new(33, 33, [new CenterCrop(101), new Resize(225, Filter.Bicubic)], Normalize.Symmetric),
        new(50, 50, [new Resize(225, Filter.Bicubic), new ResizeExact(60, 40)], Normalize.Symmetric),
        new(20, 30, [], Normalize.ImageNet),
    ];

    [SkippableFact]
    public void The_page_prepares_pictures_as_Graft_does_to_the_last_bit()
    {
        Skip.IfNot(HasNode, "Node is not here");
        var wanted = Preprocessings;
        var pictures = s_sizes.Select((size, k) => Drawn(size.Width, size.Height, k)).ToArray();
        File.Copy(Path.Combine(Workshop.Repository, "src", "Graft", "Exports", "Web", "picture.js"), _shop["picture.mjs"]);
        File.WriteAllText(_shop["run.mjs"], $"process.chdir({JsonSerializer.Serialize(_shop.Root)});\n{Script}");
        File.WriteAllText(_shop["cases.json"], JsonSerializer.Serialize(new
        {
            pictures = pictures.Select((picture, k) => new { file = $"{k}.rgb", width = picture.Width, height = picture.Height }),
            preprocessings = wanted.Select(one => JsonDocument.Parse(one.ToJson()).RootElement),
        }));
        for (var k = 0; k < pictures.Length; k++) File.WriteAllBytes(_shop[$"{k}.rgb"], pictures[k].Pixels.ToArray());
        var (status, _, errors) = Workshop.Run("node", [_shop["run.mjs"]]);
        Assert.True(status == 0, errors);
        for (var k = 0; k < pictures.Length; k++)
        {
            for (var i = 0; i < wanted.Length; i++)
            {
                var expected = new float[3 * wanted[i].Width * wanted[i].Height];
                Pipeline.Run(pictures[k], wanted[i], expected);
                var found = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(_shop[$"{k}.rgb.{i}"])).ToArray();
                Assert.True(expected.AsSpan().SequenceEqual(found), $"{pictures[k].Width}×{pictures[k].Height}, {wanted[i]}");
            }
            pictures[k].Dispose();
        }
    }

    private static bool HasNode => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "node")));

    /// <summary>Noise on a plain ground, so that there is something to trim; the ground shows where the picture is large enough.</summary>
    private static Picture Drawn(int width, int height, int seed)
    {
        var picture = Picture.Create(width, height);
        var rng = new Random(seed);
        var pixels = picture.Pixels;
        for (var k = 0; k < pixels.Length; k++)
        {
            var (x, y) = (k / 3 % width, k / 3 / width);
            var ground = x < width / 5 || y < height / 4 || x >= width - width / 6 || y >= height - height / 7;
            pixels[k] = ground ? (byte)(200 + k % 3 + rng.Next(3)) : (byte)rng.Next(256);
        }
        return picture;
    }
}
