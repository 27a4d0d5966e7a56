using System.CommandLine;
using Graft.Inference.Words;

namespace Graft.Cli.Commands;

internal static class WordsCommand
{
    public static Command Create() => new("words", """
        Vectors of words: read them (GloVe, word2vec, fastText), ask them, learn them from text.

        Examples:
          graft words train reviews.txt --out words.vec
          graft words train reviews.txt --out words.bin --subwords
          graft words nearest words.vec good
          graft words analogy glove.6B.100d.txt man king woman
          graft train reviews.tsv --weights words.vec
        """) { WordsTrainCommand.Create(), Nearest(), Analogy() };

    private static Argument<string> File() =>
        new("FILE") { Description = "Word vectors: GloVe's .txt, word2vec's .txt or .bin, fastText's .vec or .bin" };

    private static Option<int> Top() => new("--top") { Description = "Words to show of each question", HelpName = "N", DefaultValueFactory = _ => 10 };

    private static Command Nearest()
    {
        var (file, words, top) = (File(), new Argument<string[]>("WORD") { Description = "One word or several", Arity = ArgumentArity.OneOrMore }, Top());
        var command = new Command("nearest", """
            Show the words whose vectors are nearest to a word's.

            Examples:
              graft words nearest words.vec good
              graft words nearest glove.6B.100d.txt good bad --top 5 --json
            """) { file, words, top };
        Shell.Handle(command, (shell, parsed) =>
        {
            Bounds.Whole("--top", parsed.GetValue(top), 1);
            var vectors = Open(shell, parsed.GetValue(file)!);
            Show(shell, [.. parsed.GetValue(words)!.Select(word => (word, vectors.Nearest(word, parsed.GetValue(top))))]);
        });
        return command;
    }

    private static Command Analogy()
    {
        static Argument<string> Word(string name, string says) => new(name) { Description = says };
        var (file, a, b, c, top) = (File(), Word("A", "A is to …"), Word("B", "… B as …"), Word("C", "… C is to what?"), Top());
        var command = new Command("analogy", """
            A is to B as C is to what? The words nearest to B - A + C.

            Example:
              graft words analogy glove.6B.100d.txt man king woman
            """) { file, a, b, c, top };
        Shell.Handle(command, (shell, parsed) =>
        {
            Bounds.Whole("--top", parsed.GetValue(top), 1);
            var vectors = Open(shell, parsed.GetValue(file)!);
            var (from, to, third) = (parsed.GetValue(a)!, parsed.GetValue(b)!, parsed.GetValue(c)!);
            Show(shell, [($"{from} : {to} = {third} :", vectors.Analogy(from, to, third, parsed.GetValue(top)))]);
        });
        return command;
    }

    private static WordVectors Open(Shell shell, string path)
    {
        var vectors = WordVectors.Open(path);
        foreach (var note in vectors.Notes) shell.Log(note);
        return vectors;
    }

    private static void Show(Shell shell, IReadOnlyList<(string Asked, IReadOnlyList<NearWord> Found)> answers)
    {
        shell.Result(new { answers = answers.Select(one => new { asked = one.Asked, found = one.Found }) });
        if (shell.Json) return;
        foreach (var (asked, found) in answers)
        {
            if (answers.Count > 1) shell.Say(asked);
            foreach (var one in found) shell.Say($"{one.Similarity:0.000}  {one.Word}");
            if (answers.Count > 1) shell.Say();
        }
    }
}
