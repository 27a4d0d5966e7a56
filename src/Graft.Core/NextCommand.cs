namespace Graft;

/// <summary>
/// A command for a person to type next, ready to be pasted into a POSIX shell: begun as this program was begun (the launcher says how, in
/// GRAFT_COMMAND), its words quoted where they need it.
/// </summary>
internal static class NextCommand
{
    /// <summary>How the program is called: graft, ./graft, or a path.</summary>
    public static string Name => Environment.GetEnvironmentVariable("GRAFT_COMMAND") is { Length: > 0 } set ? Quoted(set) : "graft";

    /// <summary>The command with these words; null words are left out.</summary>
    public static string Of(params string?[] words) => string.Join(' ', words.OfType<string>().Select(Quoted).Prepend(Name));

    /// <summary>A word as a POSIX shell reads it back.</summary>
    public static string Quoted(string word) =>
        word.Length > 0 && word.All(c => char.IsLetterOrDigit(c) || c is '/' or '.' or '-' or '_' or ':' or '=' or ',' or '+' or '@' or '%') ? word
            : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";
}
