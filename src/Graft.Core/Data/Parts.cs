namespace Graft.Data;

/// <summary>The parts of a dataset by the names that people give them: folders and the split column of a CSV by the same table.</summary>
internal static class Parts
{
    public const string Train = "train", Validation = "val", Test = "test";

    public static readonly string[] All = [Train, Validation, Test];

    private static readonly Dictionary<string, string> s_words = new()
    {
        ["train"] = Train, ["training"] = Train,
        ["val"] = Validation, ["valid"] = Validation, ["validation"] = Validation, ["validate"] = Validation,
        ["dev"] = Validation, ["development"] = Validation, ["eval"] = Validation, ["evaluation"] = Validation,
        ["test"] = Test, ["testing"] = Test, ["holdout"] = Test, ["heldout"] = Test,
    };

    private static readonly string[] s_endings = ["", "set", "data", "split", "images", "imgs", "pictures", "photos"];

    /// <summary>For messages.</summary>
    public const string Known = "train (training, train_set), val (valid, validation, dev, eval) or test (testing, test_set, holdout)";

    /// <summary>train, val or test; null: the word is none of them. training_set, Test-Images and hold out are.</summary>
    public static string? Of(string word)
    {
        // With what people put after it, as in train2017.
        var letters = new string([.. word.ToLowerInvariant().Where(letter => letter is not ('_' or '-' or ' ' or '.'))]).TrimEnd([.. "0123456789"]);
        return s_endings.Where(ending => letters.EndsWith(ending, StringComparison.Ordinal))
            .Select(ending => s_words.GetValueOrDefault(letters[..^ending.Length])).FirstOrDefault(part => part is not null);
    }
}
