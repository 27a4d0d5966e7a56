using System.Globalization;
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
[JsonDerivedType(typeof(Trim), "trim")]
[JsonDerivedType(typeof(Rotation), "rotation")]
[JsonDerivedType(typeof(ColorJitter), "color-jitter")]
[JsonDerivedType(typeof(RandAugment), "rand-augment")]
[JsonDerivedType(typeof(RandomErasing), "random-erasing")]
[JsonDerivedType(typeof(Sometimes), "sometimes")]
[JsonDerivedType(typeof(GaussianBlur), "gaussian-blur")]
[JsonDerivedType(typeof(Solarize), "solarize")]
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

    /// <inheritdoc/>
    public override string ToString() => $"shorter side to {Side}{(Filter == Filter.Bicubic ? ", bicubic" : "")}";
}

/// <summary>To exactly this size, proportions or not.</summary>
public sealed record ResizeExact(int Width, int Height) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;

    /// <inheritdoc/>
    public override string ToString() => $"resize to {Width}×{Height}";
}

/// <summary>The middle square of so many pixels a side.</summary>
public sealed record CenterCrop(int Side) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;

    /// <inheritdoc/>
    public override string ToString() => $"middle {Side}×{Side}";
}

/// <summary>A square of the picture with a black border of <paramref name="Padding"/> pixels around it.</summary>
public sealed record RandomCrop(int Side, int Padding) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => $"{Side}×{Side} at random, {Padding} pixels of border";
}

/// <summary>A random share of the area in a random proportion, resized to a square (Szegedy et al. 2015).</summary>
public sealed record RandomResizedCrop(int Side, double MinArea = 0.08, double MaxRatio = 4.0 / 3) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"a random part of at least {100 * MinArea:0.#}% to {Side}×{Side}");
}

/// <summary>Left to right, with a probability.</summary>
public sealed record HorizontalFlip(double Probability = 0.5) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"mirrored with probability {Probability:0.##}");
}

/// <summary>Three channels that are all the luma of ITU-R 601, as PIL's "L".</summary>
public sealed record Grayscale : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;

    /// <inheritdoc/>
    public override string ToString() => "grey";
}

/// <summary>
/// The square around what is drawn on a plain ground (ink on paper, a part on a table): everything that differs from the corners'
/// colour by more than <paramref name="Tolerance"/> levels, with a margin of a share of its side. So drawings of every size fill
/// the input alike. A picture without a plain ground, or with nothing on it, stays as it is.
/// </summary>
/// <param name="Margin">A share of the square's side, on each side.</param>
/// <param name="Least">The square has at least this share of the picture's shorter side, so that a dot stays a dot.</param>
/// <param name="Tolerance">Levels of 0 … 255.</param>
public sealed record Trim(double Margin = 0.075, double Least = 0.4, int Tolerance = 24) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;

    /// <inheritdoc/>
    public override string ToString() => "cut out of its plain ground";
}

/// <summary>Turned by up to so many degrees to either side; corners become black.</summary>
public sealed record Rotation(double Degrees) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"turned by up to {Degrees:0.#}°");
}

/// <summary>Brightness, contrast and saturation times a factor in 1 ± the amount; hue moved by ± the share of a turn.</summary>
public sealed record ColorJitter(double Brightness = 0, double Contrast = 0, double Saturation = 0, double Hue = 0) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"brightness ±{Brightness:0.##}, contrast ±{Contrast:0.##}, saturation ±{Saturation:0.##}, hue ±{Hue:0.##}");
}

/// <summary>Cubuk et al. 2020: <paramref name="Count"/> operations drawn at random, all at one strength of 0 … 30.</summary>
public sealed record RandAugment(int Count = 2, int Strength = 9) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => $"{Count} random changes of strength {Strength}";
}

/// <summary>Zhong et al. 2020: a rectangle of the normalised input set to zero, with a probability.</summary>
public sealed record RandomErasing(double Probability = 0.25, double MaxArea = 0.33) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"a rectangle of up to {100 * MaxArea:0.#}% erased with probability {Probability:0.##}");
}

/// <summary>Another step, done with a probability; not <see cref="RandomErasing"/>, which has its own.</summary>
public sealed record Sometimes(double Probability, Transform Step) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Step} with probability {Probability:0.##}");
}

/// <summary>Blurred by a Gaussian whose deviation is drawn between two bounds, in pixels.</summary>
public sealed record GaussianBlur(double Least = 0.1, double Most = 2) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => true;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"blurred by {Least:0.##} to {Most:0.##} pixels");
}

/// <summary>Levels from a threshold on are turned round: 255 − level.</summary>
public sealed record Solarize(int Threshold = 128) : Transform
{
    /// <inheritdoc/>
    public override bool IsRandom => false;

    /// <inheritdoc/>
    public override string ToString() => $"solarised from {Threshold}";
}

/// <summary>(level / 255 − mean) / std, channel by channel.</summary>
public sealed record Normalize(double[] Mean, double[] Std)
{
    /// <summary>To [−1, 1]: x / 127.5 − 1.</summary>
    public static Normalize Symmetric => new([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);

    /// <summary>Levels of 0 … 255 as they are.</summary>
    public static Normalize Levels => new([0, 0, 0], [1 / 255.0, 1 / 255.0, 1 / 255.0]);

    /// <summary>By ImageNet's mean and deviation, as torchvision does.</summary>
    public static Normalize ImageNet => new([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

    /// <inheritdoc/>
    public bool Equals(Normalize? other) => other is not null && Mean.SequenceEqual(other.Mean) && Std.SequenceEqual(other.Std);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Mean[0], Std[0]);

    /// <inheritdoc/>
    public override string ToString() => $"mean {Numbers(Mean)}, deviation {Numbers(Std)}";

    private static string Numbers(double[] values) =>
        string.Join(' ', (values.Distinct().Count() == 1 ? values[..1] : values)
        .Select(value => value.ToString("0.####", CultureInfo.InvariantCulture)));
}

/// <summary>From a picture to a network's input: steps, then normalisation, at a size.</summary>
public sealed record Preprocessing(int Width, int Height, IReadOnlyList<Transform> Steps, Normalize Normalize)
{
    /// <summary>Resize the short side, crop the middle: the usual evaluation of ImageNet networks.</summary>
    public static Preprocessing Evaluation(int resize, int crop, Normalize normalize) =>
        new(crop, crop, [new Resize(resize), new CenterCrop(crop)], normalize);

    /// <summary>Pixels of the largest side that is made.</summary>
    internal const int SideLimit = 8192;

    /// <summary>The same for a square of another size, its steps in proportion.</summary>
    internal Preprocessing AtSize(int side) => side == Width && side == Height ? this : this with
    {
        Width = side, Height = side,
        Steps =
        [
            .. Steps.Select(step => step switch
            {
                Resize resize => resize with { Side = resize.Side * side / Width }, CenterCrop => new CenterCrop(side),
                    ResizeExact => new ResizeExact(side, side), _ => step,
            }),
        ],
    };

    /// <summary>Small pictures straight to their size.</summary>
    public static Preprocessing Small(int side, Normalize normalize) => new(side, side, [new ResizeExact(side, side)], normalize);

    private static readonly System.Text.Json.JsonSerializerOptions s_json = new(System.Text.Json.JsonSerializerDefaults.Web);

    /// <summary>As the text that files of models carry.</summary>
    public string ToJson() => System.Text.Json.JsonSerializer.Serialize(this, s_json);

    /// <summary>Reads what <see cref="ToJson"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is damaged, or asks for what cannot be.</exception>
    public static Preprocessing FromJson(string text)
    {
        Preprocessing? read;
        try
        {
            read = System.Text.Json.JsonSerializer.Deserialize<Preprocessing>(text, s_json);
        }
        catch (Exception reason) when (reason is System.Text.Json.JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"its preprocessing cannot be read: {reason.Message}", reason);
        }
        var sound = read is { Width: > 0 and <= SideLimit, Height: > 0 and <= SideLimit, Steps: not null,
            Normalize: { Mean.Length: 3, Std.Length: 3 } } && read.Normalize.Std.All(std => double.IsFinite(std) && std != 0)
            && read.Normalize.Mean.All(double.IsFinite)
            && read.Steps.All(step => step is Resize { Side: > 0 and <= SideLimit } or CenterCrop { Side: > 0 and <= SideLimit }
                or ResizeExact { Width: > 0 and <= SideLimit, Height: > 0 and <= SideLimit }
                or Trim { Margin: >= 0 and <= 4, Least: >= 0 and <= 1, Tolerance: >= 0 and <= 255 }
                or not (null or Resize or CenterCrop or ResizeExact or Trim));
        return sound ? read! : throw new InvalidDataException("its preprocessing asks for what cannot be");
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Width}×{Height}: {string.Join(", ", Steps)}; {Normalize}";

    /// <summary>Whether two runs over the same picture may differ.</summary>
    [JsonIgnore]
    public bool IsRandom => Steps.Any(step => step.IsRandom);

    /// <summary>Other steps to the same size.</summary>
    public Preprocessing With(params Transform[] steps) => this with { Steps = steps };
}
