using System.Net;
using System.Text;
using System.Text.Json;
using Graft.Data;
using Graft.Inference;
using Graft.Learning;
using Graft.Models.Hub;
using Onnx = Graft.Models.Imports.Onnx;

namespace Graft.Exports;

/// <summary>
/// A folder for any static web server: a page that prepares pictures as Graft does and runs an exported model on them by ONNX Runtime Web, in the
/// browser. Nothing is sent anywhere.
/// </summary>
internal static class WebFolder
{
    /// <summary>The model's file, as <see cref="Exporter"/> writes it: normalised input, scores out.</summary>
    public const string Model = "model.onnx";

    /// <summary>What the page knows of the model.</summary>
    public const string Card = "card.json";

    private const string Licences = "licences.txt", Page = "index.html";

    /// <summary>WebAssembly addresses four gigabytes, and the file is held more than once while it is read.</summary>
    private const long MostBytes = 1 << 30;

    private const int NamesShown = 8;

    private static readonly string[] s_scripts = ["page.js", "worker.js", "picture.js", "answer.js", "style.css", "icon.svg"];

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web)
        { DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };

    /// <summary>All that the folder holds.</summary>
    public static IReadOnlyList<string> Files { get; } =
        [Page, .. s_scripts, Model, Card, .. NpmPackage.OnnxRuntimeWeb.Files.Select(file => file.Name), Licences];

    /// <summary>Refuses a folder that holds other things.</summary>
    /// <param name="folder">Where the page is to go.</param>
    /// <param name="overwrite">The files of a page that is there may be replaced; all others stay.</param>
    /// <exception cref="GraftException">What is there, and what to do.</exception>
    public static void Check(string folder, bool overwrite)
    {
        if (File.Exists(folder)) throw Bounds.Refuse($"{folder} is a file, and a page is a folder: name another with --out");
        if (File.Exists(Path.Combine(folder, RunFolder.Record))) throw Bounds.Refuse($"{folder} is the folder of a run: name another for the page with --out");
        if (overwrite || !Directory.Exists(folder)) return;
        var held = Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal).FirstOrDefault();
        if (held is not null) throw Bounds.Refuse($"{folder} holds files already, such as {held}: name another folder with --out, or replace a page that is there with --overwrite");
    }

    /// <summary>Refuses what the page cannot do to pictures.</summary>
    /// <exception cref="GraftException">A step that only training has.</exception>
    public static void Check(Preprocessing preprocessing)
    {
        var unknown = preprocessing.Steps.FirstOrDefault(step => step is not (Resize or ResizeExact or CenterCrop or Grayscale or Trim));
        if (unknown is not null) throw new GraftException($"the page cannot prepare pictures as this model wants them ({unknown}): it resizes, crops the middle, trims and makes grey. {NextCommand.Of("export")} RUN --to onnx writes the model for other programs");
    }

    /// <summary>Refuses a file that a browser cannot run.</summary>
    /// <exception cref="GraftException">It is too large, or has operators of one engine's own.</exception>
    public static void Check(string model)
    {
        var bytes = new FileInfo(model).Length;
        if (bytes > MostBytes) throw new GraftException($"the model has {bytes / 1e6:0} MB, and a browser can hold one of {MostBytes / 1e6:0} MB at most: take a smaller network, or --int8 with --calibrate DATA");
        using var stream = File.OpenRead(model);
        var foreign = Onnx.Model.Parser.ParseFrom(stream).Graph.Node.FirstOrDefault(node => node.Domain is not ("" or "ai.onnx"));
        if (foreign is not null) throw new GraftException($"the browser cannot run the operator {foreign.OpType} of {foreign.Domain} ('{foreign.Name}'): only those of ONNX itself are sure to be in every build of ONNX Runtime");
    }

    /// <summary>Writes the page around <see cref="Model"/>, which is there already.</summary>
    /// <param name="folder">The page's.</param>
    /// <param name="title">Of the page.</param>
    /// <param name="runtime">The folder of ONNX Runtime Web's files.</param>
    /// <exception cref="GraftException">The browser cannot run the model.</exception>
    public static void Write(string folder, string title, string runtime)
    {
        var file = Path.Combine(folder, Model);
        Check(file);
        using var model = PictureModel.Open(file);
        Check(model.Preprocessing);
        foreach (var part in NpmPackage.OnnxRuntimeWeb.Files)
        {
            using var from = File.OpenRead(Path.Combine(runtime, part.Name));
            AtomicFile.Write(Path.Combine(folder, part.Name), from.CopyTo);
        }
        var card = new
        {
            title, task = model.Task.ToString().ToLowerInvariant(), names = model.Classes, thresholds = model.Card.Thresholds,
            residuals = model.Card.Residuals, scores = model.Card.Scores, preprocessing = JsonDocument.Parse(model.Preprocessing.ToJson()).RootElement,
            architecture = model.Architecture,
            bytes = new { model = new FileInfo(file).Length, runtime = NpmPackage.OnnxRuntimeWeb.Files.Max(part => new FileInfo(Path.Combine(folder, part.Name)).Length) },
        };
        AtomicFile.WriteText(Path.Combine(folder, Card), JsonSerializer.Serialize(card, s_json));
        foreach (var script in s_scripts) AtomicFile.WriteText(Path.Combine(folder, script), Asset(script));
        AtomicFile.WriteText(Path.Combine(folder, Licences), Asset(Licences)
            .Replace("{{model}}", OnnxCard.Read(file).GetValueOrDefault("licence") is { Length: > 0 } licence ? licence : "Not known here.", StringComparison.Ordinal)
            .Replace("{{files}}", string.Join(", ", NpmPackage.OnnxRuntimeWeb.Files.Select(part => part.Name)), StringComparison.Ordinal)
            .Replace("{{version}}", NpmPackage.OnnxRuntimeWeb.Version, StringComparison.Ordinal));
        var about = model.Architecture.Length > 0 ? $"The network is {model.Architecture}." : "";
        AtomicFile.WriteText(Path.Combine(folder, Page), Asset(Page).Replace("{{title}}", WebUtility.HtmlEncode(title), StringComparison.Ordinal)
            .Replace("{{summary}}", WebUtility.HtmlEncode(Summary(model.Card)), StringComparison.Ordinal)
            .Replace("{{about}}", WebUtility.HtmlEncode(about), StringComparison.Ordinal));
    }

    private static string Summary(AnswerCard card)
    {
        var names = card.Names;
        var told = string.Join(", ", names.Take(NamesShown)) + (names.Count > NamesShown ? $" and {names.Count - NamesShown} more" : "");
        return card.Task switch
        {
            TargetKind.Labels => $"Says which of {names.Count} labels fit a picture: {told}.",
            TargetKind.Numbers => names.Count == 1 ? $"Says a number of a picture: {told}." : $"Says {names.Count} numbers of a picture: {told}.",
            // Outputs that have no names are numbered.
            _ when names.Select((name, k) => name == $"{k}").All(same => same) => $"Says which of {names.Count} classes a picture is of.",
            _ => $"Says which of {names.Count} classes a picture is of: {told}.",
        };
    }

    private static string Asset(string name)
    {
        using var reader = new StreamReader(typeof(WebFolder).Assembly.GetManifestResourceStream($"web/{name}")!, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
