using System.Text.RegularExpressions;
using Graft.Testing;

namespace Graft.Cli.Tests;

/// <summary>Every command that the documentation shows is one that the program understands.</summary>
public sealed partial class DocumentedCommandTests
{
    public static TheoryData<string> Pages => [.. Directory.GetFiles(Workshop.Repository, "*.md")
        .Concat(Directory.GetFiles(Path.Combine(Workshop.Repository, "docs"), "*.md", SearchOption.AllDirectories))
        .Where(file => Path.GetFileName(file) != "CHANGELOG.md").Select(file => Path.GetRelativePath(Workshop.Repository, file))
            .Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Pages))]
    public void The_commands_of_a_page_are_understood(string page)
    {
        var wrong = Shown(File.ReadAllLines(Path.Combine(Workshop.Repository, page)))
            .Select(shown => (shown.Line, shown.Command, Said: string.Join("; ", Said(shown.Command)))).Where(shown => shown.Said.Length > 0)
            .Select(shown => $"{page}, line {shown.Line}: '{shown.Command}': {shown.Said}").ToArray();
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void A_command_that_is_wrong_is_told_by_its_line()
    {
        string[] page = ["```console", "$ ./graft train photos/ --sede 7 && graft predict runs/a b.jpg > out.txt   # twice", "$ ls", "```",
            "With `graft trian` and `graft fewshot …`"];
        Assert.Equal([(2, "train photos/ --sede 7"), (2, "predict runs/a b.jpg"), (5, "trian")], Shown(page));
        Assert.StartsWith("there is no option --sede", Assert.Single(Said("train photos/ --sede 7")), StringComparison.Ordinal);
        Assert.Empty(Said("predict runs/a b.jpg"));
        Assert.NotEmpty(Said("trian"));
    }

    /// <summary>Lines behind a $ in console blocks, and code within sentences, that begin with graft; what has an ellipsis or a choice in it is a
    /// sketch.</summary>
    private static IEnumerable<(int Line, string Command)> Shown(string[] lines)
    {
        var inside = false;
        for (var k = 0; k < lines.Length; k++)
        {
            if (lines[k].StartsWith("```", StringComparison.Ordinal))
            {
                inside = !inside && lines[k].StartsWith("```console", StringComparison.Ordinal);
                continue;
            }
            string[] texts = inside ? lines[k].StartsWith("$ ", StringComparison.Ordinal) ? [Comment().Replace(lines[k][2..], "")] : [] : [.. Code()
                .Matches(lines[k]).Select(found => found.Groups[1].Value)];
            foreach (var part in texts.SelectMany(text => Joints().Split(text)))
            {
                var command = Away().Replace(part, "").Trim();
                if (Begins().Match(command) is { Success: true } begins && !command.Contains('…') && !command.Contains('|')
                    && !command.Contains('[')) yield return (k + 1, command[begins.Length..].Trim());
            }
        }
    }

    private static string[] Said(string command)
    {
        string[] words = [.. Words().Matches(command).Select(found => found.Value.Trim('"', '\''))];
        var root = Program.Root();
        NumberOptions.ReadAlike(root);
        var parsed = root.Parse(words);
        // In a sentence a command may stand by its name alone.
        return [.. Usage.Errors(parsed, words).Where(error => !error.Contains(" is missing: ", StringComparison.Ordinal))];
    }

    [GeneratedRegex("(?<!`)`([^`]+)`(?!`)")]
    private static partial Regex Code();

    [GeneratedRegex(@"\s#\s.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"&&|;|\s\|\s")]
    private static partial Regex Joints();

    // Where its output goes.
    [GeneratedRegex(@"\s\d?>.*$")]
    private static partial Regex Away();

    [GeneratedRegex(@"^(\w+=\S+ )*(\./)?graft(?= |$)")]
    private static partial Regex Begins();

    [GeneratedRegex("\"[^\"]*\"|'[^']*'|\\S+")]
    private static partial Regex Words();
}
