using System.CommandLine;
using Graft.Data;
using Graft.Inference.Search;

namespace Graft.Cli.Commands;

internal static class SearchQueryCommand
{
    /// <summary>What was asked, and what came of it.</summary>
    private sealed record Answer(string Asked, Neighbour[]? Found, string? Error);

    public static Command Create()
    {
        var index = SearchCommand.Index();
        var questions = new Argument<string[]>("QUESTION")
            { Description = "Sentences (- is what comes in, a line each), or pictures and folders of pictures", Arity = ArgumentArity.ZeroOrMore };
        var item = new Option<int[]>("--item") { Description = "An item of the index by its number, from 0, in place of a question", HelpName = "N" };
        var top = new Option<int>("--top") { Description = "Items to show of each question", HelpName = "N", DefaultValueFactory = _ => 10 };
        var command = new Command("query", """
            Show the items of an index that are nearest to a sentence, to a picture, or to one of them.

            Examples:
              graft search query reviews.index "a waste of time"
              graft search query photos.index new.jpg --top 5 --json
              graft search query reviews.index --item 17
            """) { index, questions, item, top };
        Shell.Handle(command, (shell, parsed) =>
        {
            Bounds.Whole("--top", parsed.GetValue(top), 1);
            using var opened = SearchIndex.Open(parsed.GetValue(index)!);
            var (asked, items, most) = (parsed.GetValue(questions) ?? [], parsed.GetValue(item) ?? [], parsed.GetValue(top));
            if (asked.Length + items.Length == 0)
                throw Bounds.Refuse($"nothing is asked: give a {(opened.IsText ? "sentence" : "picture")}, or an item with --item N");
            foreach (var number in items)
            {
                if (number < 0 || number >= opened.Count)
                    throw Bounds.Refuse($"--item {number}: {parsed.GetValue(index)} has {(opened.Count == 0 ? "no items" : $"the items 0 to {opened.Count - 1}")}");
            }
            var answers = (opened.IsText ? Sentences(opened, asked, most, shell.Stop) : Pictures(opened, asked, most, shell.Stop))
                .Concat(items.Select(number => new Answer($"#{number} {Line(opened[number])}", opened.Find(number, most, shell.Stop),
                    null))).ToArray();
            shell.Result(new
            {
                answers = answers.Where(one => one.Found is not null).Select(one => new { asked = one.Asked, found = one.Found!.Select(Json) }),
                errors = answers.Where(one => one.Found is null).Select(one => new { file = one.Asked, error = one.Error }),
            });
            if (!shell.Json)
            {
                foreach (var (answer, k) in answers.Where(one => one.Found is not null).Select((one, k) => (one, k)))
                {
                    if (answers.Length > 1) shell.Say($"{(k > 0 ? "\n" : "")}{answer.Asked}");
                    foreach (var found in answer.Found!) shell.Say($"{found.Similarity:0.000}  {Line(found.Item)}");
                }
                foreach (var broken in answers.Where(one => one.Found is null)) Console.Error.WriteLine($"graft: {broken.Asked}: {broken.Error}");
            }
            if (answers.Any(one => one.Found is null)) shell.Status = 1;
        });
        return command;
    }

    private static IEnumerable<Answer> Sentences(SearchIndex index, string[] asked, int top, CancellationToken stop)
    {
        var texts = new List<string>();
        foreach (var one in asked)
        {
            if (one == "-")
            {
                while (Console.In.ReadLine() is { } line)
                {
                    if (line.Trim().Length > 0) texts.Add(line);
                }
            }
            else if (PictureFiles.IsPicture(one) && File.Exists(one))
                throw new GraftException($"{one} is a picture, and the index holds sentences: ask it with a sentence");
            else texts.Add(one);
        }
        return texts.Count == 0 ? [] : index.Find([.. texts.Select(text => new TextItem(text))], top, stop).Zip(texts, (found, text) =>
            new Answer(text, found, null));
    }

    private static IEnumerable<Answer> Pictures(SearchIndex index, string[] asked, int top, CancellationToken stop)
    {
        foreach (var one in asked.Where(one => !File.Exists(one) && !Directory.Exists(one) && !PictureFiles.IsPicture(one)))
            throw new GraftException($"{one}: there is no such picture, and the index holds pictures: ask it with a picture's file, not with a sentence");
        string[] files = [.. asked.SelectMany(one => PictureFiles.Below(one).Files)];
        return files.Length == 0 ? [] : index.FindPictures(files, top, stop).Zip(files, (answer, file) => new Answer(file, answer.Found,
            answer.Error));
    }

    /// <summary>A neighbour for programs.</summary>
    public static object Json(Neighbour found) => new
    {
        index = found.Index, name = found.Item.Name, text = found.Item.Text, @class = found.Item.Class, similarity = found.Similarity,
    };

    // A longer text is shown by its beginning.
    private const int Shown = 200;

    /// <summary>An item for people, on one line.</summary>
    public static string Line(IndexItem item) =>
        $"{Short(item.Text) ?? item.Name}{(item.Class is { } told ? $"  [{told}]" : "")}{(item.Text is null ? "" : $"  ({item.Name})")}";

    private static string? Short(string? text)
    {
        var line = text?.ReplaceLineEndings(" ");
        return line is { Length: > Shown } ? line[..Shown] + "…" : line;
    }
}
