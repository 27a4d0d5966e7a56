using System.Globalization;

namespace Graft;

/// <summary>The sentences that refuse a value: <see cref="OptionBounds"/> says them of an option, the library and the command line alike.</summary>
internal static class Bounds
{
    /// <summary>What is asked for cannot be.</summary>
    public static GraftException Refuse(string message) => new(message) { IsUsage = true };

    /// <summary>A whole number within bounds; null: not given.</summary>
    public static void Whole(string name, long? value, long least, long most = int.MaxValue)
    {
        if (value is { } given && (given < least || given > most)) throw Refuse($"{name} {given}: a whole number {(most == int.MaxValue ? $"from {least} on" : $"from {least} to {most}")}");
    }

    /// <summary>A finite number above zero; null: not given.</summary>
    public static void Positive(string name, double? value) => Above(name, value, 0);

    /// <summary>A finite number above <paramref name="least"/>; null: not given.</summary>
    public static void Above(string name, double? value, double least)
    {
        if (value is { } given && !(given > least && double.IsFinite(given))) throw Refuse($"{name} {Text(given)}: a number above {Text(least)}");
    }

    /// <summary>A finite number from <paramref name="least"/> to <paramref name="most"/>; null: not given.</summary>
    public static void Within(string name, double? value, double least, double most = double.PositiveInfinity)
    {
        if (value is { } given && !(given >= least && given <= most && double.IsFinite(given)))
            throw Refuse($"{name} {Text(given)}: a number {(double.IsFinite(most) ? $"from {Text(least)} to {Text(most)}" : $"from {Text(least)} on")}");
    }

    /// <summary>Where a network may run, by name.</summary>
    public static string Device(string name)
    {
        var number = name.StartsWith("cuda:", StringComparison.Ordinal) ? name["cuda:".Length..] : "0";
        if (name is not ("cpu" or "cuda")
            && !(name.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out _)))
            throw Refuse($"--device {name}: cpu or cuda:0");
        return name;
    }

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
