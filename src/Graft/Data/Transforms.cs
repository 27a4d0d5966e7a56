using System.Text.Json.Serialization;

namespace Graft.Data;

/// <summary>A step from a decoded picture to a network's input. Steps are records: printed, saved, and part of cache keys.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(Resize), "resize")]
[JsonDerivedType(typeof(ResizeExact), "resize-exact")]
[JsonDerivedType(typeof(CenterCrop), "center-crop")]
[JsonDerivedType(typeof(RandomCrop), "random-crop")]
[JsonDerivedType(typeof(RandomResizedCrop), "random-resized-crop")]
[JsonDerivedType(typeof(HorizontalFlip), "horizontal-flip")]
[JsonDerivedType(typeof(Grayscale), "grayscale")]
[JsonDerivedType(typeof(Rotation), "rotation")]
[JsonDerivedType(typeof(ColorJitter), "color-jitter")]
[JsonDerivedType(typeof(RandAugment), "rand-augment")]
[JsonDerivedType(typeof(RandomErasing), "random-erasing")]
public abstract record Transform
{
    /// <summary>Whether two runs over the same picture may differ.</summary>
    [JsonIgnore]
    public abstract bool IsRandom { get; }
}

/// <summary>How a picture is resized: as PIL does it, antialiased.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Filter>))]
public enum Filter
{
    /// <summary>A triangle.</summary>
    Bilinear,

    /// <summary>Keys 1981 with a = −½.</summary>
    Bicubic,
}

/// <summary>The shorter side to so many pixels, the longer in proportion.</summary>
public sealed record Resize(int Side, Filter Filter = Filter.Bilinear) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;
}

/// <summary>To exactly this size, proportions or not.</summary>
public sealed record ResizeExact(int Width, int Height) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;
}

/// <summary>The middle square of so many pixels a side.</summary>
public sealed record CenterCrop(int Side) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;
}

/// <summary>A square of the picture with a black border of <paramref name="Padding"/> pixels around it.</summary>
public sealed record RandomCrop(int Side, int Padding) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>A random share of the area in a random proportion, resized to a square (Szegedy et al. 2015).</summary>
public sealed record RandomResizedCrop(int Side, double MinArea = 0.08, double MaxRatio = 4.0 / 3) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>Left to right, with a probability.</summary>
public sealed record HorizontalFlip(double Probability = 0.5) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>Three channels that are all the luma of ITU-R 601, as PIL's "L".</summary>
public sealed record Grayscale : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;
}

/// <summary>Turned by up to so many degrees to either side; corners become black.</summary>
public sealed record Rotation(double Degrees) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>Brightness, contrast and saturation times a factor in 1 ± the amount; hue moved by ± the share of a turn.</summary>
public sealed record ColorJitter(double Brightness = 0, double Contrast = 0, double Saturation = 0, double Hue = 0) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>Cubuk et al. 2020: <paramref name="Count"/> operations drawn at random, all at one strength of 0 … 30.</summary>
public sealed record RandAugment(int Count = 2, int Strength = 9) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>Zhong et al. 2020: a rectangle of the normalised input set to zero, with a probability.</summary>
public sealed record RandomErasing(double Probability = 0.25, double MaxArea = 0.33) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;
}

/// <summary>(level / 255 − mean) / std, channel by channel.</summary>
public sealed record Normalize(double[] Mean, double[] Std)
{
    /// <summary>To [−1, 1]: x / 127.5 − 1.</summary>
    public static Normalize Symmetric => new([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);

    /// <summary>By ImageNet's mean and deviation, as torchvision does.</summary>
    public static Normalize ImageNet => new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

    /// <inheritdoc/>
    public bool Equals(Normalize? other) => other is not null && Mean.SequenceEqual(other.Mean) && Std.SequenceEqual(other.Std);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Mean[0], Std[0]);
}

/// <summary>From a picture to a network's input: steps, then normalisation, at a size.</summary>
public sealed record Preprocessing(int Width, int Height, IReadOnlyList<Transform> Steps, Normalize Normalize)
{
    /// <summary>Resize the short side, crop the middle: the usual evaluation of ImageNet networks.</summary>
    public static Preprocessing Evaluation(int resize, int crop, Normalize normalize) => new(crop, crop, [new Resize(resize), new CenterCrop(crop)], normalize);

    /// <summary>Small pictures straight to their size.</summary>
    public static Preprocessing Small(int side, Normalize normalize) => new(side, side, [new ResizeExact(side, side)], normalize);

    /// <summary>Whether two runs over the same picture may differ.</summary>
    [JsonIgnore]
    public bool IsRandom => Steps.Any(step => step.IsRandom);

    /// <summary>Other steps to the same size.</summary>
    public Preprocessing With(params Transform[] steps) => this with { Steps = steps };
}
