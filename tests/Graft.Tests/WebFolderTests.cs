using System.Text.RegularExpressions;
using Google.Protobuf;
using Graft.Classification;
using Graft.Data;
using Graft.Exports;
using Graft.Heads;
using Graft.Models.Hub;
using Graft.Models.Zoo;
using Graft.Testing;
using Onnx = Graft.Models.Imports.Onnx;

namespace Graft.Tests;

/// <summary>What graft export --to web writes, and what it refuses; that the page answers is tested in a browser, beside the command.</summary>
public sealed partial class WebFolderTests : IDisposable
{
    private readonly Workshop _shop = new();

    public void Dispose() => _shop.Dispose();

    private string Page(string title = "ants & <bees>")
    {
        foreach (var file in NpmPackage.OnnxRuntimeWeb.Files) File.WriteAllText(Path.Combine(Directory.CreateDirectory(_shop["runtime"]).FullName, file.Name), "as it came");
        var backbone = BackboneCatalogue.Create("cifar_resnet20");
        var last = backbone.Stages.Count - 1;
        using var model = new Classifier(backbone, Head.Create(HeadKind.Softmax, backbone.Stages[last].Channels, 10), last,
            [.. Enumerable.Range(0, 10).Select(k => $"c<{k}>")]);
        Exporter.Write(model, _shop["page", WebFolder.Model], ExportFormat.Onnx);
        WebFolder.Write(_shop["page"], title, _shop["runtime"]);
        return _shop["page"];
    }

    [Fact]
    public void The_folder_holds_what_is_named_and_nothing_else()
    {
        var page = Page();
        Assert.Equal(WebFolder.Files.Order(StringComparer.Ordinal), Directory.GetFiles(page, "*", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(page, file)).Order(StringComparer.Ordinal));
        var card = System.Text.Json.JsonDocument.Parse(File.ReadAllText(Path.Combine(page, WebFolder.Card))).RootElement;
        Assert.Equal("c<9>", card.GetProperty("names")[9].GetString());
        Assert.True(card.GetProperty("scores").GetBoolean());
        Assert.Equal(32, card.GetProperty("preprocessing").GetProperty("width").GetInt32());
    }

    [Fact]
    public void No_file_links_to_elsewhere_and_every_link_leads_to_a_file_of_the_folder()
    {
        var page = Page();
        var ours = WebFolder.Files.Where(file => NpmPackage.OnnxRuntimeWeb.Files.All(other => other.Name != file) && file != WebFolder.Model).ToArray();
        foreach (var file in ours)
        {
            var text = File.ReadAllText(Path.Combine(page, file));
            // A picture's namespace is a name and no link.
            Assert.DoesNotMatch(Elsewhere(), text.Replace("xmlns=\"http://www.w3.org/2000/svg\"", "", StringComparison.Ordinal));
            foreach (Match link in Links().Matches(text)) Assert.Contains(link.Groups[1].Value, WebFolder.Files);
        }
        Assert.True(ours.SelectMany(file => Links().Matches(File.ReadAllText(Path.Combine(page, file)))).Count() >= 10);
    }

    [Fact]
    public void Names_are_text_and_no_markup()
    {
        var text = File.ReadAllText(Path.Combine(Page(), "index.html"));
        Assert.Contains("<title>ants &amp; &lt;bees&gt;</title>", text, StringComparison.Ordinal);
        Assert.Contains("c&lt;0&gt;, c&lt;1&gt;", text, StringComparison.Ordinal);
        Assert.Contains("and 2 more", text, StringComparison.Ordinal);
        Assert.DoesNotContain("{{", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_that_the_page_cannot_do_is_named()
    {
        var wanted = Preprocessing.Evaluation(256, 224, Normalize.ImageNet) with { Steps = [new Resize(256), new Rotation(12)] };
        var refused = Assert.Throws<GraftException>(() => WebFolder.Check(wanted));
        Assert.Contains("turned by up to 12°", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--to onnx", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_operator_of_one_engine_alone_is_named()
    {
        var graph = new Onnx.Graph();
        graph.Node.Add(new Onnx.Node { OpType = "Relu", Name = "a" });
        graph.Node.Add(new Onnx.Node { OpType = "FusedConv", Name = "features.0", Domain = "com.microsoft" });
        File.WriteAllBytes(_shop["m.onnx"], new Onnx.Model { Graph = graph }.ToByteArray());
        var refused = Assert.Throws<GraftException>(() => WebFolder.Check(_shop["m.onnx"]));
        Assert.Contains("FusedConv of com.microsoft ('features.0')", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_too_large_for_a_browser_is_refused_with_a_way_out()
    {
        using (var file = File.Create(_shop["m.onnx"])) file.SetLength(1_100_000_000);
        Assert.Contains("1100 MB", Assert.Throws<GraftException>(() => WebFolder.Check(_shop["m.onnx"])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Folders_that_hold_other_things_are_left_alone()
    {
        File.WriteAllText(_shop["file"], "");
        Assert.Contains("a page is a folder", Refusal(_shop["file"], true), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(_shop["run"]).FullName, "run.json"), "{}");
        Assert.Contains("the folder of a run", Refusal(_shop["run"], true), StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(Directory.CreateDirectory(_shop["other"]).FullName, "mine.txt"), "");
        Assert.Contains("mine.txt", Refusal(_shop["other"], false), StringComparison.Ordinal);
        WebFolder.Check(_shop["other"], true);
        WebFolder.Check(_shop["new"], false);
    }

    private static string Refusal(string folder, bool overwrite)
    {
        var refused = Assert.Throws<GraftException>(() => WebFolder.Check(folder, overwrite));
        Assert.True(refused.IsUsage);
        return refused.Message;
    }

    [GeneratedRegex("(?:https?|wss?|ftp):|[\"'(=]//|@import|data:", RegexOptions.IgnoreCase)]
    private static partial Regex Elsewhere();

    // What a page, a script or a worker asks for.
    [GeneratedRegex("""(?:src|href|from|Worker\(|get\(|load\()\s*=?\s*"(?:\./)?([^"]+)"|(?<=import )"(?:\./)?([^"]+)" """)]
    private static partial Regex Links();
}
