using Graft.Data;
using Graft.Models.Zoo;

namespace Graft.Pretraining;

/// <summary>The network that a pretraining on pictures begins with, where no weights are given.</summary>
internal static class PictureStart
{
    // What is no larger is seen whole; what is larger is a photograph.
    private const int SmallSide = 96, PhotographSide = 128;

    // A hundred pictures a second can be trained on two cores.
    private const string SmallWidths = "64-128-256";

    /// <summary>An architecture with random weights at a size that fits the pictures.</summary>
    public static (Backbone Backbone, IReadOnlyList<string> Notes) Create(Dataset items, PretrainOptions options, string? usual)
    {
        var side = options.Input.Size ?? Side(items);
        var name = options.Backbone ?? usual ?? (side <= SmallSide ? "convnet" : "resnet18");
        if (EncoderShape.Knows(name)) throw new GraftException($"{name} reads text, and {options.Data} holds pictures");
        var backbone = name switch
        {
            "convnet" => BackboneCatalogue.Create(name, null, new Dictionary<string, string> { ["widths"] = SmallWidths, ["side"] = $"{side}" }),
            _ when ResNet.Names.Contains(name) && side <= SmallSide =>
                BackboneCatalogue.Create(name, null, new Dictionary<string, string> { [ResNet.StemKey] = ResNet.SmallStem }),
            _ => BackboneCatalogue.Create(name),
        };
        // An architecture of one size keeps it; the others see pictures at the size that they have.
        var at = options.Input.Size is null && backbone.Preprocessing.Width > side ? options.Input with { Size = side } : options.Input;
        backbone = backbone.Spec["side"] is null && name.StartsWith("cifar", StringComparison.Ordinal) ? backbone : at.Apply(backbone);
        return (backbone, options.Backbone is null && usual is null
            ? [$"no --backbone and no --weights were given: {backbone.Spec} from random weights, at {backbone.Preprocessing.Width}×{backbone.Preprocessing.Height} pixels"]
            : []);
    }

    /// <summary>The shorter side of the pictures, as the first ones have it.</summary>
    private static int Side(Dataset items)
    {
        var sides = new List<int>();
        for (var k = 0; k < items.Count && sides.Count < 16; k++)
        {
            try
            {
                using var picture = items.Decode(k);
                sides.Add(Math.Min(picture.Width, picture.Height));
            }
            catch (PictureException)
            {
                // Told when all of them are read.
            }
        }
        if (sides.Count == 0) return PhotographSide;
        sides.Sort();
        var middle = sides[sides.Count / 2];
        return middle <= SmallSide ? Math.Max(16, middle) : PhotographSide;
    }
}
