using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Graft.Cli;

/// <summary>
/// Numbers on the command line are read alike in every option: with a point for decimals and nothing between thousands, whatever the
/// user's language. What bounds they have is the options' own to say.
/// </summary>
internal static class NumberOptions
{
    /// <summary>Gives every option of a command and of those below it that takes a number the same reader.</summary>
    public static void ReadAlike(Command command)
    {
        foreach (var option in command.Options)
        {
            switch (option)
            {
                case Option<int> whole: whole.CustomParser = found => (int)Whole(found, int.MinValue, int.MaxValue); break;
                case Option<int?> whole: whole.CustomParser = found => (int)Whole(found, int.MinValue, int.MaxValue); break;
                case Option<long> whole: whole.CustomParser = found => Whole(found, long.MinValue, long.MaxValue); break;
                case Option<double> real: real.CustomParser = found => Real(found); break;
                case Option<double?> real: real.CustomParser = found => Real(found); break;
            }
        }
        foreach (var child in command.Subcommands) ReadAlike(child);
    }

    private static long Whole(ArgumentResult found, long least, long most)
    {
        var text = found.Tokens[0].Value;
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most) return value;
        found.AddError($"{Name(found)} {NextCommand.Quoted(text)}: a whole number, such as 42{(text.Length > 0 && text.All(char.IsAsciiDigit) ? $", and none above {most}" : "")}");
        return 0;
    }

    private static double Real(ArgumentResult found)
    {
        var text = found.Tokens[0].Value;
        if (TryReal(text, out var value)) return value;
        var pointed = text.Replace(',', '.');
        found.AddError($"{Name(found)} {NextCommand.Quoted(text)}: a number with a point for decimals, such as {(pointed != text && TryReal(pointed, out _) ? pointed : "0.5")}");
        return 0;
    }

    private static bool TryReal(string text, out double value) =>
        double.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out value) && double.IsFinite(value);

    private static string Name(ArgumentResult found) => (found.Parent as OptionResult)?.Option.Name ?? found.Argument.Name;
}
