using System.CommandLine;
using System.CommandLine.Parsing;

namespace Graft.Cli;

/// <summary>What is wrong with the words of a command line, said in Graft's own words and for every type of option in one place.</summary>
internal static class Usage
{
    /// <summary>Sentences, one for each mistake; none where there is none.</summary>
    public static string[] Errors(ParseResult parsed, string[] words)
    {
        var help = $"{NextCommand.Of([.. Path(parsed.CommandResult), "--help"])}";
        var strange = Unknown(parsed, words)
            .Select(word => UnknownName.Sentence($"there is no option {word}", word, Names(parsed)
            .Where(name => name.StartsWith("--", StringComparison.Ordinal)), help)).ToArray();
        if (words.Contains("")) return ["a word is empty: a shell variable that is not set, perhaps"];
        // What stands behind an option that does not exist is no mistake of its own.
        return [.. strange.Concat(parsed.Errors.Where(error => strange.Length == 0
            || error.Message.StartsWith("Cannot parse", StringComparison.Ordinal)).Select(error => Sentence(error, parsed)).OfType<string>())
            .Distinct()];
    }

    /// <summary>Whether a group of commands is named and none of them: help is what is wanted.</summary>
    public static bool IsGroupAlone(ParseResult parsed) => parsed.CommandResult.Command is { Action: null, Subcommands.Count: > 0 }
        && parsed.UnmatchedTokens.Count == 0 && parsed.Action is not System.CommandLine.Help.HelpAction;

    /// <summary>The command's words below graft, such as models show.</summary>
    public static string[] Path(CommandResult command)
    {
        var names = new Stack<string>();
        for (SymbolResult? at = command; at is CommandResult { Parent: not null } found; at = found.Parent) names.Push(found.Command.Name);
        return [.. names];
    }

    private static IEnumerable<string> Names(ParseResult parsed) =>
        parsed.CommandResult.Command.Options.Concat(parsed.RootCommandResult.Command.Options.Where(option => option.Recursive))
        .SelectMany(option => option.Aliases.Prepend(option.Name));

    // A word that looks like an option and is none would otherwise be taken for a file's name.
    private static IEnumerable<string> Unknown(ParseResult parsed, string[] words)
    {
        var known = Names(parsed).Concat(parsed.RootCommandResult.Command.Options.Select(option => option.Name)).ToHashSet();
        return words.TakeWhile(word => word != "--").Select(word => word.Split('=')[0])
            .Where(word => word is ['-', '-', _, ..] or ['-', >= 'a' and <= 'z' or >= 'A' and <= 'Z', ..] && !known.Contains(word)
                && !File.Exists(word));
    }

    private static string? Sentence(ParseError error, ParseResult parsed)
    {
        var text = error.Message;
        bool Begins(string with) => text.StartsWith(with, StringComparison.Ordinal);
        var option = error.SymbolResult as OptionResult ?? error.SymbolResult?.Parent as OptionResult;
        if (Begins("Cannot parse argument"))
        {
            var value = error.SymbolResult?.Tokens is [.., var last] ? last.Value : "";
            var (name, type) = option is not null ? (option.Option.Name, option.Option.ValueType)
                : (error.SymbolResult as ArgumentResult) is { } argument ? (argument.Argument.Name, argument.Argument.ValueType)
                : ("", typeof(string));
            return $"{name} {NextCommand.Quoted(value)}: {Kind(type)}";
        }
        if (Begins("Required argument missing for option") && option?.Option is ChoiceOption choice)
            return $"{choice.Name} needs a value: {string.Join(", ", choice.Choices)}";
        if (Begins("Required argument missing for option") && option is not null) return $"{option.Option.Name} needs a value: {(option.Option.ValueType == typeof(string) ? option.Option.HelpName ?? "text" : Kind(option.Option.ValueType))}";
        if (Begins("Option '") && text.EndsWith("is required.", StringComparison.Ordinal) && Quoted(text) is var required
            && parsed.CommandResult.Command.Options.FirstOrDefault(found => found.Name == required) is { } missing)
            return $"{required} {missing.HelpName} is missing: {Small(missing.Description)}";
        if (Begins("Option '") && option is not null) return $"{option.Option.Name} is given {option.IdentifierTokenCount} times: give it once";
        if (Begins("Required argument '")
            && parsed.CommandResult.Command.Arguments.FirstOrDefault(found =>
            found.Name == Quoted(text)) is { } wanted) return $"{wanted.Name} is missing: {Small(wanted.Description)}";
        if (Begins("Required command")) return null;
        if (!Begins("Unrecognized command or argument")) return text.TrimEnd('.');
        var word = text[(text.IndexOf('\'', StringComparison.Ordinal) + 1)..text.LastIndexOf('\'')];
        var command = parsed.CommandResult.Command;
        string[] path = Path(parsed.CommandResult);
        if (command.Subcommands.Count > 0)
            return UnknownName.Sentence($"there is no command '{string.Join(' ', [.. path, word])}'", word,
                command.Subcommands.Select(found => found.Name), NextCommand.Of([.. path, "--help"]));
        var takes = command.Arguments.Count == 0 ? "nothing" : string.Join(" and ", command.Arguments.Select(found => found.Name));
        return $"{NextCommand.Quoted(word)} is a word too many: {string.Join(' ', path)} takes {takes}. A name with spaces needs quotation marks around it";
    }

    private static string Quoted(string text) => text.Split('\'') is [_, var name, ..] ? name : "";

    private static string Small(string? description) => description is { Length: > 1 } && (char.IsLower(description[1]) || description[1] == ' ')
        ? char.ToLowerInvariant(description[0]) + description[1..] : description ?? "";

    /// <summary>What a value of a type looks like.</summary>
    private static string Kind(Type type)
    {
        var bare = Nullable.GetUnderlyingType(type) ?? type;
        if (bare.IsEnum) return string.Join(", ", Enum.GetNames(bare)
            .Select(name => System.Text.Json.JsonNamingPolicy.KebabCaseLower.ConvertName(name)));
        if (bare == typeof(int) || bare == typeof(long)) return "a whole number, such as 42";
        if (bare == typeof(double)) return "a number with a point for decimals, such as 0.5";
        return bare == typeof(bool) ? "it takes no value" : "a value that can be read";
    }
}
