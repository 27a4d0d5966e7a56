namespace Graft.Data;

/// <summary>
/// Which columns of a table hold sentences, pairs of them, and what is told of them. By the names that people give them; where the first line names
/// none, or none that is known, by what stands in them: the sentences are the longest column of words, the label the one column whose values return.
/// </summary>
/// <param name="Text">The sentence, or the first of a pair.</param>
/// <param name="Pair">The second of a pair; -1: there is none.</param>
/// <param name="Label">What is told; -1: no single column, or nothing.</param>
/// <param name="Part">train, val or test; -1: no column says so.</param>
/// <param name="IsScore">Whether the label is a score, and so a number.</param>
/// <param name="Remark">What was decided, where it was not told by names; null: it was.</param>
internal sealed record TableColumns(int Text, int Pair, int Label, int Part, bool IsScore, string? Remark)
{
    // All without _ - and spaces, in lower case; the first that is there is taken.
    private static readonly string[] s_text =
    [
        "text", "sentence", "document", "review", "content", "comment", "question", "tweet", "reviewtext", "reviewbody", "commenttext", "body",
            "message",
        "utterance", "query", "phrase", "description", "headline", "title", "문장", "본문", "내용", "리뷰", "댓글",
    ];
    private static readonly (string First, string Second)[] s_pairs =
    [
        ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"), ("texta", "textb"), ("text1", "text2"),
        ("sentencea", "sentenceb"), ("#1string", "#2string"), ("question", "sentence"), ("question", "answer"),
    ];
    private static readonly string[] s_label =
    [
        .. TableReader.LabelWords, "sentiment", "goldlabel", "intent", "emotion", "topic", "polarity", "isduplicate", "quality", "rating", "stars",
        "라벨", "레이블", "분류", "감정",
    ];
    private static readonly string[] s_score = ["score", "similarity", "similarityscore", "relatednessscore"];
    private static readonly HashSet<string> s_known =
        [.. s_text, .. s_pairs.SelectMany(pair => new[] { pair.First, pair.Second }), .. s_label, .. s_score, .. TableReader.PartWords];

    private static readonly string[] s_aside = ["", "id", "index", "idx", "row", "unnamed:0", "guid", "uid", "url"];

    // So many values at most are taken for classes where no name says that they are.
    public const int FewClasses = 100;

    /// <summary>Whether a header is one that says what a column holds.</summary>
    public static bool IsKnown(string header) => s_known.Contains(TableReader.Plain(header));

    /// <summary>Whether a header is one of a column of files.</summary>
    public static bool IsFile(string header) => TableReader.FileWords.Contains(TableReader.Plain(header));

    /// <summary>Whether the headers name a column of sentences.</summary>
    public static bool NameText(string[] headers)
    {
        string[] plain = [.. headers.Select(TableReader.Plain)];
        return plain.Any(s_text.Contains) || Pairs(plain) is not null;
    }

    /// <summary>Whether a cell holds several words, or letters that are written without spaces between.</summary>
    public static bool IsWords(string cell) => cell.Any(char.IsLetter) && (cell.Contains(' ') || cell.Count(letter => letter >= '\u3040') >= 4);

    /// <summary>Finds them.</summary>
    /// <param name="table">The table.</param>
    /// <param name="wish">Which are named.</param>
    /// <param name="task">What is told; null: what the table shows.</param>
    /// <param name="labelled">Whether something must be told.</param>
    /// <exception cref="GraftException">They are not there, or nobody can tell.</exception>
    public static TableColumns Of(Table table, TextColumns? wish, TargetKind? task, bool labelled)
    {
        string[] plain = [.. table.Headers.Select(TableReader.Plain)];
        int First(string[] names) => names.Select(name => Array.IndexOf(plain, name)).FirstOrDefault(k => k >= 0, -1);
        int Named(string? name, string option) => name is null ? -1 : table.Column(name) is >= 0 and var found ? found
            : throw new GraftException($"{option} {name}: {table.Name} has no such column, {Has(table)}") { IsUsage = true };
        var said = new List<string>();

        var (text, pair) = (Named(wish?.Text, "--text"), Named(wish?.Pair, "--pair"));
        if (text < 0 && Pairs(plain) is var (one, two) && pair != one && (pair < 0 || pair == two)) (text, pair) = (one, two);
        if (text < 0) text = First(s_text);
        var label = Named(wish?.Label, "--label");
        var part = wish?.Label is null || label < 0 ? First(TableReader.PartWords)
            : Array.FindIndex(plain, name => TableReader.PartWords.Contains(name) && name != plain[label]);
        var score = First(s_score);
        if (label < 0) label = task == TargetKind.Numbers && score >= 0 ? score : First(s_label) is >= 0 and var known ? known : score;
        if (text < 0)
        {
            text = Longest(table, [pair, label, part]);
            if (text < 0) throw NoText(table);
            said.Add($"column {Header(table, text)} is taken for the text");
        }
        // A table of several labels has a column for each, and numbers may fill several: those are told by TableTargets.
        if (label < 0 && labelled && task is null or TargetKind.Classes)
        {
            int[] codes = [.. Codes(table, [text, pair, part])];
            int[] numbers = [.. codes.Where(k => table.Rows.All(row => int.TryParse(row.Fields[k], out _)))];
            if (!table.HasNames && codes.Length > 1 && numbers.Length == 1) codes = numbers;
            var flags = codes.All(k => table.Rows.All(row => row.Fields[k] is "0" or "1"));
            if (codes.Length > 1 && !(task is null && flags))
                throw new GraftException($"{table.Path}: no column is called label or class, and {string.Join(", ", codes.Select(k => Header(table, k)))} may each be it. "
                    + $"Say which: --label {Header(table, codes[0])}");
            if (codes.Length == 1)
            {
                label = codes[0];
                said.Add($"column {Header(table, label)} for the label");
            }
        }
        if (label < 0 && !table.HasNames && labelled && task is null or TargetKind.Numbers && Numbers(table, [text, pair, part]) is [var only])
        {
            label = only;
            said.Add($"column {Header(table, label)} for the number");
        }
        return new TableColumns(text, pair, label, part, score >= 0 && label == score,
            said.Count == 0 ? null : table.HasNames ? $"of {table.Name}, {string.Join(", ", said)} (--text and --label say otherwise)"
            : $"line {table.Rows[0].Line} of {table.Name} names no columns: {string.Join(", ", said)} (--text and --label say otherwise)");
    }

    private static (int, int)? Pairs(string[] plain)
    {
        foreach (var (first, second) in s_pairs)
        {
            var (one, two) = (Array.IndexOf(plain, first), Array.IndexOf(plain, second));
            if (one >= 0 && two >= 0) return (one, two);
        }
        return null;
    }

    private static string Header(Table table, int column) => table.Headers[column];

    private static string Has(Table table) => table.HasNames ? $"only {string.Join(", ", table.Headers)}"
        : $"only columns 1 to {table.Headers.Length}: line {table.Rows[0].Line} names none ({string.Join(", ", table.Rows[0].Fields.Select(Table.Short))})";

    private static GraftException NoText(Table table) => new($"{table.Path} has no column of text, {Has(table)}. "
        + "Call one text (or sentence, document, review; sentence1 and sentence2 for a pair), or name it: --text COLUMN");

    private static IEnumerable<int> Others(Table table, int[] taken) =>
        Enumerable.Range(0, table.Headers.Length).Where(k => !taken.Contains(k) && !s_aside.Contains(TableReader.Plain(table.Headers[k])));

    // Cells of several words, or of letters that are written without spaces between; and not the same few over and over.
    private static int Longest(Table table, int[] taken) =>
        Others(table, taken).Where(k =>
        {
            string[] cells = [.. table.Rows.Select(row => row.Fields[k]).Where(cell => cell.Length > 0)];
            return cells.Length > 0 && 2 * cells.Count(IsWords) >= cells.Length && 2 * cells.Distinct().Count() > cells.Length
                && 2 * cells.Count(PictureFiles.IsPicture) < cells.Length;
        }).OrderByDescending(k => table.Rows.Sum(row => (long)row.Fields[k].Length)).FirstOrDefault(-1);

    private static IEnumerable<int> Codes(Table table, int[] taken) => Others(table, taken).Where(k =>
    {
        if (table.Rows.Count(row => row.Fields[k].Length == 0) > table.Rows.Count / 20) return false;
        string[] distinct = [.. table.Rows.Select(row => row.Fields[k]).Distinct()];
        return distinct.Length > 1 && distinct.Length <= FewClasses && 2 * distinct.Length <= table.Rows.Count
            && distinct.All(cell => cell.Length <= 60)
            && distinct.All(cell => cell.Length == 0 || TableTargets.Number(cell) is not { } value || value == Math.Floor(value));
    });

    private static int[] Numbers(Table table, int[] taken) =>
        [.. Others(table, taken).Where(k => table.Rows.Count(row => TableTargets.Number(row.Fields[k]) is not null) >= 0.9 * table.Rows.Count)];
}
