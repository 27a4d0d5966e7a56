using Graft.Torch;

namespace Graft.Models.Zoo;

/// <summary>
/// VGG (Simonyan and Zisserman 2015, table 1: A, B, D, E), with BatchNorm or without. The stages fc6 and fc7 are its 4,096 CNN codes,
/// after the ReLU.
/// </summary>
internal sealed class Vgg : PublishedBackbone
{
    private static readonly Dictionary<int, int[]> s_convolutions =
        new() { [11] = [1, 1, 2, 2, 2], [13] = [2, 2, 2, 2, 2], [16] = [2, 2, 3, 3, 3], [19] = [2, 2, 4, 4, 4] };

    /// <summary>Random weights.</summary>
    /// <param name="depth">11, 13, 16, 19.</param>
    /// <param name="norm">With BatchNorm.</param>
    /// <param name="classes">Outputs of the upstream classifier, or null for none.</param>
    public Vgg(int depth, bool norm, int? classes = null) : base($"vgg{depth}{(norm ? "_bn" : "")}")
    {
        var features = new List<Module>();
        var (inputs, from) = (3, 0);
        for (var block = 0; block < 5; block++)
        {
            var outputs = Math.Min(512, 64 << block);
            for (var k = 0; k < s_convolutions[depth][block]; k++, inputs = outputs)
            {
                features.Add(new Conv2d(inputs, outputs, 3, 1, 1));
                if (norm) features.Add(new BatchNorm2d(outputs));
                features.Add(Lambda.Relu());
            }
            features.Add(Lambda.MaxPool(2));
            Add($"s{block + 1}", outputs, [.. features[from..]]);
            from = features.Count;
        }
        Child("features", new Sequential([.. features]));
        Module[] dense = [new Linear(25088, 4096), Lambda.Relu(), new Dropout(), new Linear(4096, 4096), Lambda.Relu(), new Dropout()];
        Add("fc6", 4096, dense[..2], x => dense[1].Forward(dense[0].Forward(x.AdaptiveAvgPool2d([7, 7]).Flatten(1))));
        Add("fc7", 4096, dense[2..5]);
        Classifier("classifier.6", classes, register: false);
        Child("classifier", new Sequential(UpstreamHead is { } head ? [.. dense, head] : dense));
        Finish();
    }
}
