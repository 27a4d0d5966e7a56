using System.CommandLine;
using System.CommandLine.Parsing;
using System.Reflection;

namespace Graft.Cli;

/// <summary>A choice by its name in kebab case.</summary>
internal sealed class ChoiceOption : Option<string?>
{
    public ChoiceOption(string name, string[] choices) : base(name)
    {
        Choices = choices;
        Validators.Add(found =>
        {
            if (found.Tokens is [.., var last] && Find(choices, last.Value) is null)
                found.AddError(UnknownName.Sentence($"there is no {name.TrimStart('-')} '{last.Value}'", last.Value, choices));
        });
    }

    public string[] Choices { get; }

    /// <summary>Which of them is meant, hyphens and case aside.</summary>
    public static string? Find(string[] choices, string name) => choices.FirstOrDefault(known => Plain(known) == Plain(name));

    private static string Plain(string name) => name.Replace("-", "", StringComparison.Ordinal).ToLowerInvariant();
}

internal static class OptionBinder
{
    /// <summary>The options that a record and those within it declare, in its order.</summary>
    public static OptionBinder<T> Of<T>() where T : class => new(null);

    /// <summary>Some of them, in this order.</summary>
    public static OptionBinder<T> Of<T>(params string[] names) where T : class => new(names);
}

/// <summary>
/// Between the command line and a record of options: makes options from what the record says of its properties (<see cref="OptionAttribute"/>), and
/// fills it with what was given. What was not given stays as the record has it.
/// </summary>
internal sealed class OptionBinder<T> where T : class
{
    /// <summary>A property, by the way to it from the record.</summary>
    private sealed record Place(PropertyInfo[] Way, OptionProperty Last);

    // Its initialisers are the defaults; what is required comes from the command line.
    private static readonly T s_usual = Activator.CreateInstance<T>();

    private static readonly Place[] s_places = [.. Walk(typeof(T), [])];

    private readonly List<Option> _options;

    public OptionBinder(string[]? names)
    {
        // What every command has is not this one's to add.
        string[] all = [.. s_places.Where(place => place == Telling(place.Last.Name)).Select(place => place.Last.Name)
            .Where(name => name.StartsWith('-') && name != Shell.ThreadsName)];
        _options = [.. (names ?? all).Select(name => Make(Telling(name)))];
    }

    /// <summary>An option by its name.</summary>
    public Option this[string name] =>
        _options.Find(option => option.Name == name) ?? throw new ArgumentException($"{typeof(T).Name} has no {name}", nameof(name));

    /// <summary>All but these.</summary>
    public OptionBinder<T> Without(params string[] names)
    {
        foreach (var name in names) _options.Remove(this[name]);
        return this;
    }

    /// <summary>This one before all others.</summary>
    public OptionBinder<T> First(string name)
    {
        var option = this[name];
        _options.Remove(option);
        _options.Insert(0, option);
        return this;
    }

    /// <summary>What this command says of it, where that is not what the record says.</summary>
    public OptionBinder<T> Says(string name, string text, string? helpName = null)
    {
        this[name].Description = text;
        this[name].HelpName = helpName ?? this[name].HelpName;
        return this;
    }

    /// <summary>Options of the command's own, for help to show behind this one.</summary>
    public OptionBinder<T> After(string name, params Option[] others)
    {
        _options.InsertRange(_options.IndexOf(this[name]) + 1, others);
        return this;
    }

    /// <summary>Gives them to a command.</summary>
    public void AddTo(Command command) => _options.ForEach(command.Options.Add);

    /// <summary>An argument that may be left out.</summary>
    public static Argument<string?> Argument(string name) =>
        new(name) { Description = Telling(name).Last.Option!.Text, Arity = ArgumentArity.ZeroOrOne };

    /// <summary>The record with what was given; it is for the task to check.</summary>
    public T Read(ParseResult parsed, T start)
    {
        foreach (var place in s_places)
        {
            if (Given(parsed, place.Last.Name) is { } given && Value(given, place.Last) is { } value)
                start = (T)With(start, [.. place.Way, place.Last.Property], value);
        }
        return start;
    }

    // A command need not have all that the record has.
    private static SymbolResult? Given(ParseResult parsed, string name)
    {
        var command = parsed.CommandResult.Command;
        if (command.Options.FirstOrDefault(option => option.Name == name) is { } option) return parsed.GetResult(option);
        return command.Arguments.FirstOrDefault(argument => argument.Name == name) is { } found ? parsed.GetResult(found) : null;
    }

    // Where several have one name, the outermost says what it is; all are filled.
    private static Place Telling(string name) => s_places.Where(place => place.Last.Name == name).MinBy(place => place.Way.Length)!;

    // A record with another value, on whatever level: init properties are set on a copy.
    private static object With(object record, PropertyInfo[] way, object value)
    {
        var copy = record.GetType().GetMethod("<Clone>$")!.Invoke(record, null)!;
        way[0].SetValue(copy, way.Length == 1 ? value : With(way[0].GetValue(record)!, way[1..], value));
        return copy;
    }

    private static IEnumerable<Place> Walk(Type record, PropertyInfo[] way)
    {
        foreach (var found in OptionBounds.Of(record))
        {
            if (found.Option is not null) yield return new(way, found);
            else foreach (var place in Walk(found.Type, [.. way, found.Property])) yield return place;
        }
    }

    private static Option Make(Place place)
    {
        var ((name, type), option) = ((place.Last.Name, place.Last.Type), place.Last.Option!);
        var usual = place.Last.Property.GetValue(place.Way.Aggregate((object)s_usual, (at, property) => property.GetValue(at)!));
        // A text that speaks of the default says it better; off and zero go without saying.
        var shown = usual is null or false or 0 or 0L or 0.0 || option.Text.Contains("(default", StringComparison.Ordinal) ? null : usual;
        Option made = type switch
        {
            { IsEnum: true } => With(new ChoiceOption(name, OptionBounds.Names(type)), shown is null ? null : OptionBounds.NameOf(shown)),
            _ when type == typeof(bool) => new Option<bool>(name),
            _ when type == typeof(int) || option.Unit > 1 => With(new Option<int?>(name) { HelpName = "N" },
                shown is null ? null : (int?)(Convert.ToInt64(shown) / option.Unit)),
            _ when type == typeof(long) => With(new Option<long>(name) { HelpName = "N" }, shown),
            _ when type == typeof(double) => With(new Option<double?>(name) { HelpName = "X" }, shown),
            _ when type == typeof(TimeSpan) => With(new Option<double?>(name) { HelpName = "X" }, shown is TimeSpan time ? time.TotalSeconds : null),
            _ when type == typeof(string) => With(new Option<string?>(name), shown),
            _ => throw new NotSupportedException($"{typeof(T).Name}.{place.Last.Property.Name}: no option is made of {type.Name}"),
        };
        made.Description = option.Text;
        made.HelpName = option.HelpName ?? made.HelpName;
        return made;
    }

    private static Option<TValue> With<TValue>(Option<TValue> option, object? shown)
    {
        if (shown is TValue value) option.DefaultValueFactory = _ => value;
        return option;
    }

    private static object? Value(SymbolResult given, OptionProperty property)
    {
        var (type, option) = (property.Type, property.Option!);
        if (given is ArgumentResult argument) return argument.Tokens.Count > 0 ? argument.GetValueOrDefault<string?>() : null;
        // A command that takes several where the record has one reads them itself.
        if (given is not OptionResult { Implicit: false } result || result.Option.ValueType.IsArray) return null;
        if (type.IsEnum) return result.GetValueOrDefault<string?>() is { } name ? Choice(type, name) : null;
        if (type == typeof(bool)) return result.GetValueOrDefault<bool>();
        if (option.Unit > 1) return result.GetValueOrDefault<int?>() * option.Unit;
        if (type == typeof(int)) return result.GetValueOrDefault<int?>();
        if (type == typeof(long)) return result.GetValueOrDefault<long>();
        if (type == typeof(double)) return result.GetValueOrDefault<double?>();
        if (type == typeof(string)) return result.GetValueOrDefault<string?>();
        var seconds = result.GetValueOrDefault<double?>()!.Value;
        // Before it is made a time, which not every number can be.
        OptionBounds.Check(property.Name, seconds, option);
        return TimeSpan.FromSeconds(seconds);
    }

    private static object Choice(Type type, string name) =>
        Enum.GetValues(type).GetValue(Array.IndexOf(OptionBounds.Names(type), ChoiceOption.Find(OptionBounds.Names(type), name)))!;
}
