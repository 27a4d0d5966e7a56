using System.Globalization;

namespace Graft.Inference;

/// <summary>A class and how probable it is.</summary>
public sealed record RankedLabel(string Label, double Probability)
{
    /// <summary>ants 98.7%.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Label} {100 * Probability:0.0}%");
}

/// <summary>A prediction for one picture.</summary>
/// <param name="File">The picture.</param>
/// <param name="Label">The most probable class.</param>
/// <param name="Probability">Of that class.</param>
/// <param name="Top">The five most probable classes, the first of them <paramref name="Label"/>.</param>
public sealed record Prediction(string File, string Label, double Probability, IReadOnlyList<RankedLabel> Top)
{
    /// <summary>Of a model of several labels: those that it says, the most probable first. <see cref="Label"/> then names them all, <see cref="Top"/>
    /// ranks every label.</summary>
    public IReadOnlyList<RankedLabel>? Labels { get; init; }

    /// <summary>Of a model of numbers: them. <see cref="Label"/> then is their text, and there is no probability.</summary>
    public IReadOnlyList<PredictedNumber>? Numbers { get; init; }

    /// <summary>Of a support set: the distances to its classes. There is no probability then, and <see cref="Label"/> may be "none of these".</summary>
    public SupportAnswer? Support { get; init; }

    /// <summary>Of a model of several tasks: what it says of each. <see cref="Label"/> then names them all, and there is no probability.</summary>
    public IReadOnlyList<TaskPrediction>? Tasks { get; init; }

    /// <summary>ant.jpg: ants 98.7%.</summary>
    public override string ToString() => Labels is null && Numbers is null && Support is null && Tasks is null
        ? $"{File}: {new RankedLabel(Label, Probability)}" : $"{File}: {Label}";
}

/// <summary>A number that was predicted.</summary>
/// <param name="Name">The column's.</param>
/// <param name="Value">In the column's own units.</param>
/// <param name="Low">Lower end of the interval that nine of ten true numbers lie in, judged by pictures that were held out in training; null: none
/// were.</param>
/// <param name="High">Upper end.</param>
public sealed record PredictedNumber(string Name, double Value, double? Low, double? High)
{
    /// <summary>cells 17.2 (13.1 to 21.6).</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} {Value:G4}{(Low is { } low && High is { } high ? string.Create(CultureInfo.InvariantCulture, $" ({low:G4} to {high:G4})") : "")}");
}

/// <summary>What a model of several tasks says of one of them.</summary>
/// <param name="Task">The task's name: a column of what it was trained on.</param>
/// <param name="Said">As a model of that task alone would say it.</param>
public sealed record TaskPrediction(string Task, Prediction Said)
{
    /// <summary>shape: circle 98.7%.</summary>
    public override string ToString() => Said.Numbers is [var number] && number.Name == Task ? $"{number}"
        : Said.Labels is { } labels ? $"{Task} {(labels.Count > 0 ? string.Join(", ", labels) : "none of the labels")}"
            : $"{Task} {new RankedLabel(Said.Label, Said.Probability)}";
}
