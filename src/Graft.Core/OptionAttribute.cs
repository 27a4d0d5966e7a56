using System.Text.Json;

namespace Graft;

/// <summary>
/// Says of a property of a record of options what it is: its name on the command line, the text of --help, and its bounds. The default is the
/// record's own initialiser. <see cref="OptionBounds"/> holds the record to it, for the library's user and the command line's alike.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class OptionAttribute(string text) : Attribute
{
    /// <summary>What it does, as --help says it; what becomes of it when it is not given, where the default does not say that itself.</summary>
    public string Text { get; } = text;

    /// <summary>
    /// The flag, with its hyphens; null: two hyphens and the property's name in kebab case. In capitals it is an argument. Any other name is of a
    /// setting that the library alone has, as an error calls it.
    /// </summary>
    public string? Name { get; init; }

    /// <summary>What stands for the value in --help; null: N of a whole number, X of another.</summary>
    public string? HelpName { get; init; }

    /// <summary>The least value; NaN: none is told.</summary>
    public double Least { get; init; } = double.NaN;

    /// <summary>The greatest value; NaN: none is told.</summary>
    public double Most { get; init; } = double.NaN;

    /// <summary>Every value is above this one; NaN: none is told.</summary>
    public double Above { get; init; } = double.NaN;

    /// <summary>All that it may be; null: anything within the bounds.</summary>
    public string[]? Allowed { get; init; }

    /// <summary>How many of the property's units are one of the flag's, such as bytes of a megabyte.</summary>
    public long Unit { get; init; } = 1;

    /// <summary>The name of a property's option.</summary>
    public string NameOf(string property) => Name ?? "--" + JsonNamingPolicy.KebabCaseLower.ConvertName(property);
}
