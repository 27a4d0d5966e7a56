using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;
using System.Text.Json;

namespace Graft;

/// <summary>A property of a record of options; without an option of its own it is a record of further ones.</summary>
internal sealed record OptionProperty(PropertyInfo Property, OptionAttribute? Option)
{
    /// <summary>As the command line and an error call it.</summary>
    public string Name { get; } = Option?.NameOf(Property.Name) ?? Property.Name;

    /// <summary>Its type, a null aside.</summary>
    public Type Type { get; } = Nullable.GetUnderlyingType(Property.PropertyType) ?? Property.PropertyType;
}

/// <summary>Holds records of options to the bounds that their properties tell.</summary>
internal static class OptionBounds
{
    private static readonly ConcurrentDictionary<Type, OptionProperty[]> s_properties = new();

    /// <summary>The options of a record in the order in which it declares them, and the records of options within it.</summary>
    public static IReadOnlyList<OptionProperty> Of(Type record) => s_properties.GetOrAdd(record, static type =>
        [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.CanWrite)
            .Select(property => new OptionProperty(property, property.GetCustomAttribute<OptionAttribute>()))
            .Where(found => found.Option is not null || HasOptions(found.Type))]);

    private static bool HasOptions(Type type) => type.IsClass && type.GetProperties().Any(property => property.IsDefined(typeof(OptionAttribute)));

    /// <summary>Refuses a value out of its bounds, in this record or one within it; null is no value.</summary>
    /// <exception cref="GraftException">Which option, what it is given, and what it may be.</exception>
    public static void Check(object record)
    {
        foreach (var found in Of(record.GetType()))
        {
            if (found.Property.GetValue(record) is not { } value) continue;
            if (found.Option is { } option) Check(found.Name, value, option);
            else Check(value);
        }
    }

    /// <summary>Refuses a value out of its bounds.</summary>
    public static void Check(string name, object value, OptionAttribute option)
    {
        switch (value)
        {
            case Enum choice when !Enum.IsDefined(choice.GetType(), choice):
                throw UnknownName.Of(name.TrimStart('-'), $"{choice:D}", Names(choice.GetType()));
            // What is begun counts whole: a byte above 20 MB are 21.
            case int or long when Convert.ToInt64(value, CultureInfo.InvariantCulture) is var number && !double.IsNaN(option.Least):
                number = number / option.Unit + (number % option.Unit > 0 ? 1 : 0);
                Bounds.Whole(name, number, (long)option.Least, double.IsNaN(option.Most) ? int.MaxValue : (long)option.Most);
                break;
            case double or TimeSpan:
                var real = value is TimeSpan time ? time.TotalSeconds : (double)value;
                var most = double.IsNaN(option.Most) ? double.PositiveInfinity : option.Most;
                if (!double.IsNaN(option.Above)) Bounds.Above(name, real, option.Above);
                else if (!double.IsNaN(option.Least)) Bounds.Within(name, real, option.Least, most);
                break;
        }
        if (option.Allowed is { } allowed && string.Create(CultureInfo.InvariantCulture, $"{value}") is var text && !allowed.Contains(text))
            throw Bounds.Refuse($"{name} {text}: {string.Join(", ", allowed[..^1])} or {allowed[^1]}");
    }

    /// <summary>The names of a choice, as the command line and the files of a run have them.</summary>
    public static string[] Names(Type choice) => [.. Enum.GetNames(choice).Select(JsonNamingPolicy.KebabCaseLower.ConvertName)];

    /// <summary>The name of one.</summary>
    public static string NameOf(object choice) => JsonNamingPolicy.KebabCaseLower.ConvertName($"{choice}");
}
