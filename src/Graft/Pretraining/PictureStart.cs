using Graft.Data;
using Graft.Learning;
using Graft.Models.Zoo;
using Graft.Torch;

namespace Graft.Pretraining;

/// <summary>The network that a pretraining on pictures begins with, where no weights are given.</summary>
internal static class PictureStart
{
    // What is no larger is seen whole; what is larger is a photograph.
    private const int SmallSide = 96, PhotographSide = 128;

    // A dense layer has a weight for every pixel.
    private const int DenseSide = 32;

    private const int Looked = 16, Compared = 64;

    // A hundred pictures a second can be trained on two cores.
    private const string SmallWidths = "64-128-256";

    /// <summary>An architecture with random weights at a size that fits the pictures.</summary>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Create(Dataset items, PretrainOptions options, string? usual)
    {
        var side = options.Input.Size ?? Side(items);
        var spec = BackboneSpec.Parse(options.Backbone ?? usual ?? (side <= SmallSide ? "convnet" : "resnet18"));
        var name = spec.Name;
        if (EncoderShape.Knows(name)) throw new GraftException($"{name} reads text, and {options.Data} holds pictures");
        var backbone = BackboneCatalogue.Create(name switch
        {
            "convnet" => spec.Else(("widths", SmallWidths), ("side", $"{side}")),
            "mlp" => spec.Else(("side", $"{Math.Min(side, DenseSide)}"), ("channels", AreGrey(items) ? "1" : "3")),
            VisionTransformer.FreeName => Squares(spec, side),
            _ when ResNet.Names.Contains(name) && side <= SmallSide => spec.Else((ResNet.StemKey, ResNet.SmallStem)),
            _ => spec,
        });
        IReadOnlyList<string> notes = options.Backbone is null
            ? [$"no --backbone and no --weights were given: {backbone.Spec} from random weights, at {backbone.Preprocessing.Width}×{backbone.Preprocessing.Height} pixels"]
            : [];
        // What has a weight for every place keeps its size; so does an architecture of one size; the others see pictures at the size that they have.
        if (backbone is Mlp or VisionTransformer { Architecture: VisionTransformer.FreeName })
            return ((options.Input with { Size = null }).Apply(backbone), notes);
        var at = options.Input.Size is null && backbone.Preprocessing.Width > side ? options.Input with { Size = side } : options.Input;
        backbone = backbone.Spec["side"] is null && name.StartsWith("cifar", StringComparison.Ordinal) ? backbone : at.Apply(backbone);
        return (backbone, notes);
    }

    /// <summary>Some 64 squares: more cost more than they show, fewer leave nothing to tell what is hidden from.</summary>
    private static BackboneSpec Squares(BackboneSpec spec, int side)
    {
        var patch = spec.Number("patch", Math.Max(2, side / 8));
        return spec.Else(("patch", $"{patch}"), ("side", $"{Math.Max(2, side / patch) * patch}"));
    }

    /// <summary>The shorter side of the pictures, as the first ones have it.</summary>
    public static int Side(Dataset items)
    {
        var sides = First(items, picture => Math.Min(picture.Width, picture.Height)).Order().ToArray();
        if (sides.Length == 0) return PhotographSide;
        var middle = sides[sides.Length / 2];
        return middle <= SmallSide ? Math.Max(16, middle) : PhotographSide;
    }

    /// <summary>Whether the first pictures have no colours.</summary>
    public static bool AreGrey(Dataset items) => First(items, picture =>
    {
        var pixels = picture.Pixels;
        for (var k = 0; k + 2 < pixels.Length; k += 3)
        {
            if (pixels[k] != pixels[k + 1] || pixels[k] != pixels[k + 2]) return false;
        }
        return true;
    }).All(grey => grey);

    private static List<T> First<T>(Dataset items, Func<Picture, T> ask)
    {
        var answers = new List<T>();
        for (var k = 0; k < items.Count && answers.Count < Looked; k++)
        {
            try
            {
                using var picture = items.Decode(k);
                answers.Add(ask(picture));
            }
            catch (PictureException)
            {
                // Told when all of them are read.
            }
        }
        return answers;
    }

    /// <summary>Refuses pictures that are all one: there is nothing in them to learn.</summary>
    /// <exception cref="GraftException">They are.</exception>
    public static void RequireDifferent(PretrainMaterial material)
    {
        var step = Math.Max(1, material.Usable.Length / Compared);
        int[] some = [.. material.Usable.Where((_, k) => k % step == 0).Take(Compared)];
        using var scope = new TensorScope();
        var pictures = Loader.Inputs(material.Pictures!, some, material.Backbone.Preprocessing, true, _ => new Rng(0));
        if ((pictures - pictures.Narrow(0, 0, 1)).Abs().Max().Item() > 0) return;
        var compared = some.Length == material.Usable.Length ? $"all {some.Length}" : $"{some.Length} of them, spread over all,";
        throw new GraftException($"the pictures of {material.Options.Data} are all alike ({compared} compared): there is nothing to learn. Give pictures of "
            + "different things");
    }
}
