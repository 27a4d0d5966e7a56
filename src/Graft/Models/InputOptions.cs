using System.Globalization;
using Graft.Data;
using Graft.Models.Graphs;
using Graft.Models.Zoo;

namespace Graft.Models;

/// <summary>How a pretrained network wants its pictures, where its file does not say; and what its outputs are called.</summary>
public sealed record InputOptions
{
    /// <summary>A file of class names, a line each, in the order of the outputs.</summary>
    [Option("Class names of a pretrained network, a line each", HelpName = "FILE")]
    public string? Labels { get; init; }

    /// <summary>What levels of 0 … 255 are multiplied by, such as 1/255; the mean is then on that scale.</summary>
    [Option("Levels of 0 … 255 are multiplied by this, such as 1/255 or 1/256", HelpName = "NUMBER")]
    public string? Scale { get; init; }

    /// <summary>Taken away from each channel: one number, or three.</summary>
    [Option("Taken from each channel: one number, or three with commas", HelpName = "NUMBERS")]
    public string? Mean { get; init; }

    /// <summary>Each channel is divided by it: one number, or three.</summary>
    [Option("Each channel is divided by this: one number, or three with commas", HelpName = "NUMBERS")]
    public string? Std { get; init; }

    /// <summary>rgb, bgr or grey.</summary>
    [Option("rgb, bgr or grey", HelpName = "ORDER", Allowed = ["rgb", "bgr", "grey", "gray"])]
    public string? Channels { get; init; }

    /// <summary>Pixels of the square input.</summary>
    [Option("Pixels of the square input", HelpName = "SIDE", Least = 8, Most = Preprocessing.SideLimit)]
    public int? Size { get; init; }

    /// <summary>Whether they say what becomes of the levels, so that nothing is left to guess.</summary>
    public bool Normalizes => Scale is not null || Mean is not null || Std is not null;

    /// <summary>What is said where a file does not say what its pictures go through.</summary>
    internal static string Guess(string file, Preprocessing taken)
    {
        string Row(double[] values) => string.Join(' ', values.Distinct().Count() == 1 ? [values[0]] : values.Select(value => value))
            .Replace(',', '.');
        var first = taken.Steps.OfType<Resize>().FirstOrDefault();
        return $"{file} does not say what its pictures go through: taken to be {(taken.Steps.Any(step => step is Grayscale) ? "grey" : "RGB")} of {taken.Width}×{taken.Height}{(first is null ? "" : $" (the middle, the short side resized to {first.Side})")}, "
            + $"levels of 0 … 1 minus {Row(taken.Normalize.Mean)}, divided by {Row(taken.Normalize.Std)}. If that is wrong, say it with --scale, --mean, --std, --channels or --size";
    }

    /// <summary>Refuses what cannot be.</summary>
    /// <exception cref="GraftException">An option that cannot be read.</exception>
    public void Validate()
    {
        OptionBounds.Check(this);
        if (Scale is not null) _ = Fraction(Scale);
        if (Mean is not null) _ = Three(Mean, "--mean");
        if (Std is not null && Three(Std, "--std").Contains(0)) throw Bounds.Refuse($"--std {Std}: channels are divided by it, so none may be 0");
    }

    /// <summary>The backbone with this input.</summary>
    /// <exception cref="GraftException">An option that cannot be read.</exception>
    public Backbone Apply(Backbone backbone)
    {
        Validate();
        var preprocessing = backbone.Preprocessing;
        if (Scale is not null || Mean is not null || Std is not null)
        {
            // level · scale − mean, over std, is (level / 255 − m) / s.
            var scale = Scale is null ? 1 / 255.0 : Fraction(Scale);
            var (mean, std) = (Mean is null ? Scale is null ? preprocessing.Normalize.Mean : [0, 0, 0] : Three(Mean, "--mean"),
                Std is null ? Scale is null ? preprocessing.Normalize.Std : [1, 1, 1] : Three(Std, "--std"));
            preprocessing = preprocessing with { Normalize =
                new Normalize([.. mean.Select(value => value / (255 * scale))], [.. std.Select(value => value / (255 * scale))]) };
        }
        if (Size is { } side) preprocessing = preprocessing.AtSize(side);
        switch (Channels)
        {
            case "grey" or "gray": preprocessing =
                preprocessing with { Steps = [new Grayscale(), .. preprocessing.Steps.Where(step => step is not Grayscale)] }; break;
            case "bgr":
                backbone = Surgery.BlueFirst(backbone);
                preprocessing = preprocessing with { Normalize =
                    new Normalize([.. preprocessing.Normalize.Mean.Reverse()], [.. preprocessing.Normalize.Std.Reverse()]) };
                break;
        }
        backbone.Preprocessing = preprocessing;
        return backbone;
    }

    private static double Fraction(string text)
    {
        var parts = text.Split('/');
        if (parts.Length is 1 or 2 && Number(parts[0]) is { } above && Number(parts.Length == 2 ? parts[1] : "1") is { } below
            && above / below is var value && double.IsFinite(value) && value != 0) return value;
        throw Bounds.Refuse($"--scale {text}: a number or a fraction, such as 1/255");
    }

    private static double[] Three(string text, string option)
    {
        double?[] parts = [.. text.Split(',', StringSplitOptions.TrimEntries).Select(Number)];
        if (parts.Length is not (1 or 3) || parts.Contains(null)) throw Bounds.Refuse($"{option} {text}: one number, or three with commas between, each with a point for its decimals, such as 0.5");
        return parts.Length == 3 ? [.. parts.Select(part => part!.Value)] : [parts[0]!.Value, parts[0]!.Value, parts[0]!.Value];
    }

    private static double? Number(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value)
        && double.IsFinite(value) ? value : null;
}
