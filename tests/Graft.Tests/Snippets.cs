using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Graft.Tests;

/// <summary>
/// The C# of a page of documentation, compiled as a user's program would be. One rule: the <c>csharp</c> blocks of a page are one program
/// of top-level statements, from top to bottom; a block may use what stands in those above it.
/// </summary>
internal static class Snippets
{
    private const string Begin = "```csharp", End = "```";

    // What ImplicitUsings gives a console program.
    private const string Implicit = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;";

    private static readonly Lazy<MetadataReference[]> s_references = new(() =>
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Select(file => MetadataReference.CreateFromFile(file))]);

    /// <summary>Graft, Graft.Serve and the framework.</summary>
    public static IReadOnlyList<MetadataReference> References => s_references.Value;

    /// <summary>A page's blocks, each with the number of its first line.</summary>
    public static IReadOnlyList<(int Line, string Text)> Blocks(string markdown)
    {
        var blocks = new List<(int, string)>();
        var lines = markdown.ReplaceLineEndings("\n").Split('\n');
        for (var k = 0; k < lines.Length; k++)
        {
            if (lines[k].Trim() != Begin) continue;
            var from = k + 1;
            while (++k < lines.Length && lines[k].Trim() != End)
            {
            }
            blocks.Add((from + 1, string.Join('\n', lines[from..k])));
        }
        return blocks;
    }

    /// <summary>What the compiler says of a page's program: "docs/library.md, line 31: …".</summary>
    public static IReadOnlyList<string> Faults(string page, string markdown)
    {
        var (usings, statements, types) = (new List<string>(), new List<string>(), new List<string>());
        foreach (var (line, text) in Blocks(markdown))
        {
            var tree = CSharpSyntaxTree.ParseText(text);
            var unit = tree.GetCompilationUnitRoot();
            string Placed(SyntaxNode node) => $"#line {line + tree.GetLineSpan(node.Span).StartLinePosition.Line} \"{page}\"\n{node}";
            usings.AddRange(unit.Usings.Select(Placed));
            foreach (var member in unit.Members) (member is GlobalStatementSyntax ? statements : types).Add(Placed(member));
            // What is no statement at all is kept too, for the compiler to complain of.
            if (unit.Usings.Count + unit.Members.Count == 0) statements.Add($"#line {line} \"{page}\"\n{text}");
        }
        var program = CSharpSyntaxTree.ParseText(string.Join('\n', [.. usings, .. statements, .. types]));
        var options = new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable);
        return [.. CSharpCompilation.Create("Snippets", [CSharpSyntaxTree.ParseText(Implicit), program], References, options).GetDiagnostics()
            .Where(fault => fault.Severity is DiagnosticSeverity.Error or DiagnosticSeverity.Warning)
            .Select(fault => (Line: fault.Location.GetMappedLineSpan().StartLinePosition.Line + 1, fault)).OrderBy(found => found.Line)
            .Select(found => $"{page}, line {found.Line}: {found.fault.GetMessage()} ({found.fault.Id})")];
    }
}
