using System.Globalization;

namespace Graft.Pretraining;

/// <summary>What the methods that rebuild their input can be told beside their rates; null: each method's usual.</summary>
public sealed record ReconstructionOptions
{
    // Which methods each option acts on.
    private static readonly (string Option, Func<ReconstructionOptions, bool> Given, string[] Methods)[] s_uses =
    [
        ("--noise", options => options.Noise is not null, ["denoising", "sda"]),
        ("--gibbs", options => options.Gibbs is not null, ["rbm", "dbn"]),
        ("--persistent", options => options.Persistent, ["rbm", "dbn"]),
        ("--hidden", options => options.Hidden is not null, ["mae"]),
    ];

    /// <summary>What is done to the input that is to be rebuilt: mask:SHARE or gaussian:DEVIATION.</summary>
    [Option("denoising, sda: what is done to the input that is to be rebuilt: mask:0.25 (that share set to 0) or gaussian:0.5",
        HelpName = "NOISE")]
    public string? Noise { get; init; }

    /// <summary>Steps of Gibbs sampling for the negative phase.</summary>
    [Option("rbm, dbn: steps of Gibbs sampling for the negative phase (default: 1)", Least = 1, Most = 1000)]
    public int? Gibbs { get; init; }

    /// <summary>The negative phase's chains go on from step to step.</summary>
    [Option("rbm, dbn: chains that go on from step to step (persistent contrastive divergence), in place of chains that begin at the data")]
    public bool Persistent { get; init; }

    /// <summary>Share of the squares that are hidden.</summary>
    [Option("mae: share of the squares that are hidden (default: 0.75)", Least = 0.05, Most = 0.95, HelpName = "SHARE")]
    public double? Hidden { get; init; }

    /// <summary>Refuses an option that the method has no use for, and noise that is none.</summary>
    /// <exception cref="GraftException">Which, and what takes it.</exception>
    internal void Require(string method)
    {
        foreach (var (option, given, methods) in s_uses)
        {
            if (given(this) && !methods.Contains(method))
                throw Bounds.Refuse($"{option} is for {string.Join(" and ", methods)}: {method} has no use for it");
        }
        if (Noise is not null) _ = NoiseOr(null!);
    }

    /// <summary>The noise that is asked for, or a method's own.</summary>
    internal InputNoise NoiseOr(InputNoise usual)
    {
        if (Noise is null) return usual;
        var (kind, text) = Noise.Split(':', 2) is [var first, var second] ? (first, second) : (Noise, "");
        if (double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var amount) && amount > 0)
        {
            if (kind == "mask" && amount < 1) return new InputNoise(amount, 0);
            if (kind == "gaussian" && double.IsFinite(amount)) return new InputNoise(0, amount);
        }
        throw Bounds.Refuse($"--noise {Noise}: mask:SHARE, of a share above 0 and below 1, or gaussian:DEVIATION, above 0");
    }
}
