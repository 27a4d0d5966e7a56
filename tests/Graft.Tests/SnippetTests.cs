using Graft.Testing;

namespace Graft.Tests;

/// <summary>What the documentation shows compiles, against what is public.</summary>
public sealed class SnippetTests
{
    private static readonly string[] s_pages = [.. Directory.GetFiles(Workshop.Repository, "*.md")
        .Concat(Directory.GetFiles(Path.Combine(Workshop.Repository, "docs"), "*.md", SearchOption.AllDirectories))
        .Where(file => Snippets.Blocks(File.ReadAllText(file)).Count > 0).Select(file => Path.GetRelativePath(Workshop.Repository, file))
            .Order(StringComparer.Ordinal)];

    public static TheoryData<string> Pages => [.. s_pages];

    private static string Text(string page) => File.ReadAllText(Path.Combine(Workshop.Repository, page));

    [Theory]
    [MemberData(nameof(Pages))]
    public void The_program_of_a_page_compiles(string page)
    {
        var faults = Snippets.Faults(page, Text(page));
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void The_page_of_the_library_shows_a_dozen_things()
    {
        Assert.InRange(Snippets.Blocks(Text("docs/library.md")).Count, 12, 24);
        Assert.Contains("README.md", s_pages);
        Assert.Equal(Snippets.Blocks(Text("README.md")).Select(block => block.Text.Split("//")[0]), Snippets.Blocks(Text("README.ko.md"))
            .Select(block => block.Text.Split("//")[0]));
    }

    [Fact]
    public void A_wrong_snippet_is_told_by_its_page_and_line()
    {
        const string Page = """
            # A page

            ```csharp
            using Graft.Data;

            var names = new ClassList();
            ```

            ```console
            $ not C#
            ```

            ```csharp
            Console.WriteLine(names.Count + shown);
            ```
            """;
        Assert.Equal(["docs/page.md, line 6: The type or namespace name 'ClassList' could not be found (are you missing a using directive or an assembly reference?) (CS0246)",
            "docs/page.md, line 14: The name 'shown' does not exist in the current context (CS0103)"], Snippets.Faults("docs/page.md", Page));
    }
}
