using System.Text.RegularExpressions;
using ArchUnitNET.Domain;
using ArchUnitNET.Loader;
using Graft.Testing;
using Graft.Transfer;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Assembly = System.Reflection.Assembly;

namespace Graft.Tests;

/// <summary>Who may name whom: a part knows what stands below it, never what stands above or beside it.</summary>
public sealed partial class ArrowTests
{
    /// <summary>The house of src/Graft, from the ground up: a room may use the rooms of the floors below its own. A new folder gets its place
    /// here.</summary>
    private static readonly string[][] s_floors =
    [
        ["Graft"],
        ["Graft.Data"],
        ["Graft.Inference"],
        ["Graft.Inference.Text"],
        ["Graft.Inference.Search", "Graft.Inference.Words"],
        ["Graft.Learning"],
        ["Graft.Heads"],
        ["Graft.Models.Checkpoints"],
        ["Graft.Models.Zoo"],
        ["Graft.Models.Graphs"],
        ["Graft.Models.Imports"],
        ["Graft.Models.Hub", "Graft.Models.Exports"],
        ["Graft.Models"],
        ["Graft.Features"],
        ["Graft.Classification"],
        ["Graft.Exports", "Graft.Reports"],
        ["Graft.Transfer", "Graft.FewShot", "Graft.Pretraining", "Graft.Search", "Graft.MultiTask"],
        ["Graft.Quickstart"],
    ];

    /// <summary>What protoc makes stands in the room of its .proto file.</summary>
    private static readonly string[] s_generated = ["Graft.Models.Imports.Onnx", "Graft.Models.Imports.Caffe"];

    /// <summary>Arrows that are wrong and still there, as "type uses type": each with the reason.</summary>
    private static readonly string[] s_tolerated =
    [
    ];

    private static readonly Dictionary<string, string[]> s_below =
        s_floors.SelectMany((rooms, floor) => rooms.Select(room => (room, below: s_floors[..floor].SelectMany(other => other).ToArray())))
            .ToDictionary(row => row.room, row => row.below);

    [Fact]
    public void No_type_uses_one_that_stands_above_or_beside_it()
    {
        var wrong = new[] { typeof(Data.Dataset), typeof(Inference.PictureModel), typeof(TransferTask) }.SelectMany(type => Wrong(type.Assembly))
            .Except(s_tolerated).ToArray();
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void No_file_opens_a_namespace_that_stands_above_or_beside_it()
    {
        var wrong = Sources().SelectMany(file => Usings().Matches(File.ReadAllText(file.Path))
            .Select(found => (file.Path, file.Room, Named: found.Groups[1].Length > 0 ? Around(found.Groups[2].Value) : found.Groups[2].Value)))
            .Where(use => !Allowed(use.Room, use.Named)).Select(use => $"{Relative(use.Path)} opens {use.Named}: {Reason(use.Room, Room(use.Named))}")
                .ToArray();
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
    }

    [Fact]
    public void A_namespace_is_its_folder()
    {
        var wrong = Sources().Where(file => Namespace().Match(File.ReadAllText(file.Path)) is { Success: true } said
                && said.Groups[1].Value != file.Room)
            .Select(file => $"{Relative(file.Path)} is not in the namespace {file.Room}: a namespace is its folder").ToArray();
        Assert.True(wrong.Length == 0, string.Join('\n', wrong));
        Assert.True(Sources().Count() > 100);
    }

    [Fact]
    public void Each_engine_stands_on_the_core_alone_and_knows_nothing_of_the_other()
    {
        static string[] Ours(System.Type type) =>
            [.. type.Assembly.GetReferencedAssemblies().Select(other => other.Name!)
            .Where(name => name.StartsWith("Graft", StringComparison.Ordinal))];
        Assert.Empty(Ours(typeof(Data.Dataset)));
        Assert.Equal(["Graft.Core"], Ours(typeof(Torch.Tensor)));
        Assert.Equal(["Graft.Core"], Ours(typeof(Inference.PictureModel)));
    }

    [Fact]
    public void A_wrong_arrow_is_told_in_a_sentence_wherever_it_hides()
    {
        using var shop = new Workshop();
        var text = """
            namespace Graft.Data
            {
                public class Field { public Graft.Models.Opener Found; }
                public class Inside { public static string Say() => new[] { 1 }.Select(k => Graft.Models.Opener.Name(k)).First(); }
                public class Given<T> { }
                public class Through : Given<Graft.Models.Opener[]> { }
                public class Right { public int Number; }
            }
            namespace Graft.Models { public class Opener { public Graft.Data.Right Below; public static string Name(int k) => ""; } }
            namespace Graft.FewShot { public class Capability { public Graft.Transfer.Other Beside; } }
            namespace Graft.Transfer { public class Other { } }
            namespace Graft.Attic { public class Lost { public Graft.Data.Right Some; } }
            """;
        var made = CSharpCompilation.Create("Arrows", [CSharpSyntaxTree.ParseText("using System.Linq;\n" + text)], Snippets.References,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary)).Emit(shop["Arrows.dll"]);
        Assert.True(made.Success, string.Join('\n', made.Diagnostics));
        Assert.Equal(
        [
            "src/Graft/Attic (type Lost) uses Graft.Data.Right: Graft.Attic has no floor yet. Give it one in ArrowTests",
            "src/Graft/Data (type Field) uses Graft.Models.Opener: Data stands below Models. Move it up, or pass in what it needs",
            "src/Graft/Data (type Inside) uses Graft.Models.Opener: Data stands below Models. Move it up, or pass in what it needs",
            "src/Graft/Data (type Through) uses Graft.Models.Opener: Data stands below Models. Move it up, or pass in what it needs",
            "src/Graft/FewShot (type Capability) uses Graft.Transfer.Other: FewShot stands beside Transfer, and neither may name the other. Move what both need down, or pass it in",
        ], Wrong(Assembly.LoadFrom(shop["Arrows.dll"])));
    }

    private static IEnumerable<string> Wrong(Assembly assembly)
    {
        var house = new ArchLoader().LoadAssemblies(assembly).Build();
        return house.Types.SelectMany(type => type.Dependencies).Where(arrow => arrow.Origin.Namespace is not null
            && arrow.Target.Namespace is not null).Select(arrow => (From: Outer(arrow.Origin), To: Outer(arrow.Target))).Distinct()
            .Where(arrow => IsOurs(arrow.From) && IsOurs(arrow.To) && !Allowed(arrow.From.Namespace.FullName, arrow.To.Namespace.FullName))
            .Select(arrow => $"{FileOf(arrow.From)} (type {arrow.From.Name}) uses {arrow.To.FullName}: {Reason(Room(arrow.From.Namespace.FullName), Room(arrow.To.Namespace.FullName))}")
            .Order(StringComparer.Ordinal);
    }

    // A closure, an iterator and a nested type belong to the type around them.
    private static (string Name, string FullName, Namespace Namespace) Outer(IType type)
    {
        var full = type.FullName.Split('+', '/')[0].Split('`')[0].Split('<')[0];
        return (full[(full.LastIndexOf('.') + 1)..], full, type.Namespace);
    }

    private static bool IsOurs((string Name, string FullName, Namespace Namespace) type) =>
        type.Namespace.FullName.Split('.')[0] == "Graft" && !type.Namespace.FullName.StartsWith("Graft.Torch", StringComparison.Ordinal)
            && !type.Name.StartsWith('<');

    // The room of a type: what an alias or a using static names.
    private static string Around(string type) => s_below.Keys.Concat(s_generated).Where(room => type.StartsWith(room + ".", StringComparison.Ordinal))
        .MaxBy(room => room.Length) ?? type;

    private static string Room(string name) => s_generated.Contains(name) ? name[..name.LastIndexOf('.')] : name;

    private static bool Allowed(string from, string to) => Room(to) == Room(from)
        || (s_below.TryGetValue(Room(from), out var below) && below.Contains(Room(to)));

    private static string Reason(string from, string to)
    {
        foreach (var room in new[] { from, to })
        {
            if (!s_below.ContainsKey(room)) return $"{room} has no floor yet. Give it one in ArrowTests";
        }
        var (low, high) = (from["Graft".Length..].TrimStart('.'), to["Graft".Length..].TrimStart('.'));
        return s_below[to].Contains(from) ? $"{(low.Length > 0 ? low : "the root")} stands below {high}. Move it up, or pass in what it needs"
            : $"{low} stands beside {high}, and neither may name the other. Move what both need down, or pass it in";
    }

    private static string FileOf((string Name, string FullName, Namespace Namespace) type)
    {
        var folder = Path.Combine(["src", .. type.Namespace.FullName.Split('.')]);
        var full = Path.Combine(Workshop.Repository, folder);
        var declares = new Regex($@"\b(class|struct|record|interface|enum|delegate)\b[^;{{(]*\b{Regex.Escape(type.Name)}\b");
        var file = Directory.Exists(full) ? Directory.GetFiles(full, "*.cs")
            .FirstOrDefault(file => File.ReadLines(file).Any(line => declares.IsMatch(line))) : null;
        return file is null ? folder : Relative(file);
    }

    private static string Relative(string path) => Path.GetRelativePath(Workshop.Repository, path);

    private static IEnumerable<(string Path, string Room)> Sources()
    {
        var root = Path.Combine(Workshop.Repository, "src");
        // A project's folder is its root namespace; the core's is Graft itself.
        foreach (var (project, name) in new[] { ("Graft", "Graft"), ("Graft.Core", "Graft"), ("Graft.Inference", "Graft.Inference") })
        {
            foreach (var file in Directory.GetFiles(Path.Combine(root, project), "*.cs", SearchOption.AllDirectories))
            {
                var folder = Path.GetDirectoryName(Path.GetRelativePath(Path.Combine(root, project), file))!;
                if (folder.Split(Path.DirectorySeparatorChar)[0] is "obj" or "bin") continue;
                yield return (file, folder.Length == 0 ? name : $"{name}.{folder.Replace(Path.DirectorySeparatorChar, '.')}");
            }
        }
    }

    // Graft.Torch is another assembly, below all.
    [GeneratedRegex(@"^using (static |\w+ = )?(Graft(?!\.Torch\b)(?:\.[A-Z]\w*)*);", RegexOptions.Multiline)]
    private static partial Regex Usings();

    [GeneratedRegex(@"^namespace ([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace();
}
