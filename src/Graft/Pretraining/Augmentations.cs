using Graft.Data;

namespace Graft.Pretraining;

/// <summary>Views as the papers draw them, at the size that a backbone takes.</summary>
internal static class Augmentations
{
    // Below it a blur takes away what a picture shows, and CIFAR's experiments leave it out (Chen et al. 2020, appendix B.9).
    private const int SmallSide = 64;

    /// <summary>SimCLR's (Chen et al. 2020, appendix A): a part, mirrored or not, its colours changed, grey or not, blurred where pictures are large.</summary>
    /// <param name="usual">What the backbone expects.</param>
    /// <param name="strength">Of the change of colours: 1 for photographs, 0.5 for CIFAR.</param>
    /// <param name="blur">Probability of a blur, of large pictures.</param>
    /// <param name="solarize">Probability that bright levels are turned round, of large pictures.</param>
    /// <param name="minArea">The least share of a picture that a view shows; null: 0.08, of small pictures 0.2.</param>
    /// <param name="side">Pixels; null: the backbone's.</param>
    public static Preprocessing Contrastive(Preprocessing usual, double? strength = null, double blur = 0.5, double solarize = 0, double? minArea = null,
        int? side = null)
    {
        var small = usual.Width <= SmallSide;
        var s = strength ?? (small ? 0.5 : 1);
        var pixels = side ?? usual.Width;
        List<Transform> steps =
        [
            new RandomResizedCrop(pixels, minArea ?? (small ? 0.2 : 0.08)), new HorizontalFlip(),
            new Sometimes(0.8, new ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)), new Sometimes(0.2, new Grayscale()),
        ];
        if (!small && blur > 0) steps.Add(new Sometimes(blur, new GaussianBlur(0.1, 2)));
        if (!small && solarize > 0) steps.Add(new Sometimes(solarize, new Solarize()));
        return usual with { Width = pixels, Height = pixels, Steps = steps };
    }

    /// <summary>A part of the picture, mirrored or not: for methods that want the colours as they are.</summary>
    public static Preprocessing Plain(Preprocessing usual, double minArea = 0.5) =>
        usual with { Steps = [new RandomResizedCrop(usual.Width, minArea), new HorizontalFlip()] };
}
