using System.Text.Json.Serialization;

namespace Graft.Torch;

/// <summary>A factor on the learning rate as training goes on.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(ConstantSchedule), "constant")]
[JsonDerivedType(typeof(StepSchedule), "step")]
[JsonDerivedType(typeof(CosineSchedule), "cosine")]
[JsonDerivedType(typeof(OneCycleSchedule), "one-cycle")]
public abstract record Schedule
{
    /// <summary>Share of the steps in which the rate rises from nothing (Goyal et al. 2017).</summary>
    public double WarmUp { get; init; }

    /// <summary>The factor at a step of a training of so many steps.</summary>
    public double Factor(long step, long steps)
    {
        var progress = steps <= 1 ? 0 : (double)step / steps;
        return WarmUp > 0 && progress < WarmUp ? (progress + 1.0 / steps) / (WarmUp + 1.0 / steps) : At(WarmUp >= 1 ? 1 : (progress - WarmUp) / (1 - WarmUp));
    }

    /// <summary>The factor at a share 0 … 1 of what follows the warm-up.</summary>
    protected abstract double At(double progress);
}

/// <summary>Always 1.</summary>
public sealed record ConstantSchedule : Schedule
{
    /// <inheritdoc/>
    protected override double At(double progress) => 1;
}

/// <summary>Multiplied by <paramref name="Gamma"/> at each of so many equal parts.</summary>
public sealed record StepSchedule(int Parts = 3, double Gamma = 0.1) : Schedule
{
    /// <inheritdoc/>
    protected override double At(double progress) => Math.Pow(Gamma, Math.Min(Parts - 1, Math.Floor(progress * Parts)));
}

/// <summary>Half a cosine from 1 down to <paramref name="Floor"/> (Loshchilov and Hutter 2017, eq. 5).</summary>
public sealed record CosineSchedule(double Floor = 0) : Schedule
{
    /// <inheritdoc/>
    protected override double At(double progress) => Floor + (1 - Floor) * (1 + Math.Cos(Math.PI * progress)) / 2;
}

/// <summary>Smith and Topin 2018: from 1/25 up to 1 in the first share, then down to almost nothing, both by cosines.</summary>
public sealed record OneCycleSchedule(double Rise = 0.3) : Schedule
{
    /// <inheritdoc/>
    protected override double At(double progress) => progress < Rise
        ? 1.0 / 25 + (1 - 1.0 / 25) * (1 - Math.Cos(Math.PI * progress / Rise)) / 2
        : 1e-5 + (1 - 1e-5) * (1 + Math.Cos(Math.PI * (progress - Rise) / (1 - Rise))) / 2;
}
