namespace Graft;

/// <summary>What is said of a name that does not exist: what was asked for, what comes nearest, and where all are.</summary>
internal static class UnknownName
{
    private const int Listed = 10, Nearest = 3;

    /// <summary>The error.</summary>
    /// <param name="what">Of what kind, such as backbone.</param>
    /// <param name="name">As it was given.</param>
    /// <param name="known">What there is.</param>
    /// <param name="all">The command that shows all; needed where they are many.</param>
    public static GraftException Of(string what, string name, IEnumerable<string> known, string all = "") =>
        Bounds.Refuse(Sentence($"there is no {what} '{name}'", name, known, all));

    /// <summary>The beginning of a sentence, and behind it what comes nearest: all names where they are few, else the nearest three.</summary>
    public static string Sentence(string beginning, string name, IEnumerable<string> known, string all = "")
    {
        string[] names = [.. known];
        if (names.Length == 0) return beginning;
        if (names.Length <= Listed) return $"{beginning}. There {(names.Length == 1 ? "is" : "are")}: {string.Join(", ", names)}";
        string[] near = [.. Near(name, names).Take(Nearest)];
        return $"{beginning}. Did you mean {string.Join(", ", near[..^1])} or {near[^1]}?{(all.Length > 0 ? $" {all} shows all" : $" There are {names.Length}")}";
    }

    /// <summary>Names by the number of letters to change, the fewest first.</summary>
    public static IEnumerable<string> Near(string name, IEnumerable<string> known) =>
        known.OrderBy(other => Distance(name.ToLowerInvariant(), other.ToLowerInvariant()));

    /// <summary>Letters to put in, take out, exchange, or swap with their neighbour (Damerau 1964, without touching a letter twice).</summary>
    public static int Distance(string a, string b)
    {
        var rows = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) rows[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) rows[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var same = a[i - 1] == b[j - 1] ? 0 : 1;
                rows[i, j] = Math.Min(Math.Min(rows[i - 1, j], rows[i, j - 1]) + 1, rows[i - 1, j - 1] + same);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) rows[i, j] = Math.Min(rows[i, j], rows[i - 2, j - 2] + 1);
            }
        }
        return rows[a.Length, b.Length];
    }
}
